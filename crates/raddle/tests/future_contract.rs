//! `block_on` and wakers: with futures written by hand, with `JoinHandle`, from both kinds of thread.

use raddle::future::{block_on, waker};
use raddle::thread;
use raddle::time::{Duration, sleep};
use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

fn on_both(body: fn()) {
    thread::spawn(body).join().unwrap();
    body();
}

/// A flag that others set, as a future.
#[derive(Clone, Default)]
struct Flag(Arc<Mutex<(bool, Option<Waker>)>>);

impl Flag {
    fn set(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Flag {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

#[test]
fn what_is_ready_is_returned_at_once() {
    on_both(|| assert_eq!(block_on(ready(5)), 5));
}

#[test]
fn a_future_wakes_its_thread_from_either_kind() {
    on_both(|| {
        for n in 0..300 {
            let (a, b) = (Flag::default(), Flag::default());
            let (set_a, set_b) = (a.clone(), b.clone());
            let raddles = thread::spawn(move || set_a.set());
            let kernels = std::thread::spawn(move || set_b.set());
            block_on(async {
                if n % 2 == 0 {
                    sleep(Duration::from_micros(10));
                }
                a.await;
                b.await;
            });
            raddles.join().unwrap();
            kernels.join().unwrap();
        }
    });
}

#[test]
fn a_wake_up_during_the_poll_is_not_lost() {
    on_both(|| {
        let mut polls = 0;
        let value = block_on(poll_fn(|context| {
            polls += 1;
            if polls == 5 {
                return Poll::Ready("done");
            }
            context.waker().wake_by_ref();
            let another = context.waker().clone();
            another.wake();
            Poll::Pending
        }));
        assert_eq!((value, polls), ("done", 5));
    });
}

#[test]
fn nobody_polls_without_a_wake_up() {
    on_both(|| {
        // A token that is there before must not count as many wake-ups.
        thread::current().unpark();
        let polls = Cell::new(0);
        let flag = Flag::default();
        let set = flag.clone();
        let other = thread::spawn(move || {
            sleep(Duration::from_millis(20));
            set.set();
        });
        let mut flag = pin!(flag);
        block_on(poll_fn(|context| {
            polls.set(polls.get() + 1);
            flag.as_mut().poll(context)
        }));
        assert_eq!(polls.get(), 2);
        other.join().unwrap();
    });
}

#[test]
fn a_block_on_within_a_poll_takes_no_wake_up_away() {
    on_both(|| {
        let mut polls = 0;
        block_on(poll_fn(|context| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            let (outer, inner) = (context.waker().clone(), Flag::default());
            let set = inner.clone();
            let other = thread::spawn(move || {
                outer.wake();
                sleep(Duration::from_millis(2));
                set.set();
            });
            block_on(inner);
            block_on(other).unwrap();
            // And this may take the token.
            thread::park_timeout(Duration::from_millis(1));
            Poll::Pending
        }));
        assert_eq!(polls, 2);
    });
}

#[test]
fn a_late_waker_harms_nobody() {
    on_both(|| {
        let late = Arc::new(Mutex::new(None::<Waker>));
        block_on(poll_fn(|context| {
            *late.lock().unwrap() = Some(context.waker().clone());
            Poll::Ready(())
        }));
        let old = late.lock().unwrap().take().unwrap();
        old.wake_by_ref();
        block_on(ready(()));
        let flag = Flag::default();
        let set = flag.clone();
        let other = thread::spawn(move || {
            old.wake();
            set.set();
        });
        block_on(flag);
        other.join().unwrap();
    });
}

#[test]
fn handles_of_threads_are_futures() {
    on_both(|| {
        let sum = block_on(async {
            let threads: Vec<_> = (0..50)
                .map(|n| {
                    thread::spawn(move || {
                        sleep(Duration::from_micros(n * 7));
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for thread in threads {
                sum += thread.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 1225);
        assert!(block_on(thread::spawn(|| std::panic::resume_unwind(Box::new(1)))).is_err());
    });
}

#[test]
fn many_threads_block_on_futures() {
    let flags: Vec<_> = (0..1000).map(|_| Flag::default()).collect();
    let done = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = flags
        .iter()
        .map(|flag| {
            let (flag, done) = (flag.clone(), done.clone());
            thread::spawn(move || {
                block_on(flag);
                done.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    sleep(Duration::from_millis(5));
    assert_eq!(done.load(Ordering::Relaxed), 0);
    flags.iter().for_each(Flag::set);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(done.load(Ordering::Relaxed), 1000);
}

#[test]
fn a_waker_of_a_thread_is_its_unpark() {
    on_both(|| {
        let own = waker(thread::current());
        own.wake_by_ref();
        thread::park();
        let again = own.clone();
        assert!(own.will_wake(&again));
        drop(own);
        let other = thread::spawn(move || again.wake());
        thread::park();
        other.join().unwrap();
    });
}

#[test]
fn a_panic_in_a_poll_leaves_the_thread_usable() {
    on_both(|| {
        let panicking =
            || block_on(poll_fn(|_| -> Poll<()> { std::panic::resume_unwind(Box::new(1)) }));
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert_eq!(block_on(async { thread::spawn(|| 4).await.unwrap() }), 4);
    });
}
