//! What raddle has and std has not: no permit too many, what is sent arrives once, who is cancelled goes on.

use super::super::work::spin;
use super::super::world::Actor;
use raddle::cancel::Token;
use raddle::sync::channel::{bounded, unbounded};
use raddle::sync::{Once, Semaphore};
use raddle::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
