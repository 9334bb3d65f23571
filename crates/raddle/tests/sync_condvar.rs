//! `Condvar` against its contract, and against each race that its design names.

mod sync_kit;

use raddle::cancel::Token;
use raddle::sync::{Arc, Condvar, Mutex, PoisonError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sync_kit::{CASTS, a_moment, each_cast, for_seconds, until, within};

type Pair<T> = Arc<(Mutex<T>, Condvar)>;

fn pair<T>(value: T) -> Pair<T> {
    Arc::new((Mutex::new(value), Condvar::new()))
}

#[test]
fn a_notification_wakes_who_waits() {
    each_cast(|cast| {
        for holds in [true, false] {
            let pair = pair(false);
            let waiter = {
                let pair = pair.clone();
                cast.spawn(0, move || {
                    let done = pair.1.wait_while(pair.0.lock().unwrap(), |done| !*done).unwrap();
                    assert!(*done);
                })
            };
            let notifier = cast.spawn_other(0, move || {
                a_moment();
                let mut done = pair.0.lock().unwrap();
                *done = true;
                if !holds {
                    drop(done);
                    pair.1.notify_one();
                } else {
                    pair.1.notify_one();
                }
            });
            notifier.join().unwrap();
            waiter.join().unwrap();
        }
    });
}

/// Two threads take turns: every notification counts, and each comes at another moment of the other's way to sleep.
#[test]
fn no_notification_is_lost_between_the_look_and_the_sleep() {
    each_cast(|cast| {
        let pair = pair(0_u32);
        let rounds = 5_000;
        let player = |n: usize| {
            let pair = pair.clone();
            cast.spawn(n, move || {
                for round in 0..rounds {
                    let mine = 2 * round + n as u32;
                    let mut turn =
                        pair.1.wait_while(pair.0.lock().unwrap(), |turn| *turn != mine).unwrap();
                    *turn += 1;
                    if round % 2 == 0 {
                        drop(turn);
                    }
                    pair.1.notify_one();
                }
            })
        };
        let (one, two) = (player(0), player(1));
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(*pair.0.lock().unwrap(), 2 * rounds);
    });
}

#[test]
fn notify_all_wakes_all_who_wait_with_the_mutex_held_or_free() {
    each_cast(|cast| {
        for holds in [true, false] {
            let pair = pair((0, false));
            let waiters: Vec<_> = (0..40)
                .map(|n| {
                    let pair = pair.clone();
                    cast.spawn(n, move || {
                        let mut state = pair.0.lock().unwrap();
                        state.0 += 1;
                        drop(pair.1.wait_while(state, |state| !state.1).unwrap());
                    })
                })
                .collect();
            until(|| pair.0.lock().unwrap().0 == 40);
            let mut state = pair.0.lock().unwrap();
            state.1 = true;
            if holds {
                pair.1.notify_all();
                drop(state);
            } else {
                drop(state);
                pair.1.notify_all();
            }
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        }
    });
}

/// Without spurious wake-ups of its own: among threads of raddle's and kernel threads, one notification wakes one.
#[test]
fn notify_one_wakes_one_and_the_first_first() {
    each_cast(|cast| {
        let pair = pair(0);
        let first = pair.clone();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for n in 0..4 {
            let (pair, woken) = (pair.clone(), woken.clone());
            waiters.push(cast.spawn(n, move || {
                let mut waiting = pair.0.lock().unwrap();
                *waiting += 1;
                drop(pair.1.wait(waiting).unwrap());
                woken.lock().unwrap().push(n);
            }));
            // Who has counted itself and given up the lock waits.
            until(|| *first.0.lock().unwrap() == n + 1);
        }
        for n in 1..=4 {
            pair.1.notify_one();
            until(|| woken.lock().unwrap().len() == n);
            a_moment();
            assert_eq!(woken.lock().unwrap().len(), n);
        }
        assert_eq!(*woken.lock().unwrap(), [0, 1, 2, 3]);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        pair.1.notify_one();
        pair.1.notify_all();
    });
}

#[test]
fn a_wait_ends_with_its_time() {
    each_cast(|cast| {
        cast.spawn(0, || {
            let (lock, never) = (Mutex::new(1), Condvar::new());
            let start = Instant::now();
            let time = Duration::from_millis(20);
            let (held, result) = never.wait_timeout(lock.lock().unwrap(), time).unwrap();
            assert!(result.timed_out() && start.elapsed() >= time);
            let (held, result) = never.wait_timeout_while(held, time, |_| true).unwrap();
            assert!(result.timed_out() && start.elapsed() >= 2 * time);
            let (held, result) = never.wait_timeout_while(held, time, |_| false).unwrap();
            assert!(!result.timed_out() && *held == 1);
            assert!(lock.try_lock().is_err());
            let (_held, result) = never.wait_timeout(held, Duration::ZERO).unwrap();
            assert!(result.timed_out());
            let (slow, far) = (Mutex::new(()), Duration::MAX);
            std::thread::scope(|s| {
                s.spawn(|| {
                    a_moment();
                    let _held = slow.lock().unwrap();
                    never.notify_all();
                });
                assert!(!never.wait_timeout(slow.lock().unwrap(), far).unwrap().1.timed_out());
            });
        })
        .join()
        .unwrap();
    });
}

/// Deadlines that come together with notifications: what was notified to one who reports a time-out would be lost to all.
#[test]
fn timeout_against_notify_loses_no_notification() {
    each_cast(|cast| {
        // Tickets: each notification gives one; whoever is woken, not timed out, takes one.
        let pair = pair(0_i64);
        let stop = Arc::new(AtomicBool::new(false));
        let woken = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..4_u64)
            .map(|n| {
                let (pair, stop, woken) = (pair.clone(), stop.clone(), woken.clone());
                cast.spawn(n as usize, move || {
                    let mut microseconds = n * 13 + 20;
                    while !stop.load(Ordering::Relaxed) {
                        microseconds = (microseconds * 7 + 11) % 150;
                        let time = Duration::from_micros(microseconds);
                        let mut tickets = pair.0.lock().unwrap();
                        if *tickets == 0 {
                            tickets = pair.1.wait_timeout(tickets, time).unwrap().0;
                        }
                        if *tickets > 0 {
                            *tickets -= 1;
                            woken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        // One without a deadline: it would be the one to starve.
        let patient = {
            let (pair, stop, woken) = (pair.clone(), stop.clone(), woken.clone());
            cast.spawn(1, move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut tickets =
                        pair.1.wait_while(pair.0.lock().unwrap(), |tickets| *tickets == 0).unwrap();
                    *tickets -= 1;
                    woken.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let is_over = for_seconds(0.7);
        let mut given = 0;
        while !is_over() {
            *pair.0.lock().unwrap() += 1;
            pair.1.notify_one();
            given += 1;
            if given % 8 == 0 {
                until(|| woken.load(Ordering::Relaxed) == given);
            }
        }
        stop.store(true, Ordering::Relaxed);
        until(|| {
            *pair.0.lock().unwrap() += 1;
            pair.1.notify_all();
            waiters.iter().all(sync_kit::Handle::is_finished) && patient.is_finished()
        });
    });
}

/// A waiter that was moved to the mutex's queue, whose deadline comes there: it was notified.
#[test]
fn timeout_after_the_move_to_the_mutex_counts_as_notified() {
    each_cast(|cast| {
        let pair = pair(false);
        let waiter = {
            let pair = pair.clone();
            cast.spawn(0, move || {
                let mut waits = pair.0.lock().unwrap();
                *waits = true;
                pair.1.wait_timeout(waits, Duration::from_millis(400)).unwrap().1.timed_out()
            })
        };
        let mut held = pair.0.lock().unwrap();
        while !*held {
            drop(held);
            held = pair.0.lock().unwrap();
        }
        pair.1.notify_one();
        std::thread::sleep(Duration::from_millis(500));
        drop(held);
        assert!(!waiter.join().unwrap());
        assert!(pair.0.try_lock().is_ok());
    });
}

/// Who is cancelled in the queue leaves the notification to the next.
#[test]
fn cancel_against_notify_loses_no_notification() {
    each_cast(|cast| {
        let is_over = for_seconds(1.0);
        while !is_over() {
            let pair = pair(0);
            let token = Token::new();
            let waiter = |n: usize, token: Token| {
                let pair = pair.clone();
                cast.spawn(n, move || {
                    token.carry(|| {
                        let tickets = pair.0.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut tickets =
                            pair.1.wait_while(tickets, |tickets| *tickets == 0).unwrap();
                        *tickets -= 1;
                    })
                })
            };
            let quitter = waiter(0, token.clone());
            let stayer = waiter(1, Token::new());
            std::thread::sleep(Duration::from_micros(100));
            let canceller = cast.spawn_other(0, move || token.cancel());
            {
                *pair.0.lock().unwrap() += 1;
                pair.1.notify_one();
            }
            canceller.join().unwrap();
            let quit = quitter.join().unwrap().is_err();
            if !quit {
                // It took the ticket: the stayer gets another one.
                *pair.0.lock().unwrap() += 1;
                pair.1.notify_one();
            }
            stayer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn who_is_cancelled_in_a_wait_does_not_poison_the_mutex() {
    each_cast(|cast| {
        let pair = pair(());
        let token = Token::new();
        let waiter = {
            let (pair, token) = (pair.clone(), token.clone());
            cast.spawn(0, move || token.carry(|| drop(pair.1.wait(pair.0.lock().unwrap()))))
        };
        a_moment();
        token.cancel();
        assert!(waiter.join().unwrap().is_err());
        assert!(!pair.0.is_poisoned() && pair.0.try_lock().is_ok());
    });
}

#[test]
fn a_poisoned_mutex_is_told_after_the_wait() {
    each_cast(|cast| {
        let pair = pair(false);
        let waiter = {
            let pair = pair.clone();
            cast.spawn(0, move || {
                let mut waits = pair.0.lock().unwrap();
                *waits = true;
                pair.1.wait(waits).is_err()
            })
        };
        until(|| *pair.0.lock().unwrap());
        let thrower = cast.spawn(1, move || {
            let _held = pair.0.lock();
            pair.1.notify_one();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(thrower.join().is_err());
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn one_condvar_serves_several_mutexes() {
    for cast in CASTS {
        within(30, "several mutexes", move || {
            let changed = Arc::new(Condvar::new());
            let locks: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(false))).collect();
            let waiters: Vec<_> = locks
                .iter()
                .enumerate()
                .map(|(n, lock)| {
                    let (lock, changed) = (lock.clone(), changed.clone());
                    cast.spawn(n, move || {
                        drop(changed.wait_while(lock.lock().unwrap(), |open| !*open).unwrap());
                    })
                })
                .collect();
            a_moment();
            locks.iter().for_each(|lock| *lock.lock().unwrap() = true);
            let _one_is_held = locks[0].lock().unwrap();
            changed.notify_all();
            drop(_one_is_held);
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        });
    }
}
