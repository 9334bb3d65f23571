//! Threads that are cancelled while they wait at a channel: they unwind, and no message is lost or doubled.

mod channel_work;

use channel_work::*;
use raddle::cancel::Token;
use raddle::select;
use raddle::sync::channel::*;
use raddle::time::{Duration, Instant};
use std::sync::atomic::Ordering;

#[test]
fn whoever_waits_unwinds_and_leaves_the_channel_whole() {
    everywhere(|peers| {
        for capacity in [0, 2] {
            let token = Token::new();
            let (sender, receiver) = bounded::<u32>(capacity);
            let (_never, from_never) = bounded::<u32>(0);
            let (idle, from_idle) = bounded::<u32>(0);
            let waits: [Box<dyn FnOnce() + Send>; 3] = {
                let (a, b) = (receiver.clone(), receiver.clone());
                [
                    Box::new(move || _ = a.recv()),
                    Box::new(move || _ = b.recv_timeout(Duration::from_secs(60))),
                    Box::new(
                        move || select! { recv(receiver) -> _ => {}, recv(from_never) -> _ => {} },
                    ),
                ]
            };
            let threads: Vec<_> = waits
                .into_iter()
                .map(|wait| {
                    let token = token.clone();
                    spawn(peers, move || token.carry(wait).is_err())
                })
                .collect();
            let sends = {
                let (token, idle) = (token.clone(), idle.clone());
                spawn(peers, move || token.carry(|| idle.send(1)).is_err())
            };
            a_moment();
            token.cancel();
            assert!(threads.into_iter().chain([sends]).all(Thread::join));
            assert_eq!(idle.try_send(2), Err(TrySendError::Full(2)), "nobody waits any more");
            assert_eq!(from_idle.try_recv(), Err(TryRecvError::Empty), "nor here");
            assert_eq!(sender.send(1), Err(SendError(1)), "the receivers went with their threads");
        }
    });
}

#[test]
fn cancelling_against_a_hand_over_loses_nothing() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let start = Instant::now();
            let mut round = 0;
            while start.elapsed() < ms(200) {
                round += 1;
                let alive = Counted::counter();
                let token = Token::new();
                let (sender, receiver) = make(capacity);
                let (spare, own) = (receiver.clone(), token.clone());
                let thread = spawn(peers, move || own.carry(|| receiver.recv().map(drop)).is_ok());
                (0..round % 1000).for_each(|_| std::hint::spin_loop());
                let canceller = spawn(peers, move || token.cancel());
                let sent = sender.try_send(Counted::new(&alive)).is_ok();
                canceller.join();
                let received = thread.join();
                let left = spare.try_recv().is_ok();
                assert_eq!(usize::from(sent), usize::from(received) + usize::from(left));
                assert_eq!(alive.load(Ordering::Relaxed), 0);
            }
        }
    });
}

#[test]
fn a_message_that_was_not_sent_is_dropped_with_its_sender() {
    everywhere(|peers| {
        let alive = Counted::counter();
        let token = Token::new();
        let (sender, _receiver) = bounded(0);
        let (own, message) = (token.clone(), Counted::new(&alive));
        let thread =
            spawn(peers, move || own.carry(|| sender.send(message).map_err(drop)).is_err());
        a_moment();
        token.cancel();
        assert!(thread.join());
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_thread_that_unwinds_may_still_wait() {
    struct Waits(Receiver<u8>, Sender<u8>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.1.send(self.0.recv().unwrap()).unwrap();
        }
    }
    everywhere(|peers| {
        let token = Token::new();
        let (sender, receiver) = bounded(0);
        let (back, answers) = unbounded();
        let own = token.clone();
        let thread = spawn(peers, move || {
            own.carry(|| {
                let _waits = Waits(receiver, back);
                raddle::time::sleep(Duration::from_secs(60));
            })
            .is_err()
        });
        token.cancel();
        sender.send(7).unwrap();
        assert_eq!(answers.recv(), Ok(7));
        assert!(thread.join());
    });
}
