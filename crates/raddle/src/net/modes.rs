//! How calls on a socket wait: for how long, or not at all. Handles that came from one another by `try_clone` share that.

use crate::host::{self, Way};
use crate::mode_word::{ModeWord, RETURNS, WAITS};
use rustix::io::Errno;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A handle's modes: its own until the first clone is made.
#[derive(Debug, Default)]
pub(super) struct Modes {
    own: Words,
    shared: OnceLock<Arc<Words>>,
}

#[derive(Debug)]
struct Words {
    /// Nanoseconds; [`FOR_EVER`].
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    mode: ModeWord,
}

const FOR_EVER: u64 = u64::MAX;

impl Default for Words {
    fn default() -> Words {
        Words {
            read_timeout: AtomicU64::new(FOR_EVER),
            write_timeout: AtomicU64::new(FOR_EVER),
            mode: ModeWord::new(),
        }
    }
}

impl Words {
    fn all(&self) -> [&AtomicU64; 3] {
        [&self.read_timeout, &self.write_timeout, &self.mode.0]
    }

    fn timeout(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::In => &self.read_timeout,
            Way::Out => &self.write_timeout,
        }
    }
}

impl Modes {
    fn words(&self) -> &Words {
        match self.shared.get() {
            None => &self.own,
            Some(shared) => shared,
        }
    }

    /// Sets one. If the modes come to be shared meanwhile, either this sees that, or whoever shares them sees what was set here.
    fn set(&self, word: impl Fn(&Words) -> &AtomicU64, value: u64) {
        word(&self.own).store(value, Ordering::SeqCst);
        if let Some(shared) = self.shared.get() {
            word(shared).store(value, Ordering::SeqCst);
        }
    }

    /// Modes for another handle of the same socket.
    pub(super) fn share(&self) -> Modes {
        let mut copied = None;
        let shared = self.shared.get_or_init(|| {
            let words = Words::default();
            for (to, from) in words.all().into_iter().zip(self.own.all()) {
                to.store(from.load(Ordering::SeqCst), Ordering::Relaxed);
            }
            copied = Some(words.all().map(|word| word.load(Ordering::Relaxed)));
            Arc::new(words)
        });
        // Again, for what was set since; unless it was set anew where all see it.
        for (index, value) in copied.into_iter().flatten().enumerate() {
            let now = self.own.all()[index].load(Ordering::SeqCst);
            let _ = shared.all()[index].compare_exchange(
                value,
                now,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
        }
        Modes { own: Words::default(), shared: OnceLock::from(shared.clone()) }
    }

    /// Whether calls return `WouldBlock` in place of waiting.
    #[inline]
    pub(super) fn is_nonblocking(&self) -> bool {
        self.words().mode.is_nonblocking()
    }

    /// The word that says so.
    #[inline]
    pub(super) fn mode(&self) -> &ModeWord {
        &self.words().mode
    }

    /// `WouldBlock` for who asked not to wait.
    #[inline]
    pub(super) fn may_wait(&self) -> io::Result<()> {
        if self.is_nonblocking() { Err(Errno::AGAIN.into()) } else { Ok(()) }
    }

    pub(super) fn set_nonblocking(&self, is_nonblocking: bool) {
        self.set(|words| &words.mode.0, if is_nonblocking { RETURNS } else { WAITS });
    }

    pub(super) fn timeout(&self, way: Way) -> Option<Duration> {
        self.timeout_ns(way).map(Duration::from_nanos)
    }

    /// The deadline of a call that begins now.
    #[inline]
    pub(super) fn deadline_ns(&self, way: Way) -> Option<u64> {
        self.timeout_ns(way).map(|ns| host::now_ns().saturating_add(ns))
    }

    #[inline]
    fn timeout_ns(&self, way: Way) -> Option<u64> {
        let ns = self.words().timeout(way).load(Ordering::Relaxed);
        (ns != FOR_EVER).then_some(ns)
    }

    /// # Errors
    ///
    /// `InvalidInput` for a time-out of zero, as in std.
    pub(super) fn set_timeout(&self, way: Way, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(zero_timeout());
        }
        let longest = FOR_EVER - 1;
        let ns = timeout.map_or(FOR_EVER, |timeout| {
            u64::try_from(timeout.as_nanos()).map_or(longest, |ns| ns.min(longest))
        });
        self.set(|words| words.timeout(way), ns);
        Ok(())
    }
}

/// What std's sockets say when their time-out is over.
pub(super) fn timed_out_as_in_std(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Errno::AGAIN.into(),
        _ => error,
    }
}

/// What std says when `connect_timeout`'s time is over.
pub(super) fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => {
            io::Error::new(io::ErrorKind::TimedOut, "connection timed out")
        }
        _ => error,
    }
}

/// What std says to a time-out of zero.
pub(super) fn zero_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_is_set_before_and_after() {
        let first = Modes::default();
        assert_eq!((first.timeout(Way::In), first.is_nonblocking()), (None, false));
        first.set_timeout(Way::In, Some(Duration::from_secs(3))).unwrap();
        let second = first.share();
        let third = second.share();
        assert_eq!(third.timeout(Way::In), Some(Duration::from_secs(3)));
        third.set_timeout(Way::In, None).unwrap();
        second.set_timeout(Way::Out, Some(Duration::MAX)).unwrap();
        third.set_nonblocking(true);
        for modes in [&first, &second, &third] {
            assert_eq!(modes.timeout(Way::In), None);
            assert!(modes.timeout(Way::Out) > Some(Duration::from_secs(1 << 30)));
            assert!(modes.is_nonblocking());
        }
    }

    #[test]
    fn a_timeout_of_zero_is_refused_and_changes_nothing() {
        let modes = Modes::default();
        modes.set_timeout(Way::Out, Some(Duration::from_nanos(1))).unwrap();
        let error = modes.set_timeout(Way::Out, Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(modes.timeout(Way::Out), Some(Duration::from_nanos(1)));
    }
}
