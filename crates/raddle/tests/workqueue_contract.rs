//! The contract of workqueues: what runs, where and when, how often, and how many at a time. From raddle's threads and from kernel threads.

mod sync_kit;
mod workqueue_kit;

use raddle::sync::{Semaphore, mpsc};
use raddle::thread::{self, Priority};
use raddle::workqueue::{Builder, Work};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use sync_kit::{a_moment, each_cast, until, within};
use workqueue_kit::{bound, closed, queues, unbound};

#[test]
fn what_is_queued_runs_once() {
    each_cast(|cast| {
        for queue in queues() {
            let queue = Arc::new(queue);
            let runs: Arc<Vec<AtomicU32>> = Arc::new((0..400).map(|_| AtomicU32::new(0)).collect());
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let (queue, runs) = (queue.clone(), runs.clone());
                    cast.spawn(n, move || {
                        for item in n * 100..n * 100 + 100 {
                            let runs = runs.clone();
                            queue.queue(move || {
                                runs[item].fetch_add(1, SeqCst);
                            });
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            queue.flush().unwrap();
            assert!(runs.iter().all(|runs| runs.load(SeqCst) == 1), "{queue:?}");
            let counters = queue.counters();
            assert_eq!((counters.queued, counters.started, counters.finished), (400, 400, 400));
            assert_eq!((counters.active, counters.waiting, counters.delayed), (0, 0, 0));
        }
    });
}

#[test]
fn an_item_that_is_pending_is_not_queued_again_and_one_that_runs_is() {
    each_cast(|cast| {
        let (queue, gate) = closed(Builder::new("again"));
        let runs = Arc::new(AtomicU32::new(0));
        let (inside, count) = (gate.clone(), runs.clone());
        let work = Work::new(move |_| {
            count.fetch_add(1, SeqCst);
            inside.acquire().forget();
        });
        assert!(!work.is_pending());
        assert!(queue.queue_work(&work) && work.is_pending());
        let (second, elsewhere) = (work.clone(), unbound());
        let others = cast.spawn(0, move || {
            (0..10)
                .filter(|_| {
                    elsewhere.queue_work(&second)
                        || elsewhere.queue_work_delayed(Duration::ZERO, &second)
                })
                .count()
        });
        assert_eq!(others.join().unwrap(), 0, "it was pending");
        assert_eq!(runs.load(SeqCst), 0);
        gate.add_permits(1);
        until(|| runs.load(SeqCst) == 1);
        assert!(!work.is_pending());
        assert!(queue.queue_work(&work) && !queue.queue_work(&work));
        a_moment();
        assert_eq!(runs.load(SeqCst), 1, "it still runs");
        gate.add_permits(2);
        queue.flush().unwrap();
        assert_eq!(runs.load(SeqCst), 2);
        assert_eq!(queue.counters().finished, 3);
    });
}

#[test]
fn an_item_never_runs_twice_at_a_time() {
    each_cast(|cast| {
        let queues = Arc::new(queues());
        let (inside, most, runs) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
        let (within, highest, count) = (inside.clone(), most.clone(), runs.clone());
        let work = Work::new(move |_| {
            highest.fetch_max(within.fetch_add(1, SeqCst) + 1, SeqCst);
            if count.fetch_add(1, SeqCst) % 3 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            within.fetch_sub(1, SeqCst);
        });
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (queues, work) = (queues.clone(), work.clone());
                cast.spawn(n, move || {
                    let queued = (0..200).filter(|step| {
                        thread::yield_now();
                        queues[(n + step) % queues.len()].queue_work(&work)
                    });
                    queued.count() as u64
                })
            })
            .collect();
        let queued: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        work.flush().unwrap();
        assert_eq!(most.load(SeqCst), 1, "of the same item");
        assert_eq!(runs.load(SeqCst), queued);
        let finished: u64 = queues.iter().map(|queue| queue.counters().finished).sum();
        // Whoever waits for the item is told as it ends, and the queue counts it a moment later.
        until(|| queues.iter().map(|queue| queue.counters().finished).sum::<u64>() == queued);
        assert!(finished <= queued);
    });
}

#[test]
fn an_item_that_sleeps_lets_the_next_one_run() {
    each_cast(|_| {
        for queue in queues() {
            let (send, receive) = mpsc::channel();
            let turns = 40;
            // Each waits for the one that is queued after it.
            let mut before: Option<mpsc::Sender<()>> = None;
            for _ in 0..turns {
                let (told, waits) = mpsc::channel();
                let (before, send) = (before.replace(told), send.clone());
                queue.queue_on(0, move || {
                    before.into_iter().for_each(|before| before.send(()).unwrap());
                    waits.recv().unwrap_or_default();
                    send.send(()).unwrap();
                });
            }
            drop(before);
            assert_eq!(receive.iter().take(turns).count(), turns);
        }
    });
}

#[test]
fn an_item_that_blocks_in_the_kernel_lets_the_next_one_run() {
    within(60, "blocked items", || {
        for queue in queues() {
            let turns = 6;
            let (send, receive) = mpsc::channel();
            let mut before: Option<io::PipeWriter> = None;
            for _ in 0..turns {
                let (mut reads, writes) = io::pipe().unwrap();
                let (before, send) = (before.replace(writes), send.clone());
                queue.queue_on(0, move || {
                    before.into_iter().for_each(|mut before| before.write_all(b"x").unwrap());
                    let mut byte = [0];
                    // The kernel thread waits here. The end of the file will do for the last one.
                    send.send(reads.read(&mut byte).is_ok()).unwrap();
                });
            }
            drop(before);
            assert_eq!(receive.iter().take(turns).filter(|&is_fine| is_fine).count(), turns);
        }
    });
}

#[test]
fn an_item_that_says_that_it_will_block_lets_the_next_one_run() {
    within(60, "blocking items", || {
        let queue = bound();
        let (mut reads, mut writes) = io::pipe().unwrap();
        queue.queue_on(0, move || {
            raddle::blocking(|| reads.read_exact(&mut [0])).unwrap();
        });
        queue.queue_on(0, move || writes.write_all(b"x").unwrap());
        queue.flush().unwrap();
    });
}

#[test]
fn an_item_that_computes_does_not_let_the_next_one_run() {
    within(60, "computing items", || {
        let queue = bound();
        let has_begun = Arc::new(AtomicBool::new(false));
        let seen = has_begun.clone();
        let (send, receive) = mpsc::channel();
        queue.queue_on(0, move || {
            let begun = Instant::now();
            let mut early = 0;
            while begun.elapsed() < Duration::from_millis(60) {
                early += u32::from(seen.load(SeqCst));
            }
            send.send(early).unwrap();
        });
        queue.queue_on(0, move || has_begun.store(true, SeqCst));
        queue.flush().unwrap();
        assert_eq!(receive.recv().unwrap(), 0, "two ran at a time");
    });
}

#[test]
fn no_more_are_active_than_may_be() {
    each_cast(|_| {
        for builder in [Builder::new("three"), Builder::new("three").bound()] {
            let queue = builder.max_active(3).build().unwrap();
            let gate = Arc::new(Semaphore::new(0));
            let active = Arc::new(AtomicU32::new(0));
            for _ in 0..20 {
                let (gate, active) = (gate.clone(), active.clone());
                queue.queue_on(0, move || {
                    assert!(active.fetch_add(1, SeqCst) < 3, "too many are active");
                    gate.acquire().forget();
                    active.fetch_sub(1, SeqCst);
                });
            }
            until(|| active.load(SeqCst) == 3);
            a_moment();
            let counters = queue.counters();
            assert_eq!((active.load(SeqCst), counters.active, counters.waiting), (3, 3, 17));
            gate.add_permits(20);
            queue.flush().unwrap();
            let counters = queue.counters();
            assert_eq!((counters.finished, counters.panicked), (20, 0));
        }
    });
}

#[test]
fn an_ordered_queue_keeps_the_order() {
    each_cast(|_| {
        let queue = Builder::new("ordered").ordered().build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..100u64 {
            let order = order.clone();
            queue.queue(move || {
                if number % 5 == 0 {
                    thread::sleep(Duration::from_micros(100 * (number % 3)));
                }
                order.lock().unwrap().push(number);
                if number % 7 == 0 {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            });
        }
        queue.flush().unwrap();
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
        assert_eq!(queue.counters().panicked, 15);
    });
}

#[test]
fn a_panic_is_counted_and_ends_nothing() {
    each_cast(|_| {
        for queue in queues() {
            let runs = Arc::new(AtomicU32::new(0));
            let count = runs.clone();
            let work = Work::new(move |_| {
                count.fetch_add(1, SeqCst);
                std::panic::resume_unwind(Box::new(String::from("on purpose")));
            });
            for round in 1..=20 {
                assert!(queue.queue_work(&work));
                work.flush().unwrap();
                assert_eq!(runs.load(SeqCst), round);
            }
            queue.flush().unwrap();
            let counters = queue.counters();
            assert_eq!((counters.finished, counters.panicked), (20, 20));
        }
    });
}

/// What a panic leaves may panic itself when it goes.
#[test]
fn a_payload_that_panics_ends_nothing() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(1));
        }
    }
    within(60, "bad payloads", || {
        let queue = bound();
        for _ in 0..10 {
            queue.queue_on(0, || std::panic::resume_unwind(Box::new(Bad)));
        }
        queue.flush().unwrap();
        assert_eq!(queue.counters().panicked, 10);
        drop(Work::new({
            let bad = Some(std::mem::ManuallyDrop::new(Bad));
            move |_| assert!(bad.is_some())
        }));
    });
}

#[test]
fn what_an_item_does_to_its_priority_is_not_the_next_ones() {
    within(60, "priorities", || {
        let queue = bound();
        queue.queue_on(0, || thread::set_priority(Priority::new(7)));
        let (send, receive) = mpsc::channel();
        for _ in 0..3 {
            let send = send.clone();
            queue.queue_on(0, move || {
                send.send(thread::priority()).unwrap();
                thread::set_priority(Priority::new(-3));
            });
        }
        drop(send);
        assert!(receive.iter().all(|priority| priority == Priority::NORMAL));
        let high = Builder::new("high").high_priority().build().unwrap();
        let (send, receive) = mpsc::channel();
        high.queue(move || send.send(thread::priority()).unwrap());
        assert_eq!(receive.recv().unwrap(), Priority::HIGHEST);
    });
}

#[test]
fn what_can_not_be_is_refused() {
    let refused = |builder: Builder| builder.build().unwrap_err().kind();
    let wrong = io::ErrorKind::InvalidInput;
    assert_eq!(refused(Builder::new("a").max_active(0)), wrong);
    assert_eq!(refused(Builder::new("a").ordered().bound()), wrong);
    assert_eq!(refused(Builder::new("a").ordered().max_active(2)), wrong);
    assert!(Builder::new("a").ordered().max_active(1).build().is_ok());
    let cores = thread::available_parallelism().unwrap().get();
    for queue in [bound(), unbound()] {
        let refused =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| queue.queue_on(cores, || ())));
        assert!(refused.is_err(), "there is no core {cores}");
        queue.queue_on(cores - 1, || ());
        queue.destroy().unwrap();
    }
}

/// In the child the worker is the only thread there is: it ends with the item, as any thread that forks.
#[test]
fn an_item_may_fork() {
    within(60, "a child", || {
        let queue = bound();
        let (send, receive) = mpsc::channel();
        queue.queue(move || {
            // SAFETY: the child does nothing but end.
            match unsafe { libc::fork() } {
                0 => {}
                child => send.send(child).unwrap(),
            }
        });
        let child = receive.recv().unwrap();
        let mut status = -1;
        // SAFETY: writes a number.
        let ended = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((ended, status), (child, 0));
        queue.flush().unwrap();
    });
}
