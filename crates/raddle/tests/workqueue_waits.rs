//! What a workqueue does later, not at all, or before somebody goes on: delays, cancellation, and those who wait. From raddle's threads and
//! from kernel threads.

mod sync_kit;
mod workqueue_kit;

use raddle::cancel::Token;
use raddle::sync::{Semaphore, mpsc};
use raddle::thread;
use raddle::workqueue::{Builder, Work, Workqueue, WouldDeadlock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use sync_kit::{a_moment, each_cast, until, within};
use workqueue_kit::{bound, closed, queues, unbound};

#[test]
fn a_delayed_item_runs_in_its_time() {
    each_cast(|cast| {
        for queue in queues() {
            let (send, receive) = mpsc::channel();
            let queue = Arc::new(queue);
            let (theirs, begun) = (queue.clone(), Instant::now());
            cast.spawn(0, move || {
                for ms in [30, 5, 20, 0] {
                    let send = send.clone();
                    theirs.queue_delayed(Duration::from_millis(ms), move || {
                        send.send((ms, Instant::now())).unwrap();
                    });
                }
            })
            .join()
            .unwrap();
            for (ms, ran) in receive.iter() {
                assert!(ran - begun >= Duration::from_millis(ms), "{ms} ms: {:?}", ran - begun);
            }
            let counters = queue.counters();
            assert_eq!((counters.queued, counters.started, counters.delayed), (4, 4, 0));
        }
    });
}

#[test]
fn a_delayed_item_is_pending_and_can_be_cancelled() {
    each_cast(|_| {
        let queue = unbound();
        let work = Work::new(|_| panic!("it was cancelled"));
        for round in 1..=50 {
            assert!(queue.queue_work_delayed(Duration::from_secs(3600), &work));
            assert!(work.is_pending() && !queue.queue_work(&work));
            let counters = queue.counters();
            assert_eq!((counters.delayed, counters.waiting), (1, 0));
            assert!(work.cancel() && !work.cancel() && !work.is_pending());
            assert_eq!(queue.counters().cancelled, round);
        }
        assert_eq!(queue.counters().started, 0);
        // Nobody waits for it: neither those who flush, nor those who drain.
        assert!(queue.queue_work_delayed(Duration::from_secs(3600), &work));
        queue.flush().unwrap();
        queue.drain().unwrap();
        assert!(work.cancel_and_wait().unwrap());
    });
}

#[test]
fn an_earlier_item_is_not_held_up_by_a_later_one() {
    within(60, "earlier items", || {
        let queue = unbound();
        queue.queue_delayed(Duration::from_secs(3600), || panic!("an hour has passed"));
        let (send, receive) = mpsc::channel();
        for ms in [50, 20, 5] {
            let send = send.clone();
            queue.queue_delayed(Duration::from_millis(ms), move || send.send(ms).unwrap());
        }
        assert!(receive.iter().take(3).is_sorted(), "in their time");
        queue.destroy().unwrap();
    });
}

#[test]
fn what_is_cancelled_does_not_run() {
    each_cast(|_| {
        for builder in [Builder::new("cancels"), Builder::new("cancels").bound()] {
            let (queue, gate) = closed(builder);
            let items: Vec<_> = (0..5)
                .map(|_| {
                    let runs = Arc::new(AtomicU32::new(0));
                    let count = runs.clone();
                    (
                        runs,
                        Work::new(move |_| {
                            count.fetch_add(1, SeqCst);
                        }),
                    )
                })
                .collect();
            items.iter().for_each(|(_, work)| assert!(queue.queue_work_on(0, work)));
            assert!(items[1].1.cancel() && !items[1].1.cancel());
            assert_eq!(items[3].1.cancel_and_wait(), Ok(true));
            // Again, at the end.
            assert!(queue.queue_work_on(0, &items[1].1));
            gate.add_permits(1);
            queue.flush().unwrap();
            let runs: Vec<_> = items.iter().map(|(runs, _)| runs.load(SeqCst)).collect();
            assert_eq!(runs, [1, 1, 1, 0, 1]);
            assert!(!items[0].1.cancel());
            let counters = queue.counters();
            assert_eq!((counters.queued, counters.cancelled, counters.finished), (7, 2, 5));
        }
    });
}

#[test]
fn to_cancel_and_wait_ends_an_item_that_queues_itself() {
    each_cast(|cast| {
        for queue in queues() {
            let queue = Arc::new(queue);
            let inside = Arc::new(AtomicBool::new(false));
            let runs = Arc::new(AtomicU64::new(0));
            let (again, within, count) = (queue.clone(), inside.clone(), runs.clone());
            let work = Work::new(move |work| {
                within.store(true, SeqCst);
                count.fetch_add(1, SeqCst);
                thread::sleep(Duration::from_micros(100));
                match count.load(SeqCst) % 2 {
                    0 => again.queue_work(work),
                    _ => again.queue_work_delayed(Duration::from_micros(50), work),
                };
                within.store(false, SeqCst);
            });
            assert!(queue.queue_work(&work));
            until(|| runs.load(SeqCst) > 5);
            let theirs = work.clone();
            let waited = cast.spawn(0, move || theirs.cancel_and_wait());
            waited.join().unwrap().unwrap();
            assert!(!inside.load(SeqCst) && !work.is_pending());
            let now = runs.load(SeqCst);
            a_moment();
            assert_eq!(runs.load(SeqCst), now, "it runs on");
            assert!(queue.queue_work(&work), "it can be queued again");
            work.cancel_and_wait().unwrap();
        }
    });
}

#[test]
fn whoever_flushes_waits_for_what_was_queued_before_and_no_more() {
    each_cast(|cast| {
        for builder in [Builder::new("flushed"), Builder::new("flushed").bound()] {
            let queue = Arc::new(builder.build().unwrap());
            let over = Arc::new(AtomicU32::new(0));
            for n in 0..20u64 {
                let over = over.clone();
                queue.queue(move || {
                    thread::sleep(Duration::from_micros(100 * (n % 4)));
                    over.fetch_add(1, SeqCst);
                });
            }
            // These are there for ever, as far as anybody knows who flushes before.
            let gate = Arc::new(Semaphore::new(0));
            let (theirs, flushed) = (queue.clone(), over.clone());
            let flusher = cast.spawn(0, move || {
                theirs.flush().unwrap();
                flushed.load(SeqCst)
            });
            assert!(flusher.join().unwrap() >= 20);
            for _ in 0..4 {
                let inside = gate.clone();
                queue.queue(move || inside.acquire().forget());
                let theirs = queue.clone();
                let flusher = cast.spawn(0, move || theirs.flush().unwrap());
                a_moment();
                assert!(!flusher.is_finished(), "it does not wait");
                gate.add_permits(1);
                flusher.join().unwrap();
            }
        }
    });
}

#[test]
fn more_can_flush_at_a_time_than_there_are_epochs() {
    within(60, "flushes", || {
        let queue = Arc::new(unbound());
        let gate = Arc::new(Semaphore::new(0));
        let flushers: Vec<_> = (0..40)
            .map(|_| {
                let inside = gate.clone();
                queue.queue(move || inside.acquire().forget());
                let queue = queue.clone();
                let flusher = thread::spawn(move || queue.flush().unwrap());
                a_moment();
                flusher
            })
            .collect();
        assert!(flushers.iter().all(|flusher| !flusher.is_finished()));
        gate.add_permits(40);
        flushers.into_iter().for_each(|flusher| flusher.join().unwrap());
        assert_eq!(queue.counters().finished, 40);
    });
}

#[test]
fn to_drain_waits_for_what_items_queue_as_well() {
    fn grow(queue: &Arc<Workqueue>, height: u32, over: &Arc<AtomicU32>) {
        let (here, over) = (queue.clone(), over.clone());
        queue.queue(move || {
            if height > 1 {
                (0..2).for_each(|_| grow(&here, height - 1, &over));
            }
            thread::sleep(Duration::from_micros(50));
            over.fetch_add(1, SeqCst);
        });
    }
    each_cast(|cast| {
        for queue in queues() {
            let (queue, over) = (Arc::new(queue), Arc::new(AtomicU32::new(0)));
            queue.drain().unwrap();
            grow(&queue, 7, &over);
            let drains = |n| {
                let (queue, over) = (queue.clone(), over.clone());
                cast.spawn(n, move || {
                    queue.drain().unwrap();
                    over.load(SeqCst)
                })
            };
            let drainers: Vec<_> = (0..3).map(drains).collect();
            for drainer in drainers {
                assert_eq!(drainer.join().unwrap(), 127);
            }
        }
    });
}

#[test]
fn to_destroy_takes_back_what_is_delayed_and_waits_for_the_rest() {
    /// Says that it has gone.
    struct Gone(Arc<AtomicU32>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    each_cast(|_| {
        for queue in queues() {
            let (over, gone) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            for _ in 0..10 {
                let (over, held) = (over.clone(), Gone(gone.clone()));
                queue.queue(move || {
                    thread::sleep(Duration::from_millis(2));
                    over.fetch_add(1, SeqCst);
                    drop(held);
                });
                let held = Gone(gone.clone());
                queue.queue_delayed(Duration::from_secs(3600), move || {
                    drop(held);
                    panic!("an hour has passed");
                });
            }
            queue.destroy().unwrap();
            assert_eq!((over.load(SeqCst), gone.load(SeqCst)), (10, 20));
        }
    });
}

#[test]
fn a_queue_that_is_dropped_is_left_to_itself() {
    each_cast(|_| {
        let (queue, gate) = closed(Builder::new("dropped"));
        let over = Arc::new(AtomicU32::new(0));
        for _ in 0..3 {
            let count = over.clone();
            queue.queue(move || {
                count.fetch_add(1, SeqCst);
            });
            let count = over.clone();
            queue.queue_delayed(Duration::from_millis(1), move || {
                count.fetch_add(1, SeqCst);
            });
        }
        drop(queue);
        gate.add_permits(1);
        until(|| over.load(SeqCst) == 6);
    });
}

#[test]
fn an_item_is_told_that_it_would_wait_for_itself() {
    each_cast(|_| {
        let (ours, other) = (Arc::new(bound()), Arc::new(bound()));
        let (send, receive) = mpsc::channel();
        let (queue, elsewhere) = (ours.clone(), other.clone());
        let work = Work::new(move |work| {
            let own = [
                work.flush().err(),
                work.cancel_and_wait().err(),
                queue.flush().err(),
                queue.drain().err(),
            ];
            // Another queue's items have the same pool, and take over when this one waits.
            elsewhere.queue_on(0, || thread::sleep(Duration::from_millis(1)));
            let others = elsewhere.flush().and(elsewhere.drain());
            send.send((own, others)).unwrap();
        });
        assert!(ours.queue_work_on(0, &work));
        let (own, others) = receive.recv().unwrap();
        assert_eq!((own, others), ([Some(WouldDeadlock); 4], Ok(())));
        ours.flush().unwrap();
        assert_eq!(work.flush(), Ok(()), "outside it is free to");
    });
}

#[test]
fn an_item_may_wait_for_another_of_its_queue() {
    each_cast(|_| {
        for queue in queues() {
            let queue = Arc::new(queue);
            let (here, (send, receive)) = (queue.clone(), mpsc::channel());
            queue.queue_on(0, move || {
                let second = Work::new(|_| thread::sleep(Duration::from_millis(1)));
                assert!(here.queue_work_on(0, &second));
                send.send(second.flush()).unwrap();
            });
            assert_eq!(receive.recv().unwrap(), Ok(()));
        }
    });
}

#[test]
fn whoever_waits_can_be_cancelled() {
    within(60, "cancelled waits", || {
        let (queue, gate) = closed(Builder::new("cancelled"));
        let queue = Arc::new(queue);
        let work = Work::new(|_| ());
        queue.queue_work(&work);
        let token = Token::new();
        let waits: [fn(&Workqueue, &Work); 4] = [
            |queue, _| queue.flush().unwrap(),
            |queue, _| queue.drain().unwrap(),
            |_, work| work.flush().unwrap(),
            |_, work| assert!(!work.cancel_and_wait().unwrap()),
        ];
        // The last one cancels the item, so there is one to wait for that runs.
        let running = Work::new({
            let gate = gate.clone();
            move |_| gate.acquire().forget()
        });
        let elsewhere = unbound();
        elsewhere.queue_work(&running);
        until(|| elsewhere.counters().started == 1);
        let waiters: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                let (queue, work, token) = (queue.clone(), running.clone(), token.clone());
                thread::spawn(move || token.carry(|| wait(&queue, &work)).is_err())
            })
            .collect();
        a_moment();
        token.cancel();
        waiters.into_iter().for_each(|waiter| assert!(waiter.join().unwrap()));
        gate.add_permits(2);
        queue.flush().unwrap();
        running.flush().unwrap();
        assert!(elsewhere.queue_work(&running), "nobody refuses it any more");
        gate.add_permits(1);
        elsewhere.destroy().unwrap();
    });
}
