//! Signals at every moment of a wait: nothing that wakers bring is lost, and no signal is.

use super::*;
use raddle::cancel::Token;
use raddle::sync::channel::{bounded, unbounded};
use raddle::sync::{Condvar, Mutex, RwLock, Semaphore};
use raddle_core::random::Random;
use std::time::Instant;

const TIME: Duration = Duration::from_millis(700);

/// Signals to all of `targets`, at random moments, until they have ended. Says how many there were.
fn storm<T: Send + 'static>(targets: &[JoinHandle<T>], seed: u64) -> JoinHandle<u64> {
    let targets: Vec<_> = targets.iter().map(|target| target.thread().clone()).collect();
    thread::spawn(move || {
        let mut random = Random::from_seed(seed);
        let mut sent = 0;
        loop {
            let first = random.below(targets.len() as u64) as usize;
            let mut lives = false;
            for at in 0..targets.len() {
                let target = &targets[(first + at) % targets.len()];
                if target.send_signal(Signal::USR1).is_ok() {
                    (lives, sent) = (true, sent + 1);
                    spin(random.below(2_000));
                }
                if random.one_in(8) {
                    thread::yield_now();
                }
            }
            if !lives {
                return sent;
            }
            if random.one_in(4) {
                thread::sleep(Duration::from_micros(random.below(200)));
            }
        }
    })
}

/// Permits and tokens: as many come as were given.
pub fn wakers_against_signals() {
    let begun = Instant::now();
    let mut seed = 0;
    while begun.elapsed() < TIME {
        seed += 1;
        let heard = Heard::new();
        let permits = Arc::new(Semaphore::new(0));
        let takers: Vec<_> = (0..4_u64)
            .map(|taker| {
                let permits = permits.clone();
                heard.listener(move |_| {
                    for _ in 0..100 {
                        if taker % 2 == 0 {
                            permits.acquire().forget();
                        } else {
                            permits.acquire_many(2).forget();
                        }
                    }
                })
            })
            .collect();
        let storm = storm(&takers, seed);
        let mut random = Random::from_seed(!seed);
        for _ in 0..300 {
            permits.add_permits(2);
            spin(random.below(3_000));
            if random.one_in(10) {
                thread::sleep(Duration::from_micros(50));
            }
        }
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(permits.available_permits(), 0);
        assert!(storm.join().unwrap() >= heard.count());
    }
}

/// Locks of all kinds: they exclude, and everybody gets them.
pub fn locks_against_signals() {
    let begun = Instant::now();
    let mut seed = 0;
    while begun.elapsed() < TIME {
        seed += 1;
        const ROUNDS: u64 = 150;
        let heard = Heard::new();
        let data = Arc::new((Mutex::new(0_u64), RwLock::new(0_u64), Condvar::new()));
        let users: Vec<_> = (0..5_u64)
            .map(|user| {
                let data = data.clone();
                heard.listener(move |_| {
                    let mut random = Random::from_seed(seed * 10 + user);
                    for _ in 0..ROUNDS {
                        *data.1.write().unwrap() += 1;
                        let mut guard = data.0.lock().unwrap();
                        *guard += 1;
                        data.2.notify_all();
                        if random.one_in(4) {
                            thread::sleep(Duration::from_micros(20));
                        }
                        drop(guard);
                        let seen = *data.1.read().unwrap();
                        assert!((1..=5 * ROUNDS).contains(&seen));
                    }
                    let guard = data.0.lock().unwrap();
                    let end = data.2.wait_while(guard, |sum| *sum < 5 * ROUNDS).unwrap();
                    assert_eq!(*end, 5 * ROUNDS);
                })
            })
            .collect();
        let storm = storm(&users, seed);
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_eq!(*data.1.read().unwrap(), 5 * ROUNDS);
        assert!(storm.join().unwrap() >= heard.count());
    }
}

/// Channels: every message comes once.
pub fn channels_against_signals() {
    let begun = Instant::now();
    let mut seed = 0;
    while begun.elapsed() < TIME {
        seed += 1;
        for (sender, receiver) in [bounded(0), bounded(1), bounded(3), unbounded::<u64>()] {
            const EACH: u64 = 60;
            let heard = Heard::new();
            let (_never, from_never) = bounded::<u64>(0);
            let mut threads: Vec<JoinHandle<u64>> = (0..2)
                .map(|_| {
                    let sender = sender.clone();
                    heard.listener(move |_| {
                        (1..=EACH).for_each(|n| sender.send(n).unwrap());
                        0
                    })
                })
                .collect();
            drop(sender);
            for role in 0..2 {
                let (receiver, from_never) = (receiver.clone(), from_never.clone());
                threads.push(heard.listener(move |_| {
                    let mut sum = 0;
                    loop {
                        let message = if role == 0 {
                            receiver.recv()
                        } else {
                            raddle::select! {
                                recv(receiver) -> message => message,
                                recv(from_never) -> _ => unreachable!(),
                            }
                        };
                        let Ok(n) = message else { return sum };
                        sum += n;
                    }
                }));
            }
            drop(receiver);
            let storm = storm(&threads, seed);
            let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(sum, EACH * (EACH + 1));
            assert!(storm.join().unwrap() >= heard.count());
        }
    }
}

/// Cancelling ends waits, signals don't; both come at once.
pub fn cancelling_against_signals() {
    let begun = Instant::now();
    let mut seed = 0;
    while begun.elapsed() < TIME {
        seed += 1;
        let heard = Heard::new();
        let token = Token::new();
        let never = Arc::new(Semaphore::new(0));
        let (_send, receive) = bounded::<u64>(0);
        let threads: Vec<_> = (0..4)
            .map(|role| {
                let (token, never, receive) = (token.clone(), never.clone(), receive.clone());
                heard.listener(move |_| {
                    token
                        .carry(|| match role {
                            0 => never.acquire().forget(),
                            1 => drop(receive.recv()),
                            2 => loop {
                                thread::park();
                            },
                            _ => thread::sleep(Duration::from_secs(3600)),
                        })
                        .is_err()
                })
            })
            .collect();
        let storm = storm(&threads, seed);
        spin(Random::from_seed(seed).below(40_000));
        token.cancel();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert!(storm.join().unwrap() >= heard.count());
    }
}
