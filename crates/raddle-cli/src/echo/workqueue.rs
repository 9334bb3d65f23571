//! `--on workqueue`: a work item for each connection, which sleeps in its reads while others run, as the kernel's own echo servers do it.

use super::blocking::Carrier;
use raddle::workqueue::{Builder, Workqueue};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An item is active as long as its connection lives, so there must be room for all of them.
const CONNECTIONS: usize = 1 << 24;

/// Queues items.
pub(super) struct Items {
    queue: Workqueue,
    /// Of a bound queue: over how many cores connections are spread.
    cores: Option<usize>,
    turn: AtomicUsize,
}

impl Items {
    /// Items that run on any core; or, bound, each on one, in turns over so many `cores`.
    pub(super) fn new(cores: Option<usize>) -> io::Result<Items> {
        let mut builder = Builder::new("echo").max_active(CONNECTIONS);
        if cores.is_some() {
            builder = builder.bound();
        }
        Ok(Items { queue: builder.build()?, cores, turn: AtomicUsize::new(0) })
    }
}

impl Carrier for Items {
    fn begin(&self, serve: impl FnOnce() + Send + 'static) -> io::Result<()> {
        match self.cores {
            Some(cores) => self.queue.queue_on(self.turn.fetch_add(1, Relaxed) % cores, serve),
            None => self.queue.queue(serve),
        }
        Ok(())
    }
}
