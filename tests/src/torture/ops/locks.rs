//! Locks and channels that std has and raddle has, held across preemption: what they protect adds up, what is sent arrives once and in
//! order. The same programs for both; a failure names the line below at which they were made.

macro_rules! programs {
    ($name:ident, $of:ident, $leave:expr) => {
        pub(super) mod $name {
            use super::super::super::work::spin;
            use super::super::super::world::Actor;
            use $of::sync::mpsc::sync_channel;
            use $of::sync::{Barrier, Condvar, Mutex, RwLock};
            use raddle::thread;
            use std::sync::Arc;
            use std::time::Duration;

            pub(crate) fn mutex(actor: &mut Actor) {
                let Some(_leave) = $leave(actor) else { return };
                let (members, rounds) = (actor.between(2, 6), actor.between(1, 80));
                let pair = Arc::new(Mutex::new((0u64, 0u64)));
                let threads: Vec<_> = (0..members)
                    .map(|member| {
                        let pair = pair.clone();
                        thread::spawn(move || {
                            (0..rounds).all(|n| {
                                let Ok(mut pair) = pair.lock() else { return false };
                                pair.0 += 1;
                                spin(n * 30);
                                if (n + member) % 16 == 3 {
                                    thread::yield_now();
                                }
                                pair.1 += 1;
                                pair.0 == pair.1
                            })
                        })
                    })
                    .collect();
                for thread in threads {
                    actor
                        .world
                        .check(matches!(thread.join(), Ok(true)), "two were in a Mutex at once");
                    actor.step();
                }
                let is_right =
                    pair.lock().is_ok_and(|pair| *pair == (members * rounds, members * rounds));
                actor.world.check(is_right, "what a Mutex protects does not add up");
            }

            /// A bounded buffer by two condition variables, begun at a barrier; the caller gives.
            pub(crate) fn condvar(actor: &mut Actor) {
                let Some(_leave) = $leave(actor) else { return };
                let total = actor.between(1, 150);
                let times_out = actor.random.one_in(2);
                let shared = Arc::new((
                    Mutex::new(Vec::new()),
                    Condvar::new(),
                    Condvar::new(),
                    Barrier::new(2),
                ));
                let theirs = shared.clone();
                let taker = thread::spawn(move || {
                    let (buffer, not_full, not_empty, begin) = &*theirs;
                    begin.wait();
                    let mut sum = 0;
                    for _ in 0..total {
                        let Ok(mut buffer) = buffer.lock() else { return 0 };
                        while buffer.is_empty() {
                            let waited = if times_out {
                                not_empty
                                    .wait_timeout(buffer, Duration::from_micros(50))
                                    .map(|(buffer, _)| buffer)
                                    .ok()
                            } else {
                                not_empty.wait(buffer).ok()
                            };
                            let Some(again) = waited else { return 0 };
                            buffer = again;
                        }
                        sum += buffer.pop().unwrap_or(0);
                        not_full.notify_one();
                    }
                    sum
                });
                let (buffer, not_full, not_empty, begin) = &*shared;
                begin.wait();
                for n in 1..=total {
                    let Ok(mut buffer) = buffer.lock() else { return };
                    while buffer.len() >= 4 {
                        let Ok(again) = not_full.wait(buffer) else { return };
                        buffer = again;
                    }
                    buffer.push(n);
                    not_empty.notify_one();
                }
                let is_right = matches!(taker.join(), Ok(sum) if sum == total * (total + 1) / 2);
                actor.world.check(is_right, "a Condvar lost something");
            }

            pub(crate) fn rwlock(actor: &mut Actor) {
                let Some(_leave) = $leave(actor) else { return };
                let rounds = actor.between(1, 60);
                let pair = Arc::new(RwLock::new((0u64, 0u64)));
                let threads: Vec<_> = (0..5)
                    .map(|role| {
                        let pair = pair.clone();
                        thread::spawn(move || {
                            (0..rounds).all(|n| {
                                if role > 1 {
                                    return pair.read().is_ok_and(|pair| {
                                        spin(n * 5);
                                        pair.0 == pair.1
                                    });
                                }
                                let Ok(mut pair) = pair.write() else { return false };
                                pair.0 += 1;
                                spin(n * 20);
                                pair.1 += 1;
                                true
                            })
                        })
                    })
                    .collect();
                for thread in threads {
                    actor
                        .world
                        .check(matches!(thread.join(), Ok(true)), "a reader saw half of a write");
                }
                let is_right = pair.read().is_ok_and(|pair| *pair == (2 * rounds, 2 * rounds));
                actor.world.check(is_right, "what a RwLock protects does not add up");
            }

            pub(crate) fn mpsc(actor: &mut Actor) {
                let Some(_leave) = $leave(actor) else { return };
                let (senders, each) = (actor.between(1, 4), actor.between(1, 100));
                let bound = actor.between(0, 3) as usize;
                let (send, receive) = sync_channel(bound);
                let threads: Vec<_> = (0..senders)
                    .map(|sender| {
                        let send = send.clone();
                        thread::spawn(move || (0..each).all(|n| send.send((sender, n)).is_ok()))
                    })
                    .collect();
                drop(send);
                let mut next = vec![0; senders as usize];
                for (sender, n) in receive.iter() {
                    actor.world.check(next[sender as usize] == n, "a channel changed the order");
                    next[sender as usize] += 1;
                    actor.step();
                }
                actor.world.check(next.iter().all(|&n| n == each), "a channel lost a message");
                for thread in threads {
                    actor.world.check(matches!(thread.join(), Ok(true)), "a sender failed");
                }
            }
        }
    };
}

// On a kernel thread, whoever waits for one of std's blocks it.
programs!(of_std, std, Actor::may_block);
programs!(of_raddle, raddle, |_: &Actor| Some(()));
