//! What is measured, of whom, and with which settings.

use super::peer::Peer;
use crate::report::Unit;
use std::time::Duration;

/// What can be asked for with `--only`.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Case {
    SpawnJoin,
    SpawnMany,
    YieldPair,
    YieldMany,
    Channel,
    MutexContended,
    #[value(aliases = ["sleeping_bytes", "sleeping_mappings", "sleeping_spawn_s"])]
    Sleeping,
    #[value(aliases = ["hog_lateness_p50", "hog_lateness_p99", "hog_lateness_max"])]
    HogLateness,
    #[value(aliases = ["preempt_cost_pct", "preempt_cost_ns"])]
    PreemptCost,
    #[value(alias = "share_spread_pct")]
    ShareSpread,
    #[value(alias = "blocked_recovery_ms")]
    BlockedRecovery,
    StdMutexHolder,
    #[value(aliases = ["timers_lateness", "timers_cpu"])]
    Timers,
    #[value(aliases = ["idle_wakeups", "idle_cpu"])]
    Idle,
}

/// How much is measured.
pub(super) struct Scale {
    pub(super) is_quick: bool,
    /// Of the short cases.
    pub(super) rounds: usize,
    /// Sleeping threads.
    pub(super) threads: usize,
    /// Turns of work that take 50 us here.
    pub(super) turns_held: u64,
    /// Bytes of memory that sleeping threads may take.
    pub(super) memory: u64,
}

impl Scale {
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    /// In what time a kernel tells a virtual machine's host of the pages that are free again: a sixteenth of them every 2 s
    /// (Linux, `mm/page_reporting.c`). Whether that host then takes them away at once is its own affair. Of few pages a part must do.
    pub(super) fn until_host_has_pages(&self) -> Duration {
        Duration::from_secs(self.pick(40, 2))
    }

    /// Rounds of cases that take seconds.
    fn few(&self) -> usize {
        self.rounds.div_ceil(4)
    }
}

/// A figure that a program says, and what it is called in the report.
pub(crate) struct Figure {
    pub(super) said: &'static str,
    pub(super) bench: &'static str,
    pub(super) case: &'static str,
    pub(super) unit: Unit,
}

/// A measurement that all its peers make under the same conditions, in turns.
pub(crate) struct Group {
    /// What the programs call it.
    pub(super) case: &'static str,
    pub(super) cores: usize,
    /// raddle's slice, if not its own default.
    pub(super) slice: Option<&'static str>,
    /// raddle's slack for timers, if not its own default.
    pub(super) timer_slack: Option<&'static str>,
    settings: Vec<(&'static str, String)>,
    /// Settings of one peer, in place of everybody's.
    own: Vec<(Peer, &'static str, String)>,
    pub(super) peers: Vec<Peer>,
    pub(super) rounds: usize,
    /// How long a program may take.
    pub(super) limit: Duration,
    /// For how long the driver looks at a program that has said it is ready.
    pub(super) watch: Option<Duration>,
    pub(super) figures: Vec<Figure>,
}

impl Group {
    pub(crate) fn new(case: &'static str, cores: usize, peers: &[Peer], rounds: usize) -> Group {
        Group {
            case,
            cores,
            slice: None,
            timer_slack: None,
            settings: Vec::new(),
            own: Vec::new(),
            peers: peers.to_vec(),
            rounds,
            limit: Duration::from_secs(20),
            watch: None,
            figures: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, key: &'static str, value: impl ToString) -> Group {
        self.settings.push((key, value.to_string()));
        self
    }

    pub(crate) fn set_for(mut self, peer: Peer, key: &'static str, value: impl ToString) -> Group {
        self.own.push((peer, key, value.to_string()));
        self
    }

    fn slice(self, slice: &'static str) -> Group {
        Group { slice: Some(slice), ..self }
    }

    pub(crate) fn limit(self, seconds: u64) -> Group {
        Group { limit: Duration::from_secs(seconds), ..self }
    }

    fn watch(self, time: Duration) -> Group {
        Group { watch: Some(time), ..self }
    }

    pub(crate) fn figure(
        mut self,
        said: &'static str,
        bench: &'static str,
        case: &'static str,
        unit: Unit,
    ) -> Group {
        self.figures.push(Figure { said, bench, case, unit });
        self
    }

    /// The settings for one peer, as `key=value`.
    pub(super) fn words(&self, peer: Peer) -> Vec<String> {
        let value_for = |key: &str, value: &String| {
            let own = self.own.iter().find(|(whose, own, _)| *whose == peer && *own == key);
            format!("{key}={}", own.map_or(value, |(_, _, value)| value))
        };
        let cores = format!("cores={}", self.cores);
        let limit = format!("limit={}", self.limit.as_secs() + 5);
        let settings = self.settings.iter().map(|(key, value)| value_for(key, value));
        [cores, limit].into_iter().chain(settings).collect()
    }

    /// What a reader should know of a peer's settings.
    pub(super) fn remark(&self, peer: Peer) -> Option<String> {
        let number = self.own.iter().find(|(whose, key, _)| *whose == peer && *key == "n");
        number.map(|(_, _, number)| format!("with {number} threads"))
    }
}

pub(super) const ALL: &[Peer] = &[Peer::Raddle, Peer::Std, Peer::Tokio, Peer::May, Peer::Go];

/// The measurements of a case.
pub(super) fn groups(case: Case, scale: &Scale) -> Vec<Group> {
    match case {
        Case::SpawnJoin => {
            [1, 2].map(|cores| short("spawn_join", cores, scale, "spawn_join")).into()
        }
        Case::SpawnMany => vec![spawn_many(scale), spawn_many_joinable(scale)],
        Case::YieldPair => vec![short("yield", 1, scale, "yield_pair").set("n", 2)],
        Case::YieldMany => vec![short("yield", 2, scale, "yield_many").set("n", 1000)],
        Case::Channel => [1, 2].map(|cores| short("channel", cores, scale, "channel")).into(),
        Case::MutexContended => {
            vec![short("mutex_contended", 2, scale, "mutex_contended").set("n", 8)]
        }
        Case::Sleeping => vec![sleeping(scale)],
        Case::HogLateness => ["fresh", "slept"].map(|hogs| hog_lateness(hogs, scale)).into(),
        Case::PreemptCost => {
            ["10ms", "1ms", "100us"].map(|slice| preempt_cost(slice, scale)).into()
        }
        Case::ShareSpread => ["equal", "priority"].map(|case| share_spread(case, scale)).into(),
        Case::BlockedRecovery => vec![blocked_recovery(scale)],
        Case::StdMutexHolder => vec![std_mutex_holder(scale)],
        Case::Timers => vec![timers(scale), timers_with_slack(scale)],
        Case::Idle => vec![idle(scale)],
    }
}

/// Operations of nanoseconds, as many as a tenth of a second holds.
fn short(case: &'static str, cores: usize, scale: &Scale, bench: &'static str) -> Group {
    Group::new(case, cores, ALL, scale.rounds).set("ms", scale.pick(100, 30)).figure(
        "ns",
        bench,
        if cores == 1 { "one_core" } else { "two_cores" },
        Unit::Ns,
    )
}

fn spawn_many(scale: &Scale) -> Group {
    Group::new("spawn_many", 2, ALL, scale.rounds.div_ceil(2))
        .set("n", scale.pick(100_000, 20_000))
        // Each of their stacks takes two mappings until it is joined.
        .set_for(Peer::Std, "n", scale.pick(20_000, 2000))
        .set_for(Peer::May, "n", scale.pick(20_000, 2000))
        .limit(60)
        .figure("cold", "spawn_many", "cold", Unit::Ns)
        .figure("warm", "spawn_many", "warm", Unit::Ns)
}

/// Goroutines have no handles, and `spawn_many` waits for all of Go's by one counter. Here each has a channel, by which it can be joined by
/// itself, as a thread.
fn spawn_many_joinable(scale: &Scale) -> Group {
    Group::new("spawn_many", 2, &[Peer::Raddle, Peer::Go], scale.rounds.div_ceil(2))
        .set("n", scale.pick(100_000, 20_000))
        .set("each", "joinable")
        .limit(60)
        .figure("cold", "spawn_many", "joinable_cold", Unit::Ns)
        .figure("warm", "spawn_many", "joinable_warm", Unit::Ns)
}

/// More than a sleeping thread of raddle's takes.
const RADDLE_SLEEPER_BYTES: u64 = 14_000;

/// How many of raddle's threads sleep in `sleeping`: fewer than were asked for where memory is short.
pub(super) fn raddle_sleepers(scale: &Scale) -> u64 {
    (scale.threads as u64).min(scale.memory / RADDLE_SLEEPER_BYTES)
}

fn sleeping(scale: &Scale) -> Group {
    /// So that nobody drives the machine out of memory. tokio's tasks need no care.
    const BYTES: [(Peer, u64); 2] = [(Peer::Raddle, RADDLE_SLEEPER_BYTES), (Peer::Go, 3500)];
    let threads = scale.threads as u64;
    let mut group = Group::new("sleeping", 2, ALL, 1)
        .set("n", threads)
        .set_for(Peer::Std, "n", threads.min(2000))
        .set_for(Peer::May, "n", threads.min(20_000));
    for (peer, bytes) in BYTES {
        let most = scale.memory / bytes;
        if most < threads {
            group = group.set_for(peer, "n", most);
        }
    }
    group
        .limit(scale.pick(240, 60))
        .figure("bytes", "sleeping_bytes", "each", Unit::Bytes)
        .figure("mappings", "sleeping_mappings", "all", Unit::Mappings)
        .figure("spawn_s", "sleeping_spawn_s", "all", Unit::Seconds)
}

fn hog_lateness(hogs: &'static str, scale: &Scale) -> Group {
    Group::new("hog_lateness", 2, ALL, scale.few())
        .set("n", 4)
        .set("hogs", hogs)
        .set("ms", scale.pick(3000, 1000))
        .figure("p50", "hog_lateness_p50", hogs, Unit::Us)
        .figure("p99", "hog_lateness_p99", hogs, Unit::Us)
        .figure("max", "hog_lateness_max", hogs, Unit::Us)
}

fn preempt_cost(slice: &'static str, scale: &Scale) -> Group {
    // Go's slice is ten milliseconds, and nobody can change it.
    let peers: &[Peer] = if slice == "10ms" { &[Peer::Raddle, Peer::Go] } else { &[Peer::Raddle] };
    Group::new("preempt_cost", 1, peers, scale.few())
        .slice(slice)
        .set("pairs", scale.pick(11, 7))
        .set("ms", scale.pick(200, 50))
        .limit(60)
        .figure("pct", "preempt_cost_pct", slice, Unit::Percent)
        .figure("cpu_pct", "preempt_cost_cpu_pct", slice, Unit::Percent)
        .figure("ns", "preempt_cost_ns", slice, Unit::Ns)
        .figure("switches", "preempt_cost_switches", slice, Unit::Count)
}

fn share_spread(case: &'static str, scale: &Scale) -> Group {
    /// Endless loops.
    const LOOPS: u64 = 100;
    const CORES: u64 = 2;
    let (nice, peers) = match case {
        "priority" => (5, &[Peer::Raddle, Peer::Std][..]),
        _ => (0, ALL),
    };
    // A loop that is cut off in the middle of a round is off by a slice at either end: of a hundred, by 1 % or 2.
    let rounds = scale.pick(100, 20);
    let (one, all) = (|ms: u64| ms * LOOPS / CORES, |ms: u64| ms * LOOPS / CORES * rounds);
    // Linux gives about four milliseconds to each of many. Who does not preempt needs no rounds.
    let own = [(Peer::Std, one(4), all(4)), (Peer::Go, one(10), all(10))];
    let cooperative = [(Peer::Tokio, 100, 1000), (Peer::May, 100, 1000)];
    let mut group = Group::new("share_spread", CORES as usize, peers, scale.few())
        .slice("2ms")
        .set("n", LOOPS)
        .set("nice", nice)
        .set("lead_ms", one(2))
        .set("ms", all(2))
        .limit(120)
        .figure("pct", "share_spread_pct", case, Unit::Percent);
    for (peer, lead, time) in own.into_iter().chain(cooperative) {
        group = group.set_for(peer, "lead_ms", lead).set_for(peer, "ms", time);
    }
    group
}

fn blocked_recovery(scale: &Scale) -> Group {
    Group::new("blocked_recovery", 2, ALL, scale.few())
        .set("n", 2)
        .set("ms", scale.pick(1000, 500))
        .figure("longest_ms", "blocked_recovery_ms", "read", Unit::Ms)
}

fn std_mutex_holder(scale: &Scale) -> Group {
    Group::new("std_mutex_holder", 2, &[Peer::Raddle, Peer::Std], scale.few())
        .slice("1ms")
        .set("n", 8)
        .set("turns", scale.turns_held)
        .set("ms", scale.pick(1000, 300))
        .figure("ops", "std_mutex_holder", "throughput", Unit::OpsPerSecond)
        .figure("kernel_threads", "std_mutex_holder", "kernel_threads", Unit::Count)
}

fn timers(scale: &Scale) -> Group {
    timers_of(ALL, scale)
        .set_for(Peer::Std, "n", 2000)
        .set_for(Peer::May, "n", scale.pick(20_000, 5000))
        .figure("mean", "timers_lateness", "mean", Unit::Us)
        .figure("p99", "timers_lateness", "p99", Unit::Us)
        .figure("cpu_s", "timers_cpu", "second", Unit::Seconds)
}

/// As late as the peers that wake by the millisecond.
fn timers_with_slack(scale: &Scale) -> Group {
    Group { timer_slack: Some("1ms"), ..timers_of(&[Peer::Raddle], scale) }
        .figure("mean", "timers_lateness", "mean_slack_1ms", Unit::Us)
        .figure("p99", "timers_lateness", "p99_slack_1ms", Unit::Us)
        .figure("cpu_s", "timers_cpu", "second_slack_1ms", Unit::Seconds)
}

/// How many timers end within the second.
pub(super) fn count_of_timers(scale: &Scale) -> u64 {
    scale.pick(100_000, 20_000)
}

fn timers_of(peers: &[Peer], scale: &Scale) -> Group {
    Group::new("timers", 2, peers, scale.few())
        .set("n", count_of_timers(scale))
        .set("lead_ms", scale.pick(4000, 2000))
}

fn idle(scale: &Scale) -> Group {
    let seconds = scale.pick(10, 2);
    Group::new("idle", 2, ALL, 1)
        .set("n", 10_000)
        .set_for(Peer::Std, "n", scale.pick(10_000, 2000))
        .limit(30)
        .watch(Duration::from_secs(seconds))
        .figure("switches", "idle_wakeups", scale.pick("10s", "2s"), Unit::Count)
        .figure("cpu_ms", "idle_cpu", scale.pick("10s", "2s"), Unit::Ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn scale() -> Scale {
        Scale { is_quick: false, rounds: 11, threads: 1_000_000, turns_held: 1, memory: 1 << 30 }
    }

    #[test]
    fn every_case_has_peers_and_figures_of_names_that_are_its_own() {
        let mut names = Vec::new();
        for case in Case::value_variants() {
            for group in groups(*case, &scale()) {
                assert!(group.peers.contains(&Peer::Raddle) && group.rounds > 0, "{case:?}");
                names.extend(group.figures.iter().map(|figure| (figure.bench, figure.case)));
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn a_peers_own_setting_takes_the_place_of_everybodys() {
        let group = sleeping(&scale());
        assert!(group.words(Peer::Tokio).contains(&"n=1000000".to_owned()));
        assert!(group.words(Peer::Std).contains(&"n=2000".to_owned()));
        assert_eq!(group.remark(Peer::Std).as_deref(), Some("with 2000 threads"));
        let most = (1u64 << 30) / 14_000;
        assert!(group.words(Peer::Raddle).contains(&format!("n={most}")), "what memory allows");
    }
}
