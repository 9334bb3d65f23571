//! The slice ends just as a thread parks, sleeps or yields. Catches a note to give way that is lost or acted on inside the runtime, a
//! thread that is queued and asleep at once, and an account that is charged twice: threads compute for about a slice, then wait.

mod race_kit;

use race_kit::{compute_for, delay, play};
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[test]
fn preempt_against_sleep() {
    play("preempt_against_sleep", |random| {
        let done = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..12)
            .map(|n| {
                let done = done.clone();
                let delay = delay(random);
                // About the slice of 100 us; that of 4 ms ends by what they run together.
                let compute = Duration::from_micros(60 + random.below(80));
                thread::spawn(move || {
                    let mut own = 0;
                    for step in 0..20 {
                        compute_for(compute);
                        race_kit::dawdle(delay % 40);
                        let began = Instant::now();
                        match (n + step) % 4 {
                            0 => thread::sleep(Duration::from_micros(40)),
                            1 => thread::park_timeout(Duration::from_micros(40)),
                            2 => thread::yield_now(),
                            _ => drop(thread::spawn(|| ()).join()),
                        }
                        let is_timed = (n + step) % 4 < 2;
                        assert!(!is_timed || began.elapsed() >= Duration::from_micros(40));
                        own += 1;
                    }
                    done.fetch_add(own, Relaxed);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(done.load(Relaxed), 240);
    });
}
