//! The parent's ends of a child's standard streams.

use crate::io::stream::{has_descriptor, is_source, is_target, reads, writes};
use std::os::fd::OwnedFd;

/// The standard input of a [`Child`](super::Child), to be written. As [`std::process::ChildStdin`]: when it is dropped the child finds the end.
///
/// Writing parks the thread until there is room; if the child reads no more it is `ErrorKind::BrokenPipe`.
#[derive(Debug)]
pub struct ChildStdin(OwnedFd);

/// The standard output of a [`Child`](super::Child), to be read. As [`std::process::ChildStdout`].
///
/// Reading parks the thread until there is something, or nobody can write any more: that is the end, `Ok(0)`. Whatever the child has
/// started may have the pipe as well.
#[derive(Debug)]
pub struct ChildStdout(OwnedFd);

/// The standard error of a [`Child`](super::Child), to be read. As [`std::process::ChildStderr`], and as [`ChildStdout`].
#[derive(Debug)]
pub struct ChildStderr(OwnedFd);

writes!(ChildStdin);
reads!(ChildStdout);
reads!(ChildStderr);
has_descriptor!(ChildStdin);
has_descriptor!(ChildStdout);
has_descriptor!(ChildStderr);
is_target!(ChildStdin, &ChildStdin);
is_source!(ChildStdout, &ChildStdout, ChildStderr, &ChildStderr);

/// From and into std's of the same name.
macro_rules! as_in_std {
    ($($name:ident)*) => {$(
        impl From<std::process::$name> for $name {
            fn from(stream: std::process::$name) -> $name {
                $name(stream.into())
            }
        }

        impl From<$name> for std::process::$name {
            fn from(stream: $name) -> std::process::$name {
                stream.0.into()
            }
        }
    )*};
}

as_in_std!(ChildStdin ChildStdout ChildStderr);
