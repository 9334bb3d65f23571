//! What the client does, and what is said of it.

use crate::report::Unit;

/// What can be asked for with `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    #[value(name = "pingpong_1")]
    Pingpong1,
    #[value(name = "pingpong_64")]
    Pingpong64,
    #[value(name = "pingpong_1000")]
    Pingpong1000,
    #[value(name = "stream_16k")]
    Stream16k,
    #[value(name = "churn")]
    Churn,
    #[value(name = "burst_1000")]
    Burst1000,
    #[value(name = "idle_9000")]
    Idle9000,
}

/// How much is measured.
pub(super) struct Scale {
    pub(super) is_quick: bool,
    pub(super) rounds: usize,
}

impl Scale {
    /// For how long the server runs before it is measured.
    pub(super) fn warm_ms(&self) -> u64 {
        if self.is_quick { 100 } else { 300 }
    }

    pub(super) fn measured_ms(&self) -> u64 {
        if self.is_quick { 250 } else { 1500 }
    }

    /// Of a crowd: each comes so often.
    pub(super) fn crowds(&self) -> u32 {
        if self.is_quick { 3 } else { 20 }
    }

    /// Of the runs that count system calls.
    pub(super) fn counted_ms(&self) -> u64 {
        if self.is_quick { 150 } else { 400 }
    }
}

/// A figure that a round says, and what it is called in the report.
pub(super) struct Figure {
    pub(super) said: &'static str,
    pub(super) bench: &'static str,
    pub(super) unit: Unit,
}

const fn figure(said: &'static str, bench: &'static str, unit: Unit) -> Figure {
    Figure { said, bench, unit }
}

/// Of every case with messages. The first decides which of a peer's flavors is better: more is.
const TALK: &[Figure] = &[
    figure("rate", "echo_rate", Unit::OpsPerSecond),
    figure("p50", "echo_p50", Unit::Us),
    figure("p99", "echo_p99", Unit::Us),
    figure("cpu", "echo_cpu", Unit::Ns),
    figure("syscalls", "echo_syscalls", Unit::Calls),
];

/// Of a crowd: how long it takes to get in, too.
const BURST: &[Figure] = &[
    figure("rate", "echo_rate", Unit::OpsPerSecond),
    figure("p50", "echo_p50", Unit::Us),
    figure("p99", "echo_p99", Unit::Us),
    figure("connect_p50", "echo_connect_p50", Unit::Us),
    figure("connect_p99", "echo_connect_p99", Unit::Us),
    figure("cpu", "echo_cpu", Unit::Ns),
];

const IDLE: &[Figure] = &[figure("idle_bytes", "echo_idle_bytes", Unit::Bytes)];

impl Case {
    /// As the JSON calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Case::Pingpong1 => "pingpong_1",
            Case::Pingpong64 => "pingpong_64",
            Case::Pingpong1000 => "pingpong_1000",
            Case::Stream16k => "stream_16k",
            Case::Churn => "churn",
            Case::Burst1000 => "burst_1000",
            Case::Idle9000 => "idle_9000",
        }
    }

    /// What the client is told: its own case, and the settings. That of a crowd is `raddle burst`, which is told nothing.
    pub(super) fn client(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Case::Pingpong1 => ("talk", &["n=1", "bytes=64", "window=1"]),
            Case::Pingpong64 => ("talk", &["n=64", "bytes=64", "window=1"]),
            Case::Pingpong1000 => ("talk", &["n=1000", "bytes=64", "window=1"]),
            Case::Stream16k => ("talk", &["n=8", "bytes=16384", "window=4"]),
            Case::Churn => ("churn", &["n=64", "bytes=64", "duty=88"]),
            Case::Burst1000 => ("burst", &[]),
            Case::Idle9000 => ("idle", &["n=9000"]),
        }
    }

    /// How many connections are idle.
    pub(super) fn idle(self) -> Option<u64> {
        (self == Case::Idle9000).then_some(9000)
    }

    /// How many threads come at once.
    pub(super) fn crowd(self) -> Option<u32> {
        (self == Case::Burst1000).then_some(1000)
    }

    /// How large the buffers of servers are that have one for each connection.
    pub(super) fn buffer(self) -> usize {
        if self == Case::Stream16k { 64 * 1024 } else { 1024 }
    }

    pub(super) fn has_syscalls(self) -> bool {
        self.idle().is_none() && self.crowd().is_none()
    }

    pub(super) fn figures(self) -> &'static [Figure] {
        match (self.idle(), self.crowd()) {
            (Some(_), _) => IDLE,
            (_, Some(_)) => BURST,
            (None, None) => TALK,
        }
    }
}
