//! `std::fs`, with calls that park: a disk stops no core.
//!
//! | what | how it waits |
//! |---|---|
//! | reading a file | what is in the page cache comes at once; else the event queue reads, and the thread parks |
//! | writing a file | into the page cache: no wait, unless the disk is far behind. A file that was opened with `O_SYNC` or `O_DIRECT`: announced as [`blocking`](crate::blocking) |
//! | opening | at once if the kernel has all names of the path in its cache; else by the event queue |
//! | [`sync_all`](File::sync_all) | by the event queue |
//! | look-ups: [`metadata`], [`exists`], [`canonicalize`], [`read_link`], [`read_dir`] | as they are: mostly the kernel has them in memory. A worker that must wait for the disk after all is replaced |
//! | [`walk`](fn@walk) | announced as [`blocking`](crate::blocking), a directory at a time |
//! | changes: [`remove_file`], [`rename`], [`create_dir`], ... | announced as [`blocking`](crate::blocking): the core goes to another worker at once, if anybody waits for it |
//! | [`File::lock`] | as changes |
//!
//! On a simulated host (`runtime::simulate`) all of it is `ErrorKind::Unsupported`.
#![deny(unsafe_code)]

mod calls;
mod demand;
mod fifo;
mod file;
mod open;
mod options;
mod send;
mod sending;
mod walk;
mod warm;

pub use calls::*;
pub use file::File;
pub use options::OpenOptions;
pub use send::{send_file, send_path, start_send_path};
#[doc(no_inline)]
pub use std::fs::{DirEntry, FileTimes, FileType, Metadata, Permissions, ReadDir, TryLockError};
pub use walk::{FilterEntry, Walk, WalkDir, WalkEntry, WalkError, walk};
