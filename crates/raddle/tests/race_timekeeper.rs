//! One idle core keeps time for all that are idle. Catches a deadline that nobody wakes for, because the keeper found something else to do,
//! another core took over with an earlier deadline, or the last core went to sleep without having seen the others' timers.

mod race_kit;

use race_kit::play;
use raddle::sync::mpsc;
use raddle::thread;
use raddle_core::random::Random;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// Whoever computes does so until the last sleeper is awake: a lost deadline is a hang.
#[test]
fn a_keeper_that_computes_against_timers_of_idle_cores() {
    play("a_keeper_that_computes_against_timers_of_idle_cores", |random| {
        let sleepers = 1 + random.below(4) as u32;
        let awake = Arc::new(AtomicU32::new(0));
        let handles: Vec<_> = (0..sleepers)
            .map(|_| {
                let (time, awake) = (Duration::from_micros(random.below(3000)), awake.clone());
                thread::spawn(move || {
                    thread::sleep(time);
                    awake.fetch_add(1, SeqCst);
                })
            })
            .collect();
        // By then some cores are idle.
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        let computes = thread::spawn(move || {
            while awake.load(SeqCst) < sleepers {
                std::hint::spin_loop();
            }
        });
        computes.join().unwrap();
        handles.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

/// All cores go to sleep again and again, each with timers of its own.
#[test]
fn cores_that_go_to_sleep_against_each_other() {
    play("cores_that_go_to_sleep_against_each_other", |random| {
        sleep_together(random, |random| Duration::from_micros(random.below(500)));
    });
}

/// After a while in which nobody runs the monitor sleeps as well, and mends nothing.
#[test]
fn cores_that_go_to_sleep_for_long() {
    play("cores_that_go_to_sleep_for_long", |random| {
        sleep_together(random, |random| Duration::from_micros(random.below(50_000)));
    });
}

/// Cores that wake and sleep thousands of times a second leave what is far away to the monitor, which looks often; then it does not any more.
#[test]
fn far_timers_while_cores_wake_and_sleep() {
    play("far_timers_while_cores_wake_and_sleep", |random| {
        let rounds = random.below(400);
        let (ask, asked) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel::<()>();
        let chat = thread::spawn(move || {
            while asked.recv().is_ok() {
                answer.send(()).unwrap();
            }
        });
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let time = Duration::from_micros(10_000 + random.below(30_000));
                thread::spawn(move || thread::sleep(time))
            })
            .collect();
        for _ in 0..rounds {
            ask.send(()).unwrap();
            answered.recv().unwrap();
        }
        drop(ask);
        chat.join().unwrap();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

fn sleep_together(random: &mut Random, time: impl Fn(&mut Random) -> Duration) {
    let sleepers: Vec<_> = (0..8)
        .map(|_| {
            let times: Vec<_> = (0..4).map(|_| time(random)).collect();
            let spins = random.below(2000);
            thread::spawn(move || {
                for time in times {
                    thread::sleep(time);
                    (0..spins).for_each(|_| std::hint::spin_loop());
                }
            })
        })
        .collect();
    sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
}
