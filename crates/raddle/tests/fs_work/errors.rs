//! Errors, side by side with std's: the same kind, the same number, the same words.

use crate::io_kit::{Kind, Scratch};
use raddle::fs;
use raddle::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Both do, or refuse, the same. What they have done is undone in between.
fn same<T, U>(what: &str, path: &Path, ours: io::Result<T>, stds: io::Result<U>) {
    match (ours.map(drop), stds.map(drop)) {
        (Ok(()), Ok(())) => {}
        (Err(ours), Err(stds)) => {
            assert_eq!(ours.kind(), stds.kind(), "{what} {}: {ours}", path.display());
            assert_eq!(ours.raw_os_error(), stds.raw_os_error(), "{what} {}", path.display());
            assert_eq!(ours.to_string(), stds.to_string());
        }
        (ours, stds) => panic!("{what} {}: {ours:?}, and std says {stds:?}", path.display()),
    }
}

/// Paths with which something is wrong, one way or another.
fn wrong_paths(scratch: &Scratch) -> Vec<PathBuf> {
    let at = |name: &str| scratch.0.join(name);
    std::fs::create_dir_all(at("directory/full")).unwrap();
    scratch.file("file", b"x");
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    std::os::unix::fs::symlink("gone", at("broken")).unwrap();
    vec![
        at("gone"),
        at("gone/below"),
        at("file/below"),
        at("file/"),
        at("directory"),
        at("directory/"),
        at("loop"),
        at("loop/below"),
        at("broken"),
        at(&"n".repeat(256)),
        at(&"deep/".repeat(900)),
        PathBuf::from("a\0b"),
        PathBuf::new(),
        PathBuf::from("/"),
        PathBuf::from("/proc/self/none"),
    ]
}

/// One line for each function: where both succeed, what they do is undone.
macro_rules! both {
    ($path:expr, $($function:ident($($argument:expr),*) $(undone by $undo:expr)?;)*) => {$(
        let ours = fs::$function($($argument),*);
        $(if ours.is_ok() { $undo })?
        let stds = std_fs::$function($($argument),*);
        $(if stds.is_ok() { $undo })?
        same(stringify!($function), $path, ours, stds);
    )*};
}

mod std_fs {
    pub(super) use std::fs::*;
    pub(super) use std::os::unix::fs::symlink;
}

pub(crate) fn errors_are_those_of_std(_: Kind) {
    let scratch = Scratch::new();
    let good = scratch.file("good", b"content");
    let good = good.as_path();
    let new = scratch.0.join("new");
    for path in &wrong_paths(&scratch) {
        let path = path.as_path();
        let remove = || std::fs::remove_file(path).unwrap();
        let rename_back = |from: &Path, to: &Path| std::fs::rename(from, to).unwrap();
        both! { path,
            metadata(path);
            symlink_metadata(path);
            exists(path);
            canonicalize(path);
            read_link(path);
            read_dir(path);
            read(path);
            read_to_string(path);
            write(path, "x") undone by remove();
            copy(path, &new);
            copy(good, path) undone by remove();
            create_dir(path) undone by std::fs::remove_dir(path).unwrap();
            remove_dir(path.join("none"));
            rename(path, &new) undone by rename_back(&new, path);
            rename(path.join("none"), good);
            hard_link(path, good);
            hard_link(good, path) undone by remove();
            symlink("target", path) undone by remove();
            set_permissions(path.join("none"), PermissionsExt::from_mode(0o600));
        };
        // Only where they can't succeed.
        if !path.is_symlink() && !path.is_dir() {
            both! { path, remove_file(path); remove_dir(path); remove_dir_all(path); };
        }
        if std::fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_dir()) {
            both! { path, create_dir_all(path); };
        }
        same("File::open", path, fs::File::open(path), std::fs::File::open(path));
        if std::fs::symlink_metadata(path).is_ok() {
            same("create_new", path, fs::File::create_new(path), std::fs::File::create_new(path));
        }
        same(
            "append",
            path,
            fs::OpenOptions::new().append(true).open(path),
            std::fs::OpenOptions::new().append(true).open(path),
        );
        // What opening it so has made is there for both.
        std::fs::write(scratch.0.join("file"), "x").unwrap();
        let _ = std::fs::remove_file(scratch.0.join("gone"));
    }
    assert_eq!(std::fs::read(good).unwrap(), b"content");
}

pub(crate) fn options_that_contradict_are_refused_as_by_std(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    for bits in 0..64 {
        let is = |bit: i32| bits >> bit & 1 == 1;
        for is_there in [true, false] {
            let prepare = || match is_there {
                true => std::fs::write(&path, "content").unwrap(),
                false => std::fs::remove_file(&path).unwrap_or_default(),
            };
            prepare();
            let mut options = fs::OpenOptions::new();
            options
                .read(is(0))
                .write(is(1))
                .append(is(2))
                .truncate(is(3))
                .create(is(4))
                .create_new(is(5));
            let ours = options.mode(0o600).open(&path);
            let found = std::fs::read(&path).ok();
            prepare();
            let mut options = std::fs::OpenOptions::new();
            options
                .read(is(0))
                .write(is(1))
                .append(is(2))
                .truncate(is(3))
                .create(is(4))
                .create_new(is(5));
            let stds = options.mode(0o600).open(&path);
            assert_eq!(found, std::fs::read(&path).ok(), "{options:?}");
            same(&format!("{options:?}"), &path, ours, stds);
        }
    }
}

/// What a user who is not the system's may not do.
pub(crate) fn forbidden(_: Kind) {
    let scratch = Scratch::new();
    let locked = scratch.0.join("locked");
    std::fs::create_dir(&locked).unwrap();
    let inside = locked.join("file");
    std::fs::write(&inside, "x").unwrap();
    let secret = scratch.file("secret", b"x");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o0)).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o0)).unwrap();
    let new = locked.join("new");
    for path in [&inside, &secret, &new] {
        both! { path,
            read(path);
            metadata(locked.join("file"));
            write(path, "x");
            copy(path, scratch.0.join("to"));
            read_dir(&locked);
            remove_file(&inside);
            rename(&inside, &new);
            hard_link(&inside, &new);
            create_dir(&new);
            create_dir_all(new.join("x"));
            symlink("x", &new);
            set_permissions("/", PermissionsExt::from_mode(0o755));
        };
        assert_eq!(fs::read(path).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
}

/// The system's own user may do all.
pub(crate) fn give_up_privileges() {
    // SAFETY: no memory is involved; the process has one thread.
    unsafe {
        if libc::getuid() != 0 {
            return;
        }
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(65_534), 0);
        assert_eq!(libc::setuid(65_534), 0);
    }
}

pub(crate) fn simulated() {
    struct Standstill;
    impl raddle::host::Host for Standstill {
        fn now_ns(&self) -> u64 {
            1
        }
        fn choose(&self, _: usize) -> usize {
            0
        }
        fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
            assert!(deadline_ns.is_none(), "nobody has a deadline");
            false
        }
    }
    let errors = raddle::runtime::simulate(Box::new(Standstill), || {
        let path = "/proc/self/status";
        let mut walk = fs::walk("/proc/self").into_iter();
        let of_walk = io::Error::from(walk.next().unwrap().unwrap_err());
        assert!(walk.next().is_none());
        [
            of_walk,
            fs::File::open(path).unwrap_err(),
            fs::read(path).unwrap_err(),
            fs::write("/no/such/file", "x").unwrap_err(),
            fs::copy(path, "/no/such/file").unwrap_err(),
            fs::metadata(path).unwrap_err(),
            fs::symlink_metadata(path).unwrap_err(),
            fs::exists(path).unwrap_err(),
            fs::canonicalize(path).unwrap_err(),
            fs::read_link("/proc/self").unwrap_err(),
            fs::read_dir("/").unwrap_err(),
            fs::create_dir("/no/such/file").unwrap_err(),
            fs::create_dir_all("/").unwrap_err(),
            fs::DirBuilder::new().create("/").unwrap_err(),
            fs::remove_file("/no/such/file").unwrap_err(),
            fs::remove_dir("/no/such/file").unwrap_err(),
            fs::remove_dir_all("/no/such/file").unwrap_err(),
            fs::rename("/no/such/file", "/no/such").unwrap_err(),
            fs::hard_link("/no/such/file", "/no/such").unwrap_err(),
            fs::symlink("/no/such/file", "/no/such").unwrap_err(),
            fs::set_permissions("/no/such/file", PermissionsExt::from_mode(0o0)).unwrap_err(),
        ]
    });
    for error in errors.unwrap() {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}
