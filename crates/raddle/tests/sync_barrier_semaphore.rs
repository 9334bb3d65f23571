//! `Barrier` and `Semaphore` against their contracts.

mod sync_kit;

use raddle::cancel::Token;
use raddle::sync::{Arc, Barrier, Mutex, Semaphore};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sync_kit::{a_moment, each_cast, for_seconds, until};

#[test]
fn a_barrier_has_one_leader_each_time() {
    each_cast(|cast| {
        let barrier = Arc::new((Barrier::new(5), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..5)
            .map(|n| {
                let barrier = barrier.clone();
                cast.spawn(n, move || {
                    let mut led = 0;
                    for round in 0..300 {
                        barrier.1.fetch_add(1, Ordering::Relaxed);
                        led += usize::from(barrier.0.wait().is_leader());
                        assert!(barrier.1.load(Ordering::Relaxed) >= 5 * (round + 1));
                        led += usize::from(barrier.0.wait().is_leader());
                    }
                    led
                })
            })
            .collect();
        let led: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(led, 600);
    });
    assert!(Barrier::new(0).wait().is_leader() && Barrier::new(1).wait().is_leader());
    assert_eq!(format!("{:?}", Barrier::new(1)), "Barrier { .. }");
}

#[test]
fn who_is_cancelled_at_a_barrier_has_not_come() {
    each_cast(|cast| {
        let barrier = Arc::new(Barrier::new(2));
        let token = Token::new();
        let quitter = {
            let (barrier, token) = (barrier.clone(), token.clone());
            cast.spawn(0, move || token.carry(|| barrier.wait()).is_err())
        };
        a_moment();
        token.cancel();
        assert!(quitter.join().unwrap());
        let stayer = {
            let barrier = barrier.clone();
            cast.spawn(1, move || barrier.wait().is_leader())
        };
        a_moment();
        assert!(!stayer.is_finished(), "the one that was cancelled is still counted");
        let leads = barrier.wait().is_leader();
        assert_eq!(usize::from(leads) + usize::from(stayer.join().unwrap()), 1);
    });
}

#[test]
fn no_more_permits_are_out_than_there_are() {
    each_cast(|cast| {
        let seats = Arc::new((Semaphore::new(3), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..8_usize)
            .map(|n| {
                let seats = seats.clone();
                cast.spawn(n, move || {
                    for round in 0..1500 {
                        let count = (round + n) % 3 + 1;
                        let permit = seats.0.acquire_many(count);
                        assert_eq!(permit.count(), count);
                        assert!(seats.1.fetch_add(count, Ordering::Relaxed) + count <= 3);
                        if round % 32 == 0 {
                            raddle::thread::yield_now();
                        }
                        seats.1.fetch_sub(count, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(seats.0.available_permits(), 3);
    });
}

#[test]
fn permits_go_to_those_who_came_first_also_if_they_want_many() {
    each_cast(|cast| {
        let seats = Arc::new(Semaphore::new(2));
        let order = Arc::new(Mutex::new(Vec::new()));
        let one = seats.acquire();
        let mut threads = Vec::new();
        for (n, count) in [2, 1, 1].into_iter().enumerate() {
            let (theirs, order) = (seats.clone(), order.clone());
            threads.push(cast.spawn(n, move || {
                let permit = theirs.acquire_many(count);
                order.lock().unwrap().push(n);
                // The others can't come in between this and the release of all that it has.
                if n == 0 {
                    a_moment();
                }
                drop(permit);
            }));
            // With a permit left: refused only if somebody waits.
            until(|| seats.try_acquire().is_none());
        }
        assert_eq!(seats.available_permits(), 1);
        drop(one);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(order.lock().unwrap()[0], 0);
        assert_eq!(seats.available_permits(), 2);
    });
}

#[test]
fn when_the_first_gives_up_those_behind_are_looked_at() {
    each_cast(|cast| {
        let seats = Arc::new(Semaphore::new(1));
        let token = Token::new();
        let greedy = {
            let (seats, token) = (seats.clone(), token.clone());
            cast.spawn(0, move || token.carry(|| drop(seats.acquire_many(2))).is_err())
        };
        until(|| seats.try_acquire().is_none());
        let modest = {
            let seats = seats.clone();
            cast.spawn(1, move || drop(seats.acquire()))
        };
        a_moment();
        assert!(!modest.is_finished());
        token.cancel();
        assert!(greedy.join().unwrap());
        modest.join().unwrap();
        assert_eq!(seats.available_permits(), 1);
    });
}

/// Deadlines come together with permits: none vanishes, none is given twice.
#[test]
fn timeout_against_release_keeps_the_permits() {
    each_cast(|cast| {
        let seats = Arc::new(Semaphore::new(1));
        let threads: Vec<_> = (0..6_u64)
            .map(|n| {
                let seats = seats.clone();
                cast.spawn(n as usize, move || {
                    let is_over = for_seconds(0.7);
                    let mut microseconds = n;
                    while !is_over() {
                        microseconds = (microseconds * 5 + 7) % 120;
                        if let Some(permit) =
                            seats.acquire_timeout(Duration::from_micros(microseconds))
                        {
                            raddle::thread::yield_now();
                            drop(permit);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(seats.available_permits(), 1);
        drop(seats.acquire());
    });
}

#[test]
fn cancel_against_release_keeps_the_permits() {
    each_cast(|cast| {
        let is_over = for_seconds(0.7);
        while !is_over() {
            let seats = Arc::new(Semaphore::new(0));
            let token = Token::new();
            let quitter = {
                let (seats, token) = (seats.clone(), token.clone());
                cast.spawn(0, move || token.carry(|| seats.acquire().forget()).is_err())
            };
            let stayer = {
                let seats = seats.clone();
                cast.spawn(1, move || seats.acquire().forget())
            };
            let canceller = cast.spawn_other(0, move || token.cancel());
            seats.add_permits(1);
            canceller.join().unwrap();
            if !quitter.join().unwrap() {
                seats.add_permits(1);
            }
            stayer.join().unwrap();
            assert_eq!(seats.available_permits(), 0);
        }
    });
}

#[test]
fn permits_are_counted() {
    let seats = Semaphore::new(1);
    seats.acquire().forget();
    assert_eq!(seats.available_permits(), 0);
    let start = Instant::now();
    assert!(seats.acquire_timeout(Duration::from_millis(20)).is_none());
    assert!(start.elapsed() >= Duration::from_millis(20));
    seats.add_permits(3);
    assert!(seats.try_acquire_many(4).is_none());
    assert_eq!(seats.try_acquire_many(3).unwrap().count(), 3);
    assert_eq!(seats.acquire_many(0).count(), 0);
    assert_eq!(format!("{seats:?}"), "Semaphore { permits: 3, .. }");
    until(|| seats.available_permits() == 3);
}
