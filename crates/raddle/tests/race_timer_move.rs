//! A timer stands on the core where it was armed, while its thread is woken by others and goes on elsewhere. Catches a timer that is left
//! behind and ends a later wait too early, one that is taken from another core's wheel without its lock, and a deadline that nobody
//! looks at because its core went idle or was given away.

mod race_kit;

use race_kit::{delay, play};
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

#[test]
fn wakes_against_deadlines_of_threads_that_move() {
    play("wakes_against_deadlines_of_threads_that_move", |random| {
        let sleepers: Vec<_> = (0..6)
            .map(|_| {
                let times: Vec<_> =
                    (0..12).map(|_| Duration::from_micros(random.below(400))).collect();
                let tokens = Arc::new(AtomicU32::new(0));
                let put = tokens.clone();
                let thread = thread::spawn(move || {
                    let mut early = 0;
                    for time in times {
                        let began = Instant::now();
                        thread::park_timeout(time);
                        early += u32::from(began.elapsed() < time);
                        let put = put.load(SeqCst);
                        assert!(early <= put, "early {early} times, for {put} tokens");
                        // A sleep takes no tokens: a timer of before must not end it.
                        let began = Instant::now();
                        thread::sleep(time / 2);
                        assert!(began.elapsed() >= time / 2);
                        thread::yield_now();
                    }
                });
                (thread, tokens)
            })
            .collect();
        let delays = [delay(random), delay(random), delay(random)];
        for step in 0..60 {
            let (thread, tokens) = &sleepers[step % sleepers.len()];
            tokens.fetch_add(1, SeqCst);
            thread.thread().unpark();
            race_kit::dawdle(delays[step % 3]);
        }
        sleepers.into_iter().for_each(|(thread, _)| thread.join().unwrap());
    });
}
