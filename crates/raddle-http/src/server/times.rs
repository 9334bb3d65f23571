//! How long a client may take: for a head, for content, between requests.

use raddle::time::{Instant, timeout};
use std::io;
use std::time::Duration;

/// Limits of time. A client that exceeds one is cut off; the others are served meanwhile.
///
/// Content, in both directions, has to keep up a rate: so many bytes may take `content`, and the time that they take at `rate_min` in
/// addition. One byte a second is too slow, a large file over a slow line is not.
///
/// ```
/// use raddle_http::server::Times;
/// use std::time::Duration;
///
/// let times = Times { idle: Duration::from_secs(5), ..Times::default() };
/// assert_eq!(times.head, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From a connection's beginning, or a later request's first bytes, to its head's last one. Then: 408.
    pub head: Duration,
    /// From a response to the next request. Then the connection is closed, without a word.
    pub idle: Duration,
    /// For content, beside what `rate_min` allows. Then: 408 for a request's, the connection's end for a response's.
    pub content: Duration,
    /// Bytes a second.
    pub rate_min: u64,
    /// For a client that still sends when all has been said, before the connection is closed: RFC 9112 section 9.6.
    pub linger: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            content: Duration::from_secs(30),
            rate_min: 1024,
            linger: Duration::from_secs(2),
        }
    }
}

impl Times {
    /// What so many bytes may take.
    pub(super) fn for_bytes(&self, count: u64) -> Duration {
        self.content.saturating_add(Duration::from_secs(count / self.rate_min.max(1)))
    }
}

/// How long something has taken, and how much of it there was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begun: Instant,
    moved: u64,
}

impl Pace {
    pub(super) fn begin() -> Pace {
        Pace { begun: Instant::now(), moved: 0 }
    }

    /// So many bytes more.
    pub(super) fn moved(&mut self, count: u64) {
        self.moved += count;
    }

    /// How long it may go on if so many bytes come.
    pub(super) fn left(&self, times: &Times, ahead: u64) -> Duration {
        times.for_bytes(self.moved.saturating_add(ahead)).saturating_sub(self.begun.elapsed())
    }
}

/// Does something that waits for `limit` at most; `TimedOut` then.
pub(super) fn within<T>(limit: Duration, wait: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match timeout(limit, wait) {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Whether an error says that a limit was exceeded: ours, or the socket's own.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moves_bytes_gets_time_for_them() {
        let times = Times { content: Duration::from_secs(30), rate_min: 1000, ..Times::default() };
        let mut pace = Pace::begin();
        assert!(pace.left(&times, 0) <= Duration::from_secs(30));
        pace.moved(60_000);
        assert!(pace.left(&times, 0) > Duration::from_secs(60));
        assert!(pace.left(&times, u64::MAX) > Duration::from_secs(1 << 40));
        let none = Times { rate_min: 0, content: Duration::ZERO, ..times };
        assert_eq!(Pace::begin().left(&none, 0), Duration::ZERO);
    }
}
