//! What threads that compute, block or hold a lock do to others.

use super::threads::{Threads, inside};
use crate::lateness::{NAP, Naps};
use crate::process::{self, EmptyPipe};
use crate::shares::Shares;
use crate::subject::{Arguments, Said};
use crate::work::{spin, turns_for};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Naps before the neighbours come.
const QUIET_NAPS: usize = 20;

/// One thread naps beside `n` endless loops.
pub(super) fn hog_lateness<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let (hogs, slept) = (arguments.number("n")?, arguments.text("hogs") == "slept");
    napper::<T>(arguments.ms("ms")?, move || {
        for _ in 0..hogs {
            T::spawn(move || {
                if slept {
                    T::sleep(NAP);
                }
                loop {
                    spin(1000);
                }
            })?;
        }
        Ok(())
    })
}

/// One thread naps; as many as there are cores block the kernel threads that they run on.
pub(super) fn blocked_recovery<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let pipes: Result<Vec<EmptyPipe>, String> =
        (0..arguments.number("n")?).map(|_| EmptyPipe::new()).collect();
    let pipes = pipes?;
    napper::<T>(arguments.ms("ms")?, move || {
        for pipe in pipes {
            T::spawn(move || {
                loop {
                    pipe.block();
                }
            })?;
        }
        Ok(())
    })
}

/// One thread naps for `time` after it has made its neighbours itself; watched from outside.
fn napper<T: Threads>(
    time: Duration,
    neighbours: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<Said, String> {
    let (naps, is_done) = Naps::new(time);
    let own = naps.clone();
    T::spawn(move || {
        for _ in 0..QUIET_NAPS {
            T::sleep(NAP);
        }
        // Without neighbours nobody naps, and the one who watches says that.
        if neighbours().is_err() {
            return own.finish();
        }
        let start = Instant::now();
        while start.elapsed() < own.time() {
            let nap = Instant::now();
            T::sleep(NAP);
            own.note(nap);
        }
        own.finish();
    })?;
    Ok(naps.watch(&is_done))
}

/// `n` endless loops.
pub(super) fn share_spread<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let loops = arguments.number("n")?;
    // How far nice values go either way; 0: all are equal.
    let reach = arguments.number("nice")? as i32;
    let nice = move |number: usize| number as i32 % (2 * reach + 1) - reach;
    if reach > 0 {
        // A peer without priorities says so before anything is measured.
        inside::<T, _>(move || T::set_nice(reach))?;
    }
    let shares = Shares::of(loops);
    let own = shares.clone();
    T::spawn(move || {
        for number in 0..loops {
            let own = own.clone();
            let work = move || {
                if reach > 0 && T::set_nice(nice(number)).is_err() {
                    return;
                }
                T::sleep(own.sleep());
                own.work(number)
            };
            if T::spawn(work).is_err() {
                return;
            }
        }
    })?;
    // Linux's weights are powers of 1.25, rounded; so are raddle's.
    let weight = |number| 1.25f64.powi(-nice(number));
    Ok(shares.watch(arguments.ms("lead_ms")?, arguments.ms("ms")?, weight))
}

/// Work of a fixed size: two threads in turns against one that does it all, in pairs.
pub(super) fn preempt_cost<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    /// So fine that a change of threads is seen, so coarse that the look at it costs nothing.
    const CHUNK: Duration = Duration::from_micros(2);
    let (pairs, block) = (arguments.number("pairs")?, arguments.ms("ms")?);
    let turns = turns_for(CHUNK);
    let chunks = (block.as_secs_f64() / CHUNK.as_secs_f64()) as u64;
    let run = |threads: u64| inside::<T, _>(move || compute::<T>(threads, chunks / threads, turns));
    let mut said = Said::default();
    let mut note = |name: &str, value: f64| {
        said.figures.entry(name.to_owned()).or_default().push(value);
    };
    run(1)?;
    for pair in 0..pairs {
        // Turn about, so that a machine that slows down steadily favours neither.
        let (alone, together) = if pair % 2 == 0 {
            let alone = run(1)?;
            (alone, run(2)?)
        } else {
            let together = run(2)?;
            (run(1)?, together)
        };
        note("pct", (together.wall / alone.wall - 1.0) * 100.0);
        note("cpu_pct", (together.cpu / alone.cpu - 1.0) * 100.0);
        note("switches", together.switches as f64);
        if together.switches > 2 {
            note("ns", (together.wall - alone.wall) * 1e9 / together.switches as f64);
        }
    }
    Ok(said)
}

/// What a block of work took.
struct Computed {
    /// In seconds, as are those of the processor.
    wall: f64,
    cpu: f64,
    switches: u64,
}

fn compute<T: Threads>(threads: u64, chunks: u64, turns: u64) -> Result<Computed, String> {
    let (last, switches) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (start, cpu) = (Instant::now(), process::cpu_time());
    let mut handles = Vec::new();
    for me in 1..=threads {
        let (last, switches) = (last.clone(), switches.clone());
        handles.push(T::spawn(move || {
            for _ in 0..chunks {
                spin(turns);
                if last.load(Ordering::Relaxed) != me {
                    last.store(me, Ordering::Relaxed);
                    switches.fetch_add(1, Ordering::Relaxed);
                }
            }
        })?);
    }
    handles.into_iter().for_each(T::join);
    Ok(Computed {
        wall: start.elapsed().as_secs_f64(),
        cpu: (process::cpu_time() - cpu).as_secs_f64(),
        switches: switches.load(Ordering::Relaxed),
    })
}

/// `n` threads contend for a lock of `std`'s, held for `turns` of work each time.
pub(super) fn std_mutex_holder<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let (threads, turns) = (arguments.number("n")?, arguments.number("turns")? as u64);
    let time = arguments.ms("ms")?;
    let mutex = Arc::new(Mutex::new(0u64));
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..threads {
        let (mutex, done, stop) = (mutex.clone(), done.clone(), stop.clone());
        T::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut count = mutex.lock().unwrap_or_else(PoisonError::into_inner);
                spin(turns);
                *count += 1;
                done.store(*count, Ordering::Relaxed);
            }
        })?;
    }
    // Not before the last has found its way to the lock.
    thread::sleep(Duration::from_millis(50));
    let (start, before) = (Instant::now(), done.load(Ordering::Relaxed));
    let mut most = 0;
    while start.elapsed() < time {
        most = most.max(process::kernel_threads());
        thread::sleep(Duration::from_millis(10));
    }
    let operations = done.load(Ordering::Relaxed) - before;
    let rate = operations as f64 / start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    Ok(Said::figures([("ops", rate), ("kernel_threads", most as f64)]))
}
