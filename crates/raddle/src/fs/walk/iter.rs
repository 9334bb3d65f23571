//! The walk itself.

use super::level::Level;
use super::options::Options;
use super::{WalkEntry, WalkError};
use crate::blocking;
use crate::fs::Metadata;
use crate::host;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A walk through a directory: the iterator of a [`WalkDir`](super::WalkDir).
///
/// Between two batches of entries it heeds the calling thread's [`cancel::Token`](crate::cancel::Token). On a simulated host all that it
/// gives is an `ErrorKind::Unsupported`.
pub struct Walk {
    options: Options,
    /// Until the walk has begun.
    root: Option<PathBuf>,
    /// The file system that it stays on, if it does.
    device: Option<u64>,
    /// Those that it is in, the root first.
    levels: Vec<Level>,
    /// A directory that is entered next, unless who walks does not want that.
    ahead: Option<Level>,
}

type Item = Result<WalkEntry, WalkError>;

impl Walk {
    pub(super) fn new(root: PathBuf, options: Options) -> Walk {
        Walk { options, root: Some(root), device: None, levels: Vec::new(), ahead: None }
    }

    /// Passes by what is in the directory that was given last; or, if that was none, by the rest of the one that it is in.
    ///
    /// ```
    /// use raddle::fs;
    /// let mut walk = fs::walk("/proc/self").into_iter();
    /// while let Some(entry) = walk.next() {
    ///     if entry.is_ok_and(|entry| entry.depth() == 1 && entry.file_type().is_dir()) {
    ///         walk.skip_current_dir();
    ///     }
    /// }
    /// ```
    pub fn skip_current_dir(&mut self) {
        if self.ahead.take().is_none()
            && let Some(level) = self.levels.last_mut()
        {
            level.skip();
        }
    }

    /// Only what `wants` is true for; what is in a directory for which it is false is passed by, unseen.
    ///
    /// ```
    /// use raddle::fs;
    /// let is_hidden = |entry: &fs::WalkEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    /// for entry in fs::walk("/proc/self/fd").into_iter().filter_entry(|entry| !is_hidden(entry)) {
    ///     println!("{}", entry?.path().display());
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn filter_entry<P: FnMut(&WalkEntry) -> bool>(self, wants: P) -> FilterEntry<P> {
        FilterEntry { walk: self, wants }
    }

    fn begin(&mut self, root: PathBuf) -> Option<Item> {
        if let Err(error) = host::check_live() {
            return Some(Err(WalkError::new(root, 0, error)));
        }
        let follows = self.options.follow_links;
        let (entry, metadata) = blocking(|| {
            let metadata = fs::metadata(&root).ok();
            (WalkEntry::of_root(root, follows), metadata)
        });
        let is_bound = self.options.same_file_system;
        self.device = metadata.as_ref().filter(|_| is_bound).map(Metadata::dev);
        // Also if it is a link, followed or not.
        let is_directory = metadata.is_some_and(|metadata| metadata.is_dir());
        match entry {
            Ok(entry) => self.arrive(entry, is_directory),
            error => Some(error),
        }
    }

    /// What has been come to: is it given now, and is it entered next?
    fn arrive(&mut self, entry: WalkEntry, is_directory: bool) -> Option<Item> {
        if let Some(ancestor) = self.ancestor(&entry) {
            let depth = entry.depth();
            return Some(Err(WalkError::of_loop(entry.into_path(), depth, ancestor)));
        }
        let is_wanted = entry.depth() >= self.options.min_depth;
        if is_directory && entry.depth() < self.options.max_depth {
            let (path, depth) = (entry.path().to_owned(), entry.depth());
            if self.options.contents_first {
                self.ahead = Some(Level::new(path, depth, is_wanted.then_some(entry)));
                return None;
            }
            self.ahead = Some(Level::new(path, depth, None));
        }
        is_wanted.then_some(Ok(entry))
    }

    /// Where a link leads back to, if it does.
    fn ancestor(&self, entry: &WalkEntry) -> Option<PathBuf> {
        let target = Some(entry.target()?);
        self.levels.iter().find(|level| level.id == target).map(|level| level.path.clone())
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if let Some(root) = self.root.take()
            && let Some(item) = self.begin(root)
        {
            return Some(item);
        }
        loop {
            if let Some(mut level) = self.ahead.take() {
                level.open(self.device, &mut self.options);
                self.levels.push(level);
            }
            match self.levels.last_mut()?.next(&mut self.options) {
                Some(Ok(entry)) => {
                    let is_directory = entry.file_type().is_dir();
                    if let Some(item) = self.arrive(entry, is_directory) {
                        return Some(item);
                    }
                }
                Some(error) => return Some(error),
                None => {
                    if let Some(own) = self.levels.pop().and_then(|level| level.own) {
                        return Some(Ok(own));
                    }
                }
            }
        }
    }
}

impl std::iter::FusedIterator for Walk {}

impl fmt::Debug for Walk {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.levels.iter().map(|level| &level.path);
        to.debug_struct("Walk").field("levels", &levels.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// A [`Walk`] that only gives what is wanted: see [`Walk::filter_entry`].
#[derive(Debug)]
pub struct FilterEntry<P> {
    walk: Walk,
    wants: P,
}

impl<P> FilterEntry<P> {
    /// As [`Walk::skip_current_dir`].
    pub fn skip_current_dir(&mut self) {
        self.walk.skip_current_dir();
    }
}

impl<P: FnMut(&WalkEntry) -> bool> Iterator for FilterEntry<P> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            match self.walk.next()? {
                Ok(entry) if !(self.wants)(&entry) => self.walk.ahead = None,
                item => return Some(item),
            }
        }
    }
}
