//! Parking and timers: no wake-up is lost, none comes early.

use super::super::work::spin;
use super::super::world::Actor;
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) fn yields(actor: &mut Actor) {
    for _ in 0..actor.between(1, 50) {
        thread::yield_now();
        actor.step();
    }
}

/// A token that came first lets the next park through; what was written before is seen after.
pub(super) fn token(actor: &mut Actor) {
    let me = thread::current();
    if actor.random.one_in(2) {
        me.unpark();
        thread::park();
        return;
    }
    let flag = Arc::new(AtomicU64::new(0));
    let (theirs, rounds) = (flag.clone(), actor.random.below(3_000));
    let child = thread::spawn(move || {
        spin(rounds);
        theirs.store(1, Ordering::Relaxed);
        me.unpark();
    });
    while flag.load(Ordering::Relaxed) == 0 {
        thread::park();
    }
    actor.world.check(child.join().is_ok(), "whoever unparks panicked");
}

/// Threads in a ring pass a baton; each waits for its turn by parking.
pub(super) fn ring(actor: &mut Actor) {
    let (size, rounds) = (actor.between(2, 12) as usize, actor.between(1, 40));
    let turn = Arc::new(AtomicU64::new(0));
    let total = rounds * size as u64;
    // The first needs the handle of the last: they come by a channel of the oldest kind.
    let seats: Arc<std::sync::Mutex<Vec<thread::Thread>>> = Arc::default();
    let is_full = Arc::new(AtomicBool::new(false));
    let members: Vec<_> = (0..size as u64)
        .map(|seat| {
            let (turn, seats, is_full) = (turn.clone(), seats.clone(), is_full.clone());
            thread::spawn(move || {
                while !is_full.load(Ordering::Acquire) {
                    thread::park();
                }
                let next =
                    seats.lock().map(|seats| seats[(seat as usize + 1) % seats.len()].clone());
                let Ok(next) = next else { return 0 };
                let mut mine = seat;
                while mine < total {
                    while turn.load(Ordering::Acquire) != mine {
                        thread::park();
                    }
                    turn.store(mine + 1, Ordering::Release);
                    next.unpark();
                    mine += size as u64;
                }
                mine
            })
        })
        .collect();
    if let Ok(mut seats) = seats.lock() {
        seats.extend(members.iter().map(|member| member.thread().clone()));
    }
    is_full.store(true, Ordering::Release);
    members.iter().for_each(|member| member.thread().unpark());
    for (seat, member) in members.into_iter().enumerate() {
        let is_right = matches!(member.join(), Ok(end) if end == total + seat as u64);
        actor.world.check(is_right, "a baton was lost");
        actor.step();
    }
    actor.world.check(turn.load(Ordering::Acquire) == total, "a baton was passed too often");
}

/// Two take turns, the caller being one; nothing but tokens wakes them.
pub(super) fn ping_pong(actor: &mut Actor) {
    let rounds = actor.between(1, 200);
    let ball = Arc::new(AtomicU64::new(0));
    let (theirs, me) = (ball.clone(), thread::current());
    let play = move || {
        for n in 0..rounds {
            while theirs.load(Ordering::Acquire) != 2 * n + 1 {
                thread::park();
            }
            theirs.store(2 * n + 2, Ordering::Release);
            me.unpark();
        }
    };
    // The other one is a kernel thread's now and then.
    let is_kernel = actor.random.one_in(8);
    let leave = if is_kernel { actor.may_block() } else { None };
    if leave.is_some() {
        let (tell, told) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let _ = tell.send(thread::current());
            play();
        });
        let Ok(them) = told.recv() else { return };
        serve(&ball, rounds, &them);
        actor.world.check(other.join().is_ok(), "a player failed");
    } else {
        let other = thread::spawn(play);
        let them = other.thread().clone();
        serve(&ball, rounds, &them);
        actor.world.check(other.join().is_ok(), "a player failed");
    }
}

fn serve(ball: &AtomicU64, rounds: u64, them: &thread::Thread) {
    for n in 0..rounds {
        ball.store(2 * n + 1, Ordering::Release);
        them.unpark();
        while ball.load(Ordering::Acquire) != 2 * n + 2 {
            thread::park();
        }
    }
}

/// Nobody unparks: the whole time passes. (A token that an earlier operation left is used up first.)
pub(super) fn park_timeout(actor: &mut Actor) {
    thread::current().unpark();
    thread::park();
    let wanted = Duration::from_micros(actor.random.below(3_000));
    let begun = Instant::now();
    thread::park_timeout(wanted);
    let took = begun.elapsed();
    // Wakers of handles that were awaited may come late; that is no time-out.
    if took >= wanted {
        actor.slept(wanted, took);
    }
}

/// A time-out and a token at the same moment: one of the two, and the thread goes on in both cases.
pub(super) fn timer_race(actor: &mut Actor) {
    let me = thread::current();
    let is_over = Arc::new(AtomicBool::new(false));
    let until = Duration::from_micros(actor.random.below(400));
    let theirs = is_over.clone();
    let child = thread::spawn(move || {
        let begun = Instant::now();
        while !theirs.load(Ordering::Relaxed) {
            while begun.elapsed() < until && !theirs.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            me.unpark();
            thread::yield_now();
        }
    });
    for _ in 0..actor.between(1, 20) {
        thread::park_timeout(Duration::from_micros(actor.random.below(200)));
    }
    is_over.store(true, Ordering::Relaxed);
    actor.world.check(child.join().is_ok(), "whoever unparks failed");
}

pub(super) fn sleep(actor: &mut Actor) {
    let wanted = Duration::from_nanos(actor.random.below(5_000_000));
    let begun = Instant::now();
    if actor.random.one_in(2) {
        thread::sleep(wanted);
    } else {
        thread::sleep_until(begun + wanted);
    }
    actor.slept(wanted, begun.elapsed());
}

pub(super) fn sleep_zero(actor: &mut Actor) {
    for _ in 0..actor.between(1, 5) {
        thread::sleep(Duration::ZERO);
        thread::park_timeout(Duration::from_nanos(1));
        thread::sleep_until(Instant::now() - Duration::from_secs(1));
    }
}
