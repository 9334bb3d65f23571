//! A directory that is being walked through.

use super::WalkError;
use super::entry::{Id, WalkEntry};
use super::options::Options;
use crate::blocking;
use crate::cancel;
use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::vec;

/// So many entries are read at once. A directory that has fewer is closed before the first of them is given, so that a walk holds no descriptors for those that
/// it is in.
const BATCH: usize = 256;

/// A directory, and what of it was read and not given yet.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) path: PathBuf,
    /// Which directory it is, if that matters.
    pub(super) id: Option<Id>,
    /// How deep its entries are.
    depth: usize,
    batch: vec::IntoIter<Result<WalkEntry, WalkError>>,
    rest: Option<ReadDir>,
    /// The directory's own entry, if it comes last.
    pub(super) own: Option<WalkEntry>,
}

/// What is read of a directory at once.
struct Read {
    id: Option<Id>,
    batch: Vec<Result<WalkEntry, WalkError>>,
    rest: Option<ReadDir>,
}

impl Level {
    /// A directory that nothing was read of yet.
    pub(super) fn new(path: PathBuf, depth: usize, own: Option<WalkEntry>) -> Level {
        Level { path, id: None, depth: depth + 1, batch: Vec::new().into_iter(), rest: None, own }
    }

    /// Opens it and reads its beginning, unless it is not on `device`, the one that the walk stays on. What goes wrong is all that is in it.
    pub(super) fn open(&mut self, device: Option<u64>, options: &mut Options) {
        let (path, depth) = (&self.path, self.depth);
        let follows = options.follow_links;
        let most = most(options);
        let needs_id = options.tells_directories_apart();
        cancel::checkpoint();
        let read = blocking(|| -> io::Result<Read> {
            let id = if needs_id { Some(Id::of(&fs::metadata(path)?)) } else { None };
            if device.is_some_and(|device| id.is_some_and(|id| id.device != device)) {
                return Ok(Read { id, batch: Vec::new(), rest: None });
            }
            let (batch, rest) = read(path, fs::read_dir(path)?, depth, follows, most);
            Ok(Read { id, batch, rest })
        });
        match read {
            Ok(Read { id, batch, rest }) => {
                self.id = id;
                self.take(batch, rest, options);
            }
            Err(error) => {
                let error = WalkError::new(&self.path, depth - 1, error);
                self.batch = vec![Err(error)].into_iter();
            }
        }
    }

    /// The next of its entries.
    pub(super) fn next(&mut self, options: &mut Options) -> Option<Result<WalkEntry, WalkError>> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(entry);
            }
            let directory = self.rest.take()?;
            cancel::checkpoint();
            let (path, depth, follows) = (&self.path, self.depth, options.follow_links);
            let (batch, rest) = blocking(|| read(path, directory, depth, follows, most(options)));
            self.take(batch, rest, options);
        }
    }

    /// Nothing more of it is given.
    pub(super) fn skip(&mut self) {
        self.batch = Vec::new().into_iter();
        self.rest = None;
    }

    fn take(
        &mut self,
        mut batch: Vec<Result<WalkEntry, WalkError>>,
        rest: Option<ReadDir>,
        options: &mut Options,
    ) {
        if let Some(compare) = &mut options.sorter {
            batch.sort_by(|one, other| match (one, other) {
                (Ok(one), Ok(other)) => compare(one, other),
                // Errors first.
                _ => one.is_ok().cmp(&other.is_ok()),
            });
        }
        self.batch = batch.into_iter();
        self.rest = rest;
    }
}

/// So many entries make a batch.
fn most(options: &Options) -> usize {
    if options.sorter.is_some() { usize::MAX } else { BATCH }
}

/// Reads so many entries of a directory, and gives it back if there may be more. It may wait for a disk.
fn read(
    path: &Path,
    mut directory: ReadDir,
    depth: usize,
    follow_links: bool,
    most: usize,
) -> (Vec<Result<WalkEntry, WalkError>>, Option<ReadDir>) {
    let mut batch = Vec::new();
    while batch.len() < most {
        match directory.next() {
            Some(Ok(entry)) => batch.push(WalkEntry::of_std(&entry, depth, follow_links)),
            Some(Err(error)) => batch.push(Err(WalkError::new(path, depth - 1, error))),
            None => return (batch, None),
        }
    }
    (batch, Some(directory))
}
