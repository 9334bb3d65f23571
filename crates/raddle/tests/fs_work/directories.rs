//! Programs with names of files, and directories. `super` says with whose functions; nothing else in here tells the two apart.

use super::fs;
use crate::io_kit::{Kind, Scratch, make_cold, pattern};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn whole_files_at_once(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    fs::write(&path, "text").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"text");
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    fs::write(&path, b"").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    let bytes = pattern(3_000_000);
    fs::write(&path, &bytes).unwrap();
    make_cold(&path);
    assert!(fs::read(&path).unwrap() == bytes);
    assert_eq!(fs::read_to_string(&path).unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(fs::read_to_string("/proc/self/status").unwrap().starts_with("Name:"));
}

pub(crate) fn copies(_: Kind) {
    let scratch = Scratch::new();
    let bytes = pattern(2_500_000);
    let from = scratch.file("from", &bytes);
    std::fs::set_permissions(&from, PermissionsExt::from_mode(0o751)).unwrap();
    let to = scratch.0.join("to");
    assert_eq!(fs::copy(&from, &to).unwrap(), bytes.len() as u64);
    assert!(std::fs::read(&to).unwrap() == bytes);
    assert_eq!(mode(&to), 0o751);
    // What was there is replaced, and gets the mode.
    let longer = scratch.file("longer", &vec![7; bytes.len() + 1000]);
    fs::copy(&from, &longer).unwrap();
    assert!(std::fs::read(&longer).unwrap() == bytes);
    assert_eq!(mode(&longer), 0o751);
    let empty = scratch.file("empty", b"");
    assert_eq!(fs::copy(&empty, &to).unwrap(), 0);
    assert_eq!(std::fs::read(&to).unwrap(), b"");
    // Through a link, both ways.
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&to, &link).unwrap();
    fs::copy(&from, &link).unwrap();
    assert!(std::fs::read(&to).unwrap() == bytes);
    assert_eq!(fs::copy(&link, &empty).unwrap(), bytes.len() as u64);
    // Files whose length is not known beforehand.
    assert!(fs::copy("/proc/self/status", &to).unwrap() > 100);
    assert_eq!(fs::copy(&from, "/dev/null").unwrap(), bytes.len() as u64);
    assert_eq!(mode(Path::new("/dev/null")), 0o666);
    for source in [scratch.0.as_path(), Path::new("/dev/null")] {
        assert_eq!(fs::copy(source, &to).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    // Nothing is made then.
    let new = scratch.0.join("new");
    assert_eq!(fs::copy(scratch.0.join("gone"), &new).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!new.exists());
}

pub(crate) fn what_is_there(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"content");
    let link = scratch.0.join("link");
    fs::symlink("file", &link).unwrap();
    let metadata = fs::metadata(&link).unwrap();
    assert!(metadata.is_file() && metadata.len() == 7);
    assert_eq!(metadata.ino(), std::fs::metadata(&path).unwrap().ino());
    let metadata = fs::symlink_metadata(&link).unwrap();
    assert!(metadata.is_symlink() && metadata.len() == 4);
    assert!(fs::metadata(&scratch.0).unwrap().is_dir());
    assert!(fs::exists(&link).unwrap() && fs::exists(&scratch.0).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(!fs::exists(&link).unwrap() && !fs::exists(&path).unwrap());
    assert!(fs::symlink_metadata(&link).is_ok());
    let error = fs::exists(scratch.file("other", b"").join("below")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
}

pub(crate) fn names_and_links(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"content");
    let link = scratch.0.join("link");
    fs::symlink("./file", &link).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("./file"));
    assert_eq!(fs::read_link(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::symlink("x", &link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let root = std::fs::canonicalize(&scratch.0).unwrap();
    let winding = scratch.0.join("./x/../link");
    std::fs::create_dir(scratch.0.join("x")).unwrap();
    assert_eq!(fs::canonicalize(winding).unwrap(), root.join("file"));
    let second = scratch.0.join("second");
    fs::hard_link(&path, &second).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().nlink(), 2);
    assert_eq!(fs::hard_link(&path, &second).unwrap_err().kind(), ErrorKind::AlreadyExists);
    fs::remove_file(&path).unwrap();
    assert_eq!(std::fs::read(&second).unwrap(), b"content");
    let other = scratch.file("other", b"other");
    fs::rename(&second, &other).unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), b"content");
    assert!(!second.exists());
    // A link is renamed and removed itself.
    fs::rename(&link, &second).unwrap();
    fs::remove_file(&second).unwrap();
    let directory = scratch.0.join("x");
    fs::rename(&directory, scratch.0.join("y")).unwrap();
    assert_eq!(fs::rename(&other, scratch.0.join("y")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(fs::remove_file(&path).unwrap_err().kind(), ErrorKind::NotFound);
}

pub(crate) fn directories_are_made_and_removed(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("a");
    fs::create_dir(&path).unwrap();
    assert_eq!(fs::create_dir(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::create_dir(scratch.0.join("b/c")).unwrap_err().kind(), ErrorKind::NotFound);
    let deep = path.join("b/c/d");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(&deep).unwrap();
    assert!(deep.is_dir());
    let file = scratch.file("file", b"x");
    assert_eq!(fs::create_dir_all(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::create_dir_all(file.join("x")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(fs::remove_dir(&path).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(fs::remove_dir(&file).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(fs::remove_file(&deep).unwrap_err().kind(), ErrorKind::IsADirectory);
    fs::remove_dir(&deep).unwrap();
    // What a link leads to is left alone.
    std::os::unix::fs::symlink(&file, path.join("b/link")).unwrap();
    std::os::unix::fs::symlink(&scratch.0, path.join("b/c/link")).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(!path.exists() && file.exists());
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&scratch.0, &link).unwrap();
    fs::remove_dir_all(&link).unwrap();
    assert!(!link.is_symlink() && file.exists());
    assert_eq!(fs::remove_dir_all(&path).unwrap_err().kind(), ErrorKind::NotFound);
}

pub(crate) fn directories_are_listed(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("all");
    std::fs::create_dir_all(path.join("directory")).unwrap();
    std::os::unix::fs::symlink("file0", path.join("link")).unwrap();
    for number in 0..400 {
        std::fs::write(path.join(format!("file{number}")), "x").unwrap();
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.path(), path.join(entry.file_name()));
        assert_eq!(entry.metadata().unwrap().is_symlink(), entry.file_type().unwrap().is_symlink());
        assert!(found.insert(entry.file_name(), entry.file_type().unwrap()).is_none());
    }
    assert_eq!(found.len(), 402);
    assert!(found[std::ffi::OsStr::new("directory")].is_dir());
    assert!(found[std::ffi::OsStr::new("link")].is_symlink());
    let errors = [path.join("gone"), path.join("file0")].map(|path| fs::read_dir(path).unwrap_err());
    assert_eq!(errors.map(|error| error.kind()), [ErrorKind::NotFound, ErrorKind::NotADirectory]);
}

pub(crate) fn builders_of_directories(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("a");
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    let deep = path.join("b/c");
    let mut builder = fs::DirBuilder::new();
    assert_eq!(builder.create(&deep).unwrap_err().kind(), ErrorKind::NotFound);
    builder.recursive(true).mode(0o710);
    builder.create(&deep).unwrap();
    builder.create(&deep).unwrap();
    assert_eq!((mode(&deep), mode(&path.join("b"))), (0o710, 0o710));
    let error = builder.recursive(false).create(&deep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

pub(crate) fn permissions_by_name(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"x");
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    fs::set_permissions(&link, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(mode(&path), 0o640);
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    assert_eq!(mode(&path), 0o440);
    let error = fs::set_permissions(scratch.0.join("gone"), PermissionsExt::from_mode(0o0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
