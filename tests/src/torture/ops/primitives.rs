//! raddle's own locks and channels: what they protect adds up, what is sent arrives once, who is cancelled goes on.

use super::super::work::spin;
use super::super::world::Actor;
use raddle::cancel::Token;
use raddle::sync::channel::{bounded, unbounded};
use raddle::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, mpsc};
use raddle::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) fn mutex(actor: &mut Actor) {
    let (members, rounds) = (actor.between(2, 6), actor.between(1, 80));
    let pair = Arc::new(Mutex::new((0u64, 0u64)));
    let threads: Vec<_> = (0..members)
        .map(|member| {
            let pair = pair.clone();
            thread::spawn(move || {
                (0..rounds).all(|n| {
                    let Ok(mut pair) = pair.lock() else { return false };
                    pair.0 += 1;
                    spin(n * 20);
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
        actor.world.check(matches!(thread.join(), Ok(true)), "two were in a Mutex at once");
        actor.step();
    }
    let is_right = pair.lock().is_ok_and(|pair| *pair == (members * rounds, members * rounds));
    actor.world.check(is_right, "what a Mutex protects does not add up");
}

/// A bounded buffer by two condition variables, begun at a barrier; the caller gives.
pub(super) fn condvar(actor: &mut Actor) {
    let total = actor.between(1, 150);
    let times_out = actor.random.one_in(2);
    let shared =
        Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new(), Barrier::new(2)));
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

pub(super) fn rwlock(actor: &mut Actor) {
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
        actor.world.check(matches!(thread.join(), Ok(true)), "a reader saw half of a write");
    }
    let is_right = pair.read().is_ok_and(|pair| *pair == (2 * rounds, 2 * rounds));
    actor.world.check(is_right, "what a RwLock protects does not add up");
}

/// No more inside than there are permits, whoever times out; all permits come back.
pub(super) fn semaphore(actor: &mut Actor) {
    let (permits, rounds) = (actor.between(1, 3) as usize, actor.between(1, 30));
    let shared = Arc::new((Semaphore::new(permits), AtomicU64::new(0), Once::new()));
    let threads: Vec<_> = (0..6)
        .map(|role| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (semaphore, inside, once) = &*shared;
                once.call_once(|| {
                    inside.fetch_add(1_000, Ordering::Relaxed);
                });
                (0..rounds).all(|n| {
                    let permit = if role == 0 {
                        semaphore.acquire_timeout(Duration::from_micros(n))
                    } else {
                        Some(semaphore.acquire())
                    };
                    if permit.is_none() {
                        return true;
                    }
                    let now = inside.fetch_add(1, Ordering::Relaxed) % 1_000;
                    spin(500);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    now < permits as u64
                })
            })
        })
        .collect();
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "a Semaphore let too many in");
    }
    let (semaphore, inside, _) = &*shared;
    let found = (semaphore.available_permits(), inside.load(Ordering::Relaxed));
    actor.world.check(found == (permits, 1_000), "a Semaphore lost a permit, or a Once ran twice");
}

pub(super) fn mpsc_channel(actor: &mut Actor) {
    let (senders, each) = (actor.between(1, 4), actor.between(1, 100));
    let bound = actor.between(0, 3) as usize;
    let (send, receive) = mpsc::sync_channel(bound);
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

/// Many on both sides, some with time-outs; what is sent arrives once.
pub(super) fn channel(actor: &mut Actor) {
    let each = actor.between(1, 100);
    let (send, receive) = match actor.random.below(4) {
        0 => unbounded(),
        capacity => bounded(capacity as usize - 1),
    };
    let senders: Vec<_> = (0..3u64)
        .map(|sender| {
            let send = send.clone();
            thread::spawn(move || {
                for n in 0..each {
                    let mut message = sender * 1_000 + n;
                    if sender != 0 {
                        if send.send(message).is_err() {
                            return false;
                        }
                        continue;
                    }
                    loop {
                        match send.send_timeout(message, Duration::from_micros(20)) {
                            Ok(()) => break,
                            Err(error) if error.is_timeout() => message = error.into_inner(),
                            Err(_) => return false,
                        }
                    }
                }
                true
            })
        })
        .collect();
    drop(send);
    let receivers: Vec<_> = (0..2)
        .map(|role| {
            let receive = receive.clone();
            thread::spawn(move || {
                let mut sum = 0;
                loop {
                    let got = if role == 0 {
                        receive.recv().ok()
                    } else {
                        match receive.recv_timeout(Duration::from_micros(30)) {
                            Err(error) if error.is_timeout() => continue,
                            other => other.ok(),
                        }
                    };
                    match got {
                        Some(message) => sum += message + 1,
                        None => return sum,
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        actor.world.check(matches!(sender.join(), Ok(true)), "a sender failed");
        actor.step();
    }
    let sum: u64 = receivers.into_iter().map(|receiver| receiver.join().unwrap_or(0)).sum();
    let wanted: u64 =
        (0..3).map(|sender| (0..each).map(|n| sender * 1_000 + n + 1).sum::<u64>()).sum();
    actor.world.check(sum == wanted, "a channel lost a message, or gave one twice");
}

/// One of two channels or a time-out, whatever is first; nothing is lost that was not taken.
pub(super) fn select(actor: &mut Actor) {
    let each = actor.between(1, 60);
    let (to_a, from_a) = bounded::<u64>(actor.random.below(2) as usize);
    let (to_b, from_b) = bounded::<u64>(1);
    let threads =
        [to_a, to_b].map(|to| thread::spawn(move || (0..each).all(|n| to.send(n).is_ok())));
    let (mut a, mut b) = (0, 0);
    while a < each || b < each {
        let (was_a, was_b) = (a, b);
        raddle::select! {
            recv(from_a) -> message => a += u64::from(message == Ok(was_a)),
            recv(from_b) -> message => b += u64::from(message == Ok(was_b)),
            default(Duration::from_millis(30)) => continue,
        }
        if a + b == was_a + was_b {
            // A channel whose sender is done is always ready; the other's may wait for this core.
            actor.world.check(was_a == each || was_b == each, "a select took a wrong message");
            thread::yield_now();
            continue;
        }
        actor.step();
    }
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "a sender failed");
    }
}

/// Threads that wait for what never comes are cancelled, at any point of their wait, and end.
pub(super) fn cancel(actor: &mut Actor) {
    let token = Token::new();
    let never = Arc::new(Semaphore::new(0));
    let ended = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..actor.between(1, 6))
        .map(|role| {
            let (token, never, ended) = (token.child(), never.clone(), ended.clone());
            let (_send, receive) = bounded::<u64>(0);
            thread::spawn(move || {
                let result = token.carry(|| match role % 4 {
                    0 => drop(never.acquire()),
                    1 => drop(receive.recv()),
                    2 => loop {
                        thread::park();
                    },
                    _ => loop {
                        thread::sleep(Duration::from_micros(50));
                    },
                });
                drop(_send);
                ended.fetch_add(1, Ordering::Relaxed);
                result.is_err()
            })
        })
        .collect();
    let begun = Instant::now();
    let delay = Duration::from_micros(actor.random.below(300));
    while begun.elapsed() < delay {
        thread::yield_now();
    }
    token.cancel();
    let count = threads.len() as u64;
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "a cancelled thread went on");
        actor.step();
    }
    actor.world.check(ended.load(Ordering::Relaxed) == count, "a cancelled thread is lost");
    // The caller itself was not cancelled.
    let is_free = catch_unwind(AssertUnwindSafe(|| thread::sleep(Duration::ZERO))).is_ok();
    actor.world.check(is_free, "a thread was cancelled by another's token");
}
