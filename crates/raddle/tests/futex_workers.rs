//! Threads that wait for a lock of std's or parking_lot's park: no worker blocks, and none is replaced. Seen by counting kernel
//! threads, so this is one test in a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than a slice, so that holders are preempted.
const SECTION: Duration = Duration::from_millis(6);

fn compute() {
    let end = Instant::now() + SECTION;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

fn kernel_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Eight threads contend; gives the most kernel threads that were seen meanwhile.
fn most_kernel_threads(enter: impl Fn() + Send + Sync + 'static) -> usize {
    let enter = Arc::new(enter);
    let is_over = Arc::new(AtomicBool::new(false));
    let sections = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (enter, is_over, sections) = (enter.clone(), is_over.clone(), sections.clone());
            raddle::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    enter();
                    sections.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_millis(1500);
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(kernel_threads());
        std::thread::sleep(Duration::from_millis(1));
    }
    is_over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(sections.load(Ordering::Relaxed) > 10);
    most
}

#[test]
fn a_preempted_holder_of_a_foreign_lock_costs_no_worker() {
    raddle::thread::spawn(|| ()).join().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let before = kernel_threads();
    let of_std = std::sync::Mutex::new(());
    let most = most_kernel_threads(move || {
        let _held = of_std.lock().unwrap();
        compute();
    });
    assert_eq!(most, before, "std: {before} kernel threads became {most}");
    let of_parking_lot = parking_lot::Mutex::new(());
    let most = most_kernel_threads(move || {
        let _held = of_parking_lot.lock();
        compute();
    });
    assert_eq!(most, before, "parking_lot: {before} kernel threads became {most}");
}
