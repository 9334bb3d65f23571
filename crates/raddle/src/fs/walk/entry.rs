//! What a walk finds.

use super::WalkError;
use crate::fs::{FileType, Metadata};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, directory or something else that a [walk](super::walk) has come to.
#[derive(Clone, Debug)]
pub struct WalkEntry {
    path: PathBuf,
    depth: usize,
    file_type: FileType,
    /// It is a link that was followed, to this.
    target: Option<Id>,
}

/// What tells files apart, by whatever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) device: u64,
    inode: u64,
}

impl Id {
    pub(super) fn of(metadata: &Metadata) -> Id {
        Id { device: metadata.dev(), inode: metadata.ino() }
    }
}

// To be called where one may wait for a disk.
impl WalkEntry {
    pub(super) fn of_root(path: PathBuf, follow_links: bool) -> Result<WalkEntry, WalkError> {
        match fs::symlink_metadata(&path) {
            Ok(metadata) => WalkEntry::new(path, 0, metadata.file_type(), follow_links),
            Err(error) => Err(WalkError::new(path, 0, error)),
        }
    }

    pub(super) fn of_std(
        entry: &fs::DirEntry,
        depth: usize,
        follow_links: bool,
    ) -> Result<WalkEntry, WalkError> {
        match entry.file_type() {
            Ok(file_type) => WalkEntry::new(entry.path(), depth, file_type, follow_links),
            Err(error) => Err(WalkError::new(entry.path(), depth, error)),
        }
    }

    fn new(
        path: PathBuf,
        depth: usize,
        file_type: FileType,
        follow_links: bool,
    ) -> Result<WalkEntry, WalkError> {
        if !follow_links || !file_type.is_symlink() {
            return Ok(WalkEntry { path, depth, file_type, target: None });
        }
        match fs::metadata(&path) {
            Ok(metadata) => {
                let target = Some(Id::of(&metadata));
                Ok(WalkEntry { path, depth, file_type: metadata.file_type(), target })
            }
            Err(error) => Err(WalkError::new(path, depth, error)),
        }
    }
}

impl WalkEntry {
    /// Which file it is, if it is a link that was followed.
    pub(super) fn target(&self) -> Option<Id> {
        self.target
    }

    /// Where it is: beginning with the root, as that was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, to be kept.
    pub fn into_path(self) -> PathBuf {
        self.path
    }

    /// Its name in its directory; of a root that has none (`/`, `..`), its path.
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }

    /// How deep it is: the root is 0 deep.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What it is; of a link that was followed, what that leads to.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// Whether its path is that of a symbolic link, followed or not.
    pub fn path_is_symlink(&self) -> bool {
        self.target.is_some() || self.file_type.is_symlink()
    }

    /// More about it, asked now; of a link that was followed, about what that leads to.
    ///
    /// # Errors
    ///
    /// As [`fs::metadata`](crate::fs::metadata) and [`fs::symlink_metadata`](crate::fs::symlink_metadata): it may be gone.
    pub fn metadata(&self) -> io::Result<Metadata> {
        if self.target.is_some() {
            crate::fs::metadata(&self.path)
        } else {
            crate::fs::symlink_metadata(&self.path)
        }
    }
}
