//! Futures: a thread can wait for one, and be what a waker wakes.
//!
//! raddle's own calls block and need no futures. A crate whose API is `async` is used through [`block_on`]: the thread that waits
//! leaves its core to others, so thousands may. No executor is needed; a task is a thread.
//!
//! A waker rings a bell of its own (`raddle_core::bell`) and then the thread's token. The token alone would do for a future that is polled by
//! nobody else; but a future may block in its `poll` (another `block_on`, a `park`), take the token there, and the outer
//! wake-up would be lost.
//!
//! The bell and the thread are counted, as wakers are cloned and outlive what they wake. A thread keeps the last one for its next
//! `block_on`: in the steady state nothing is allocated.

use crate::label::Label;
use crate::thread::park_for;
use crate::thread::{self, Thread};
use raddle_core::bell::Bell;
use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A waker that wakes `thread` from [`thread::park`]: [`Thread::unpark`], where a `Waker` is asked for.
///
/// ```
/// use raddle::{future, thread};
/// let parked = thread::spawn(thread::park);
/// future::waker(parked.thread().clone()).wake();
/// parked.join().unwrap();
/// ```
pub fn waker(thread: Thread) -> Waker {
    Arc::new(Unparker(thread)).into()
}

struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Wakes a thread that blocks on a future.
struct Signal {
    bell: Bell,
    thread: Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If it rang already somebody has seen to the rest.
        if self.bell.ring() {
            self.thread.unpark();
        }
    }
}

impl Signal {
    #[track_caller]
    fn wait(&self) {
        while !self.bell.silence() {
            park_for(Label::FUTURE.at(0), None);
        }
    }
}

thread_local! {
    /// The calling thread's signal, while no `block_on` uses it.
    static KEPT: Cell<Option<Arc<Signal>>> = const { Cell::new(None) };
}

/// Waits for `future`: polls it here, and sleeps in between.
///
/// # Panics
///
/// What `future` panics with.
///
/// ```
/// use raddle::{future, thread};
/// let sum = future::block_on(async {
///     let (a, b) = (thread::spawn(|| 1), thread::spawn(|| 2));
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let kept = KEPT.try_with(Cell::take).ok().flatten();
    let signal =
        kept.unwrap_or_else(|| Arc::new(Signal { bell: Bell::new(), thread: thread::current() }));
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            // A late waker of this future makes the next one be polled once more: that is allowed.
            let _ = KEPT.try_with(|kept| kept.set(Some(signal)));
            return value;
        }
        signal.wait();
    }
}
