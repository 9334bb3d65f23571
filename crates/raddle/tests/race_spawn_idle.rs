//! A core goes idle just as a thread is spawned or woken for it from outside. Catches a thread that is left in the queue of a core whose
//! worker has gone to sleep, until something else happens by chance: nothing else does here.

mod race_kit;

use race_kit::{Line, delay, play};
use raddle::thread;
use std::sync::Arc;

/// One thread ends, and leaves its core idle, as the next is spawned.
#[test]
fn spawn_against_idle() {
    play("spawn_against_idle", |random| {
        let line = Arc::new(Line::of(2));
        let its = delay(random) / 8;
        let first = thread::spawn({
            let line = line.clone();
            move || line.meet(its)
        });
        line.meet(delay(random) / 8);
        // Not woken, it waits for ever.
        thread::spawn(|| ()).join().unwrap();
        first.join().unwrap();
    });
}

/// One thread sleeps, and leaves its core idle, as a kernel thread wakes another one that sleeps.
#[test]
fn wake_against_idle() {
    play("wake_against_idle", |random| {
        let sleeper = thread::spawn(|| {
            for _ in 0..10 {
                thread::park();
            }
        });
        for _ in 0..10 {
            let line = Arc::new(Line::of(2));
            let its = delay(random) / 8;
            let idles = thread::spawn({
                let line = line.clone();
                move || line.meet(its)
            });
            line.meet(delay(random) / 8);
            sleeper.thread().unpark();
            idles.join().unwrap();
        }
        // Tokens that came while one was there are none.
        while !sleeper.is_finished() {
            sleeper.thread().unpark();
            thread::yield_now();
        }
        sleeper.join().unwrap();
    });
}

/// The same with two at a time: whoever is left over is to be stolen.
#[test]
fn steal_against_wake() {
    play("steal_against_wake", |random| {
        let delays = [delay(random), delay(random)];
        let threads: Vec<_> = (0..8)
            .map(|n: usize| {
                thread::spawn(move || {
                    let mut woken = 0;
                    for _ in 0..10 {
                        let child = thread::spawn(move || race_kit::dawdle(delays[n % 2]));
                        let parent = thread::current();
                        let wakes = thread::spawn(move || parent.unpark());
                        race_kit::dawdle(delays[(n + 1) % 2]);
                        thread::park();
                        woken += 1;
                        child.join().unwrap();
                        wakes.join().unwrap();
                    }
                    woken
                })
            })
            .collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), 80);
    });
}
