//! Threads that only yield leave the queue of their core for its nursery, and come back as soon as anybody else is ready: again and again, with thieves,
//! sleepers, slices' ends and lists of threads in between. Catches one that is lost, that runs twice, or that waits for ever behind the others.

mod race_kit;

use race_kit::{delay, play};
use raddle::thread::{self, Builder, Priority};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// More than a nursery holds, of several priorities, some of which compute a little, or are bound, or sleep.
#[test]
fn many_of_all_kinds() {
    play("many_of_all_kinds", |random| {
        let many = if random.below(4) == 0 { 1200 } else { 2 + random.below(60) as usize };
        let cores = thread::available_parallelism().unwrap().get();
        let (kinds, most) = (1 + random.below(5) as usize, delay(random) / 16);
        let threads: Vec<_> = (0..many)
            .map(|n| {
                let kind = n % kinds;
                let builder = match kind {
                    1 => Builder::new().priority(Priority::LOWEST),
                    2 => Builder::new().bound_to_core(n % cores),
                    _ => Builder::new(),
                };
                let runs = AtomicBool::new(false);
                let main = move || {
                    for _ in 0..20 {
                        assert!(!runs.swap(true, SeqCst), "it runs twice");
                        match kind {
                            3 => race_kit::dawdle(most),
                            4 if n % 16 == 4 => thread::sleep(std::time::Duration::from_micros(50)),
                            _ => {}
                        }
                        assert!(kind != 2 || thread::core() == Some(n % cores), "it was moved");
                        assert!(runs.swap(false, SeqCst), "it ran twice");
                        thread::yield_now();
                    }
                };
                builder.spawn(main).unwrap()
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// They yield until one of the lowest priority has run, which wakes from outside, from a sleep, or was there before them. It comes last in each
/// round, and there must be a round that ends.
#[test]
fn all_wait_for_the_lowest() {
    play("all_wait_for_the_lowest", |random| {
        let (many, rounds) = (1 + random.below(40) as usize, 1 + random.below(20) as usize);
        let how = random.below(3);
        let reached = Arc::new(AtomicUsize::new(0));
        let spawn = |priority: Priority, main: Box<dyn FnOnce() + Send>| {
            Builder::new().priority(priority).spawn(main).unwrap()
        };
        let steps = reached.clone();
        let lowest = spawn(
            Priority::LOWEST,
            Box::new(move || {
                for round in 1..=rounds {
                    match how {
                        0 => thread::park(),
                        1 => thread::sleep(std::time::Duration::from_micros(20)),
                        _ => thread::yield_now(),
                    }
                    steps.store(round, SeqCst);
                }
            }),
        );
        let others: Vec<_> = (0..many)
            .map(|_| {
                let reached = reached.clone();
                spawn(
                    Priority::HIGHEST,
                    Box::new(move || {
                        while reached.load(SeqCst) < rounds {
                            thread::yield_now();
                        }
                    }),
                )
            })
            .collect();
        // From a kernel thread: into the queue of a core whose holder keeps the others.
        while how == 0 && !lowest.is_finished() {
            lowest.thread().unpark();
            std::thread::yield_now();
        }
        others.into_iter().for_each(|thread| thread.join().unwrap());
        lowest.join().unwrap();
    });
}
