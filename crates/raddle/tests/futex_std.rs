//! Locks that reach the kernel through libc's `syscall`, among threads of both kinds: std's and parking_lot's.
//!
//! They know nothing of raddle. That its threads park in them, and don't block their workers, is `futex_workers.rs`' to see.

mod sync_kit;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, RwLock};
use std::time::{Duration, Instant};
use sync_kit::{Cast, a_moment, each_cast, until};

fn compute_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

#[test]
fn stds_mutex_excludes_threads_of_both_kinds() {
    each_cast(|cast| {
        let sum = Arc::new(Mutex::new(0_u64));
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let sum = sum.clone();
                cast.spawn(n, move || {
                    for round in 0..5_000 {
                        let mut sum = sum.lock().unwrap();
                        *sum += 1;
                        if round % 100 == 0 {
                            raddle::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*sum.lock().unwrap(), 40_000);
    });
}

/// The race that a table beside the kernel's could lose: one waits here, one there, and a single wake is for either.
#[test]
fn no_wake_is_lost_between_table_and_kernel() {
    each_cast(|cast| {
        let pair = Arc::new((Mutex::new(0_u32), Condvar::new()));
        let players: Vec<_> = (0..4)
            .map(|n| {
                let pair = pair.clone();
                cast.spawn(n, move || {
                    for round in 0..1_000 {
                        let mine = 4 * round + n as u32;
                        let mut turn = pair
                            .1
                            .wait_while(pair.0.lock().unwrap(), |turn| *turn != mine)
                            .unwrap();
                        *turn += 1;
                        drop(turn);
                        pair.1.notify_all();
                    }
                })
            })
            .collect();
        players.into_iter().for_each(|player| player.join().unwrap());
    });
}

#[test]
fn a_kernel_thread_is_not_passed_for_ever() {
    let lock = Arc::new(Mutex::new(()));
    let stop = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = (0..8)
        .map(|n| {
            let (lock, stop) = (lock.clone(), stop.clone());
            Cast::Raddle.spawn(n, move || {
                while !stop.load(Ordering::Relaxed) {
                    let _held = lock.lock().unwrap();
                    compute_for(Duration::from_micros(20));
                }
            })
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        drop(lock.lock().unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    crowd.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn park_and_unpark_of_std_work_on_raddles_threads() {
    each_cast(|cast| {
        let handle = Arc::new(Mutex::new(None));
        let turns = Arc::new(AtomicU32::new(0));
        let parked = {
            let (handle, turns) = (handle.clone(), turns.clone());
            cast.spawn(0, move || {
                *handle.lock().unwrap() = Some(std::thread::current());
                for turn in 1..=500 {
                    while turns.load(Ordering::Acquire) < 2 * turn - 1 {
                        std::thread::park();
                    }
                    turns.fetch_add(1, Ordering::Release);
                }
            })
        };
        until(|| handle.lock().unwrap().is_some());
        let thread = handle.lock().unwrap().clone().unwrap();
        let waker = cast.spawn_other(0, move || {
            for turn in 1..=500 {
                turns.fetch_add(1, Ordering::Release);
                thread.unpark();
                while turns.load(Ordering::Acquire) < 2 * turn {
                    raddle::thread::yield_now();
                }
            }
        });
        waker.join().unwrap();
        parked.join().unwrap();
    });
}

#[test]
fn the_other_primitives_of_std_work_among_both() {
    each_cast(|cast| {
        let shared = Arc::new((RwLock::new(0), Barrier::new(6), Once::new(), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let shared = shared.clone();
                cast.spawn(n, move || {
                    for round in 0..100 {
                        shared.2.call_once(a_moment);
                        if n == round % 6 {
                            *shared.0.write().unwrap() += 1;
                        } else {
                            let _ = *shared.0.read().unwrap();
                        }
                        shared
                            .3
                            .fetch_add(usize::from(shared.1.wait().is_leader()), Ordering::Relaxed);
                    }
                    let (sender, receiver) = std::sync::mpsc::channel();
                    sender.send(n).unwrap();
                    receiver.recv_timeout(Duration::from_millis(100)).unwrap() == n
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| assert!(thread.join().unwrap()));
        assert_eq!((*shared.0.read().unwrap(), shared.3.load(Ordering::Relaxed)), (100, 100));
    });
}

#[test]
fn timed_waits_of_std_last_as_long_as_they_should() {
    each_cast(|cast| {
        cast.spawn(0, || {
            let time = Duration::from_millis(30);
            let start = Instant::now();
            std::thread::park_timeout(time);
            assert!(start.elapsed() >= time && start.elapsed() < 100 * time);
            let (lock, never) = (Mutex::new(()), Condvar::new());
            let start = Instant::now();
            let (_held, result) =
                never.wait_timeout_while(lock.lock().unwrap(), time, |()| true).unwrap();
            assert!(result.timed_out());
            assert!(start.elapsed() >= time && start.elapsed() < 100 * time);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn parking_lots_locks_work_among_both() {
    each_cast(|cast| {
        let pair = Arc::new((parking_lot::Mutex::new(0_u32), parking_lot::Condvar::new()));
        let players: Vec<_> = (0..4)
            .map(|n| {
                let pair = pair.clone();
                cast.spawn(n, move || {
                    for round in 0..500 {
                        let mine = 4 * round + n as u32;
                        let mut turn = pair.0.lock();
                        pair.1.wait_while(&mut turn, |turn| *turn != mine);
                        *turn += 1;
                        pair.1.notify_all();
                    }
                    let (lock, never) = (parking_lot::Mutex::new(()), parking_lot::Condvar::new());
                    never.wait_for(&mut lock.lock(), Duration::from_millis(5)).timed_out()
                })
            })
            .collect();
        players.into_iter().for_each(|player| assert!(player.join().unwrap()));
    });
}
