//! Walks through directories.

use crate::io_kit::{Kind, Scratch, start};
use raddle::cancel::Token;
use raddle::fs::{self, WalkDir, WalkEntry};
use raddle::io::{self, ErrorKind};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Directories `a`, `a/b`, `a/b/c`, `d`; files `a/1`, `a/b/2`, `a/b/c/3`, `4`; a link `a/link` to `4`.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.0.join("a/b/c")).unwrap();
    std::fs::create_dir(scratch.0.join("d")).unwrap();
    for name in ["a/1", "a/b/2", "a/b/c/3", "4"] {
        scratch.file(name, name.as_bytes());
    }
    std::os::unix::fs::symlink("../4", scratch.0.join("a/link")).unwrap();
    scratch
}

/// Where something is below the root.
fn below(scratch: &Scratch, path: &Path) -> String {
    path.strip_prefix(&scratch.0).unwrap().to_str().unwrap().to_owned()
}

fn names(
    scratch: &Scratch,
    walk: impl IntoIterator<Item = Result<WalkEntry, fs::WalkError>>,
) -> Vec<String> {
    walk.into_iter().map(|entry| below(scratch, entry.unwrap().path())).collect()
}

pub(crate) fn all_is_found_once(_: Kind) {
    let scratch = tree();
    let found: Vec<WalkEntry> = fs::walk(&scratch.0).into_iter().map(Result::unwrap).collect();
    let paths: BTreeSet<String> = found.iter().map(|entry| below(&scratch, entry.path())).collect();
    assert_eq!(found.len(), paths.len());
    assert!(
        paths.iter().eq(["", "4", "a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "a/link", "d"])
    );
    let mut seen: Vec<&Path> = Vec::new();
    for entry in &found {
        let name = below(&scratch, entry.path());
        assert_eq!(entry.depth(), Path::new(&name).components().count());
        assert_eq!(Some(entry.file_name()), entry.path().file_name());
        let metadata = std::fs::symlink_metadata(entry.path()).unwrap();
        assert_eq!(entry.file_type(), metadata.file_type(), "{name}");
        assert_eq!(entry.path_is_symlink(), name == "a/link");
        assert_eq!(entry.metadata().unwrap().len(), metadata.len());
        // Each directory before what is in it.
        assert!(entry.depth() == 0 || seen.contains(&entry.path().parent().unwrap()));
        seen.push(entry.path());
    }
    assert_eq!(found[0].clone().into_path(), scratch.0);
}

pub(crate) fn depths_are_kept_to(_: Kind) {
    let scratch = tree();
    let between = |min, max| {
        let walk = WalkDir::new(&scratch.0).min_depth(min).max_depth(max).sort_by_file_name();
        names(&scratch, walk)
    };
    assert_eq!(between(1, 1), ["4", "a", "d"]);
    assert_eq!(between(0, 0), [""]);
    assert_eq!(between(2, 3), ["a/1", "a/b", "a/b/2", "a/b/c", "a/link"]);
    assert_eq!(between(4, usize::MAX), ["a/b/c/3"]);
    assert_eq!(between(9, usize::MAX), [""; 0]);
    // No less deep than deep.
    assert_eq!(between(5, 1), ["4", "a", "d"]);
}

pub(crate) fn contents_come_first_if_that_is_wished(_: Kind) {
    let scratch = tree();
    let walk =
        |min| WalkDir::new(&scratch.0).contents_first(true).sort_by_file_name().min_depth(min);
    let expected = ["4", "a/1", "a/b/2", "a/b/c/3", "a/b/c", "a/b", "a/link", "a", "d", ""];
    assert_eq!(names(&scratch, walk(0)), expected);
    assert_eq!(names(&scratch, walk(1)), expected[..9]);
    assert_eq!(names(&scratch, walk(2)), ["a/1", "a/b/2", "a/b/c/3", "a/b/c", "a/b", "a/link"]);
    assert_eq!(names(&scratch, walk(1).max_depth(1)), ["4", "a", "d"]);
    // What it is for.
    for entry in walk(0) {
        let entry = entry.unwrap();
        let remove = if entry.file_type().is_dir() { fs::remove_dir } else { fs::remove_file };
        remove(entry.path()).unwrap();
    }
    assert!(!scratch.0.exists());
}

pub(crate) fn an_order_is_kept(_: Kind) {
    let scratch = tree();
    let sorted = ["", "4", "a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "a/link", "d"];
    assert_eq!(names(&scratch, fs::walk(&scratch.0).sort_by_file_name()), sorted);
    let backwards =
        fs::walk(&scratch.0).sort_by(|one, other| other.file_name().cmp(one.file_name()));
    let expected = ["", "d", "a", "a/link", "a/b", "a/b/c", "a/b/c/3", "a/b/2", "a/1", "4"];
    assert_eq!(names(&scratch, backwards), expected);
    let files_first =
        |entry: &WalkEntry| (entry.file_type().is_dir(), entry.file_name().to_owned());
    let expected = ["", "4", "a", "a/1", "a/link", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "d"];
    assert_eq!(names(&scratch, fs::walk(&scratch.0).sort_by_key(files_first)), expected);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// In one batch, in several, and with others inside.
pub(crate) fn large_directories_come_in_batches(_: Kind) {
    let scratch = Scratch::new();
    for (directory, count) in [("one", 255), ("more", 256), ("many", 800), ("many/inner", 520)] {
        std::fs::create_dir(scratch.0.join(directory)).unwrap();
        for number in 0..count {
            scratch.file(&format!("{directory}/{number}"), b"");
        }
    }
    // Queues are made as they are needed, and have descriptors.
    drop(fs::read(scratch.file("any", b"")));
    let before = descriptors();
    let all = 1 + 4 + 1 + 255 + 256 + 800 + 520;
    for sorted in [false, true] {
        let walk = fs::walk(&scratch.0);
        let walk = if sorted { walk.sort_by_file_name() } else { walk };
        let mut paths = BTreeSet::new();
        let mut walk = walk.into_iter();
        for entry in walk.by_ref() {
            let entry = entry.unwrap();
            assert!(paths.insert(entry.path().to_owned()), "{entry:?} comes twice");
            if paths.len() % 250 == 0 {
                // One for each directory that is not read to its end.
                assert!(descriptors() <= before + if sorted { 0 } else { 2 });
            }
        }
        assert_eq!(paths.len(), all);
        assert!(walk.next().is_none());
    }
    drop(fs::walk(&scratch.0).into_iter().nth(1500));
    assert_eq!(descriptors(), before);
}

pub(crate) fn what_is_not_wanted_is_passed_by(_: Kind) {
    let scratch = tree();
    let sorted = || fs::walk(&scratch.0).sort_by_file_name().into_iter();
    let wants = |entry: &WalkEntry| entry.file_name() != "b" && entry.file_name() != "4";
    assert_eq!(names(&scratch, sorted().filter_entry(wants)), ["", "a", "a/1", "a/link", "d"]);
    assert_eq!(names(&scratch, sorted().filter_entry(|_| false)), [""; 0]);
    // What is in a directory, or the rest of one.
    let skips_at = |name: &str| {
        let mut found = Vec::new();
        let mut walk = sorted();
        while let Some(entry) = walk.next() {
            found.push(below(&scratch, entry.unwrap().path()));
            if found.last().is_some_and(|last| last == name) {
                walk.skip_current_dir();
            }
        }
        found
    };
    assert_eq!(skips_at("a/b"), ["", "4", "a", "a/1", "a/b", "a/link", "d"]);
    assert_eq!(skips_at("a/1"), ["", "4", "a", "a/1", "d"]);
    assert_eq!(skips_at(""), [""]);
    assert_eq!(skips_at("4"), ["", "4"]);
    let mut walk = sorted().filter_entry(|_| true);
    assert_eq!(walk.by_ref().take(3).count(), 3);
    walk.skip_current_dir();
    assert_eq!(names(&scratch, walk), ["d"]);
}

pub(crate) fn links_are_followed_or_not(_: Kind) {
    let scratch = tree();
    std::os::unix::fs::symlink("a/b", scratch.0.join("e")).unwrap();
    std::os::unix::fs::symlink("nowhere", scratch.0.join("f")).unwrap();
    let walk = || fs::walk(&scratch.0).sort_by_file_name();
    let plain = ["", "4", "a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "a/link", "d", "e", "f"];
    assert_eq!(names(&scratch, walk()), plain);
    let mut found = Vec::new();
    for entry in walk().follow_links(true) {
        match entry {
            Ok(entry) => {
                let name = below(&scratch, entry.path());
                let is_link = ["a/link", "e"].contains(&name.as_str());
                assert_eq!(
                    (entry.path_is_symlink(), entry.file_type().is_symlink()),
                    (is_link, false)
                );
                assert_eq!(entry.metadata().unwrap().is_dir(), entry.file_type().is_dir());
                found.push(name);
            }
            Err(error) => {
                assert_eq!(error.io_error().kind(), ErrorKind::NotFound);
                assert_eq!((error.depth(), error.loop_ancestor()), (1, None));
                found.push(format!("!{}", below(&scratch, error.path())));
            }
        }
    }
    let through = [
        "", "!f", "4", "a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "a/link", "d", "e", "e/2",
        "e/c", "e/c/3",
    ];
    found.sort();
    assert_eq!(found, through);
}

pub(crate) fn links_that_lead_back_are_told(_: Kind) {
    let scratch = tree();
    let link = scratch.0.join("a/b/back");
    std::os::unix::fs::symlink("../../a", &link).unwrap();
    std::os::unix::fs::symlink(".", scratch.0.join("d/self")).unwrap();
    let mut told = Vec::new();
    let mut count = 0;
    for entry in fs::walk(&scratch.0).follow_links(true) {
        match entry {
            Ok(_) => count += 1,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(error.path().to_str().unwrap()), "{text}");
                let ancestor = below(&scratch, error.loop_ancestor().unwrap());
                told.push((below(&scratch, error.path()), ancestor, error.depth()));
                let error = io::Error::from(error);
                assert_eq!(error.kind(), io::Error::from_raw_os_error(libc::ELOOP).kind());
                assert_eq!(error.to_string(), text);
            }
        }
    }
    told.sort();
    let expected = [("a/b/back", "a", 3), ("d/self", "d", 2)];
    assert_eq!(told, expected.map(|(path, to, depth)| (path.to_owned(), to.to_owned(), depth)));
    assert_eq!(count, 10);
    // Not followed, they are links like others.
    assert!(fs::walk(&scratch.0).into_iter().all(|entry| entry.is_ok()));
}

pub(crate) fn a_root_may_be_anything(_: Kind) {
    let scratch = tree();
    let all = |root: &Path, follows| -> Vec<PathBuf> {
        let walk = fs::walk(root).follow_links(follows).sort_by_file_name();
        walk.into_iter().map(|entry| entry.unwrap().into_path()).collect()
    };
    let file = scratch.0.join("4");
    assert_eq!(all(&file, false), [&*file]);
    // Through a link, under the link's name.
    let link = scratch.0.join("e");
    std::os::unix::fs::symlink("a/b/c", &link).unwrap();
    for follows in [false, true] {
        assert_eq!(all(&link, follows), [link.clone(), link.join("3")]);
        let root = fs::walk(&link).follow_links(follows).into_iter().next().unwrap().unwrap();
        assert_eq!((root.path_is_symlink(), root.file_type().is_dir()), (true, follows));
    }
    let broken = scratch.0.join("f");
    std::os::unix::fs::symlink("nowhere", &broken).unwrap();
    assert_eq!(all(&broken, false), [&*broken]);
    for root in
        [scratch.0.join("none"), scratch.0.join("4/x"), PathBuf::new(), PathBuf::from("a\0b")]
    {
        let mut walk = fs::walk(&root).into_iter();
        let error = walk.next().unwrap().unwrap_err();
        let stds = std::fs::symlink_metadata(&root).unwrap_err();
        assert_eq!((error.io_error().kind(), error.path()), (stds.kind(), &*root));
        assert!(walk.next().is_none() && walk.next().is_none());
    }
    let here = fs::walk(".").max_depth(0).into_iter().next().unwrap().unwrap();
    assert_eq!((here.path(), here.file_name()), (Path::new("."), std::ffi::OsStr::new(".")));
    let root = fs::walk("/").max_depth(0).into_iter().next().unwrap().unwrap();
    assert_eq!(root.file_name(), "/");
}

pub(crate) fn what_goes_wrong_is_told_and_the_walk_goes_on(_: Kind) {
    let scratch = tree();
    let mut found = Vec::new();
    for entry in fs::walk(&scratch.0).sort_by_file_name() {
        match entry {
            Ok(entry) => {
                found.push(below(&scratch, entry.path()));
                if found.last().is_some_and(|last| last == "a/b") {
                    // Before it is entered.
                    std::fs::remove_dir_all(entry.path()).unwrap();
                }
            }
            Err(error) => {
                assert_eq!(error.io_error().kind(), ErrorKind::NotFound);
                assert_eq!(error.depth(), 2);
                found.push(format!("!{}", below(&scratch, error.path())));
            }
        }
    }
    assert_eq!(found, ["", "4", "a", "a/1", "a/b", "!a/b", "a/link", "d"]);
}

/// A directory that may not be read, for who may not do all.
pub(crate) fn forbidden(_: Kind) {
    let scratch = tree();
    let locked = scratch.0.join("a/b");
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o0)).unwrap();
    let mut errors = Vec::new();
    let mut found = Vec::new();
    for entry in fs::walk(&scratch.0).sort_by_file_name().contents_first(true) {
        match entry {
            Ok(entry) => found.push(below(&scratch, entry.path())),
            Err(error) => errors.push(error),
        }
    }
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(found, ["4", "a/1", "a/b", "a/link", "a", "d", ""]);
    assert_eq!(errors.len(), 1);
    let error = io::Error::from(errors.remove(0));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let walk_error = error.get_ref().unwrap().downcast_ref::<fs::WalkError>().unwrap();
    assert_eq!(walk_error.path(), locked);
}

/// `/proc` is always another one than what it is mounted on.
pub(crate) fn file_systems_are_not_left(_: Kind) {
    let walk = || fs::walk("/").max_depth(2).same_file_system(true).into_iter();
    let wants = |entry: &WalkEntry| entry.depth() == 0 || entry.path().starts_with("/proc");
    let found: Vec<PathBuf> =
        walk().filter_entry(wants).map(|entry| entry.unwrap().into_path()).collect();
    assert_eq!(found, [Path::new("/"), Path::new("/proc")]);
    let all = fs::walk("/proc").max_depth(1).same_file_system(true);
    assert!(all.into_iter().count() > 10, "it is the root's file system that counts");
}

pub(crate) fn a_token_ends_a_walk(_: Kind) {
    let scratch = tree();
    let token = Token::new();
    let mut count = 0;
    let result = token.carry(|| {
        for entry in fs::walk(&scratch.0) {
            entry.unwrap();
            count += 1;
            if count == 2 {
                token.cancel();
            }
        }
    });
    assert!(result.is_err() && count < 10, "{count}");
}

pub(crate) fn many_walk_at_once(kind: Kind) {
    let scratch = std::sync::Arc::new(tree());
    let walkers: Vec<_> = (0..30)
        .map(|_| {
            let scratch = scratch.clone();
            start(kind, move || {
                (0..10).for_each(|_| assert_eq!(fs::walk(&scratch.0).into_iter().count(), 10));
            })
        })
        .collect();
    walkers.into_iter().for_each(|walker| walker.join());
}
