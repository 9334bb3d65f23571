//! `Mutex` against its contract: exclusion, poison, hand-over, cancellation, among threads of both kinds.

mod sync_kit;

use raddle::cancel::Token;
use raddle::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sync_kit::{Handle, a_moment, each_cast, for_seconds, until};

#[test]
fn one_at_a_time_holds_it() {
    each_cast(|cast| {
        let lock = Arc::new((Mutex::new(0_u64), AtomicUsize::new(0)));
        let rounds = 20_000;
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let lock = lock.clone();
                cast.spawn(n, move || {
                    for _ in 0..rounds {
                        let mut sum = lock.0.lock().unwrap();
                        assert_eq!(lock.1.fetch_add(1, Ordering::Relaxed), 0);
                        *sum += 1;
                        lock.1.fetch_sub(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.0.lock().unwrap(), 8 * rounds);
    });
}

/// Sections of every length, so that waiters spin, park, are woken in vain, and are handed the lock.
#[test]
fn no_wake_up_is_lost_with_sections_of_all_lengths() {
    each_cast(|cast| {
        let lock = Arc::new(Mutex::new(0_u64));
        let threads: Vec<_> = (0..6_usize)
            .map(|n| {
                let lock = lock.clone();
                cast.spawn(n, move || {
                    let mut chance = n as u64 * 77 + 1;
                    for _ in 0..600 {
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let mut sum = lock.lock().unwrap();
                        *sum += 1;
                        match chance >> 61 {
                            0 => raddle::thread::yield_now(),
                            1 if chance >> 58 & 7 == 0 => {
                                raddle::thread::sleep(Duration::from_micros(300))
                            }
                            2 => (0..chance >> 54 & 127).for_each(|_| std::hint::spin_loop()),
                            _ => {}
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.lock().unwrap(), 3600);
    });
}

/// Somebody lets go of the lock for an instant only, again and again. Who merely competes hardly ever meets that instant.
#[test]
fn who_has_waited_long_is_handed_the_lock() {
    each_cast(|cast| {
        let shared = Arc::new((Mutex::new(()), AtomicUsize::new(0), AtomicBool::new(false)));
        let greedy = {
            let shared = shared.clone();
            cast.spawn(0, move || {
                while !shared.2.load(Ordering::Relaxed) {
                    let _held = shared.0.lock().unwrap();
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    let end = Instant::now() + Duration::from_micros(100);
                    while Instant::now() < end {
                        std::hint::spin_loop();
                    }
                }
            })
        };
        let modest = {
            let shared = shared.clone();
            cast.spawn_other(0, move || {
                let sections = || shared.1.load(Ordering::Relaxed);
                let mut passed = Vec::new();
                for _ in 0..40 {
                    let before = sections();
                    while sections() == before {
                        raddle::thread::yield_now();
                    }
                    let asked = sections();
                    drop(shared.0.lock().unwrap());
                    passed.push(sections() - asked);
                }
                passed.sort_unstable();
                eprintln!("{passed:?}");
                passed[passed.len() / 2]
            })
        };
        let passed = modest.join().unwrap();
        shared.2.store(true, Ordering::Relaxed);
        greedy.join().unwrap();
        // Ten sections of 100 us are the patience of 1 ms; without the hand-over some wait for a thousand.
        assert!(passed < 100, "{passed} sections before its turn came");
    });
}

#[test]
fn a_panic_poisons_and_only_while_the_lock_is_held() {
    each_cast(|cast| {
        let lock = Arc::new(Mutex::new(1));
        let thrower = {
            let lock = lock.clone();
            cast.spawn(0, move || {
                let mut held = lock.lock().unwrap();
                *held = 2;
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        };
        assert!(thrower.join().is_err());
        assert!(lock.is_poisoned());
        assert_eq!(*lock.lock().unwrap_err().into_inner(), 2);
        let Err(TryLockError::Poisoned(error)) = lock.try_lock() else { panic!("not poisoned") };
        assert_eq!(**error.get_ref(), 2);
        drop(error);
        lock.clear_poison();
        assert!(lock.lock().is_ok());
        // Released before the panic, and taken during it: neither poisons.
        struct Locks(Arc<Mutex<i32>>);
        impl Drop for Locks {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let other = {
            let lock = lock.clone();
            cast.spawn(1, move || {
                drop(lock.lock().unwrap());
                let _locks = Locks(lock.clone());
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        };
        assert!(other.join().is_err());
        assert!(!lock.is_poisoned());
        assert_eq!(*lock.lock().unwrap(), 3);
    });
}

#[test]
fn the_rest_of_stds_contract() {
    static STATIC: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    STATIC.lock().unwrap().push(1);
    let mut lock = Mutex::from(5);
    *lock.get_mut().unwrap() += 1;
    assert_eq!(format!("{lock:?}"), "Mutex { data: 6, poisoned: false, .. }");
    let held = lock.lock().unwrap();
    assert_eq!(format!("{held:?} {held}"), "6 6");
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    assert_eq!(format!("{lock:?}"), "Mutex { data: <locked>, poisoned: false, .. }");
    drop(held);
    assert_eq!(lock.into_inner().unwrap(), 6);
    assert_eq!(*Mutex::<u8>::default().lock().unwrap(), 0);
    let unsized_one: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
    unsized_one.lock().unwrap()[0] = 4;
    assert_eq!(*unsized_one.lock().unwrap(), [4, 2, 3]);
    fn is_send<T: Send + Sync>() {}
    is_send::<Mutex<std::cell::Cell<i32>>>();
}

#[test]
fn who_is_cancelled_while_it_waits_unwinds_without_the_lock() {
    each_cast(|cast| {
        let lock = Arc::new(Mutex::new(0));
        let outer = Arc::new(Mutex::new(0));
        let held = lock.lock().unwrap();
        let token = Token::new();
        let waiter = {
            let (lock, outer, token) = (lock.clone(), outer.clone(), token.clone());
            cast.spawn(0, move || {
                token.carry(|| {
                    let _outer = outer.lock().unwrap();
                    *lock.lock().unwrap() += 1;
                })
            })
        };
        a_moment();
        token.cancel();
        assert!(waiter.join().unwrap().is_err());
        drop(held);
        assert_eq!(*lock.lock().unwrap(), 0, "it never had the lock, and did not poison it");
        assert!(outer.is_poisoned(), "what it held when it was cancelled is poisoned");
    });
}

/// Cancelled waiters leave the queue at the moment of a release: the wake goes to one who stays.
#[test]
fn cancel_against_unlock_loses_no_wake_up() {
    each_cast(|cast| {
        let is_over = for_seconds(1.0);
        while !is_over() {
            let lock = Arc::new(Mutex::new(0));
            let held = lock.lock().unwrap();
            let token = Token::new();
            let quitters: Vec<_> = (0..2)
                .map(|n| {
                    let (lock, token) = (lock.clone(), token.clone());
                    cast.spawn(n, move || token.carry(|| *lock.lock().unwrap() += 1).is_ok())
                })
                .collect();
            let stayer = {
                let lock = lock.clone();
                cast.spawn(1, move || *lock.lock().unwrap() += 1)
            };
            let canceller = cast.spawn_other(1, move || token.cancel());
            drop(held);
            let got =
                quitters.into_iter().filter_map(|quitter| quitter.join().unwrap().then_some(()));
            let got = got.count() + 1;
            stayer.join().unwrap();
            canceller.join().unwrap();
            assert_eq!(*lock.lock().unwrap_or_else(|e| e.into_inner()), got);
        }
    });
}

/// The first of the queue is owed the lock and is cancelled as it is handed over.
#[test]
fn cancel_against_hand_over_leaves_the_lock_to_somebody() {
    each_cast(|cast| {
        let is_over = for_seconds(1.0);
        while !is_over() {
            let lock = Arc::new(Mutex::new(()));
            let stop = Arc::new(AtomicBool::new(false));
            let greedy = {
                let (lock, stop) = (lock.clone(), stop.clone());
                cast.spawn(0, move || {
                    while !stop.load(Ordering::Relaxed) {
                        let _held = lock.lock().unwrap();
                        let end = Instant::now() + Duration::from_micros(300);
                        while Instant::now() < end {
                            std::hint::spin_loop();
                        }
                    }
                })
            };
            let token = Token::new();
            let waiters: Vec<_> = (0..3)
                .map(|n| {
                    let (lock, token) = (lock.clone(), token.clone());
                    cast.spawn(n, move || {
                        let _ = token.carry(|| {
                            loop {
                                drop(lock.lock().unwrap());
                            }
                        });
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(6));
            token.cancel();
            stop.store(true, Ordering::Relaxed);
            greedy.join().unwrap();
            // They hear of it when they wait next, so there is something to wait for.
            until(|| {
                let held = lock.lock().unwrap_or_else(PoisonError::into_inner);
                std::thread::sleep(Duration::from_micros(200));
                drop(held);
                waiters.iter().all(Handle::is_finished)
            });
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            assert!(!matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        }
    });
}
