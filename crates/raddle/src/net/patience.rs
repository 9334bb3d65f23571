//! Listeners that go on when descriptors or memory run out: they pause, say so, and try again.

use crate::host;
use crate::label::Label;
use crate::pauses::Pauses;
use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whether it is what the process or the machine lacks, and not the connection.
fn is_shortage(error: &io::Error) -> bool {
    let errors = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|error| errors.contains(&error))
}

/// One `accept` that does not fail for a shortage.
#[derive(Debug)]
pub(super) struct Patience {
    pauses: Pauses,
    /// Since when it pauses, if it does.
    since_ns: Option<u64>,
    has_complained: bool,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience { pauses: Pauses::long(), since_ns: None, has_complained: false }
    }

    /// Pauses, if `result` is a shortage: whether to try again.
    #[track_caller]
    pub(super) fn is_needed<T>(&mut self, listener: &dyn Debug, result: &io::Result<T>) -> bool {
        let error = match result {
            Err(error) if is_shortage(error) => error,
            _ => {
                self.end(listener);
                return false;
            }
        };
        let since = *self.since_ns.get_or_insert_with(host::now_ns);
        if !self.has_complained && may_complain(since) {
            self.has_complained = true;
            log::warn!("{listener:?} takes no connections: {error}; tries again and again");
        }
        // Without a deadline it does not fail.
        let _ = self.pauses.pause(Label::ACCEPT.at(0));
        true
    }

    fn end(&self, listener: &dyn Debug) {
        if let Some(since) = self.since_ns.filter(|_| self.has_complained) {
            let time = Duration::from_nanos(host::now_ns().saturating_sub(since));
            log::info!("{listener:?} takes connections again, after {time:?}");
        }
    }
}

/// At the limit, each connection that ends lets one in, and the next accept is at the limit again: that is said once a second.
fn may_complain(now_ns: u64) -> bool {
    static NEXT_NS: AtomicU64 = AtomicU64::new(0);
    const PAUSE_NS: u64 = 1_000_000_000;
    let next = NEXT_NS.load(Ordering::Relaxed);
    // In a simulated host's time, the next moment of another host's means nothing.
    let is_due = now_ns >= next || next - now_ns > PAUSE_NS;
    is_due
        && NEXT_NS
            .compare_exchange(next, now_ns + PAUSE_NS, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}
