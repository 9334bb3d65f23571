//! What can be missing on a machine, by name.

use std::fmt;
use std::io;

/// Why bodies can't exist in this process: a processor feature, a kernel interface or something of glibc that is
/// missing or does not look as this crate knows it. Never guessed around: bodies on a wrong guess corrupt memory.
///
/// As an [`io::Error`] it has kind [`io::ErrorKind::Unsupported`].
///
/// ```
/// match raddle_context::check() {
///     Ok(()) => {}
///     Err(missing) => eprintln!("{missing}"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Unsupported {
    what: String,
}

impl Unsupported {
    pub(crate) fn new(what: impl Into<String>) -> Unsupported {
        Unsupported { what: what.into() }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raddle can't run here: {}", self.what)
    }
}

impl std::error::Error for Unsupported {}

impl From<Unsupported> for io::Error {
    fn from(error: Unsupported) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, error)
    }
}
