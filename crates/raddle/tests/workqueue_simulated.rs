//! Workqueues on a fake host: the same seed gives the same trace, time is virtual, and an hour takes none.

mod fake_host;

use fake_host::run;
use raddle::host::Host;
use raddle::sync::Semaphore;
use raddle::thread;
use raddle::time::Instant;
use raddle::workqueue::{Builder, Work};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Items that sleep, wait for one another, are delayed and cancelled, in queues of all kinds.
fn program() -> Vec<u64> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let queues = [
        Builder::new("unbound"),
        Builder::new("bound").bound(),
        Builder::new("ordered").ordered(),
        Builder::new("high").high_priority().max_active(2),
    ]
    .map(|builder| builder.build().unwrap());
    let gate = Arc::new(Semaphore::new(0));
    for (kind, queue) in queues.iter().enumerate() {
        for item in 0..8u64 {
            let (order, gate) = (order.clone(), gate.clone());
            let run = move || {
                match item % 4 {
                    0 => thread::sleep(Duration::from_micros(300 * item)),
                    1 => gate.add_permits(1),
                    2 => gate.acquire().forget(),
                    _ => thread::yield_now(),
                }
                order.lock().unwrap().push(kind as u64 * 10 + item);
            };
            if item == 5 {
                queue.queue_delayed(Duration::from_millis(2), run);
            } else {
                queue.queue(run);
            }
        }
        let work = Work::new(|_| unreachable!("it is cancelled before its time"));
        assert!(queue.queue_work_delayed(Duration::from_secs(1), &work));
        assert!(work.cancel());
    }
    gate.add_permits(4);
    thread::sleep(Duration::from_millis(5));
    queues.into_iter().for_each(|queue| {
        queue.flush().unwrap();
        assert_eq!(queue.counters().finished, 8);
        queue.destroy().unwrap();
    });
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 32);
    order
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let mut traces = Vec::new();
    for seed in 0..20 {
        let (first, trace) = run(seed, program);
        let (second, again) = run(seed, program);
        assert_eq!(first.unwrap(), second.unwrap(), "seed {seed}");
        assert_eq!(trace, again, "seed {seed}");
        traces.push(trace);
    }
    traces.sort();
    traces.dedup();
    assert!(traces.len() > 10, "20 seeds gave {} different traces", traces.len());
}

#[test]
fn delays_are_exact_in_virtual_time() {
    for seed in 0..20 {
        let (lateness, _) = run(seed, || {
            let queue = Builder::new("later").build().unwrap();
            let late = Arc::new(Mutex::new(Vec::new()));
            let begun = Instant::now();
            for minutes in [60, 1, 24 * 60] {
                let (delay, late) = (Duration::from_secs(60 * minutes), late.clone());
                queue.queue_delayed(delay, move || {
                    late.lock().unwrap().push(begun.elapsed().checked_sub(delay));
                });
            }
            thread::sleep(Duration::from_secs(25 * 60 * 60));
            queue.drain().unwrap();
            late.lock().unwrap().clone()
        });
        for late in lateness.unwrap() {
            let late = late.expect("it is not early");
            // A tick of the wheel's.
            assert!(late < Duration::from_micros(33), "late by {late:?}");
        }
    }
}

/// Of all that are ready, the one whom the live scheduler would choose.
struct Plain(AtomicU64);

impl Host for Plain {
    fn now_ns(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn choose(&self, _ready: usize) -> usize {
        0
    }

    fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
        deadline_ns.is_some_and(|at| {
            self.0.store(at, Relaxed);
            true
        })
    }
}

#[test]
fn items_of_high_priority_come_first() {
    let order = raddle::runtime::simulate(Box::new(Plain(AtomicU64::new(1))), || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let normal = Builder::new("normal").bound().build().unwrap();
        let high = Builder::new("high").bound().high_priority().build().unwrap();
        for item in 0..3 {
            for (queue, name) in [(&normal, "normal"), (&high, "high")] {
                let order = order.clone();
                queue.queue(move || order.lock().unwrap().push((name, item)));
            }
        }
        normal.flush().unwrap();
        high.flush().unwrap();
        order.lock().unwrap().clone()
    });
    let expected = ["high", "normal"].map(|name| [0, 1, 2].map(|item| (name, item)));
    assert_eq!(order.unwrap(), expected.concat());
}

/// With one core an item that sleeps, or waits for one that is queued behind it, lets that one run: any order of threads will do.
#[test]
fn items_that_wait_for_later_ones_are_never_stuck() {
    for seed in 0..100 {
        let (result, _) = run(seed, || {
            for builder in [Builder::new("waits"), Builder::new("waits").bound()] {
                let queue = builder.build().unwrap();
                let gate = Arc::new(Semaphore::new(0));
                for _ in 0..10 {
                    let gate = gate.clone();
                    queue.queue(move || gate.acquire().forget());
                }
                queue.queue(move || gate.add_permits(10));
                queue.destroy().unwrap();
            }
        });
        assert!(result.is_ok(), "seed {seed}: {result:?}");
    }
}
