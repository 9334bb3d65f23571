//! What generators are asked to do, and what is said of them.

use crate::generators::{Generator, Job, Shape};
use crate::report::Bar;

/// Requests of one shape on so many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// As the JSON calls it.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    connections: usize,
}

const fn case(name: &'static str, shape: Shape, connections: usize) -> Case {
    Case { name, shape, connections }
}

pub(super) const ALL: [Case; 6] = [
    case("closed_1", Shape::Kept, 1),
    case("closed_64", Shape::Kept, 64),
    case("closed_1000", Shape::Kept, 1000),
    case("pipelined_64", Shape::Pipelined(16), 64),
    case("new_connection_1", Shape::NewConnection, 1),
    case("new_connection_64", Shape::NewConnection, 64),
];

/// What is measured otherwise: how right figures are, and whether as much is sent as was to be.
pub(super) const ACCURACY: &str = "accuracy";
pub(super) const OFFERED: &str = "offered";

impl Case {
    /// What is asked of each peer beside raddle, if anything is.
    pub(super) fn bar(&self, bench: &str, peer: Generator) -> Option<Bar> {
        match (bench, self.shape, peer) {
            ("load_cpu", Shape::NewConnection, _) => Some(Bar::RatioAtLeast(1.0)),
            ("load_rate", Shape::NewConnection, _) => Some(Bar::RatioAtMost(1.0)),
            ("load_cpu", Shape::Kept, Generator::Wrk) if self.connections == 64 => {
                Some(Bar::RatioAtLeast(1.2))
            }
            _ => None,
        }
    }

    pub(super) fn job(&self, port: u16, seconds: u64) -> Job<'static> {
        Job { port, path: "/", connections: self.connections, shape: self.shape, seconds }
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) rounds: usize,
    pub(super) measured_s: u64,
}
