//! Interleavings that only a look inside can make happen every time.

use super::*;
use crate::backend::Backend;
use crate::config::BackendKind;
use crate::queue::Queue;
use crate::slots::Kind;
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
        let index = queue.core.slots.take(Kind::Operation, 1).expect("a slot");
        let slot = &mut queue.core.slots[index];
        (slot.op.code, slot.op.fd, slot.place) = (Code::Close, 1000, Place::Ring);
        slot.is_cancelled = is_cancelled;
        queue.core.begin(index);
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
