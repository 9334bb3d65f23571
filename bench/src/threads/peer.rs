//! The programs that are measured.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Whose threads.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Peer {
    /// raddle's threads
    Raddle,
    /// Kernel threads
    Std,
    /// tokio's tasks
    Tokio,
    /// may's coroutines
    May,
    /// Go's goroutines
    Go,
    /// rayon's pool: items of work, not threads
    Rayon,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Raddle => "raddle",
            Peer::Std => "std",
            Peer::Tokio => "tokio",
            Peer::May => "may",
            Peer::Go => "go",
            Peer::Rayon => "rayon",
        }
    }

    /// What the program's file is called.
    pub(super) fn program(self) -> String {
        format!("raddle-bench-{}", self.name())
    }

    /// Ways of running that a user would choose between on so many cores. The best is reported.
    pub(super) fn flavors(self, cores: usize) -> &'static [Option<&'static str>] {
        match self {
            Peer::Tokio if cores == 1 => &[Some("current_thread"), Some("multi_thread")],
            _ => &[None],
        }
    }
}

/// Takes one of these peers, and offers no other.
pub(crate) fn one_of(peers: &[Peer]) -> impl TypedValueParser<Value = Peer> + use<> {
    let offered = peers.iter().filter_map(Peer::to_possible_value);
    PossibleValuesParser::new(offered).try_map(|name| Peer::from_str(&name, false))
}
