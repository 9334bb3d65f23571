//! What every flavour of channel promises, on both kinds of thread: order, bounds, the end of either side, time-outs, drops.

mod channel_work;

use channel_work::*;
use raddle::sync::channel::*;
use raddle::time::Instant;
use std::sync::atomic::Ordering;

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make(capacity);
            let thread = spawn(peers, move || {
                for n in 0..1000 {
                    sender.send(n).unwrap();
                }
            });
            for n in 0..1000 {
                assert_eq!(receiver.recv(), Ok(n), "{capacity:?}");
            }
            assert_eq!(receiver.recv(), Err(RecvError));
            thread.join();
        }
    });
}

#[test]
fn a_bounded_channel_takes_as_many_as_it_has_places() {
    for capacity in [1, 2, 7] {
        let (sender, receiver) = bounded(capacity);
        assert_eq!((sender.capacity(), receiver.capacity()), (Some(capacity), Some(capacity)));
        assert!(sender.is_empty() && receiver.is_empty() && !receiver.is_full());
        for round in 0..3 {
            for n in 0..capacity {
                assert_eq!(sender.len(), n);
                sender.try_send((round, n)).unwrap();
            }
            assert!(sender.is_full() && receiver.is_full());
            assert_eq!(sender.try_send((9, 9)), Err(TrySendError::Full((9, 9))));
            for n in 0..capacity {
                assert_eq!(receiver.len(), capacity - n);
                assert_eq!(receiver.try_recv(), Ok((round, n)));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

#[test]
fn an_unbounded_channel_takes_what_comes_and_gives_its_memory_back_in_order() {
    let (sender, receiver) = unbounded();
    assert_eq!(sender.capacity(), None);
    for burst in [1, 31, 32, 33, 64, 1000, 3] {
        for n in 0..burst {
            sender.send(n).unwrap();
            assert!(!sender.is_full());
        }
        assert_eq!(receiver.len(), burst);
        for n in 0..burst {
            assert_eq!(receiver.try_recv(), Ok(n));
        }
        assert!(receiver.is_empty());
    }
}

#[test]
fn without_capacity_nothing_is_sent_unless_somebody_receives() {
    everywhere(|peers| {
        let (sender, receiver) = bounded(0);
        assert_eq!((sender.capacity(), sender.len()), (Some(0), 0));
        assert!(sender.is_empty() && sender.is_full());
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(sender.send_timeout(2, ms(5)), Err(SendTimeoutError::Timeout(2)));
        assert_eq!(receiver.recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
        let thread = spawn(peers, move || receiver.recv());
        // Whenever the receiver waits, and not before.
        while sender.try_send(3).is_err() {
            raddle::thread::yield_now();
        }
        assert_eq!(thread.join(), Ok(3));
        assert_eq!(sender.send(4), Err(SendError(4)));
    });
}

#[test]
fn what_is_left_is_received_after_the_senders_are_gone() {
    for capacity in [Some(3), None] {
        let (sender, receiver) = make(capacity);
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        let second = sender.clone();
        drop(sender);
        assert_eq!(receiver.recv(), Ok(1));
        drop(second);
        assert_eq!(receiver.recv_timeout(ms(1000)), Ok(2));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receiver.recv_timeout(ms(1000)), Err(RecvTimeoutError::Disconnected));
        assert_eq!(receiver.recv(), Err(RecvError));
    }
}

#[test]
fn who_waits_learns_that_the_other_side_is_gone() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make::<u32>(capacity);
            let waiting: Vec<_> = (0..3).map(|_| receiver.clone()).collect();
            let threads: Vec<_> =
                waiting.into_iter().map(|r| spawn(peers, move || r.recv())).collect();
            let late = spawn(peers, move || receiver.recv_timeout(ms(60_000)));
            a_moment();
            drop(sender);
            for thread in threads {
                assert_eq!(thread.join(), Err(RecvError));
            }
            assert_eq!(late.join(), Err(RecvTimeoutError::Disconnected));
        }
        for capacity in [0, 1, 3] {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|_| sender.send(7).unwrap());
            let threads: Vec<_> = (0..3).map(|_| sender.clone()).collect();
            let threads: Vec<_> =
                threads.into_iter().map(|s| spawn(peers, move || s.send(8))).collect();
            let late = spawn(peers, move || sender.send_timeout(9, ms(60_000)));
            a_moment();
            drop(receiver);
            for thread in threads {
                assert_eq!(thread.join(), Err(SendError(8)));
            }
            assert_eq!(late.join(), Err(SendTimeoutError::Disconnected(9)));
        }
    });
}

#[test]
fn time_outs_come_not_before_their_time() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make(capacity);
            let start = Instant::now();
            assert_eq!(receiver.recv_timeout(ms(20)), Err(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= ms(20));
            assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::Timeout), "long past");
            if let Some(capacity) = capacity {
                (0..capacity).for_each(|n| sender.send(n).unwrap());
                let start = Instant::now();
                assert_eq!(sender.send_timeout(9, ms(20)), Err(SendTimeoutError::Timeout(9)));
                assert!(start.elapsed() >= ms(20));
                assert_eq!(sender.send_deadline(9, start), Err(SendTimeoutError::Timeout(9)));
                (0..capacity).for_each(|n| assert_eq!(receiver.recv(), Ok(n)));
            }
            // In time, too.
            let thread = spawn(peers, move || {
                a_moment();
                sender.send_timeout(5, ms(60_000))
            });
            assert_eq!(receiver.recv_timeout(ms(60_000)), Ok(5));
            assert_eq!(thread.join(), Ok(()));
        }
    });
}

#[test]
fn a_sender_that_waits_is_not_overtaken() {
    everywhere(|peers| {
        let (sender, receiver) = bounded(1);
        sender.send(1).unwrap();
        let second = sender.clone();
        let thread = spawn(peers, move || second.send(2));
        a_moment();
        assert_eq!(receiver.recv(), Ok(1));
        match sender.try_send(3) {
            // It waited: its message took the place.
            Err(TrySendError::Full(3)) => {
                assert_eq!(receiver.recv(), Ok(2));
            }
            // It had not come to wait yet.
            Ok(()) => {
                assert_eq!(receiver.recv(), Ok(3));
                assert_eq!(receiver.recv(), Ok(2));
            }
            other => panic!("{other:?}"),
        }
        thread.join().unwrap();
    });
}

#[test]
fn messages_that_nobody_receives_are_dropped_once() {
    for capacity in [Some(3), Some(100), None] {
        let alive = Counted::counter();
        let (sender, receiver) = make(capacity);
        for _ in 0..3 {
            sender.send(Counted::new(&alive)).unwrap();
        }
        drop(receiver.recv().unwrap());
        assert_eq!(alive.load(Ordering::Relaxed), 2);
        drop(receiver);
        assert_eq!(alive.load(Ordering::Relaxed), 0, "with the last receiver, not the last sender");
        let refused = sender.send(Counted::new(&alive)).unwrap_err();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        drop(refused);
        drop(sender);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn every_message_of_a_storm_is_dropped_once() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let alive = Counted::counter();
            let (sender, receiver) = make(capacity);
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    let (sender, alive) = (sender.clone(), alive.clone());
                    spawn(peers, move || while sender.send(Counted::new(&alive)).is_ok() {})
                })
                .collect();
            for _ in 0..200 {
                drop(receiver.recv().unwrap());
            }
            drop(receiver);
            senders.into_iter().for_each(Thread::join);
            assert_eq!(alive.load(Ordering::Relaxed), 0, "{capacity:?}");
        }
    });
}

#[test]
fn iterators_end_with_the_senders() {
    let (sender, receiver) = unbounded();
    (0..5).for_each(|n| sender.send(n).unwrap());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(receiver.try_iter().next(), None);
    (0..3).for_each(|n| sender.send(n).unwrap());
    assert_eq!((&receiver).into_iter().take(2).sum::<i32>(), 1);
    drop(sender);
    assert_eq!(receiver.iter().count(), 1);
    assert_eq!(receiver.into_iter().next(), None);
}

#[test]
fn messages_of_any_size_pass() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make::<[u64; 200]>(capacity);
            let (unit, from_unit) = make::<()>(capacity);
            let thread = spawn(peers, move || {
                for n in 0..100 {
                    sender.send([n; 200]).unwrap();
                    unit.send(()).unwrap();
                }
            });
            for n in 0..100 {
                assert_eq!(receiver.recv(), Ok([n; 200]));
                assert_eq!(from_unit.recv(), Ok(()));
            }
            thread.join();
        }
    });
}

#[test]
fn channels_know_themselves() {
    let (sender, receiver) = bounded::<u8>(1);
    let (other_sender, other_receiver) = bounded::<u8>(1);
    assert!(sender.same_channel(&sender.clone()) && receiver.same_channel(&receiver.clone()));
    assert!(!sender.same_channel(&other_sender) && !receiver.same_channel(&other_receiver));
    assert!(never::<u8>().same_channel(&never()) && !receiver.same_channel(&never()));
}

#[test]
fn ends_may_be_sent_shared_and_carried_over_a_panic() {
    fn is<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    is::<Sender<u8>>();
    is::<Receiver<u8>>();
    // What can't be sent to another thread may still be sent to oneself.
    let (sender, receiver) = bounded(1);
    sender.send(std::rc::Rc::new(1)).unwrap();
    assert_eq!(*receiver.recv().unwrap(), 1);
}

#[test]
fn errors_say_what_happened_and_give_the_message_back() {
    assert_eq!(SendError(1).to_string(), "sending on a disconnected channel");
    assert_eq!(format!("{:?}", SendError(1)), "SendError(..)");
    assert_eq!(TrySendError::Full(2).into_inner(), 2);
    assert!(TrySendError::from(SendError(3)).is_disconnected());
    assert!(SendTimeoutError::Timeout(4).is_timeout());
    assert_eq!(SendTimeoutError::from(SendError(5)).into_inner(), 5);
    assert!(TryRecvError::from(RecvError).is_disconnected() && TryRecvError::Empty.is_empty());
    assert!(RecvTimeoutError::from(RecvError).is_disconnected());
    let all: [&dyn std::error::Error; 4] =
        [&RecvError, &TryRecvError::Empty, &RecvTimeoutError::Timeout, &SelectTimeoutError];
    assert!(all.iter().all(|error| !error.to_string().is_empty()));
}
