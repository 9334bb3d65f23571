//! What tasks that compute or block do to others, and many that sleep.

use super::costs::inside;
use raddle_bench::lateness::{NAP, Naps, Timers};
use raddle_bench::process::EmptyPipe;
use raddle_bench::shares::Shares;
use raddle_bench::sleepers::{NIGHT, Sleepers};
use raddle_bench::subject::{Arguments, Said, stay};
use raddle_bench::work::spin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Naps before the neighbours come.
const QUIET_NAPS: usize = 20;

pub(crate) fn hog_lateness(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let (hogs, slept) = (arguments.number("n")?, arguments.text("hogs") == "slept");
    let hog = move || {
        tokio::spawn(async move {
            if slept {
                sleep(NAP).await;
            }
            loop {
                spin(1000);
            }
        });
    };
    napper(runtime, arguments.ms("ms")?, move || (0..hogs).for_each(|_| hog()))
}

pub(crate) fn blocked_recovery(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let pipes: Result<Vec<EmptyPipe>, String> =
        (0..arguments.number("n")?).map(|_| EmptyPipe::new()).collect();
    let pipes = pipes?;
    let blocker = |pipe: EmptyPipe| {
        tokio::spawn(async move {
            loop {
                pipe.block();
            }
        });
    };
    napper(runtime, arguments.ms("ms")?, move || pipes.into_iter().for_each(blocker))
}

fn napper(
    runtime: &Runtime,
    time: Duration,
    neighbours: impl FnOnce() + Send + 'static,
) -> Result<Said, String> {
    let (naps, is_done) = Naps::new(time);
    let own = naps.clone();
    runtime.spawn(async move {
        for _ in 0..QUIET_NAPS {
            sleep(NAP).await;
        }
        neighbours();
        let start = Instant::now();
        while start.elapsed() < own.time() {
            let nap = Instant::now();
            sleep(NAP).await;
            own.note(nap);
        }
        own.finish();
    });
    Ok(naps.watch(&is_done))
}

pub(crate) fn share_spread(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let loops = arguments.number("n")?;
    let shares = Shares::of(loops);
    for number in 0..loops {
        let own = shares.clone();
        runtime.spawn(async move {
            sleep(own.sleep()).await;
            own.work(number)
        });
    }
    Ok(shares.watch(arguments.ms("lead_ms")?, arguments.ms("ms")?, |_| 1.0))
}

pub(crate) fn sleeping(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    inside(runtime, async {
        for _ in 0..64 {
            tokio::spawn(async {});
        }
    })?;
    let sleepers = Sleepers::of(arguments.number("n")?);
    sleepers.measure(|| make(runtime, &sleepers, || sleep(NIGHT)))
}

pub(crate) fn idle(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let sleepers = Sleepers::of(arguments.number("n")?);
    let never = Arc::new(Notify::new());
    make(runtime, &sleepers, move || {
        let never = never.clone();
        async move { never.notified().await }
    });
    sleepers.wait()?;
    stay()
}

/// Makes all sleepers from within the runtime, without waiting for it.
fn make<F: Future<Output = ()> + Send + 'static>(
    runtime: &Runtime,
    sleepers: &Sleepers,
    sleep: impl Fn() -> F + Send + 'static,
) {
    let all = sleepers.clone();
    runtime.spawn(async move {
        for _ in 0..all.wanted() {
            let (own, sleep) = (all.clone(), sleep());
            tokio::spawn(async move {
                own.falls_asleep();
                sleep.await;
            });
        }
    });
}

pub(crate) fn timers(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let timers = Timers::new(arguments.number("n")?, arguments.ms("lead_ms")?);
    let all = timers.clone();
    runtime.spawn(async move {
        for number in 0..all.count() {
            let own = all.clone();
            tokio::spawn(async move {
                sleep(own.sleep(number)).await;
                own.woke(number);
            });
        }
    });
    Ok(timers.watch())
}
