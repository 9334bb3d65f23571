//! What can go wrong with a system call, in words.

use std::io;

/// An error with the name of what failed.
pub(crate) fn failed<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {}", error.into())
}

/// The result of a call that says -1, or its error.
pub(crate) fn check(what: &'static str, result: i32) -> Result<i32, String> {
    if result < 0 { Err(format!("{what}: {}", io::Error::last_os_error())) } else { Ok(result) }
}

/// The result of a completion, or its error.
pub(crate) fn completed(what: &'static str, result: i32) -> Result<usize, String> {
    usize::try_from(result)
        .map_err(|_| format!("{what}: {}", io::Error::from_raw_os_error(-result)))
}
