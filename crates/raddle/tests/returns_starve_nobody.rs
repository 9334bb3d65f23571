//! Catches starvation by threads that come back from the kernel without a core: each of them once went before all who were queued,
//! with a fresh slice, so that a few of them, in turn, kept a core from those who compute for ever.

#![allow(unsafe_code, reason = "a raw sleep, which costs the core")]

mod used_time;

use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use used_time::{used, wait_for_use};

fn compute_for(time: Duration) {
    let end = used() + time;
    while used() < end {
        std::hint::spin_loop();
    }
}

/// In the kernel, where the runtime sees nothing of it but that the worker is blocked.
fn block_for(time: Duration) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    // SAFETY: reads a live structure.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

#[test]
fn who_computes_runs_beside_many_that_block() {
    raddle::runtime::Builder::new().cores(1).start().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let blockers: Vec<_> = (0..40)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    compute_for(Duration::from_millis(1));
                    block_for(Duration::from_millis(2));
                }
            })
        })
        .collect();
    let computes = thread::spawn({
        let stop = stop.clone();
        move || {
            let mut longest = Duration::ZERO;
            let mut last = used();
            while !stop.load(Relaxed) {
                let now = used();
                longest = longest.max(now - last);
                last = now;
            }
            longest.max(used() - last)
        }
    });
    wait_for_use(Duration::from_millis(2500));
    stop.store(true, Relaxed);
    let longest = computes.join().unwrap();
    blockers.into_iter().for_each(|blocker| blocker.join().unwrap());
    println!("the longest wait of the thread that computes: {longest:?}");
    assert!(longest < Duration::from_millis(600), "it waited for {longest:?} of 2.5 s");
}
