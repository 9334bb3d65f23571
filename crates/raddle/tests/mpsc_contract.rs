//! `sync::mpsc` against `std::sync::mpsc`: the same program on both, by a macro, with the same outcome.

use std::time::Duration;

macro_rules! suite {
    ($name:ident, $mpsc:path, $thread:path) => {
        mod $name {
            use super::Duration;
            use mpsc::*;
            use $mpsc as mpsc;
            use $thread as thread;

            fn ms(ms: u64) -> Duration {
                Duration::from_millis(ms)
            }

            #[test]
            fn messages_come_in_order_from_each_of_many_senders() {
                let (sender, receiver) = channel();
                let threads: Vec<_> = (0..5usize)
                    .map(|id| {
                        let sender = sender.clone();
                        thread::spawn(move || {
                            (0..1000usize).for_each(|n| sender.send((id, n)).unwrap())
                        })
                    })
                    .collect();
                drop(sender);
                let mut next = [0; 5];
                for (id, n) in &receiver {
                    assert_eq!(n, next[id]);
                    next[id] += 1;
                }
                assert_eq!(next, [1000; 5]);
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            }

            #[test]
            fn a_bounded_channel_holds_senders_back() {
                for bound in [0, 1, 4] {
                    let (sender, receiver) = sync_channel(bound);
                    (0..bound).for_each(|n| sender.try_send(n).unwrap());
                    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
                    let second = sender.clone();
                    let thread = thread::spawn(move || second.send(bound));
                    for n in 0..=bound {
                        assert_eq!(receiver.recv(), Ok(n));
                    }
                    thread.join().unwrap().unwrap();
                    drop(receiver);
                    assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)));
                    assert_eq!(sender.send(1), Err(SendError(1)));
                }
            }

            #[test]
            fn what_was_sent_is_received_after_the_senders_are_gone() {
                let (sender, receiver) = channel();
                sender.send(1).unwrap();
                drop(sender);
                assert_eq!(receiver.try_recv(), Ok(1));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
                assert_eq!(receiver.recv(), Err(RecvError));
                assert_eq!(receiver.recv_timeout(ms(1)), Err(RecvTimeoutError::Disconnected));
                assert_eq!(receiver.into_iter().next(), None);
            }

            #[test]
            fn sending_without_a_receiver_fails() {
                let (sender, receiver) = channel();
                let thread = thread::spawn(move || {
                    let mut sent = 0;
                    while sender.send(Box::new(sent)).is_ok() {
                        sent += 1;
                    }
                    sent
                });
                for n in 0..100 {
                    assert_eq!(*receiver.recv().unwrap(), n);
                }
                drop(receiver);
                assert!(thread.join().unwrap() >= 100);
            }

            #[test]
            fn whoever_waits_is_told_of_the_end() {
                let (sender, receiver) = sync_channel::<u8>(0);
                let thread = thread::spawn(move || sender.send(1));
                thread::sleep(ms(5));
                drop(receiver);
                assert_eq!(thread.join().unwrap(), Err(SendError(1)));
                let (sender, receiver) = channel::<u8>();
                let thread = thread::spawn(move || receiver.recv());
                thread::sleep(ms(5));
                drop(sender);
                assert_eq!(thread.join().unwrap(), Err(RecvError));
            }

            #[test]
            fn time_outs() {
                let (sender, receiver) = channel();
                let start = std::time::Instant::now();
                assert_eq!(receiver.recv_timeout(ms(10)), Err(RecvTimeoutError::Timeout));
                assert!(start.elapsed() >= ms(10));
                let thread = thread::spawn(move || sender.send(1));
                assert_eq!(receiver.recv_timeout(ms(60_000)), Ok(1));
                thread.join().unwrap().unwrap();
            }

            #[test]
            fn iterators() {
                let (sender, receiver) = channel();
                (0..4).for_each(|n| sender.send(n).unwrap());
                assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
                assert_eq!(receiver.try_iter().next(), None);
                sender.send(5).unwrap();
                drop(sender);
                assert_eq!(receiver.iter().collect::<Vec<_>>(), [5]);
            }

            #[test]
            fn ends_are_sent_and_senders_shared() {
                fn is_send<T: Send>() {}
                fn is_sync<T: Sync>() {}
                is_send::<(Sender<u8>, SyncSender<u8>, Receiver<u8>)>();
                is_sync::<(Sender<u8>, SyncSender<u8>)>();
                let (sender, receiver) = channel::<std::rc::Rc<u8>>();
                sender.send(std::rc::Rc::new(1)).unwrap();
                assert_eq!(*receiver.recv().unwrap(), 1);
                let (bounded, _) = sync_channel::<u8>(1);
                assert_eq!(
                    format!("{sender:?} {bounded:?} {receiver:?}"),
                    "Sender { .. } SyncSender { .. } Receiver { .. }"
                );
            }

            #[test]
            fn a_sender_travels_through_its_own_channel() {
                let (sender, receiver) = sync_channel::<SyncSender<u32>>(0);
                let (answer, answers) = sync_channel(0);
                let thread = thread::spawn(move || receiver.recv().unwrap().send(7));
                sender.send(answer).unwrap();
                assert_eq!(answers.recv(), Ok(7));
                thread.join().unwrap().unwrap();
            }
        }
    };
}

suite!(raddles, raddle::sync::mpsc, raddle::thread);
suite!(raddles_on_kernel_threads, raddle::sync::mpsc, std::thread);
suite!(stds, std::sync::mpsc, std::thread);
