//! What all actors share: counts, what each of them does at the moment, and how a failure ends the process.

use super::kernel;
use super::settings::Settings;
use raddle_core::random::Random;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One run. Leaked: threads that are lost may still look at it.
#[derive(Debug)]
pub(super) struct World {
    begun: Instant,
    time: Duration,
    pub(super) seed: u64,
    /// The last join is done: the watchdog may go.
    pub(super) is_over: AtomicBool,
    /// What the operations are called, and how often each was done.
    names: Vec<&'static str>,
    counts: Vec<AtomicU64>,
    slots: Vec<Slot>,
    /// How often threads had been dispatched at the watchdog's last look.
    pub(super) dispatches: AtomicU64,
    /// Operations that block a kernel thread each, under way now.
    blocking: AtomicUsize,
    /// Threads that nobody joins: begun and ended.
    pub(super) detached: [AtomicU64; 2],
    /// Values of thread-locals: made and destroyed.
    pub(super) locals: [AtomicU64; 2],
    pub(super) kernel_threads: AtomicUsize,
    pub(super) latest_ns: AtomicU64,
}

/// What one actor does.
#[derive(Debug)]
struct Slot {
    /// The operation's index and one, 0 between two.
    op: AtomicUsize,
    since_ms: AtomicU64,
    /// The dispatches when it began.
    since_dispatches: AtomicU64,
    /// Where in the operation it is: a number that the operation gives meaning to.
    step: AtomicU64,
}

/// How many may block a kernel thread at once, and how many kernel threads there may be beyond that.
const BLOCKING_MAX: usize = 48;
pub(super) const KERNEL_THREADS_MAX: usize = 400;

impl World {
    pub(super) fn begin(settings: &Settings, names: Vec<&'static str>) -> &'static World {
        let actors = settings.threads + 8;
        let slot = || Slot {
            op: AtomicUsize::new(0),
            since_ms: AtomicU64::new(0),
            since_dispatches: AtomicU64::new(0),
            step: AtomicU64::new(0),
        };
        Box::leak(Box::new(World {
            begun: Instant::now(),
            time: settings.time,
            seed: settings.seed,
            is_over: AtomicBool::new(false),
            counts: names.iter().map(|_| AtomicU64::new(0)).collect(),
            names,
            slots: (0..actors).map(|_| slot()).collect(),
            dispatches: AtomicU64::new(0),
            blocking: AtomicUsize::new(0),
            detached: Default::default(),
            locals: Default::default(),
            kernel_threads: AtomicUsize::new(0),
            latest_ns: AtomicU64::new(0),
        }))
    }

    pub(super) fn is_time_up(&self) -> bool {
        self.begun.elapsed() >= self.time
    }

    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.names
            .iter()
            .copied()
            .zip(&self.counts)
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
            .collect()
    }

    /// How many operations and steps of operations there were: while something moves, this grows.
    pub(super) fn progress(&self) -> u64 {
        let counts: u64 = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let steps: u64 = self.slots.iter().map(|slot| slot.step.load(Ordering::Relaxed)).sum();
        counts + steps
    }

    /// Waits for what nobody joins; then what was begun has ended.
    pub(super) fn settle(&self) {
        let pairs = [("detached threads", &self.detached), ("thread-locals", &self.locals)];
        for (what, [begun, ended]) in pairs {
            let waiting = Instant::now();
            while begun.load(Ordering::Acquire) != ended.load(Ordering::Acquire) {
                if waiting.elapsed() > Duration::from_secs(20) {
                    let (begun, ended) =
                        (begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
                    self.fail(format_args!("{what}: {begun} began and {ended} ended"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Ends the process, unless `is_so`.
    #[track_caller]
    pub(super) fn check(&self, is_so: bool, what: &str) {
        if !is_so {
            self.fail(format_args!("{what}"));
        }
    }

    /// Ends the process with one line. No locks, no allocation: whoever has them may be what is broken.
    #[track_caller]
    #[cold]
    pub(super) fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        let mut line = Line::new();
        let place = std::panic::Location::caller();
        let cores = kernel::variable(c"RADDLE_CORES");
        let slice = kernel::variable(c"RADDLE_SLICE");
        let _ = writeln!(
            line,
            "torture: FAILED after {:.1} s: {what} ({}:{}); seed {}, RADDLE_CORES={cores} RADDLE_SLICE={slice}",
            self.begun.elapsed().as_secs_f64(),
            place.file(),
            place.line(),
            self.seed,
        );
        line.flush();
        kernel::end_failed();
    }

    /// One line for each actor that has been at the same operation for `at_least` and for `turns` dispatches for each actor; says how
    /// many there are.
    pub(super) fn print_stuck(&self, at_least: Duration, turns: u64) -> usize {
        let now_ms = self.begun.elapsed().as_millis() as u64;
        let dispatches = self.dispatches.load(Ordering::Relaxed);
        let mut stuck = 0;
        for (index, slot) in self.slots.iter().enumerate() {
            let op = slot.op.load(Ordering::Relaxed);
            let ms = now_ms.saturating_sub(slot.since_ms.load(Ordering::Relaxed));
            let had = dispatches.saturating_sub(slot.since_dispatches.load(Ordering::Relaxed));
            let is_soon = ms < at_least.as_millis() as u64 || had < turns * self.slots.len() as u64;
            if op == 0 || is_soon {
                continue;
            }
            stuck += 1;
            if stuck <= 60 {
                let name = self.names.get(op - 1).copied().unwrap_or("?");
                let step = slot.step.load(Ordering::Relaxed);
                let mut line = Line::new();
                let _ = writeln!(line, "  actor {index}: {name}, step {step}, for {ms} ms");
                line.flush();
            }
        }
        stuck
    }
}

/// A line on standard error, made without allocation.
pub(super) struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    pub(super) fn new() -> Line {
        Line { bytes: [0; 512], len: 0 }
    }

    pub(super) fn flush(&self) {
        kernel::write_error(&self.bytes[..self.len]);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// Whoever acts: a raddle thread or a kernel thread.
pub(super) struct Actor {
    pub(super) world: &'static World,
    pub(super) index: usize,
    pub(super) random: Random,
    pub(super) is_raddle: bool,
}

impl Actor {
    pub(super) fn new(
        world: &'static World,
        index: usize,
        random: Random,
        is_raddle: bool,
    ) -> Actor {
        Actor { world, index, random, is_raddle }
    }

    pub(super) fn begin(&self, op: usize) {
        let slot = &self.world.slots[self.index];
        slot.since_ms.store(self.world.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        slot.since_dispatches
            .store(self.world.dispatches.load(Ordering::Relaxed), Ordering::Relaxed);
        slot.op.store(op + 1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, op: usize) {
        self.world.slots[self.index].op.store(0, Ordering::Relaxed);
        self.world.counts[op].fetch_add(1, Ordering::Relaxed);
    }

    /// Something has moved.
    pub(super) fn step(&self) {
        self.world.slots[self.index].step.fetch_add(1, Ordering::Relaxed);
    }

    /// A random number from `low` up to and including `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.random.below(high - low + 1)
    }

    /// Leave to block a kernel thread, unless too many do.
    pub(super) fn may_block(&self) -> Option<MayBlock> {
        let world = self.world;
        if world.blocking.fetch_add(1, Ordering::Relaxed) >= BLOCKING_MAX {
            world.blocking.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(MayBlock(world))
    }

    /// A sleep that was to end after `wanted` ended after `took`.
    #[track_caller]
    pub(super) fn slept(&self, wanted: Duration, took: Duration) {
        if took < wanted {
            self.world.fail(format_args!("a wait of {wanted:?} ended early, after {took:?}"));
        }
        self.world.latest_ns.fetch_max((took - wanted).as_nanos() as u64, Ordering::Relaxed);
    }
}

/// Counts one that may block a kernel thread.
pub(super) struct MayBlock(&'static World);

impl Drop for MayBlock {
    fn drop(&mut self) {
        self.0.blocking.fetch_sub(1, Ordering::Relaxed);
    }
}
