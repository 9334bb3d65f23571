//! What a short body costs when several kernel threads make and end them as fast as they can: whether they get into each
//! other's way.
//!
//! `cargo run --release -p raddle-context --example recycling`, or with another number of kernel threads after `--`.
#![allow(unsafe_code, reason = "the example is of an unsafe interface")]

use raddle_context::{
    After, Arena, BodyRef, Config, Context, Departure, Hooks, KernelThread, Outcome, switch,
};
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const BODIES: u32 = 400_000;
const RUNS: usize = 9;

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(_: BodyRef, outcome: Outcome) {
    assert!(outcome.is_ok(), "an empty closure does not panic");
}

unsafe fn depart(body: BodyRef) -> Departure {
    // SAFETY: the kernel thread that entered the body left its context in the control block.
    let to = unsafe { body.control().cast::<*const Context>().read() };
    Departure { to, after: After::nothing() }
}

/// The calling kernel thread's time on a CPU. Beside the time on the clock it tells waiting from work, and other programs' load.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the structure.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds for a body on the calling kernel thread: on the clock, and on a CPU.
fn one(arena: &Arena, ready: &Barrier) -> [f64; 2] {
    let me = KernelThread::enter().expect("a kernel thread");
    let mut cache = arena.cache();
    let mut round = |bodies: u32| {
        for _ in 0..bodies {
            let mut body = cache.take().expect("a body");
            // SAFETY: the body is fresh from the cache, its code borrows nothing, and it comes back here when it ends.
            unsafe {
                body.control().cast::<*const Context>().write(me.context());
                body.start(|| (), Hooks { arrive, settle, depart });
                switch(me.context(), body.context(), After::nothing());
            }
            cache.give(body);
        }
    };
    round(1000);
    ready.wait();
    let (start, cpu) = (Instant::now(), cpu_time());
    round(BODIES);
    [start.elapsed(), cpu_time() - cpu].map(|time| time.as_secs_f64() * 1e9 / f64::from(BODIES))
}

fn main() -> ExitCode {
    let most = match std::env::args().nth(1).map(|text| text.parse::<usize>()) {
        None => 2,
        Some(Ok(threads)) if (1..=64).contains(&threads) => threads,
        Some(_) => {
            eprintln!("recycling: give a number of kernel threads from 1 to 64");
            return ExitCode::from(2);
        }
    };
    let arena = match Arena::new(Config::default()) {
        Ok(arena) => arena,
        Err(error) => {
            eprintln!("recycling: {error}");
            return ExitCode::FAILURE;
        }
    };
    for threads in 1..=most {
        let runs: Vec<[f64; 2]> = (0..RUNS)
            .map(|_| {
                let ready = Barrier::new(threads);
                std::thread::scope(|scope| {
                    let all: Vec<_> =
                        (0..threads).map(|_| scope.spawn(|| one(&arena, &ready))).collect();
                    let all = all.into_iter().map(|one| one.join().expect("it does not panic"));
                    let sum = all.reduce(|a, b| [a[0] + b[0], a[1] + b[1]]).expect("one at least");
                    sum.map(|sum| sum / threads as f64)
                })
            })
            .collect();
        let [clock, cpu] = [0, 1].map(|which| {
            let mut times: Vec<f64> = runs.iter().map(|run| run[which]).collect();
            times.sort_by(f64::total_cmp);
            times[RUNS / 2]
        });
        println!(
            "{threads} kernel threads: {clock:.1} ns for a body made, run and ended, {cpu:.1} of them on a CPU"
        );
    }
    ExitCode::SUCCESS
}
