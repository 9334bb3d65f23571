//! std's locks, held across preemption: what they protect adds up.

use super::super::work::spin;
use super::super::world::Actor;
use raddle::thread;
use std::sync::mpsc as channel;
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock};
use std::time::Duration;

pub(super) fn mutex(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let (members, rounds) = (actor.between(2, 4), actor.between(1, 50));
    let pair = Arc::new(Mutex::new((0u64, 0u64)));
    let threads: Vec<_> = (0..members)
        .map(|_| {
            let pair = pair.clone();
            thread::spawn(move || {
                for n in 0..rounds {
                    let Ok(mut pair) = pair.lock() else { return false };
                    pair.0 += 1;
                    spin(n * 50);
                    if n % 16 == 3 {
                        thread::yield_now();
                    }
                    pair.1 += 1;
                    if pair.0 != pair.1 {
                        return false;
                    }
                }
                true
            })
        })
        .collect();
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "two were in a std Mutex at once");
        actor.step();
    }
    let is_right = pair.lock().is_ok_and(|pair| *pair == (members * rounds, members * rounds));
    actor.world.check(is_right, "what a std Mutex protects does not add up");
}

/// A bounded buffer by two condition variables, and a barrier to begin with.
pub(super) fn condvar(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let total = actor.between(1, 100);
    let shared =
        Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new(), Barrier::new(2)));
    let theirs = shared.clone();
    let times_out = actor.random.one_in(2);
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
    actor.world.check(is_right, "a std Condvar lost something");
}

pub(super) fn rwlock(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let rounds = actor.between(1, 40);
    let pair = Arc::new(RwLock::new((0u64, 0u64)));
    let threads: Vec<_> = (0..4)
        .map(|role| {
            let pair = pair.clone();
            thread::spawn(move || {
                for n in 0..rounds {
                    if role == 0 {
                        let Ok(mut pair) = pair.write() else { return false };
                        pair.0 += 1;
                        spin(n * 20);
                        pair.1 += 1;
                    } else if !pair.read().is_ok_and(|pair| pair.0 == pair.1) {
                        return false;
                    }
                }
                true
            })
        })
        .collect();
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "a reader saw half of a write");
    }
}

pub(super) fn mpsc(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let (senders, each) = (actor.between(1, 4), actor.between(1, 100));
    let bound = actor.between(0, 3) as usize;
    let (send, receive) = channel::sync_channel(bound);
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let send = send.clone();
            thread::spawn(move || (0..each).all(|n| send.send((sender, n)).is_ok()))
        })
        .collect();
    drop(send);
    let mut next = vec![0; senders as usize];
    for (sender, n) in receive {
        actor.world.check(next[sender as usize] == n, "std's mpsc changed the order");
        next[sender as usize] += 1;
        actor.step();
    }
    actor.world.check(next.iter().all(|&n| n == each), "std's mpsc lost a message");
    for thread in threads {
        actor.world.check(matches!(thread.join(), Ok(true)), "a sender failed");
    }
}
