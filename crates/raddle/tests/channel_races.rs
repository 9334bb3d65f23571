//! Races at channels, by name, and storms that look for those that have none. Each is bounded in time.

mod channel_work;

use channel_work::*;
use raddle::select;
use raddle::sync::channel::*;
use raddle::time::Instant;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Repeats `race` for a while.
fn race(race: impl Fn(u64)) {
    let start = Instant::now();
    let mut round = 0;
    while start.elapsed() < ms(400) {
        race(round);
        round += 1;
    }
}

/// Takes a while that differs from round to round.
fn dawdle(steps: u64) {
    for _ in 0..steps {
        std::hint::spin_loop();
    }
}

#[test]
fn closing_against_sending_loses_no_message_twice() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            race(|round| {
                let alive = Counted::counter();
                let (sender, receiver) = make(capacity);
                let message = Counted::new(&alive);
                let thread = spawn(peers, move || sender.send(message).map_err(drop));
                dawdle(round % 2000);
                let received = if round % 3 == 0 { receiver.try_recv().is_ok() } else { false };
                drop(receiver);
                let sent = thread.join().is_ok();
                assert!(sent || !received, "received, and said to be unsent");
                assert_eq!(alive.load(Ordering::Relaxed), 0);
            });
        }
    });
}

#[test]
fn a_time_out_against_a_hand_over_has_one_winner() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            race(|round| {
                let (sender, receiver) = make(capacity);
                let spare = receiver.clone();
                let thread =
                    spawn(peers, move || receiver.recv_timeout(Duration::from_micros(round % 60)));
                dawdle(round % 3000);
                let sent = sender.try_send(round);
                match (thread.join(), sent) {
                    (Ok(message), Ok(())) => {
                        assert_eq!(message, round);
                        assert_eq!(spare.try_recv(), Err(TryRecvError::Empty));
                    }
                    (Err(RecvTimeoutError::Timeout), Ok(())) => {
                        assert_eq!(spare.try_recv(), Ok(round), "the message was lost");
                    }
                    (Err(RecvTimeoutError::Timeout), Err(TrySendError::Full(_))) => {
                        assert_eq!(capacity, Some(0));
                    }
                    other => panic!("{other:?}"),
                }
            });
        }
    });
}

#[test]
fn a_time_out_of_a_sender_against_its_receiver_has_one_winner() {
    everywhere(|peers| {
        for capacity in [0, 1] {
            race(|round| {
                let (sender, receiver) = bounded(capacity);
                (0..capacity).for_each(|_| sender.send(u64::MAX).unwrap());
                let thread = spawn(peers, move || {
                    sender.send_timeout(round, Duration::from_micros(round % 60))
                });
                dawdle(round % 3000);
                let mut received: Vec<u64> = receiver.try_iter().collect();
                let sent = thread.join();
                received.extend(receiver.try_iter());
                let came = received.contains(&round);
                assert_eq!(came, sent.is_ok(), "{received:?} {sent:?}");
            });
        }
    });
}

#[test]
fn two_selects_that_meet_agree() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (a, from_a) = make(capacity);
            let (b, from_b) = make(capacity);
            let rounds = 2000;
            // Each offers on one channel and listens on the other; what one has sent the other has received.
            let meet = move |to: Sender<u64>, from: Receiver<u64>| {
                let (mut sent, mut received) = (0, 0);
                while sent < rounds || received < rounds {
                    select! {
                        send(if sent < rounds { to.clone() } else { bounded(0).0 }, sent) -> result => {
                            sent += u64::from(result.is_ok());
                        }
                        recv(if received < rounds { from.clone() } else { never() }) -> message => {
                            assert_eq!(message, Ok(received));
                            received += 1;
                        }
                    }
                }
            };
            let thread = spawn(peers, move || meet(a, from_b));
            meet(b, from_a);
            thread.join();
        }
    });
}

#[test]
fn selects_meet_plain_operations_and_each_other_in_every_way() {
    everywhere(|peers| {
        for sender_selects in [false, true] {
            for receiver_selects in [false, true] {
                let (sender, receiver) = bounded(0);
                let (_unused, idle) = bounded::<u64>(0);
                let other = idle.clone();
                let thread = spawn(peers, move || {
                    for n in 0..2000 {
                        if sender_selects {
                            select! {
                                send(sender, n) -> sent => sent.unwrap(),
                                recv(other) -> _ => unreachable!(),
                            }
                        } else if n % 3 == 0 {
                            // Time-outs on the way, until it is sent.
                            let mut message = n;
                            while let Err(error) =
                                sender.send_timeout(message, Duration::from_micros(5))
                            {
                                message = error.into_inner();
                            }
                        } else {
                            sender.send(n).unwrap();
                        }
                    }
                });
                for n in 0..2000 {
                    if receiver_selects {
                        select! {
                            recv(receiver) -> message => assert_eq!(message, Ok(n)),
                            recv(idle) -> _ => unreachable!(),
                        }
                    } else if n % 5 == 0 {
                        let received = loop {
                            if let Ok(n) = receiver.recv_timeout(Duration::from_micros(5)) {
                                break n;
                            }
                        };
                        assert_eq!(received, n);
                    } else {
                        assert_eq!(receiver.recv(), Ok(n));
                    }
                }
                thread.join();
            }
        }
    });
}

#[test]
fn a_select_with_the_same_channel_twice_takes_each_message_once() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make(capacity);
            let thread = spawn(peers, move || {
                for n in 0..2000 {
                    select! {
                        send(sender, n) -> sent => sent.unwrap(),
                        send(&sender, n) -> sent => sent.unwrap(),
                    }
                }
            });
            let mut taken = [0, 0];
            for n in 0..2000 {
                select! {
                    recv(receiver) -> message => { assert_eq!(message, Ok(n)); taken[0] += 1; }
                    recv(receiver) -> message => { assert_eq!(message, Ok(n)); taken[1] += 1; }
                }
            }
            assert_eq!(receiver.recv(), Err(RecvError));
            assert!(taken[0] + taken[1] == 2000 && taken[0] > 0 && taken[1] > 0, "{taken:?}");
            thread.join();
        }
    });
}

#[test]
fn a_select_does_not_meet_itself() {
    everywhere(|_| {
        let (sender, receiver) = bounded(0);
        for _ in 0..20 {
            select! {
                send(sender, 1) -> _ => panic!("nobody receives"),
                recv(receiver) -> _ => panic!("nobody sends"),
                default(Duration::from_micros(200)) => {}
            }
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    });
}

#[test]
fn closing_against_a_select_that_waits() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            race(|round| {
                let (sender, receiver) = make::<u64>(capacity);
                let (other, from_other) = make::<u64>(capacity);
                let thread = spawn(peers, move || {
                    select! {
                        recv(receiver) -> message => message.is_err(),
                        recv(from_other) -> message => message == Ok(5),
                    }
                });
                dawdle(round % 2000);
                if round % 2 == 0 {
                    drop(sender);
                    assert!(thread.join());
                } else {
                    // The one who was promised a message still comes to fetch it.
                    let _ = other.send(5);
                    drop((sender, other));
                    assert!(thread.join());
                }
            });
        }
    });
}

/// Every message of every sender is received once, whatever the receivers do.
fn storm(capacity: Option<usize>, senders: usize, receivers: usize, each: usize) {
    let (sender, receiver) = make(capacity);
    let kind = |n: usize| KINDS[n % 2];
    let sending: Vec<_> = (0..senders)
        .map(|id| {
            let sender = sender.clone();
            spawn(kind(id), move || {
                for n in 0..each {
                    let mut message = (id, n);
                    match n % 4 {
                        0 => select! { send(sender, message) -> sent => sent.unwrap() },
                        1 => {
                            while let Err(error) =
                                sender.send_timeout(message, Duration::from_micros(20))
                            {
                                message = error.into_inner();
                            }
                        }
                        _ => sender.send(message).unwrap(),
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let receiving: Vec<_> = (0..receivers)
        .map(|id| {
            let receiver = receiver.clone();
            spawn(kind(id / 2), move || {
                let mut got = Vec::new();
                loop {
                    let message = match got.len() % 4 {
                        0 => select! { recv(receiver) -> message => message, recv(never::<(usize, usize)>()) -> m => m },
                        1 => loop {
                            match receiver.recv_timeout(Duration::from_micros(20)) {
                                Ok(message) => break Ok(message),
                                Err(RecvTimeoutError::Timeout) => {}
                                Err(RecvTimeoutError::Disconnected) => break Err(RecvError),
                            }
                        },
                        _ => receiver.recv(),
                    };
                    match message {
                        Ok(message) => got.push(message),
                        Err(RecvError) => return got,
                    }
                }
            })
        })
        .collect();
    drop(receiver);
    sending.into_iter().for_each(Thread::join);
    let mut all = HashSet::new();
    for thread in receiving {
        let mut last = vec![None; senders];
        for (id, n) in thread.join() {
            assert!(all.insert((id, n)), "{id}'s {n} came twice");
            assert!(last[id] < Some(n), "{id}'s {n} after {:?}", last[id]);
            last[id] = Some(n);
        }
    }
    assert_eq!(all.len(), senders * each);
}

#[test]
fn a_storm_of_senders_and_receivers_of_both_kinds() {
    for capacity in CAPACITIES {
        for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (6, 5)] {
            watched(&format!("{capacity:?} {senders}:{receivers}"), || {
                storm(capacity, senders, receivers, 12_000 / senders);
            });
        }
    }
}

#[test]
fn a_storm_from_within() {
    watched("started by a raddle thread", || {
        let all = || CAPACITIES.into_iter().for_each(|capacity| storm(capacity, 5, 5, 2_000));
        raddle::thread::spawn(all).join().unwrap();
    });
}

#[test]
fn receivers_that_share_get_a_share_each() {
    everywhere(|peers| {
        let (sender, receiver) = unbounded::<()>();
        let is_over = Arc::new(AtomicBool::new(false));
        let got: Vec<_> = (0..4).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let threads: Vec<_> = got
            .iter()
            .map(|got| {
                let (receiver, got, is_over) = (receiver.clone(), got.clone(), is_over.clone());
                spawn(peers, move || {
                    for () in receiver {
                        got.fetch_add(1, Ordering::Relaxed);
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                })
            })
            .collect();
        let start = Instant::now();
        while got.iter().any(|got| got.load(Ordering::Relaxed) < 10) {
            sender.send(()).unwrap();
            raddle::time::sleep(Duration::from_micros(50));
            assert!(start.elapsed() < Duration::from_secs(30), "one receiver starves: {got:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        drop(sender);
        threads.into_iter().for_each(Thread::join);
    });
}
