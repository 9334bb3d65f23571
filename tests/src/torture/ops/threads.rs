//! Beginnings and ends of threads: whoever is spawned is joined with the right value, or is counted.

use super::super::work::{Expected, expected, spin};
use super::super::world::Actor;
use raddle::thread::{self, Priority};
use std::cell::Cell;
use std::future::Future;
use std::panic::panic_any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(super) fn spawn_join(actor: &mut Actor) {
    let count = actor.between(1, 8);
    let waits = actor.random.one_in(2);
    let threads: Vec<_> = (0..count)
        .map(|n| {
            let rounds = actor.random.below(20_000);
            thread::spawn(move || {
                if waits {
                    thread::yield_now();
                }
                (n, spin(rounds))
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        let is_right = matches!(thread.join(), Ok((value, _)) if value == n as u64);
        actor.world.check(is_right, "a thread was joined with another's value");
        actor.step();
    }
}

/// A tree of threads: each joins its children and gives their sum and one.
pub(super) fn nested(actor: &mut Actor) {
    fn grow(depth: u64, width: u64) -> u64 {
        if depth == 0 {
            return 1;
        }
        let children: Vec<_> =
            (0..width).map(|_| thread::spawn(move || grow(depth - 1, width))).collect();
        1 + children.into_iter().map(|child| child.join().unwrap_or(0)).sum::<u64>()
    }
    let (depth, width) = (actor.between(1, 4), actor.between(1, 3));
    let wanted: u64 = (0..=depth).map(|level| width.pow(level as u32)).sum();
    actor.world.check(grow(depth, width) == wanted, "a tree of threads lost some");
}

pub(super) fn detached(actor: &mut Actor) {
    let world = actor.world;
    for _ in 0..actor.between(1, 4) {
        world.detached[0].fetch_add(1, Ordering::Relaxed);
        let rounds = actor.random.below(5_000);
        drop(thread::spawn(move || {
            spin(rounds);
            world.detached[1].fetch_add(1, Ordering::Release);
        }));
    }
}

pub(super) fn panics(actor: &mut Actor) {
    let wanted = actor.random.next_u64();
    let rounds = actor.random.below(5_000);
    let result = thread::spawn(move || {
        let _on_the_way = Box::new(wanted);
        spin(rounds);
        panic_any(Expected(wanted));
    })
    .join();
    let payload = result.err().and_then(|payload| expected(&*payload));
    actor.world.check(payload == Some(wanted), "a panic's payload was lost");
}

pub(super) fn scoped(actor: &mut Actor) {
    let mut numbers: Vec<u64> =
        (0..actor.between(1, 12)).map(|_| actor.random.below(1 << 32)).collect();
    let wanted: u64 = numbers.iter().map(|n| n + 1).sum();
    let sum = AtomicU64::new(0);
    let joined = thread::scope(|scope| {
        for number in &mut numbers {
            let sum = &sum;
            scope.spawn(move || {
                *number += 1;
                sum.fetch_add(*number, Ordering::Relaxed);
            });
        }
        let panics = scope.spawn(|| panic_any(Expected(7)));
        expected(&*panics.join().err().unwrap_or_else(|| Box::new(())))
    });
    actor.world.check(joined == Some(7), "a scoped panic was lost");
    let sums = (sum.load(Ordering::Relaxed), numbers.iter().sum::<u64>());
    actor.world.check(sums == (wanted, wanted), "a scope ended before its threads");
}

pub(super) fn burst(actor: &mut Actor) {
    let ran = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..1_000)
        .map(|_| {
            let ran = ran.clone();
            thread::spawn(move || ran.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    for thread in threads {
        actor.world.check(thread.join().is_ok(), "a thread of a burst failed");
        actor.step();
    }
    actor.world.check(ran.load(Ordering::Relaxed) == 1_000, "a burst lost threads");
}

/// A kernel thread that spawns and joins, parks and is unparked, and ends.
pub(super) fn from_kernel_thread(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let rounds = actor.between(1, 20);
    let kernel = std::thread::spawn(move || {
        let me = thread::current();
        let mut sum = 0;
        for n in 0..rounds {
            let me = me.clone();
            let child = thread::spawn(move || {
                me.unpark();
                n
            });
            thread::park();
            sum += child.join().unwrap_or(u64::MAX / 2);
        }
        sum
    });
    let wanted = rounds * (rounds - 1) / 2;
    actor.world.check(kernel.join().ok() == Some(wanted), "a kernel thread joined wrongly");
}

/// A thread-local whose destructor, the last to run, waits for others: whatever this crate keeps for the thread may be gone by then.
pub(super) fn scope_in_destructor(actor: &mut Actor) {
    struct Late(Cell<Option<Arc<AtomicU64>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            if let Some(ran) = self.0.take() {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        spin(1_000);
                        ran.fetch_add(1, Ordering::Relaxed);
                    });
                });
                thread::sleep(std::time::Duration::from_micros(10));
                ran.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    thread_local!(static LATE: Late = const { Late(Cell::new(None)) });
    let ran = Arc::new(AtomicU64::new(0));
    let theirs = ran.clone();
    let main = move || {
        // First, so that it is destroyed last.
        LATE.with(|late| late.0.set(Some(theirs)));
        let _ = thread::current();
        thread::sleep(std::time::Duration::from_micros(1));
    };
    let is_joined = if actor.random.one_in(2) {
        thread::spawn(main).join().is_ok()
    } else {
        let Some(_leave) = actor.may_block() else { return };
        std::thread::spawn(main).join().is_ok()
    };
    let is_right = is_joined && ran.load(Ordering::Relaxed) == 2;
    actor.world.check(is_right, "a destructor that waits did not come to its end");
}

/// Handles are futures: the waker unparks whoever awaits.
pub(super) fn awaited(actor: &mut Actor) {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let wanted = actor.random.next_u64();
    let rounds = actor.random.below(5_000);
    let mut handle = pin!(thread::spawn(move || {
        spin(rounds);
        wanted
    }));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let result = loop {
        match handle.as_mut().poll(&mut context) {
            Poll::Ready(result) => break result,
            Poll::Pending => thread::park(),
        }
    };
    actor.world.check(result.ok() == Some(wanted), "an awaited thread gave another value");
}

pub(super) fn priority(actor: &mut Actor) {
    let before = thread::priority();
    let nice = actor.between(0, 20) as i32 - 10;
    thread::set_priority(Priority::new(nice));
    let child = thread::spawn(|| (thread::priority().nice(), spin(3_000))).join();
    actor.world.check(matches!(child, Ok((own, _)) if own == nice), "a priority was not inherited");
    actor.world.check(thread::priority().nice() == nice, "a priority did not last");
    thread::set_priority(before);
}
