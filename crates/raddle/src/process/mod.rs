//! `std::process`, with calls that park: a child stops no core, neither as it starts nor while it runs.
//!
//! ```
//! use raddle::io::{self, Read, Write};
//! use raddle::process::{Command, Stdio};
//!
//! # fn main() -> io::Result<()> {
//! let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//! child.stdin.take().expect("it is piped").write_all(b"hello")?;
//! let mut answer = String::new();
//! child.stdout.take().expect("it is piped").read_to_string(&mut answer)?;
//! assert_eq!(answer, "HELLO");
//! assert!(child.wait()?.success());
//! # Ok(())
//! # }
//! ```
//!
//! | what | how it waits |
//! |---|---|
//! | starting: [`spawn`](Command::spawn), [`exec`](Command::exec) | a kernel thread that is kept for this forks; the calling thread parks |
//! | [`Child::wait`], [`Command::status`] | the event queue watches the child (`pidfd_open(2)`) |
//! | the ends of its pipes | as those of [`io::pipe`](crate::io::pipe) |
//! | [`wait_with_output`](Child::wait_with_output), [`Command::output`] | for both pipes at once |
//!
//! Waiting heeds a [`cancel::Token`](crate::cancel::Token) and [`time::timeout`](crate::time::timeout): the child goes on then, and can be
//! [killed](Child::kill) or waited for again. Starting does not: a child that nobody knows of would be left.
//!
//! # What a child inherits
//!
//! What one of `std`'s does: the signal mask, the descriptors that are not closed on exec, the environment, the directory; `SIGPIPE` has its
//! default action. A raddle thread has no kernel thread of its own that could have other than the program's: the mask, the capabilities, the
//! CPUs are those that the runtime's creator had. Of the workers' own ways (exact timers, the preemption signal) a child sees nothing. A child that
//! asked for the death of its parent to be told (`PR_SET_PDEATHSIG`) hears of the process's: the kernel thread that has forked lives as long.
//!
//! Plain kernel threads start children themselves, as with `std`.
//!
//! On a simulated host (`runtime::simulate`) all of it is `ErrorKind::Unsupported`.
#![deny(unsafe_code)]

mod child;
mod command;
mod launcher;
mod pipes;

pub use child::Child;
pub use command::Command;
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};
#[doc(no_inline)]
pub use std::process::{
    CommandArgs, CommandEnvs, ExitCode, ExitStatus, Output, Stdio, Termination, abort, exit, id,
};
