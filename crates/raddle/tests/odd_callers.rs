//! Callers that are no raddle threads, or no longer: kernel threads in their last destructors, forked children.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;

use calls::{alarm, end_of, exit_now, fork};
use raddle::thread;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// What a crate keeps for a kernel thread may be gone when the last destructors run.
#[test]
fn a_kernel_threads_last_destructor_may_wait_for_threads() {
    struct Late(Cell<Option<Arc<AtomicU32>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let Some(ran) = self.0.take() else { return };
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(1));
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            });
            thread::park_timeout(Duration::from_millis(1));
            ran.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread_local!(static LATE: Late = const { Late(Cell::new(None)) });
    let ran = Arc::new(AtomicU32::new(0));
    let theirs = ran.clone();
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let kernel = std::thread::spawn(move || {
            // First, so that it is destroyed last.
            LATE.with(|late| late.0.set(Some(theirs)));
            let _ = thread::current();
            thread::sleep(Duration::from_micros(1));
        });
        let _ = done.send(kernel.join().is_ok());
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(20)), Ok(true), "it waits for ever");
    assert_eq!(ran.load(Ordering::Relaxed), 2);
}

/// In the child a raddle thread is as a kernel thread, and starts a runtime of its own; it is unparked as one.
#[test]
fn a_child_forked_by_a_thread_may_park() {
    let code = thread::spawn(|| {
        let child = fork();
        if child == 0 {
            alarm(20);
            let me = thread::current();
            let other = thread::spawn(move || {
                thread::sleep(Duration::from_millis(1));
                me.unpark();
            });
            thread::park();
            let is_joined = other.join().is_ok();
            let mut sum = 0;
            thread::scope(|scope| {
                scope.spawn(|| sum += 1);
            });
            exit_now(if is_joined && sum == 1 { 7 } else { 8 });
        }
        end_of(child).code()
    });
    assert_eq!(code.join().unwrap(), Some(7), "the child hung, or went wrong");
}
