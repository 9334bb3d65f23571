//! `RwLock` against its contract.

mod sync_kit;

use raddle::cancel::Token;
use raddle::sync::{Arc, RwLock, RwLockWriteGuard, TryLockError};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use sync_kit::{a_moment, each_cast, for_seconds, until};

#[test]
fn many_read_or_one_writes() {
    each_cast(|cast| {
        // Readers count up, a writer counts down by a lot: the two never meet.
        let lock = Arc::new((RwLock::new(0_u64), AtomicI64::new(0)));
        let threads: Vec<_> = (0..8_usize)
            .map(|n| {
                let lock = lock.clone();
                cast.spawn(n, move || {
                    for round in 0..3_000 {
                        if (round + n).is_multiple_of(5) {
                            let mut value = lock.0.write().unwrap();
                            assert_eq!(lock.1.fetch_sub(1000, Ordering::Relaxed), 0);
                            *value += 1;
                            if round % 64 == 0 {
                                raddle::thread::yield_now();
                            }
                            lock.1.fetch_add(1000, Ordering::Relaxed);
                        } else {
                            let value = lock.0.read().unwrap();
                            assert!(lock.1.fetch_add(1, Ordering::Relaxed) >= 0);
                            let before = *value;
                            if round % 64 == 0 {
                                raddle::thread::yield_now();
                            }
                            assert_eq!(*value, before);
                            lock.1.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.0.read().unwrap(), 8 * 600);
    });
}

#[test]
fn a_writer_that_waits_goes_before_readers_that_come_later() {
    each_cast(|cast| {
        let lock = Arc::new(RwLock::new(0));
        let reading = lock.read().unwrap();
        let writer = {
            let lock = lock.clone();
            cast.spawn(0, move || *lock.write().unwrap() = 1)
        };
        until(|| matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        let reader = {
            let lock = lock.clone();
            cast.spawn(1, move || *lock.read().unwrap())
        };
        a_moment();
        assert!(!reader.is_finished());
        drop(reading);
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), 1, "the reader came in before the writer");
    });
}

#[test]
fn all_readers_come_in_after_a_writer() {
    each_cast(|cast| {
        let lock = Arc::new((RwLock::new(()), AtomicUsize::new(0)));
        let writing = lock.0.write().unwrap();
        let readers: Vec<_> = (0..20)
            .map(|n| {
                let lock = lock.clone();
                cast.spawn(n, move || {
                    let _reading = lock.0.read().unwrap();
                    lock.1.fetch_add(1, Ordering::Relaxed);
                    // All of them at the same time.
                    until(|| lock.1.load(Ordering::Relaxed) == 20);
                })
            })
            .collect();
        a_moment();
        assert_eq!(lock.1.load(Ordering::Relaxed), 0);
        drop(writing);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_downgrade_lets_readers_in_and_no_writer() {
    each_cast(|cast| {
        let lock = Arc::new(RwLock::new(0));
        let mut writing = lock.write().unwrap();
        let reader = {
            let lock = lock.clone();
            cast.spawn(0, move || *lock.read().unwrap())
        };
        a_moment();
        *writing = 7;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(reader.join().unwrap(), 7);
        assert!(lock.try_write().is_err());
        drop(reading);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn a_writer_that_is_cancelled_lets_the_readers_behind_it_in() {
    each_cast(|cast| {
        let lock = Arc::new(RwLock::new(0));
        let reading = lock.read().unwrap();
        let token = Token::new();
        let writer = {
            let (lock, token) = (lock.clone(), token.clone());
            cast.spawn(0, move || token.carry(|| *lock.write().unwrap() = 1))
        };
        until(|| matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        let reader = {
            let lock = lock.clone();
            cast.spawn(1, move || *lock.read().unwrap())
        };
        a_moment();
        token.cancel();
        assert!(writer.join().unwrap().is_err());
        // The first reader is still there: only a lock that has forgotten the writer lets a second one in.
        assert_eq!(reader.join().unwrap(), 0);
        drop(reading);
        assert!(!lock.is_poisoned() && lock.try_write().is_ok());
    });
}

#[test]
fn cancel_against_unlock_leaves_the_lock_usable() {
    each_cast(|cast| {
        let is_over = for_seconds(1.0);
        while !is_over() {
            let lock = Arc::new(RwLock::new(0));
            let held = lock.write().unwrap();
            let token = Token::new();
            let quitters: Vec<_> = (0..2)
                .map(|n| {
                    let (lock, token) = (lock.clone(), token.clone());
                    cast.spawn(n, move || token.carry(|| *lock.write().unwrap() += 1).is_ok())
                })
                .collect();
            let stayers: Vec<_> = (0..4)
                .map(|n| {
                    let lock = lock.clone();
                    cast.spawn(n, move || {
                        if n < 2 {
                            *lock.write().unwrap() += 1;
                        } else {
                            let _ = *lock.read().unwrap();
                        }
                    })
                })
                .collect();
            let canceller = cast.spawn_other(1, move || token.cancel());
            drop(held);
            let got =
                quitters.into_iter().filter_map(|quitter| quitter.join().unwrap().then_some(()));
            let got = got.count();
            stayers.into_iter().for_each(|stayer| stayer.join().unwrap());
            canceller.join().unwrap();
            assert_eq!(*lock.read().unwrap(), 2 + got);
        }
    });
}

#[test]
fn writers_poison_and_readers_do_not() {
    each_cast(|cast| {
        let lock = Arc::new(RwLock::new(1));
        let reader = {
            let lock = lock.clone();
            cast.spawn(0, move || {
                let _reading = lock.read().unwrap();
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        };
        assert!(reader.join().is_err() && !lock.is_poisoned());
        let writer = {
            let lock = lock.clone();
            cast.spawn(1, move || {
                let _writing = lock.write().unwrap();
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        };
        assert!(writer.join().is_err() && lock.is_poisoned());
        assert!(lock.read().is_err() && lock.write().is_err());
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
        lock.clear_poison();
        assert_eq!(*lock.read().unwrap(), 1);
    });
}

#[test]
fn the_rest_of_stds_contract() {
    let mut lock = RwLock::from(1);
    *lock.get_mut().unwrap() += 1;
    assert_eq!(format!("{lock:?}"), "RwLock { data: 2, poisoned: false, .. }");
    let writing = lock.write().unwrap();
    assert_eq!(format!("{writing:?} {writing}"), "2 2");
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
    assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
    drop(writing);
    let reading = lock.read().unwrap();
    assert_eq!(format!("{reading:?} {reading}"), "2 2");
    let second = lock.try_read().unwrap();
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    drop((reading, second));
    assert_eq!(lock.into_inner().unwrap(), 2);
    static STATIC: RwLock<u8> = RwLock::new(0);
    std::thread::sleep(Duration::from_micros(1));
    assert_eq!(*STATIC.read().unwrap(), 0);
}
