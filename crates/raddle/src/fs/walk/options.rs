//! What a walk heeds.

use super::WalkEntry;
use std::cmp::Ordering;

pub(super) type Sorter = Box<dyn FnMut(&WalkEntry, &WalkEntry) -> Ordering + Send + Sync>;

pub(super) struct Options {
    pub(super) min_depth: usize,
    pub(super) max_depth: usize,
    pub(super) follow_links: bool,
    pub(super) contents_first: bool,
    pub(super) same_file_system: bool,
    pub(super) sorter: Option<Sorter>,
}

impl Options {
    /// Whether it matters which directory it is that has a name.
    pub(super) fn tells_directories_apart(&self) -> bool {
        self.follow_links || self.same_file_system
    }
}
