//! A reading of two clocks and the rate between them, which one thread at a time renews and all read without a lock: a sequence lock.
//!
//! The version is odd while the reading changes. Whoever reads takes the version before and after, and reads again if it was odd or
//! is another one. (Boehm, *Can seqlocks get along with programming language memory models?*, MSPC 2012: the fences are those.)
//!
//! Each runtime of a process has a monitor that renews, so a word apart says who may. Nobody waits for it: a reading that another
//! takes at the same moment is as good. The version does not serve for this: the clocks are read before it becomes odd, as
//! everybody spins while it is.

use crate::sync::{AtomicBool, AtomicU64, Ordering, const_but_for_loom, fence, spin_loop};

/// What both clocks said at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The processor's counter.
    pub counter: u64,
    /// Nanoseconds.
    pub ns: u64,
    /// Nanoseconds for each count, times 2^32; 0: none is known.
    pub rate: u64,
}

/// The last reading.
///
/// ```
/// use raddle_core::fix::{Fix, Reading};
/// let fix = Fix::new();
/// assert_eq!(fix.read().rate, 0);
/// let reading = Reading { counter: 300, ns: 100, rate: 1 << 30 };
/// assert!(fix.try_renew(|_| Some(reading)));
/// assert_eq!(fix.read(), reading);
/// ```
#[derive(Debug)]
pub struct Fix {
    /// Whether somebody renews.
    is_claimed: AtomicBool,
    // Theirs to write, while they do.
    version: AtomicU64,
    counter: AtomicU64,
    ns: AtomicU64,
    rate: AtomicU64,
}

impl Fix {
    const_but_for_loom! {
        /// All zeroes.
        pub fn new() -> Fix {
            Fix {
                is_claimed: AtomicBool::new(false),
                version: AtomicU64::new(0),
                counter: AtomicU64::new(0),
                ns: AtomicU64::new(0),
                rate: AtomicU64::new(0),
            }
        }
    }

    /// Puts what `take` makes of the last reading in its place, and says whether it did: not where `take` is for leaving it, and
    /// not where another renews it right now; then `take` is not called.
    pub fn try_renew(&self, take: impl FnOnce(Reading) -> Option<Reading>) -> bool {
        // Acquire, beside the release at the end: what the one before wrote is what `take` is given.
        if self.is_claimed.swap(true, Ordering::Acquire) {
            return false;
        }
        let renewed = take(self.parts());
        if let Some(reading) = renewed {
            self.write(reading);
        }
        self.is_claimed.store(false, Ordering::Release);
        renewed.is_some()
    }

    fn write(&self, reading: Reading) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // Whoever reads a part of the new reading sees the odd version after it.
        fence(Ordering::Release);
        self.counter.store(reading.counter, Ordering::Relaxed);
        self.ns.store(reading.ns, Ordering::Relaxed);
        self.rate.store(reading.rate, Ordering::Relaxed);
        // Whoever sees this version reads the whole.
        self.version.store(version + 2, Ordering::Release);
    }

    /// In a forked child, where whoever renewed is not: what they have left half done counts as never read, without a rate.
    pub fn forget_claim(&self) {
        if self.is_claimed.load(Ordering::Relaxed) {
            self.rate.store(0, Ordering::Relaxed);
            self.version.store(0, Ordering::Relaxed);
            self.is_claimed.store(false, Ordering::Release);
        }
    }

    /// The last reading, whole. Waits, a few instructions, for one that is being put in place.
    #[inline]
    pub fn read(&self) -> Reading {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let reading = self.parts();
            fence(Ordering::Acquire);
            let is_whole = version.is_multiple_of(2);
            if is_whole && self.version.load(Ordering::Relaxed) == version {
                return reading;
            }
            spin_loop();
        }
    }

    fn parts(&self) -> Reading {
        Reading {
            counter: self.counter.load(Ordering::Relaxed),
            ns: self.ns.load(Ordering::Relaxed),
            rate: self.rate.load(Ordering::Relaxed),
        }
    }

    /// Whether a rate is known. One that is known stays so, but in a forked child that had to [forget](Fix::forget_claim) it.
    #[inline]
    pub fn has_rate(&self) -> bool {
        self.rate.load(Ordering::Relaxed) != 0
    }
}

impl Default for Fix {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_child_forgets_a_claim_of_its_parents() {
        let fix = Fix::new();
        let reading = Reading { counter: 1, ns: 2, rate: 3 };
        assert!(fix.try_renew(|_| Some(reading)));
        fix.forget_claim();
        assert_eq!(fix.read(), reading, "nobody renewed");
        fix.is_claimed.store(true, Ordering::Relaxed);
        fix.version.fetch_add(1, Ordering::Relaxed);
        assert!(!fix.try_renew(|_| unreachable!("another renews")));
        fix.forget_claim();
        assert_eq!(fix.read().rate, 0);
        assert!(!fix.has_rate());
        assert!(fix.try_renew(|_| Some(reading)));
        assert_eq!(fix.read(), reading);
    }
}
