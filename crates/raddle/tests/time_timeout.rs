//! `timeout`: every wait of a piece of code ends with its time.

use raddle::cancel::{Cancelled, Token, shield};
use raddle::sync::channel::{bounded, unbounded};
use raddle::time::{Duration, Instant, sleep, timeout};
use raddle::{select, thread};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(10);

/// On a raddle thread and on a plain one.
fn on_both(body: fn()) {
    thread::spawn(body).join().unwrap();
    body();
}

fn ends_in_time(body: impl FnOnce()) {
    let start = Instant::now();
    assert!(timeout(SHORT, body).is_err());
    assert!(start.elapsed() >= SHORT && start.elapsed() < LONG);
}

#[test]
fn whatever_waits_too_long_ends() {
    on_both(|| {
        let (sender, receiver) = bounded::<u8>(0);
        ends_in_time(|| sleep(LONG));
        ends_in_time(|| thread::sleep(LONG));
        ends_in_time(|| _ = receiver.recv());
        ends_in_time(|| _ = sender.send(1));
        ends_in_time(|| _ = receiver.recv_timeout(LONG));
        ends_in_time(|| select! { recv(receiver) -> _ => {}, send(sender, 1) -> _ => {} });
        ends_in_time(|| (0..1_000_000).for_each(|_| sleep(Duration::from_millis(1))));
        assert_eq!(sender.try_send(1).unwrap_err().into_inner(), 1, "nobody is left behind");
    });
}

#[test]
fn what_ends_before_is_not_disturbed() {
    on_both(|| {
        let (sender, receiver) = unbounded();
        let thread = thread::spawn(move || {
            sleep(SHORT);
            sender.send(5)
        });
        assert_eq!(timeout(LONG, || receiver.recv()), Ok(Ok(5)));
        thread.join().unwrap().unwrap();
        assert_eq!(timeout(Duration::MAX, || 1), Ok(1));
        assert_eq!(timeout(Duration::ZERO, || 2), Ok(2), "nothing was waited for");
        // A wait of its own that ends before.
        assert!(timeout(LONG, || receiver.recv_timeout(SHORT)).unwrap().is_err());
        sleep(SHORT);
    });
}

#[test]
fn of_two_limits_the_shorter_one_counts_where_it_was_set() {
    on_both(|| {
        let reached = Cell::new(0);
        let outer = timeout(SHORT, || {
            let inner = timeout(LONG, || sleep(LONG));
            reached.set(1);
            inner
        });
        assert!(outer.is_err() && reached.get() == 0);
        let outer = timeout(LONG, || {
            let inner = timeout(SHORT, || sleep(LONG));
            sleep(SHORT);
            inner.is_err()
        });
        assert_eq!(outer, Ok(true));
    });
}

#[test]
fn destructors_run_and_panics_pass() {
    on_both(|| {
        struct Sets<'a>(&'a Cell<bool>);
        impl Drop for Sets<'_> {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Cell::new(false);
        ends_in_time(|| {
            let _sets = Sets(&dropped);
            sleep(LONG);
        });
        assert!(dropped.get());
        let panics = || timeout(LONG, || resume_unwind(Box::new(5)));
        let payload = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&5));
        let token = Token::new();
        token.cancel();
        assert_eq!(token.carry(|| timeout(LONG, || sleep(LONG))), Err(Cancelled));
    });
}

#[test]
fn a_shield_holds() {
    on_both(|| {
        let start = Instant::now();
        let whole = timeout(Duration::from_millis(1), || shield(|| sleep(SHORT)));
        assert!(whole.is_ok() && start.elapsed() >= SHORT);
    });
}
