//! Workqueues of all kinds: what is queued runs once, or was cancelled; nothing runs twice at a time; whoever waits is told.

use super::super::work::{Expected, spin};
use super::super::world::Actor;
use raddle::sync::Semaphore;
use raddle::thread;
use raddle::workqueue::{Builder, Work};
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Items that compute, sleep, wait for later ones, block in the kernel and panic, and one that is queued and cancelled all the time.
pub(super) fn workqueue(actor: &mut Actor) {
    let builder = Builder::new("torture");
    let builder = match actor.random.below(4) {
        0 => builder.bound(),
        1 => builder.bound().high_priority(),
        2 => builder.high_priority(),
        _ => builder,
    };
    let Ok(queue) = builder.build() else { return actor.world.check(false, "no workqueue") };
    let may_block = actor.may_block();
    let (runs, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let (again_runs, is_inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, inside) = (again_runs.clone(), is_inside.clone());
    let again = Work::new(move |_| {
        if !inside.swap(true, Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        thread::yield_now();
        inside.store(false, Ordering::SeqCst);
    });
    let (items, mut expected, mut panics) = (actor.between(1, 24), 0, 0);
    for item in 0..items {
        let (runs, gate) = (runs.clone(), gate.clone());
        let does = actor.random.below(7);
        let blocks = may_block.is_some() && item % 8 == 0;
        panics += u64::from(does == 5);
        let run = move || {
            match does {
                0 => gate.acquire().forget(),
                1 => gate.add_permits(1),
                2 => thread::sleep(Duration::from_micros(50)),
                3 if blocks => std::thread::sleep(Duration::from_micros(300)),
                4 => thread::yield_now(),
                _ => drop(spin(2_000)),
            }
            runs.fetch_add(1, Ordering::SeqCst);
            if does == 5 {
                panic_any(Expected(item));
            }
        };
        if does == 6 {
            queue.queue_delayed(Duration::from_micros(100), run);
        } else {
            queue.queue(run);
        }
        match item % 3 {
            0 => expected += u64::from(queue.queue_work(&again)),
            1 => {
                let delay = Duration::from_micros(item * 7);
                expected += u64::from(queue.queue_work_delayed(delay, &again));
            }
            _ => expected -= u64::from(again.cancel()),
        }
        actor.step();
    }
    // For those that nobody has let in.
    gate.add_permits(items as usize);
    let world = actor.world;
    world.check(queue.flush().is_ok(), "a flush from outside was refused");
    world.check(again.flush().is_ok(), "a flush from outside was refused");
    thread::sleep(Duration::from_micros(150));
    while queue.counters().delayed > 0 {
        thread::sleep(Duration::from_micros(50));
    }
    world.check(queue.drain().is_ok(), "a drain from outside was refused");
    let counters = queue.counters();
    let is_over = counters.finished + counters.cancelled == counters.queued && counters.active == 0;
    world.check(is_over, "a workqueue lost an item");
    world.check(runs.load(Ordering::SeqCst) == items, "an item did not run once");
    world.check(counters.panicked == panics, "a workqueue counted panics that were none");
    world.check(again_runs.load(Ordering::SeqCst) == expected, "an item ran twice, or never");
    world.check(queue.destroy().is_ok(), "a workqueue was not destroyed");
}
