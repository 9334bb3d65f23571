//! `raddle-bench threads`: threads, and what one does with them, beside the peers that have something like them.
//!
//! Every measurement is a process of its own: a clean state, and none of another runtime's symbols or signals. The programs take
//! turns, round by round, so that whatever slows the machine down meets all; a round of raddle's and a round of a peer's are a pair.
//!
//! | module | what it does |
//! |---|---|
//! | `cases` | what is measured, of whom, with which settings |
//! | `rounds` | runs a group of programs in turns and makes records of it |
//! | `programs` | finds the programs |
//! | `peer` | the peers |

pub(crate) mod cases;
pub(crate) mod peer;
pub(crate) mod programs;
pub(crate) mod rounds;

use self::cases::{Case, Scale};
use self::peer::Peer;
use crate::effort::Effort;
use crate::floors;
use crate::pairs::{Estimate, Plan, Subject};
use crate::report::{self, Each, Record, Report, Unit, progress};
use crate::switch;
use clap::ValueEnum;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases, and what they are called in the JSON (bench, and case in brackets):
  spawn_join        make a thread and join it, one at a time, from a thread of the runtime (one_core, two_cores)
  spawn_many        100,000 threads that do nothing, made in a row and then joined, ns each; the first time in the process and
                    again (cold, warm). Go waits for all by one counter; joinable_cold, joinable_warm: beside goroutines that can
                    be joined one by one, as threads can. Floors: a page's first touch, a guard of 16 KiB (page_fault, guard); raddle's body with
                    its TLS begins, runs and ends, without any thread, queue or handle (body)
  yield_pair        two threads that yield to each other; ns a yield (one_core)
  yield_many        1,000 threads that yield on two cores; ns a yield, of all together (two_cores)
  channel           a number goes there and back over two channels; ns a message, so half a round trip (one_core, two_cores).
                    The channels: mpsc of raddle's, std's and may's, tokio's unbounded one, Go's without a buffer
  mutex_contended   8 threads lock, add one, unlock; ns an operation, of all together (two_cores). tokio's own mutex, and so on
  sleeping          --threads threads asleep: resident pages and page tables, heap included (sleeping_bytes: each), lines of
                    /proc/self/maps (sleeping_mappings: all), time to make them (sleeping_spawn_s: all). What the kernel needs
                    for a kernel thread is not in there. Floor: two fresh pages for each of raddle's, touched before anybody's
                    run and after all (sleeping_spawn_s: first_touch_before, first_touch_after). In a virtual machine the
                    later one finds more pages that the host still backs, and raddle's threads find some: compare with both
  hog_lateness      a thread sleeps 1 ms again and again beside 4 endless loops on two cores: how much later it wakes
                    (hog_lateness_p50, _p99, _max: fresh, slept). The loops of `slept` have slept for 1 ms before
  preempt_cost      work of a fixed size in two threads on one core against the same in one, with slices of 10 ms, 1 ms, 100 us:
                    by how much longer it takes (preempt_cost_pct), more CPU time of the whole process (preempt_cost_cpu_pct),
                    for each change of threads (preempt_cost_ns), and how many there were (preempt_cost_switches)
  share_spread      100 endless loops on two cores for 100 rounds of slices: the largest deviation from the share that a loop
                    should have of the work done, which is equal for all or goes by nice values from -5 to 5
                    (share_spread_pct: equal, priority); raddle's slices are 2 ms, Go's 10 ms, Linux's about 4 ms
  blocked_recovery  two threads block both cores in read(2) of an empty pipe; the longest that a thread which sleeps 1 ms again
                    and again was away (blocked_recovery_ms: read)
  std_mutex_holder  8 threads contend for a std::sync::Mutex that is held for 50 us of work, with slices of 1 ms (throughput,
                    kernel_threads: how many at most)
  timers            100,000 threads wake within one second: how late (timers_lateness: mean, p99), and the CPU time of the
                    process during it (timers_cpu: second); raddle once more with RADDLE_TIMER_SLACK=1ms (.._slack_1ms). Floors:
                    a kernel thread that does nothing but sleep for 100 us, again and again for a second (wake_100us); one
                    that each time switches to as many bodies as timers have ended, without scheduler or wheel (wake_bodies)
  idle              10,000 parked threads: switches and CPU time of all kernel threads in 10 s, 2 s with --quick (idle_wakeups,
                    idle_cpu)

Peers: raddle; std (kernel threads, restricted to as many processors as there are cores); tokio (the runtime of #[tokio::main];
on one core the better of current_thread and multi_thread); may (stacks of 32 KiB); go (if `go` is on the path). Each is a program
of its own, started anew for each round.

A peer that gives no result has no value, and the remark says why: it starves, fails, or takes longer than the case may. A remark also
says where a peer has fewer threads than the others. In the JSON low and high are the 95 % interval of the median; of fewer than six
samples they are their range.

All cases take about a quarter of an hour, with --quick a minute or two. Those that take seconds have a quarter of the rounds, sleeping and idle
one.";

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<11, 3>,

    /// Only these cases; all by default
    #[arg(long, value_name = "CASE,..", value_delimiter = ',', hide_possible_values = true)]
    only: Vec<Case>,

    /// Only these peers; all that can be had by default
    #[arg(long, value_name = "PEER,..", value_delimiter = ',')]
    peers: Vec<Peer>,

    /// Sleeping threads in `sleeping`; 1,000,000 by default, 20,000 with --quick. Peers get fewer where they run out of mappings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    threads: Option<u32>,
}

impl Options {
    fn scale(&self) -> io::Result<Scale> {
        Ok(Scale {
            is_quick: self.effort.quick,
            rounds: self.effort.rounds(),
            threads: self.threads.unwrap_or(self.effort.pick(1_000_000, 20_000)) as usize,
            turns_held: raddle_bench::work::turns_for(Duration::from_micros(50)),
            memory: available_memory()? / 10 * 7,
        })
    }
}

/// Measures what the options say. `each` gets the records of a case when it is done.
pub(crate) fn run(options: &Options, mut each: impl Each) -> io::Result<Report> {
    let peers = if options.peers.is_empty() { cases::ALL } else { options.peers.as_slice() };
    let programs = programs::find(peers, !options.peers.is_empty())?;
    for line in &programs.left_out {
        eprintln!("raddle-bench: {line}");
    }
    let scale = options.scale()?;
    let mut report = Report { records: Vec::new(), notes: programs.left_out };
    report.notes.extend(method(&scale));
    for case in Case::value_variants() {
        if !options.only.is_empty() && !options.only.contains(case) {
            continue;
        }
        for group in cases::groups(*case, &scale) {
            let before = match case {
                Case::Sleeping => Some(first_touch_before(&scale)?),
                _ => None,
            };
            let mut records = rounds::measure(&group, &programs.found)?;
            records.extend(before);
            if *case == Case::SpawnMany {
                records.extend(floors_of_a_thread(&scale)?);
            }
            if *case == Case::Timers && group.timer_slack.is_none() {
                records.extend(floors_of_waking(&scale)?);
            }
            if *case == Case::Sleeping {
                records.push(first_touch("first_touch_after", &scale)?);
            }
            report.take(records, &mut each)?;
        }
    }
    Ok(report)
}

/// For sleeping threads that find memory as it is after a while in which nobody used it.
fn first_touch_before(scale: &Scale) -> io::Result<Record> {
    let record = first_touch("first_touch_before", scale)?;
    // Pages that the floor has just used would flatter the first peer, raddle.
    progress("waiting until a host has its pages back");
    thread::sleep(scale.until_host_has_pages());
    Ok(record)
}

/// What the kernel charges for the stacks of sleeping threads, and the host of a virtual machine for pages that it does not back.
fn first_touch(case: &'static str, scale: &Scale) -> io::Result<Record> {
    progress("first touch of as many stacks");
    let threads = cases::raddle_sleepers(scale) as usize;
    let seconds = floors::first_touch(2 * threads)?.as_secs_f64();
    let remark = (threads < scale.threads).then(|| format!("with {threads} threads"));
    let record = Record::counted("sleeping_spawn_s", case, "floor", seconds, Unit::Seconds);
    Ok(record.with_remark(remark))
}

/// What the kernel charges for the parts of a new thread, whoever makes it.
fn floors_of_a_thread(scale: &Scale) -> io::Result<Vec<Record>> {
    let plan = Plan { rounds: scale.rounds.max(6), block: Duration::from_millis(5) };
    let mut records = Vec::new();
    for (case, work) in floors::all() {
        if matches!(case, "page_fault" | "guard") {
            progress(case);
            let samples = Subject::new("floor", work).measure(&plan)?;
            records.push(Record::timed("spawn_many", case, "floor", Estimate::of(&samples)));
        }
    }
    progress("body");
    let body = switch::body_warm(&plan)?;
    records.push(Record::timed("spawn_many", "body", "floor", body));
    Ok(records)
}

/// What the kernel charges for waking a kernel thread, whoever wants to be woken; and what it takes besides if that goes to as many bodies as
/// timers end, each with a stack that nobody has touched for long.
fn floors_of_waking(scale: &Scale) -> io::Result<Vec<Record>> {
    const INTERVAL: Duration = Duration::from_micros(100);
    progress("wake_100us");
    let woken = floors::without_slack(|| floors::wake(INTERVAL, Duration::from_secs(1), |_| ()))?;
    let late_us = woken.mean_late.as_secs_f64() * 1e6;
    let cpu_s = woken.cpu.as_secs_f64();
    progress("wake_bodies");
    let bodies =
        switch::wake_bodies(cases::count_of_timers(scale) as usize, INTERVAL)?.cpu.as_secs_f64();
    Ok(vec![
        Record::counted("timers_lateness", "wake_100us", "floor", late_us, Unit::Us),
        Record::counted("timers_cpu", "wake_100us", "floor", cpu_s, Unit::Seconds),
        Record::counted("timers_cpu", "wake_bodies", "floor", bodies, Unit::Seconds),
    ])
}

fn method(scale: &Scale) -> Vec<String> {
    let mut notes = report::first_notes();
    notes.push(format!(
        "Medians of {} rounds of short cases, fewer of long ones, a process for each, the peers' in turns; below six samples, the \
         interval is their range. --help says what the cases are.",
        scale.rounds,
    ));
    notes
}

fn available_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("this kernel does not say MemAvailable in /proc/meminfo"))
}
