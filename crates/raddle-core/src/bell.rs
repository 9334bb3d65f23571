//! A word that says that somebody was woken, for those who wait in the kernel, or for a token that others may take.
//!
//! ```text
//!   whoever waits                               whoever wakes
//!   silence the bell                            change what is waited for
//!   has it come?                                ring the bell
//!     no: sleep, as long as the bell is silent    it was silent: wake whoever sleeps there
//! ```
//!
//! A ring outlasts the look: one that comes between the look and the sleep keeps the sleep from beginning. A ring may also come late,
//! from somebody who was held up since an earlier time, so whoever wakes looks again.
//!
//! The bell is silenced by an exchange, not by a store: a store that the processor still holds back would overwrite the ring of
//! somebody who comes after the look.

use crate::sync::{AtomicU32, Ordering};

/// It rings.
const RUNG: u32 = 1;
/// Silent, and whoever waits does so in another place.
const ELSEWHERE: u32 = 2;

/// Silent, rung, or silent with its waiter in another place.
///
/// ```
/// use raddle_core::bell::Bell;
/// let bell = Bell::new();
/// assert!(bell.ring() && !bell.ring());
/// assert!(bell.is_rung() && bell.silence() && !bell.silence());
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct Bell(AtomicU32);

/// Who is to be woken by the one who rang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleeps {
    /// Whoever sleeps at the word, if anybody does.
    Here,
    /// Who said that it [dozes elsewhere](Bell::doze_elsewhere).
    Elsewhere,
    /// Nobody: somebody else has rung and does that.
    SeenTo,
}

impl Bell {
    /// A silent one.
    pub fn new() -> Bell {
        Bell(AtomicU32::new(0))
    }

    /// Rings. What was done before is seen by whoever [silences](Self::silence) it. Whether it was silent: then whoever sleeps there is to
    /// be woken. If not, whoever rang before does that.
    #[inline]
    #[must_use = "whoever sleeps at a silent bell is to be woken"]
    pub fn ring(&self) -> bool {
        self.0.swap(RUNG, Ordering::AcqRel) != RUNG
    }

    /// The same, where who waits may do so [elsewhere](Self::doze_elsewhere): says in which place.
    #[inline]
    #[must_use = "whoever sleeps at a silent bell is to be woken"]
    pub fn ring_anywhere(&self) -> Sleeps {
        match self.0.swap(RUNG, Ordering::AcqRel) {
            0 => Sleeps::Here,
            RUNG => Sleeps::SeenTo,
            _ => Sleeps::Elsewhere,
        }
    }

    /// Says that who waits here is about to sleep in another place than the word, from which those who ring then wake it. False if it
    /// rings: then it must not sleep.
    #[inline]
    #[must_use = "who was woken must not sleep"]
    pub fn doze_elsewhere(&self) -> bool {
        let dozed = self.0.compare_exchange(0, ELSEWHERE, Ordering::AcqRel, Ordering::Acquire);
        dozed.is_ok()
    }

    /// Takes [`doze_elsewhere`](Self::doze_elsewhere) back, unless it rang meanwhile.
    #[inline]
    pub fn rouse(&self) {
        let _ = self.0.compare_exchange(ELSEWHERE, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Silences it; whether it rang. What is waited for is looked at afterwards.
    #[inline]
    pub fn silence(&self) -> bool {
        self.0.swap(0, Ordering::Acquire) == RUNG
    }

    /// The same, for one who then looks under a lock that whoever rings has held before: that orders the two.
    #[inline]
    pub fn silence_before_lock(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether it rings. What was done before the ring is seen.
    #[inline]
    pub fn is_rung(&self) -> bool {
        self.0.load(Ordering::Acquire) == RUNG
    }

    /// The word, for `futex(2)`: it is 0 while the bell is silent, but for who dozes elsewhere.
    #[cfg(not(loom))]
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}
