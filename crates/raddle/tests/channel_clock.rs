//! Channels that the clock sends to: one message, many, none.

mod channel_work;

use channel_work::*;
use raddle::select;
use raddle::sync::channel::*;
use raddle::time::{Duration, Instant};

#[test]
fn after_delivers_once_and_not_before() {
    everywhere(|_| {
        let start = Instant::now();
        let receiver = after(ms(20));
        assert_eq!((receiver.len(), receiver.capacity()), (0, Some(1)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout));
        let moment = receiver.recv().unwrap();
        assert!(start.elapsed() >= ms(20) && moment >= start + ms(20) && moment <= Instant::now());
        assert!(receiver.is_empty());
        assert_eq!(
            receiver.recv_timeout(ms(5)),
            Err(RecvTimeoutError::Timeout),
            "there is no second"
        );
        let past = at(start);
        assert!(past.is_full());
        assert_eq!(past.recv(), Ok(start));
    });
}

#[test]
fn of_several_receivers_one_gets_it() {
    everywhere(|peers| {
        let receiver = after(ms(20));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let receiver = receiver.clone();
                spawn(peers, move || receiver.recv_timeout(ms(100)).is_ok())
            })
            .collect();
        assert_eq!(threads.into_iter().map(Thread::join).filter(|&got| got).count(), 1);
    });
}

#[test]
fn ticks_keep_their_distance() {
    everywhere(|_| {
        let start = Instant::now();
        let ticks = tick(ms(5));
        let moments: Vec<_> = ticks.iter().take(4).collect();
        assert!(start.elapsed() >= ms(20));
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= ms(5)), "{moments:?}");
        // What was missed is left out.
        raddle::time::sleep(ms(20));
        assert!(ticks.try_recv().is_ok());
        assert_eq!(ticks.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_select_wakes_for_the_clock() {
    everywhere(|peers| {
        let (sender, receiver) = unbounded::<u8>();
        let start = Instant::now();
        let (late, ticks) = (after(ms(30)), tick(ms(4)));
        let mut count = 0;
        loop {
            select! {
                recv(receiver) -> _ => panic!("nobody sends yet"),
                recv(ticks) -> moment => { moment.unwrap(); count += 1; }
                recv(late) -> _ => break,
            }
        }
        assert!(start.elapsed() >= ms(30) && count >= 1, "{count} ticks");
        let thread = spawn(peers, move || {
            a_moment();
            sender.send(1).unwrap();
        });
        select! {
            recv(receiver) -> message => assert_eq!(message, Ok(1)),
            recv(after(Duration::from_secs(60))) -> _ => panic!("too late"),
            recv(never::<()>()) -> _ => unreachable!(),
        }
        thread.join();
    });
}

#[test]
fn never_delivers_nothing() {
    everywhere(|_| {
        let receiver = never::<u8>();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
        assert_eq!((receiver.len(), receiver.capacity(), receiver.is_full()), (0, Some(0), true));
    });
}

#[test]
fn a_moment_that_never_comes_does_not_come_at_once() {
    assert_eq!(after(Duration::MAX).recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
    assert_eq!(tick(Duration::MAX).recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
    let (_sender, receiver) = bounded::<u8>(0);
    select! {
        recv(receiver) -> _ => unreachable!(),
        recv(after(Duration::MAX)) -> _ => panic!("584 years too early"),
        default(ms(5)) => {}
    }
}
