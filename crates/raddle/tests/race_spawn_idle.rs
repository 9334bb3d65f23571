//! A core goes idle just as a thread is spawned or woken for it from outside. Catches a thread that is left in the queue of a core whose
//! worker has gone to sleep, until something else happens by chance: nothing else does here.

mod race_kit;

use race_kit::{delay, play};
use raddle::thread;
use std::time::{Duration, Instant};

/// Rounds of one thread: the last one's end is when the core goes idle, and the next begins then.
#[test]
fn spawn_against_idle() {
    play("spawn_against_idle", |random| {
        for _ in 0..20 {
            let began = Instant::now();
            let thread = thread::spawn(Instant::now);
            let at = thread.join().unwrap();
            // A kernel thread that was asleep may be late; one that was not woken would stay so for ever.
            assert!(at - began < Duration::from_secs(3), "it began after {:?}", at - began);
            race_kit::dawdle(delay(random));
        }
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
