//! How a walk is asked for.

use super::options::Options;
use super::{Walk, WalkEntry, WalkError};
use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

/// How a directory is to be walked through. Its [iterator](Walk) gives the root, then what is in it: each directory before what is in that, in no
/// particular order.
///
/// The names are the crate `walkdir`'s.
pub struct WalkDir {
    root: PathBuf,
    options: Options,
}

impl WalkDir {
    /// A walk that begins at `root`: a directory, a link to one, or a file, which is all then.
    pub fn new(root: impl AsRef<Path>) -> WalkDir {
        WalkDir {
            root: root.as_ref().to_owned(),
            options: Options {
                min_depth: 0,
                max_depth: usize::MAX,
                follow_links: false,
                contents_first: false,
                same_file_system: false,
                sorter: None,
            },
        }
    }

    /// Leaves out what is less deep. The root is 0 deep, what is in it 1.
    #[must_use]
    pub fn min_depth(mut self, depth: usize) -> WalkDir {
        self.options.min_depth = depth;
        self
    }

    /// Goes no deeper. 1: what is in the root, as [`read_dir`](crate::fs::read_dir).
    #[must_use]
    pub fn max_depth(mut self, depth: usize) -> WalkDir {
        self.options.max_depth = depth;
        self
    }

    /// Whether a symbolic link is taken for what it leads to. If that is a directory from which the walk has come, it is an
    /// [error](WalkError::loop_ancestor) instead of an endless walk; if it is nothing, likewise.
    ///
    /// A root that is a link to a directory is walked through all the same.
    #[must_use]
    pub fn follow_links(mut self, follow: bool) -> WalkDir {
        self.options.follow_links = follow;
        self
    }

    /// Whether a directory comes after what is in it: to remove all, for one.
    #[must_use]
    pub fn contents_first(mut self, yes: bool) -> WalkDir {
        self.options.contents_first = yes;
        self
    }

    /// Whether directories that other file systems are mounted on are passed by; they themselves are given.
    #[must_use]
    pub fn same_file_system(mut self, yes: bool) -> WalkDir {
        self.options.same_file_system = yes;
        self
    }

    /// In which order the entries of a directory come. It is read to its end before the first of them is given.
    #[must_use]
    pub fn sort_by(
        mut self,
        compare: impl FnMut(&WalkEntry, &WalkEntry) -> Ordering + Send + Sync + 'static,
    ) -> WalkDir {
        self.options.sorter = Some(Box::new(compare));
        self
    }

    /// The same, by a key.
    #[must_use]
    pub fn sort_by_key<K: Ord>(
        self,
        mut key: impl FnMut(&WalkEntry) -> K + Send + Sync + 'static,
    ) -> WalkDir {
        self.sort_by(move |one, other| key(one).cmp(&key(other)))
    }

    /// The same, by their names' bytes.
    #[must_use]
    pub fn sort_by_file_name(self) -> WalkDir {
        self.sort_by(|one, other| one.file_name().cmp(other.file_name()))
    }
}

impl IntoIterator for WalkDir {
    type Item = Result<WalkEntry, WalkError>;
    type IntoIter = Walk;

    fn into_iter(mut self) -> Walk {
        self.options.min_depth = self.options.min_depth.min(self.options.max_depth);
        Walk::new(self.root, self.options)
    }
}

impl fmt::Debug for WalkDir {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("WalkDir")
            .field("root", &self.root)
            .field("min_depth", &self.options.min_depth)
            .field("max_depth", &self.options.max_depth)
            .field("follow_links", &self.options.follow_links)
            .field("contents_first", &self.options.contents_first)
            .field("same_file_system", &self.options.same_file_system)
            .field("is_sorted", &self.options.sorter.is_some())
            .finish()
    }
}
