//! `std::io`, and ways to wait for descriptors: a call that waits parks its thread, and the core runs others.
//!
//! The traits and what stands on them are std's own. raddle's are the things that wait:
//!
//! | | |
//! |---|---|
//! | [`pipe`] | a pipe whose ends park |
//! | [`stdin`], [`stdout`], [`stderr`] | the standard streams; what is written here and by `print!` keeps its order |
//! | [`poll`] | waiting for several descriptors at once |
//! | [`copy`] | bytes between any two of file, socket, pipe and memory, by the cheapest way that the kernel has; [`Source`] and [`Target`] say what an end is |
//! | [`start_copy`], [`Completion`] | the same, and what else goes on by itself |
//!
//! ```
//! use raddle::{io::{self, Read, Write}, thread};
//!
//! # fn main() -> io::Result<()> {
//! let (mut reader, mut writer) = io::pipe()?;
//! let thread = thread::spawn(move || {
//!     let mut text = String::new();
//!     reader.read_to_string(&mut text).map(|_| text)
//! });
//! writer.write_all(b"hello")?;
//! drop(writer);
//! assert_eq!(thread.join().unwrap()?, "hello");
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod completion;
mod copy;
mod disk;
pub(crate) mod ends;
mod moves;
mod pipe;
mod poll;
mod relay;
mod stderr;
mod stdin;
mod stdout;
pub(crate) mod stream;
pub(crate) mod transfer;
mod ways;

pub use completion::Completion;
pub use copy::{copy, start_copy};
pub use ends::{Direct, Source, Target};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use poll::{Interest, Ready, poll};
#[doc(no_inline)]
pub use std::io::{
    BufRead, BufReader, BufWriter, Bytes, Chain, Cursor, Empty, Error, ErrorKind, IntoInnerError,
    IoSlice, IoSliceMut, IsTerminal, LineWriter, Lines, Read, Repeat, Result, Seek, SeekFrom,
    Split, Take, Write, WriterPanicked, empty, prelude, read_to_string, repeat, sink,
};
pub use stderr::{Stderr, StderrLock, stderr};
pub use stdin::{Stdin, StdinLock, stdin};
pub use stdout::{Stdout, StdoutLock, stdout};
