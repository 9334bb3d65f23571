//! Timers: the queue's methods for it.

use crate::names::Timer;
use crate::queue::Queue;
use std::time::{Duration, Instant};

impl Queue {
    /// Reports [`What::Expired`](crate::What::Expired) once, so long from now. Never early; late by 33 us and what the kernel adds.
    pub fn timer_after(&mut self, key: u64, delay: Duration) -> Timer {
        let now = Instant::now();
        // What has no Instant is further than any clock goes.
        let at = now.checked_add(delay).unwrap_or(now + Duration::from_secs(1 << 33));
        self.core.timers.arm(key, at, Duration::ZERO)
    }

    /// Reports [`What::Expired`](crate::What::Expired) once, at `at`, or at once if that has passed.
    pub fn timer_at(&mut self, key: u64, at: Instant) -> Timer {
        self.core.timers.arm(key, at, Duration::ZERO)
    }

    /// Reports [`What::Expired`](crate::What::Expired) at `first` and every `period` after it, without drift. Periods that were missed are counted in one event.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// ```
    /// use raddle_event::{Events, Queue, What};
    /// use std::time::{Duration, Instant};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Default::default())?;
    /// let mut events = Events::with_capacity(8);
    /// let ticker = queue.timer_every(3, Instant::now(), Duration::from_millis(1));
    /// for _ in 0..3 {
    ///     queue.wait(&mut events, None)?;
    ///     assert!(events.iter().all(|event| matches!(event.what, What::Expired(..))));
    /// }
    /// assert!(queue.cancel_timer(ticker));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timer_every(&mut self, key: u64, first: Instant, period: Duration) -> Timer {
        assert!(!period.is_zero(), "Queue::timer_every: a period of zero");
        self.core.timers.arm(key, first, period)
    }

    /// Ends a timer: it is not reported from here on. False if it was reported already, or ended.
    pub fn cancel_timer(&mut self, timer: Timer) -> bool {
        self.core.timers.cancel(timer)
    }
}
