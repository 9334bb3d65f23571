//! The torture: thousands of threads that do everything that a thread may do, at random, while everything that must hold is
//! checked. What goes wrong between threads goes wrong rarely; this makes it less rare.
//!
//! ```text
//!   actors: raddle threads, and a few plain kernel threads
//!     each takes one operation after the other from the table in `ops`, by its own seeded generator
//!   watchdog: a kernel thread that counts operations; none in 20 s means that threads are lost
//! ```
//!
//! The seed decides what each actor does, not when: a failure may need several runs with its seed.
//!
//! | module | what it holds |
//! |---|---|
//! | `world` | counts, what each actor does at the moment, how a failure ends the process |
//! | `allocator` | an allocator that aborts if the scheduler allocates |
//! | `kernel` | what the kernel and libc say of the calling thread |
//! | `watchdog` | sees that something moves, prints progress |
//! | `ops` | the operations |
//! | `work` | what operations have in common: work that takes time, panics that are expected |
//! | `settings` | what a run is to be like |

pub mod allocator;
mod kernel;
mod ops;
mod settings;
mod watchdog;
mod work;
mod world;

use raddle_core::random::Random;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use world::{Actor, World};

pub use ops::names;
pub use settings::Settings;

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How often each operation was done.
    pub operations: Vec<(&'static str, u64)>,
    /// What the runtime counted.
    pub runtime: raddle::runtime::Counters,
    /// The most kernel threads that the process was seen to have.
    pub kernel_threads: usize,
    /// The latest that a sleep ended after its time.
    pub latest: Duration,
    /// From the first operation to the last join.
    pub took: Duration,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.operations.iter().map(|(_, count)| count).sum();
        writeln!(f, "{total} operations in {:.1} s", self.took.as_secs_f64())?;
        for line in self.operations.chunks(4) {
            for (name, count) in line {
                write!(f, "  {name:<16}{count:>9}")?;
            }
            writeln!(f)?;
        }
        let runtime = &self.runtime;
        writeln!(
            f,
            "dispatches {}, preemptions {}, steals {}, handovers {}, threads left {}",
            runtime.dispatches,
            runtime.preemptions,
            runtime.steals,
            runtime.handovers,
            runtime.threads
        )?;
        write!(f, "kernel threads {}, latest sleep {:?}", self.kernel_threads, self.latest)
    }
}

/// Runs the torture. What breaks ends the process with one line on standard error and exit code 1.
///
/// # Errors
///
/// `InvalidInput` for an operation that there is not; what keeps the runtime from starting.
pub fn run(settings: Settings) -> io::Result<Summary> {
    let table = Arc::new(ops::Table::new(&settings.only)?);
    let runtime = raddle::Runtime::get()?;
    let world = World::begin(&settings, names().collect());
    work::hide_expected_panics();
    let watchdog = watchdog::start(world, settings.shows_progress);
    let kernel_actors = (settings.threads / 8).clamp(1, 8);
    let mut seeds = Random::from_seed(settings.seed);
    let mut actor = |index, is_raddle| {
        let random = Random::from_seed(seeds.next_u64());
        Actor::new(world, index, random, is_raddle)
    };
    let begun = Instant::now();
    let on_raddle: Vec<_> = (0..settings.threads)
        .map(|index| {
            let (actor, table) = (actor(index, true), table.clone());
            raddle::thread::spawn(move || act(actor, &table))
        })
        .collect();
    let on_kernel: Vec<_> = (settings.threads..settings.threads + kernel_actors)
        .map(|index| {
            let (actor, table) = (actor(index, false), table.clone());
            std::thread::spawn(move || act(actor, &table))
        })
        .collect();
    for (index, thread) in on_raddle.into_iter().enumerate() {
        world.check(
            matches!(thread.join(), Ok(value) if value == index),
            "an actor came back wrong",
        );
    }
    for (index, thread) in on_kernel.into_iter().enumerate() {
        let expected = settings.threads + index;
        world.check(
            matches!(thread.join(), Ok(value) if value == expected),
            "an actor came back wrong",
        );
    }
    world.settle();
    let is_off = std::env::var_os("RADDLE_SLICE").is_some_and(|slice| slice == "off");
    let preemptions = runtime.counters().preemptions;
    world.check(!is_off || preemptions == 0, "threads were preempted with preemption off");
    world.is_over.store(true, Ordering::Relaxed);
    let _ = watchdog.join();
    Ok(Summary {
        operations: world.counts(),
        runtime: runtime.counters(),
        kernel_threads: world.kernel_threads.load(Ordering::Relaxed),
        latest: Duration::from_nanos(world.latest_ns.load(Ordering::Relaxed)),
        took: begun.elapsed(),
    })
}

/// Sets what the runtime reads when it starts. Only before that, while the process has one thread that looks at the environment.
pub fn set_runtime(cores: Option<usize>, slice: Option<&str>) {
    if let Some(cores) = cores {
        kernel::set_variable("RADDLE_CORES", &cores.to_string());
    }
    if let Some(slice) = slice {
        kernel::set_variable("RADDLE_SLICE", slice);
    }
}

/// A seed for those who don't want a certain one.
pub fn seed_by_the_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
}

/// An actor's life. Gives its index, as a value to be joined for.
fn act(mut actor: Actor, table: &ops::Table) -> usize {
    let world = actor.world;
    while !world.is_time_up() {
        let op = table.choose(&mut actor);
        actor.begin(op.index);
        (op.run)(&mut actor);
        actor.end(op.index);
    }
    actor.index
}
