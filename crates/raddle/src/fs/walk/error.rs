//! What a walk can't find out.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something that a walk has not found out about one entry or directory. It goes on with the next.
///
/// As an `io::Error`, which it converts into, it has the kind of the error that was met, and says where that was.
///
/// ```
/// use raddle::fs;
/// fn count(root: &str) -> std::io::Result<usize> {
///     let mut count = 0;
///     for entry in fs::walk(root) {
///         count += usize::from(entry?.file_type().is_file());
///     }
///     Ok(count)
/// }
/// let error = count("/no/such/directory").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("/no/such/directory: "));
/// ```
#[derive(Debug)]
pub struct WalkError {
    path: PathBuf,
    depth: usize,
    error: io::Error,
    ancestor: Option<PathBuf>,
}

impl WalkError {
    pub(super) fn new(path: impl Into<PathBuf>, depth: usize, error: io::Error) -> WalkError {
        WalkError { path: path.into(), depth, error, ancestor: None }
    }

    /// A link that leads back to where the walk has come from.
    pub(super) fn of_loop(path: PathBuf, depth: usize, ancestor: PathBuf) -> WalkError {
        let error = io::Error::from_raw_os_error(libc::ELOOP);
        WalkError { path, depth, error, ancestor: Some(ancestor) }
    }

    /// Where: the entry, or the directory that could not be read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How deep that is.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The directory that a link leads back to, if that is what is wrong.
    pub fn loop_ancestor(&self) -> Option<&Path> {
        self.ancestor.as_deref()
    }

    /// What was met; `ELOOP` for a link that leads back.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for WalkError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ancestor {
            None => write!(to, "{}: {}", self.path.display(), self.error),
            Some(ancestor) => {
                write!(to, "{}: leads back to {}", self.path.display(), ancestor.display())
            }
        }
    }
}

impl Error for WalkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<WalkError> for io::Error {
    fn from(error: WalkError) -> io::Error {
        io::Error::new(error.error.kind(), error)
    }
}
