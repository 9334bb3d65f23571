//! What the client asks for, and what is said of it.

use crate::generators::{Job, Shape, Summary};
use crate::report::Unit;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A file of so many bytes; where it is in the site.
    File(&'static str, usize),
    /// The answer of a function, of 13 bytes.
    Handler,
    /// The same, [`DEPTH`] requests at a time.
    Pipelined,
    /// The same, each on a connection of its own.
    Churn,
}

/// How many requests are sent together when they are pipelined.
pub(super) const DEPTH: usize = 16;

const FILE_1K: Asked = Asked::File("/1k.txt", 1 << 10);
const FILE_100K: Asked = Asked::File("/100k.txt", 100 << 10);
const FILE_10M: Asked = Asked::File("/10m.txt", 10 << 20);

/// What has to be in the site.
pub(super) const FILES: [Asked; 3] = [FILE_1K, FILE_100K, FILE_10M];

/// One thing asked for on so many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// As the JSON calls it.
    pub(super) name: &'static str,
    pub(super) asked: Asked,
    pub(super) connections: usize,
}

const fn case(name: &'static str, asked: Asked, connections: usize) -> Case {
    Case { name, asked, connections }
}

pub(super) const ALL: [Case; 18] = [
    case("file1k_1", FILE_1K, 1),
    case("file1k_64", FILE_1K, 64),
    case("file1k_1000", FILE_1K, 1000),
    case("file100k_1", FILE_100K, 1),
    case("file100k_64", FILE_100K, 64),
    case("file100k_1000", FILE_100K, 1000),
    case("file10m_1", FILE_10M, 1),
    case("file10m_64", FILE_10M, 64),
    case("file10m_1000", FILE_10M, 1000),
    case("handler_1", Asked::Handler, 1),
    case("handler_64", Asked::Handler, 64),
    case("handler_1000", Asked::Handler, 1000),
    case("pipelined_1", Asked::Pipelined, 1),
    case("pipelined_64", Asked::Pipelined, 64),
    case("pipelined_1000", Asked::Pipelined, 1000),
    case("churn_1", Asked::Churn, 1),
    case("churn_64", Asked::Churn, 64),
    case("churn_1000", Asked::Churn, 1000),
];

impl Asked {
    /// Where that is in each server.
    pub(super) fn path(self) -> &'static str {
        match self {
            Asked::File(path, _) => path,
            Asked::Handler | Asked::Pipelined | Asked::Churn => "/hello",
        }
    }

    /// How many answers have come. Of large files parts count as well: when the time is over each connection has one on its way, and those would be
    /// the server's work for nothing.
    pub(super) fn answers(self, summary: &Summary) -> f64 {
        match self {
            Asked::File(_, len) if len > LARGE => summary.bytes / len as f64,
            _ => summary.answers,
        }
    }

    /// And so many of them a second.
    pub(super) fn rate(self, summary: &Summary, seconds: u64) -> f64 {
        match self {
            Asked::File(_, len) if len > LARGE => self.answers(summary) / seconds as f64,
            _ => summary.rate,
        }
    }

    fn shape(self) -> Shape {
        match self {
            Asked::File(..) | Asked::Handler => Shape::Kept,
            Asked::Pipelined => Shape::Pipelined(DEPTH),
            Asked::Churn => Shape::NewConnection,
        }
    }
}

/// Larger files than that are counted in parts.
const LARGE: usize = 1 << 20;

impl Case {
    /// What the client is told, for a server on that port.
    pub(super) fn job(&self, port: u16, seconds: u64) -> Job<'static> {
        let (path, shape) = (self.asked.path(), self.asked.shape());
        Job { port, path, connections: self.connections, shape, seconds }
    }
}

/// How much is measured. wrk counts in whole seconds.
pub(super) struct Scale {
    pub(super) rounds: usize,
    pub(super) measured_s: u64,
}

/// For how long the server runs before it is measured, and while its system calls are counted.
pub(super) const SHORT_S: u64 = 1;

/// A figure that a round says, and what it is called in the report.
pub(super) struct Figure {
    pub(super) said: &'static str,
    pub(super) bench: &'static str,
    pub(super) unit: Unit,
}

const fn figure(said: &'static str, bench: &'static str, unit: Unit) -> Figure {
    Figure { said, bench, unit }
}

pub(super) const FIGURES: [Figure; 6] = [
    figure("rate", "http_rate", Unit::OpsPerSecond),
    figure("p50", "http_p50", Unit::Us),
    figure("p99", "http_p99", Unit::Us),
    figure("cpu", "http_cpu", Unit::Ns),
    figure("syscalls", "http_syscalls", Unit::Calls),
    figure("rss", "http_rss", Unit::Bytes),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_large_files_count() {
        let (bytes, rate) = ((15 << 20) as f64, 50.0);
        let summary =
            Summary { answers: 150.0, rate, sent_rate: None, bytes, p50_us: None, p99_us: None };
        assert_eq!((FILE_10M.answers(&summary), FILE_10M.rate(&summary, 3)), (1.5, 0.5));
        assert_eq!((FILE_1K.answers(&summary), FILE_1K.rate(&summary, 3)), (150.0, 50.0));
    }
}
