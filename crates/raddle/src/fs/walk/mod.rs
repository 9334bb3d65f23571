//! Walks through directories: all that is in one, and in those that are in it.
//!
//! What a disk may be waited for is announced as [`blocking`](crate::blocking): the core goes on meanwhile. So it is done in *batches*, a directory at a
//! time, or a part of one that is very large; between two batches the walk is in memory.
//!
//! | module | what it is |
//! |---|---|
//! | `builder`, `options` | what is asked for |
//! | `entry`, `error` | what is found |
//! | `level` | a directory that is being walked through, and its batch |
//! | `iter` | the walk: a stack of them |
//!
//! Rejected: the crate `walkdir`, whose iterator makes its calls one by one as it goes (a hand-over of the core for each, or batches that are read ahead past
//! where its user says that a directory shall be skipped); a thread for each directory (the order would be any, and a disk is rarely faster for it).

mod builder;
mod entry;
mod error;
mod iter;
mod level;
mod options;

pub use builder::WalkDir;
pub use entry::WalkEntry;
pub use error::WalkError;
pub use iter::{FilterEntry, Walk};

use std::path::Path;

/// Walks through a directory and all that are in it; as [`WalkDir::new`].
///
/// ```
/// use raddle::fs;
/// # fn main() -> std::io::Result<()> {
/// let root = std::env::temp_dir().join(format!("raddle-doc-walk-{}", std::process::id()));
/// fs::create_dir_all(root.join("a/b"))?;
/// fs::write(root.join("a/file"), "12345")?;
/// let mut sum = 0;
/// for entry in fs::walk(&root) {
///     let entry = entry?;
///     if entry.file_type().is_file() {
///         sum += entry.metadata()?.len();
///     }
/// }
/// assert_eq!(sum, 5);
/// # fs::remove_dir_all(root)
/// # }
/// ```
pub fn walk(root: impl AsRef<Path>) -> WalkDir {
    WalkDir::new(root)
}
