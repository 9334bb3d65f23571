//! Interleavings that only a look inside can make happen every time.

use super::*;
use crate::backend::Backend;
use crate::config::BackendKind;
use crate::queue::Queue;
use crate::slots::Kind;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Instant;

/// A queue on this backend, if the machine has it.
fn queue() -> Option<Queue> {
    let config = Config { backend: Some(BackendKind::IoUring), ..Config::default() };
    Queue::new(&config).inspect_err(|error| eprintln!("ignored: {error}")).ok()
}

/// A completion may stand in the ring before the kernel is entered: of a queue that has changed kernel threads, or at a tick.
#[test]
fn a_wake_between_dozing_and_sleeping_is_not_lost() {
    let Some(mut queue) = queue() else { return };
    let waker = queue.waker();
    for _ in 0..3 {
        assert!(queue.core.wake.word.doze());
        waker.wake();
        let start = Instant::now();
        queue.backend.enter(&mut queue.core, Some(Duration::from_secs(2))).expect("a round");
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "it sleeps, and nobody will signal again"
        );
        queue.core.wake.word.take();
    }
}

/// Linux closes the number also where it says so; done again, it would close somebody else's.
#[test]
fn a_close_that_was_interrupted_is_done() {
    let Some(mut queue) = queue() else { return };
    for is_cancelled in [false, true] {
        let index = in_the_ring(&mut queue, Code::Close, 1000);
        queue.core.slots[index].is_cancelled = is_cancelled;
        let name = queue.core.slots.name(index);
        let Backend::Uring(uring) = &mut queue.backend else { panic!("another backend") };
        uring.finish(&mut queue.core, name, -i64::from(libc::EINTR));
        assert_eq!(
            (queue.core.slots[index].place, queue.core.slots[index].result),
            (Place::Rest, 0)
        );
        assert_eq!(queue.core.in_flight, 0);
    }
}

/// An operation that the ring has, on `fd`.
fn in_the_ring(queue: &mut Queue, code: Code, fd: i32) -> u32 {
    let index = queue.core.slots.take(Kind::Operation, 1).expect("a slot");
    let slot = &mut queue.core.slots[index];
    (slot.op.code, slot.op.fd, slot.place) = (code, fd, Place::Ring);
    queue.core.begin(index);
    index
}

/// Setting the machine's clock is what makes a timerfd say that, so here nobody asks it.
#[test]
fn a_timer_may_say_by_itself_that_it_was_cancelled() {
    let Some(mut queue) = queue() else { return };
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is involved, and nobody else has the new descriptor.
    let timer = unsafe { OwnedFd::from_raw_fd(libc::timerfd_create(libc::CLOCK_REALTIME, flags)) };
    let (pipe, _writer) = std::io::pipe().expect("a pipe");
    let given_up = -i64::from(libc::ECANCELED);
    for (fd, place) in [(timer.as_raw_fd(), Place::Rest), (pipe.as_raw_fd(), Place::Again)] {
        let index = in_the_ring(&mut queue, Code::Read, fd);
        let name = queue.core.slots.name(index);
        let Backend::Uring(uring) = &mut queue.backend else { panic!("another backend") };
        uring.finish(&mut queue.core, name, given_up);
        assert_eq!(queue.core.slots[index].place, place);
    }
    assert!(queue.core.has_reports());
    assert_eq!(queue.core.in_flight, 1, "what a pipe's reader has not asked for is done again");
}
