//! How many handshakes there were, and how they ended.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How the connections of a [`Tls`](super::Tls) have begun.
///
/// ```
/// use raddle_http::tls::{Certificate, Handshakes, Tls};
/// let tls = Tls::new(Certificate::self_signed(["localhost"])?);
/// assert_eq!(tls.handshakes(), Handshakes::default());
/// # Ok::<(), raddle_http::tls::Unusable>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshakes {
    /// Complete ones.
    pub done: u64,
    /// Of these, those that have taken up an earlier session.
    pub resumed: u64,
    /// Those that failed: nothing in common, a client that does not trust the certificate, went away or took too long.
    pub failed: u64,
    /// Clients that have spoken HTTP, without TLS.
    pub plain: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    done: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
    plain: AtomicU64,
}

impl Counts {
    pub(super) fn read(&self) -> Handshakes {
        Handshakes {
            done: self.done.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            plain: self.plain.load(Relaxed),
        }
    }

    /// One begins: it has failed, unless it is said to have ended otherwise.
    pub(super) fn begin(&self) -> Attempt<'_> {
        Attempt { counts: self, is_over: false }
    }
}

/// A handshake under way. Its end may be that the thread unwinds: the time is over, or the server ends.
pub(super) struct Attempt<'a> {
    counts: &'a Counts,
    is_over: bool,
}

impl Attempt<'_> {
    pub(super) fn done(mut self, is_resumed: bool) {
        self.is_over = true;
        self.counts.done.fetch_add(1, Relaxed);
        self.counts.resumed.fetch_add(u64::from(is_resumed), Relaxed);
    }

    pub(super) fn plain(mut self) {
        self.is_over = true;
        self.counts.plain.fetch_add(1, Relaxed);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.counts.failed.fetch_add(1, Relaxed);
        }
    }
}
