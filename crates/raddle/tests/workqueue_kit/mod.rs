//! Queues of all kinds.
#![allow(dead_code, reason = "each test uses some of it")]

use raddle::sync::Semaphore;
use raddle::workqueue::{Builder, Workqueue};
use std::sync::Arc;

pub(crate) fn unbound() -> Workqueue {
    Builder::new("unbound").build().unwrap()
}

pub(crate) fn bound() -> Workqueue {
    Builder::new("bound").bound().build().unwrap()
}

pub(crate) fn queues() -> [Workqueue; 4] {
    let high = |builder: Builder| builder.high_priority().build().unwrap();
    [unbound(), bound(), high(Builder::new("high")), high(Builder::new("bound high").bound())]
}

/// A queue whose first item holds all others up until it gets a permit.
pub(crate) fn closed(builder: Builder) -> (Workqueue, Arc<Semaphore>) {
    let queue = builder.max_active(1).build().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    queue.queue_on(0, move || inside.acquire().forget());
    (queue, gate)
}
