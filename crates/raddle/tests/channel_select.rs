//! Select: exactly one operation happens, any that can, and what `Select` and `select!` promise about it.

mod channel_work;

use channel_work::*;
use raddle::sync::channel::*;
use raddle::time::Instant;
use raddle::{select, select_biased};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

#[test]
fn one_operation_happens_and_no_other() {
    everywhere(|_| {
        for capacity in [Some(1), Some(3), None] {
            let (a, from_a) = make(capacity);
            let (b, from_b) = make(capacity);
            a.send(1).unwrap();
            b.send(2).unwrap();
            for left in [1, 0] {
                select! {
                    recv(from_a) -> message => assert_eq!(message, Ok(1)),
                    recv(from_b) -> message => assert_eq!(message, Ok(2)),
                }
                assert_eq!(from_a.len() + from_b.len(), left);
            }
        }
    });
}

#[test]
fn all_that_can_be_done_get_their_turns() {
    let channels: Vec<_> = (0..4).map(|_| bounded::<u32>(1)).collect();
    let (_full, idle) = bounded::<u32>(1);
    let mut counts = [0; 4];
    for _ in 0..4000 {
        channels.iter().for_each(|(sender, _)| _ = sender.try_send(1));
        let mut select = Select::new();
        select.recv(&idle);
        channels.iter().for_each(|(_, receiver)| _ = select.recv(receiver));
        let selected = select.select();
        let index = selected.index() - 1;
        selected.recv(&channels[index].1).unwrap();
        counts[index] += 1;
    }
    assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
}

#[test]
fn a_biased_select_takes_the_first() {
    let (_idle, from_idle) = unbounded::<u32>();
    let (a, from_a) = unbounded();
    let (b, from_b) = unbounded();
    for n in 0..50 {
        a.send(n).unwrap();
        b.send(n).unwrap();
    }
    for n in 0..50 {
        let mut select = Select::new_biased();
        select.recv(&from_idle);
        let first = select.recv(&from_a);
        select.recv(&from_b);
        let selected = select.select();
        assert_eq!(selected.index(), first);
        assert_eq!(selected.recv(&from_a), Ok(n));
    }
    select_biased! {
        recv(from_a) -> _ => panic!("it is empty"),
        recv(from_b) -> message => assert_eq!(message, Ok(0)),
        default => panic!("there is a message"),
    }
}

#[test]
fn a_select_waits_for_whoever_comes_first() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (a, from_a) = make(capacity);
            let (_b, from_b) = make::<u8>(capacity);
            let thread = spawn(peers, move || {
                a_moment();
                a.send(1)
            });
            select! {
                recv(from_a) -> message => assert_eq!(message, Ok(1)),
                recv(from_b) -> _ => panic!("nobody sent there"),
            }
            thread.join().unwrap();
        }
        for capacity in [0, 1] {
            let (a, from_a) = bounded(capacity);
            let (b, _from_b) = bounded(capacity);
            (0..capacity).for_each(|_| (a.send(7).unwrap(), b.send(7).unwrap()).0);
            let thread = spawn(peers, move || {
                a_moment();
                (0..=capacity).map(|_| from_a.recv().unwrap()).collect::<Vec<_>>()
            });
            select! {
                send(a, 8) -> sent => assert_eq!(sent, Ok(())),
                send(b, 9) -> _ => panic!("nobody receives there"),
            }
            assert_eq!(thread.join().last(), Some(&8));
        }
    });
}

#[test]
fn time_outs_and_defaults() {
    everywhere(|_| {
        let (sender, receiver) = bounded::<u8>(0);
        let start = Instant::now();
        select! {
            recv(receiver) -> _ => panic!("nobody sends"),
            send(sender, 1) -> _ => panic!("nobody receives"),
            default(ms(20)) => assert!(start.elapsed() >= ms(20)),
        }
        let said = select! {
            recv(receiver) -> _ => "a message",
            default => "nothing",
        };
        assert_eq!(said, "nothing");
        let mut select = Select::new();
        select.recv(&receiver);
        assert_eq!(select.try_select().unwrap_err(), TrySelectError);
        let start = Instant::now();
        assert_eq!(select.select_timeout(ms(20)).unwrap_err(), SelectTimeoutError);
        assert!(start.elapsed() >= ms(20));
        assert_eq!(select.select_deadline(start).unwrap_err(), SelectTimeoutError);
        assert_eq!(Select::new().try_select().unwrap_err(), TrySelectError);
        assert_eq!(Select::default().select_timeout(ms(1)).unwrap_err(), SelectTimeoutError);
    });
}

#[test]
fn an_end_that_is_gone_can_be_selected() {
    everywhere(|peers| {
        for capacity in CAPACITIES {
            let (sender, receiver) = make::<u8>(capacity);
            let (_other, idle) = make::<u8>(capacity);
            let thread = spawn(peers, move || {
                a_moment();
                drop(sender);
            });
            for _ in 0..3 {
                select! {
                    recv(receiver) -> message => assert_eq!(message, Err(RecvError)),
                    recv(idle) -> _ => panic!("nobody sends"),
                }
            }
            thread.join();
        }
        for capacity in [0, 1] {
            let (sender, receiver) = bounded::<u8>(capacity);
            (0..capacity).for_each(|_| sender.send(1).unwrap());
            let thread = spawn(peers, move || {
                a_moment();
                drop(receiver);
            });
            for _ in 0..3 {
                select! { send(sender, 2) -> sent => assert_eq!(sent, Err(SendError(2))) }
            }
            thread.join();
        }
    });
}

#[test]
fn operations_are_added_and_taken_out() {
    let (a, from_a) = bounded(1);
    let (b, from_b) = bounded(1);
    a.send(1).unwrap();
    let mut select = Select::new();
    let receive_a = select.recv(&from_a);
    let receive_b = select.recv(&from_b);
    let send_b = select.send(&b);
    assert_eq!((receive_a, receive_b, send_b), (0, 1, 2));
    select.remove(receive_a);
    let selected = select.select();
    assert_eq!(selected.index(), send_b);
    selected.send(&b, 5).unwrap();
    let selected = select.try_select().unwrap();
    assert_eq!(selected.index(), receive_b);
    assert_eq!(selected.recv(&from_b), Ok(5));
    assert_eq!(from_a.recv(), Ok(1));
    let misuse = |body: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
    misuse(&mut || select.remove(receive_a));
    misuse(&mut || drop(Select::new().select()));
}

#[test]
fn a_claim_holds_until_it_is_completed_or_dropped() {
    for capacity in [Some(1), Some(2), None] {
        let (sender, receiver) = make(capacity);
        sender.send(1).unwrap();
        let mut select = Select::new();
        select.recv(&receiver);
        let selected = select.select();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it is promised");
        assert!(receiver.is_empty());
        assert_eq!(selected.recv(&receiver), Ok(1));

        sender.send(2).unwrap();
        let selected = select.select();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(selected)));
        assert!(dropped.is_err(), "that is a mistake");
        assert_eq!(receiver.try_recv(), Ok(2), "the promise was taken back");
    }
    let (sender, receiver) = bounded(1);
    let mut select = Select::new();
    select.send(&sender);
    let selected = select.select();
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)), "the place is promised");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(selected))).is_err());
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(receiver.recv(), Ok(1));
}

#[test]
fn a_promise_that_is_broken_does_not_hang_the_other_side() {
    everywhere(|peers| {
        // A select that has agreed to send, and then does not.
        let (sender, receiver) = bounded(0);
        let (other, waits) = (sender.clone(), receiver.clone());
        let thread = spawn(peers, move || waits.recv());
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(selected))).is_err());
        other.send(5).unwrap();
        assert_eq!(thread.join(), Ok(5), "it waits for another");

        // One that has agreed to receive.
        let alive = Counted::counter();
        let (sender, receiver) = bounded(0);
        let message = Counted::new(&alive);
        let thread = spawn(peers, move || sender.send(message).map_err(drop));
        let mut select = Select::new();
        select.recv(&receiver);
        let selected = select.select();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(selected))).is_err());
        thread.join().unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 0, "sent, and dropped with the claim");
    });
}

#[test]
fn a_selected_operation_is_completed_with_its_own_end() {
    let (sender, receiver) = bounded(1);
    let (_, wrong) = bounded::<i32>(1);
    sender.send(1).unwrap();
    let mut select = Select::new();
    select.recv(&receiver);
    let selected = select.select();
    assert!(catch_unwind(AssertUnwindSafe(|| selected.recv(&wrong))).is_err());
    assert_eq!(receiver.recv(), Ok(1));
}

#[test]
fn many_operations() {
    everywhere(|peers| {
        let channels: Vec<_> = (0..300).map(|_| bounded(0)).collect();
        let senders: Vec<Sender<usize>> =
            channels.iter().map(|(sender, _)| sender.clone()).collect();
        let thread = spawn(peers, move || {
            for (n, sender) in senders.iter().enumerate().step_by(7) {
                sender.send(n).unwrap();
            }
        });
        let mut select = Select::new();
        channels.iter().for_each(|(_, receiver)| _ = select.recv(receiver));
        for n in (0..300).step_by(7) {
            let selected = select.select();
            let index = selected.index();
            assert_eq!((index, selected.recv(&channels[index].1)), (n, Ok(n)));
        }
        thread.join();
    });
}

#[test]
fn cases_may_be_written_in_many_ways() {
    let (sender, receiver) = bounded(8);
    let reference = &receiver;
    fn early(receiver: &Receiver<i32>) -> Result<i32, RecvError> {
        let value = select! { recv(receiver) -> message => message? };
        Ok(value + 1)
    }
    for round in 0.. {
        let computed = || sender.clone();
        select! {
            send(computed(), round) -> sent => {
                sent.unwrap();
            }
            recv(never::<i32>()) -> _ => unreachable!(),
            default() => break,
        }
        if round == 3 {
            continue;
        }
        if round == 5 {
            break;
        }
    }
    let sum = select! {
        recv(reference) -> message => { let first: i32 = message.unwrap(); first }
        default => -1
    };
    assert_eq!(sum, 0);
    assert_eq!(early(&receiver), Ok(2));
    let Ok(third) = select!(recv(receiver) -> message => message) else { panic!("it is there") };
    assert_eq!(third, 2);
    let mut evaluated = 0;
    let (full, _keep) = bounded(0);
    select! {
        send(full, { evaluated += 1; evaluated }) -> _ => unreachable!(),
        default => {}
    }
    assert_eq!(evaluated, 0, "the message is computed when it is to be sent");
    select! { default => {} }
}
