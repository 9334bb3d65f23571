//! The harness itself: bodies run, yield, migrate, are preempted, end and are joined.

mod calls;
mod harness;

use harness::{Run, run, spawn, yield_now};
use std::cell::Cell;
use std::time::Duration;

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

#[test]
fn bodies_yield_and_are_joined() {
    let stats = run(Run { tick: None, ..Run::default() }, || {
        let all: Vec<_> = (0..100u64)
            .map(|n| {
                spawn(move || {
                    for _ in 0..100 {
                        COUNT.set(COUNT.get() + n);
                        yield_now();
                    }
                    COUNT.get()
                })
            })
            .collect();
        for (n, one) in all.into_iter().enumerate() {
            assert_eq!(one.join().unwrap(), 100 * n as u64);
        }
    });
    assert_eq!(stats.bodies, 101);
}

#[test]
fn endless_loops_are_preempted() {
    let stats = run(Run::default(), || {
        let all: Vec<_> = (0..8)
            .map(|_| {
                spawn(|| {
                    let start = std::time::Instant::now();
                    let mut loops = 0u64;
                    while start.elapsed() < Duration::from_millis(300) {
                        for _ in 0..1000 {
                            COUNT.set(COUNT.get() + 1);
                        }
                        loops += 1000;
                    }
                    assert_eq!(COUNT.get(), loops);
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
    assert!(stats.preemptions > 100, "{stats:?}");
    println!("{stats:?}");
}

#[test]
fn a_panic_reaches_the_joiner() {
    run(Run::default(), || {
        let payload = spawn(|| std::panic::panic_any(42u32)).join().unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&42u32));
    });
}
