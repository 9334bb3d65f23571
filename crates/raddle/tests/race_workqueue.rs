//! Races of workqueues: an item that is cancelled, flushed or queued again as it begins, sleeps or ends. Catches an item that runs twice or
//! never, a count that is one off, a flush or a cancellation that misses its last waker, and a pool whose items wait while nobody runs.

mod race_kit;

use race_kit::{Line, dawdle, delay, play, spawn_either};
use raddle::thread;
use raddle::workqueue::{Builder, Counters, Work, Workqueue};
use raddle_core::random::Random;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

fn queue(random: &mut Random) -> Arc<Workqueue> {
    let builder = Builder::new("race");
    let builder = match random.below(4) {
        0 => builder.bound(),
        1 => builder.bound().max_active(1),
        2 => builder.ordered(),
        _ => builder,
    };
    let builder = if random.one_in(3) { builder.high_priority() } else { builder };
    Arc::new(builder.build().unwrap())
}

/// Everything that was queued is accounted for.
fn check(counters: Counters, queued: u64) {
    assert_eq!((counters.active, counters.waiting, counters.delayed), (0, 0, 0), "{counters:?}");
    assert_eq!(counters.queued, queued, "{counters:?}");
    assert_eq!(counters.finished + counters.cancelled, queued, "{counters:?}");
}

#[test]
fn cancel_against_begin() {
    play("cancel_against_begin", |random| {
        let queue = queue(random);
        let (runs, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, within, lasts) = (runs.clone(), inside.clone(), delay(random));
        let work = Work::new(move |_| {
            assert!(!within.swap(true, SeqCst));
            dawdle(lasts);
            count.fetch_add(1, SeqCst);
            within.store(false, SeqCst);
        });
        let line = Arc::new(Line::of(2));
        let (theirs, their_line, before) = (work.clone(), line.clone(), delay(random));
        let waits = random.one_in(2);
        let canceller = spawn_either(random, move || {
            their_line.meet(before);
            if waits { theirs.cancel_and_wait().unwrap() } else { theirs.cancel() }
        });
        line.meet(delay(random));
        let queued = queue.queue_work(&work);
        let cancelled = canceller();
        work.flush().unwrap();
        assert!(!inside.load(SeqCst), "it runs on");
        assert!(queued || waits && !cancelled, "nobody refused it");
        assert_eq!(runs.load(SeqCst), u64::from(queued) - u64::from(cancelled));
        queue.drain().unwrap();
        check(queue.counters(), u64::from(queued));
    });
}

#[test]
fn the_time_comes_against_cancel() {
    play("the_time_comes_against_cancel", |random| {
        let queue = queue(random);
        let runs = Arc::new(AtomicU64::new(0));
        let (mut queued, mut cancelled) = (0, 0);
        let count = runs.clone();
        let work = Work::new(move |_| {
            count.fetch_add(1, SeqCst);
        });
        for _ in 0..6 {
            let delay_us = random.below(120);
            queued += u64::from(queue.queue_work_delayed(Duration::from_micros(delay_us), &work));
            let wait = random.below(150);
            thread::sleep(Duration::from_micros(wait));
            dawdle(delay(random));
            cancelled += u64::from(if random.one_in(2) {
                work.cancel()
            } else {
                work.cancel_and_wait().unwrap()
            });
        }
        work.flush().unwrap();
        queue.drain().unwrap();
        assert_eq!(runs.load(SeqCst), queued - cancelled);
        check(queue.counters(), queued);
    });
}

#[test]
fn flush_against_queue_and_end() {
    play("flush_against_queue_and_end", |random| {
        let queue = queue(random);
        let over = Arc::new(AtomicU64::new(0));
        let line = Arc::new(Line::of(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (queue, over, line) = (queue.clone(), over.clone(), line.clone());
                let (before, lasts, sleeps) = (delay(random), delay(random), random.one_in(2));
                let drains = random.one_in(3);
                spawn_either(random, move || {
                    line.meet(before);
                    for number in 1..=8 {
                        let mine = Arc::new(AtomicBool::new(false));
                        let (over, ended) = (over.clone(), mine.clone());
                        queue.queue(move || {
                            if sleeps && number % 3 == 0 {
                                thread::sleep(Duration::from_micros(30));
                            }
                            dawdle(lasts);
                            over.fetch_add(1, SeqCst);
                            ended.store(true, SeqCst);
                        });
                        if number % 2 == 0 {
                            let waited = if drains { queue.drain() } else { queue.flush() };
                            waited.unwrap();
                            assert!(mine.load(SeqCst), "the last one was not waited for");
                        }
                    }
                })
            })
            .collect();
        line.meet(delay(random));
        queue.flush().unwrap();
        threads.into_iter().for_each(|thread| thread());
        queue.drain().unwrap();
        assert_eq!(over.load(SeqCst), 16);
        check(queue.counters(), 16);
    });
}

#[test]
fn queue_against_queue_of_the_same_item() {
    play("queue_against_queue_of_the_same_item", |random| {
        let queues = [queue(random), queue(random)];
        let (runs, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, within, lasts) = (runs.clone(), inside.clone(), delay(random));
        let sleeps = random.one_in(2);
        let work = Work::new(move |_| {
            assert!(!within.swap(true, SeqCst), "it runs twice at a time");
            count.fetch_add(1, SeqCst);
            dawdle(lasts);
            if sleeps {
                thread::sleep(Duration::from_micros(20));
            }
            within.store(false, SeqCst);
        });
        let line = Arc::new(Line::of(3));
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (queues, work, line) = (queues.clone(), work.clone(), line.clone());
                let (before, pause) = (delay(random), delay(random));
                spawn_either(random, move || {
                    line.meet(before);
                    let mut sum = 0i64;
                    for step in 0..12 {
                        sum += i64::from(queues[(number + step) % 2].queue_work(&work));
                        dawdle(pause);
                        if number == 2 && step % 3 == 0 {
                            sum -= i64::from(work.cancel());
                        }
                    }
                    sum
                })
            })
            .collect();
        // A cancellation may take back what another has queued.
        let queued: i64 = threads.into_iter().map(|thread| thread()).sum();
        work.flush().unwrap();
        queues.iter().for_each(|queue| queue.drain().unwrap());
        assert_eq!(runs.load(SeqCst) as i64, queued);
        for queue in &queues {
            check(queue.counters(), queue.counters().queued);
        }
    });
}

/// Items of one pool wait for one another, in all ways in which threads wait.
#[test]
fn sleep_against_come() {
    play("sleep_against_come", |random| {
        let queue = Arc::new(Builder::new("race").bound().build().unwrap());
        let line = Arc::new(Line::of(2));
        let (first, second) = (std::sync::mpsc::channel(), raddle::sync::mpsc::channel());
        let (their_line, before, rests) = (line.clone(), delay(random), random.below(3));
        queue.queue_on(0, move || {
            their_line.meet(before);
            match rests {
                // Through libc's `syscall`.
                0 => assert_eq!(first.1.recv(), Ok(1)),
                1 => assert_eq!(second.1.recv(), Ok(2)),
                _ => thread::sleep(Duration::from_micros(50)),
            }
        });
        let (queues, after) = (queue.clone(), delay(random));
        let other = spawn_either(random, move || {
            line.meet(after);
            queues.queue_on(0, move || {
                let _ = first.0.send(1);
                let _ = second.0.send(2);
            });
        });
        other();
        queue.flush().unwrap();
        check(queue.counters(), 2);
    });
}
