//! Makes 100,000 bodies, switches through them all, and prints what they cost.
//!
//! `cargo run --release -p raddle-context --example bodies`, or with another number of bodies after `--`.
#![allow(unsafe_code, reason = "the example is of an unsafe interface")]

use raddle_context::{
    After, Arena, Body, BodyRef, Config, Context, Departure, Hooks, KernelThread, Outcome, running,
    switch,
};
use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often each body is switched to between its start and its end.
const ROUNDS: u32 = 10;

thread_local! {
    /// Each body counts in its own.
    static VISITS: Cell<u32> = const { Cell::new(0) };
}

/// What each body's control block holds.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    /// The context to switch to: that of the next body in the ring, or the kernel thread's own.
    next: *mut Context,
    panicked: bool,
}

fn control(body: BodyRef) -> *mut Control {
    body.control().as_ptr().cast()
}

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(body: BodyRef, outcome: Outcome) {
    // SAFETY: this runs on the body, whose control block nobody else touches meanwhile.
    unsafe { (*control(body)).panicked = outcome.is_err() };
}

unsafe fn depart(body: BodyRef) -> Departure {
    // SAFETY: as above; the next context is suspended, as the ring is closed by the kernel thread.
    Departure { to: unsafe { (*control(body)).next }, after: After::nothing() }
}

fn visit() {
    for _ in 0..ROUNDS {
        VISITS.set(VISITS.get() + 1);
        let me = running().expect("this runs on a body");
        // SAFETY: the next context in the ring is suspended: only one of the ring runs at a time.
        unsafe { switch(me.context(), (*control(me)).next, After::nothing()) };
    }
    assert_eq!(VISITS.get(), ROUNDS, "a body's thread-local is its own");
}

fn main() -> ExitCode {
    let count = match std::env::args().nth(1).map(|text| (text.parse::<usize>(), text)) {
        None => 100_000,
        Some((Ok(count), _)) if (1..=4_000_000).contains(&count) => count,
        Some((_, text)) => {
            eprintln!("bodies: {text:?} is not a number of bodies; give one from 1 to 4000000");
            return ExitCode::from(2);
        }
    };
    match run(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bodies: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(count: usize) -> std::io::Result<()> {
    let me = KernelThread::enter()?;
    let config = Config { control_bytes: size_of::<Control>(), ..Config::default() };
    let arena = Arena::new(config.clone())?;
    println!(
        "{count} bodies, each with a stack of {} KiB, a guard of {} KiB ({:?}) and its own thread-locals",
        arena.stack_bytes() / 1024,
        config.guard_bytes / 1024,
        arena.guards(),
    );
    let mut cache = arena.cache();
    let mut bodies = Vec::with_capacity(count);
    let before = Memory::now()?;
    for name in ["cold", "warm"] {
        let (made, ran) = one_pass(&me, &mut cache, &mut bodies, count, || {
            if name == "cold" {
                print_memory(before, Memory::now()?, count);
            }
            Ok(())
        })?;
        println!(
            "{name}: made in {:.0} ns each, {:.1} ns for each of {} switches (round the whole ring, with its start and end)",
            nanoseconds(made, count),
            nanoseconds(ran, count * (ROUNDS as usize + 1)),
            count * (ROUNDS as usize + 1),
        );
    }
    drop(cache);
    let burst = Memory::now()?;
    let start = Instant::now();
    arena.trim(0);
    let rest = Memory::now()?;
    println!(
        "given back: {} MiB of {} MiB, in {:.0} ns each",
        burst.resident.saturating_sub(rest.resident) >> 20,
        (burst.resident - before.resident) >> 20,
        nanoseconds(start.elapsed(), count)
    );
    Ok(())
}

/// Makes the bodies, lets the ring turn until every body has ended, and gives them back: how long making and running took.
fn one_pass(
    me: &KernelThread,
    cache: &mut raddle_context::Cache,
    bodies: &mut Vec<Body>,
    count: usize,
    mut at_full_height: impl FnMut() -> std::io::Result<()>,
) -> std::io::Result<(Duration, Duration)> {
    let start = Instant::now();
    for _ in 0..count {
        let mut body = cache.take()?;
        // SAFETY: the body is fresh, borrows nothing, and runs on this kernel thread only.
        unsafe { body.start(visit, Hooks { arrive, settle, depart }) };
        bodies.push(body);
    }
    let home = me.context();
    for (n, body) in bodies.iter().enumerate() {
        let next = bodies.get(n + 1).map_or(home, |next| next.context());
        // SAFETY: the body does not run; its control block is as large as the configuration says.
        unsafe { control(**body).write(Control { next, panicked: false }) };
    }
    let made = start.elapsed();
    let start = Instant::now();
    for round in 0..=ROUNDS {
        // SAFETY: the first body is suspended or fresh, and the ring leads back here.
        unsafe { switch(me.context(), bodies[0].context(), After::nothing()) };
        if round == 0 {
            at_full_height()?;
        }
    }
    let ran = start.elapsed();
    for body in bodies.drain(..) {
        // SAFETY: the body has ended; its control block is ours again.
        assert!(!unsafe { (*control(*body)).panicked }, "a body panicked");
        cache.give(body);
    }
    Ok((made, ran))
}

fn nanoseconds(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

#[derive(Clone, Copy)]
struct Memory {
    resident: usize,
    page_tables: usize,
    mappings: usize,
}

impl Memory {
    fn now() -> std::io::Result<Memory> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let bytes = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
            kib.unwrap_or(0) * 1024
        };
        Ok(Memory {
            resident: bytes("VmRSS:"),
            page_tables: bytes("VmPTE:"),
            mappings: std::fs::read_to_string("/proc/self/maps")?.lines().count(),
        })
    }
}

fn print_memory(before: Memory, now: Memory, count: usize) {
    println!(
        "memory: {} bytes resident (heap included) and {} of page tables each; {} mappings more",
        now.resident.saturating_sub(before.resident) / count,
        now.page_tables.saturating_sub(before.page_tables) / count,
        now.mappings.saturating_sub(before.mappings),
    );
}
