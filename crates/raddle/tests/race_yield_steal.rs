//! A thread that yields is in its core's queue before it has left its stack: only the queue's lock keeps thieves from it. Catches one that runs on two
//! cores at once, or that is lost in the exchange: each counts in plain steps, and marks itself as running.

mod race_kit;

use race_kit::{delay, play};
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

#[test]
fn yield_against_steal() {
    play("yield_against_steal", |random| {
        let threads: Vec<_> = (0..10)
            .map(|n| {
                let runs = Arc::new(AtomicBool::new(false));
                let count = Arc::new(AtomicU64::new(0));
                let (most, computes) = (delay(random) / 16, n % 5 == 0);
                thread::spawn(move || {
                    for step in 0..400 {
                        assert!(!runs.swap(true, SeqCst), "it runs twice");
                        let now = count.load(SeqCst);
                        assert_eq!(now, step);
                        race_kit::dawdle(if computes { 20 * most } else { most });
                        count.store(now + 1, SeqCst);
                        assert!(runs.swap(false, SeqCst), "it ran twice");
                        thread::yield_now();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
