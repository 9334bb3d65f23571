//! Threads on a fake host: virtual time, a seeded scheduler, the same trace for the same seed.

mod fake_host;

use fake_host::run;
use raddle::thread;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Threads that sleep, yield, park, spawn and join in an order that only the seed decides.
fn program() -> Vec<u32> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..8u32)
        .map(|index| {
            let order = order.clone();
            thread::spawn(move || {
                for round in 0..5u32 {
                    match (index + round) % 3 {
                        0 => thread::yield_now(),
                        1 => thread::sleep(Duration::from_micros(u64::from(index) * 100)),
                        _ => thread::park_timeout(Duration::from_millis(1)),
                    }
                    order.lock().unwrap().push(index * 10 + round);
                }
                thread::spawn(move || index).join().unwrap()
            })
        })
        .collect();
    threads[0].thread().unpark();
    let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 28);
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 40);
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
fn an_hour_of_virtual_time_takes_no_time() {
    let start = Instant::now();
    let (slept, trace) = run(1, || {
        let sleepers: Vec<_> = (1..=60)
            .map(|minutes| thread::spawn(move || thread::sleep(Duration::from_secs(60 * minutes))))
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
    slept.unwrap();
    let last = trace.last().unwrap().0;
    assert!((3_600_000_000_000..3_601_000_000_000).contains(&last), "the clock stood at {last}");
    assert!(start.elapsed() < Duration::from_secs(30), "an hour took {:?}", start.elapsed());
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    for seed in 0..50 {
        let (order, _) = run(seed, || {
            let order = Arc::new(Mutex::new(Vec::new()));
            let sleepers: Vec<_> = [5u64, 1, 4, 2, 3]
                .map(|ms| {
                    let order = order.clone();
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(ms));
                        order.lock().unwrap().push(ms);
                    })
                })
                .into_iter()
                .collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
            Arc::into_inner(order).unwrap().into_inner().unwrap()
        });
        assert_eq!(order.unwrap(), [1, 2, 3, 4, 5], "seed {seed}");
    }
}

#[test]
fn a_program_that_is_stuck_is_told_so() {
    let (result, _) = run(3, || {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        })
        .join()
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Deadlock);
    assert!(error.to_string().contains("all of its 2 threads wait"), "{error}");
}

#[test]
fn what_main_leaves_behind_does_not_keep_it() {
    let ran = Arc::new(AtomicU32::new(0));
    let counted = ran.clone();
    let (value, _) = run(4, move || {
        drop(thread::spawn(move || {
            thread::sleep(Duration::from_secs(1));
            counted.fetch_add(1, Relaxed);
        }));
        7
    });
    assert_eq!(value.unwrap(), 7);
    assert_eq!(ran.load(Relaxed), 0, "main ended before the second was over");
}

#[test]
fn a_panic_of_main_goes_on_outside() {
    let outcome = std::panic::catch_unwind(|| run(5, || std::panic::resume_unwind(Box::new(5))));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&5));
}
