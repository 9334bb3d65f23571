//! What any generator is told, and what is made of what it says.

#[cfg(test)]
use std::process::Command;

/// How requests follow each other on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One after the other.
    Kept,
    /// So many sent together.
    Pipelined(usize),
    /// Each has a connection of its own.
    NewConnection,
}

/// What a generator is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) connections: usize,
    pub(crate) shape: Shape,
    pub(crate) seconds: u64,
}

/// What a generator says of a run in which nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Answers, complete.
    pub(crate) answers: f64,
    /// Answers a second, by its own clock.
    pub(crate) rate: f64,
    /// Requests a second that were sent within the time, whenever their answers came, if it says so.
    pub(crate) sent_rate: Option<f64>,
    /// Bytes of answers and of parts of them.
    pub(crate) bytes: f64,
    /// Percentiles of its latencies, in microseconds, if it says them.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

/// Why there is no summary.
#[derive(Debug, PartialEq)]
pub(super) enum Bad {
    /// It says nothing that can be read.
    NoResult,
    /// It says what went wrong.
    Said(String),
}

impl Job<'_> {
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }
}

/// What went wrong, of `answers`, if something did.
pub(super) fn check(answers: f64, errors: &[(f64, &str)]) -> Result<(), Bad> {
    match errors.iter().find(|(count, _)| *count > 0.0) {
        Some((count, what)) => Err(Bad::Said(format!("{count} {what}, of {answers}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) fn words(arguments: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new("x");
    arguments(&mut command);
    command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) const JOB: Job<'static> =
    Job { port: 7, path: "/a", connections: 64, shape: Shape::Kept, seconds: 3 };
