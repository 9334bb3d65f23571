//! The word between those who wake a queue and the one who waits on it: a wake costs a system call only if the other sleeps.
//!
//! ```text
//!              ring (no call)             ring (no call)
//!     AWAKE ───────────────────▶ RUNG ◀──────────────┐
//!      ▲ ▲                        │ └────────────────┘
//!      │ └────────── take ────────┘
//!      │
//!      │        doze                       ring: the first makes the call
//!      └──────────────▶ ASLEEP ─────────────────────────▶ ASLEEP + RUNG
//!                         │                                    │
//!      ◀───── take ───────┴───────────────── take ─────────────┘
//! ```
//!
//! *Nothing is lost.* All steps are read-modify-writes of one word, so they have one order. If a ring comes before the
//! doze, the doze fails and the waiter looks again. If it comes after, it has seen ASLEEP: it, or another ring since the
//! doze, makes the call, and the waiter's system call ends. In both cases the ring releases what its thread wrote before, and
//! the `take` that finds it acquires it.
//!
//! *What may come in excess*: a ring makes its call a little late, when the waiter has been woken by something else and sleeps
//! anew. It wakes for nothing, finds nothing, and sleeps again.
//!
//! A ring can't skip its write when it sees that the bit is set: the bit that it sees may be taken before what it has
//! written itself becomes visible. Loom explores all this in `tests/wake_word_loom.rs`.

use crate::sync::{AtomicU32, Ordering};

/// Who rang. Rings of different sorts go through the same word and channel.
pub const USER: u32 = 1;
/// A helper has finished something.
pub const HELPER: u32 = 2;
/// The waiter sleeps, or is about to.
const ASLEEP: u32 = 4;

/// The word.
#[derive(Debug)]
pub struct WakeWord(AtomicU32);

impl WakeWord {
    /// Nobody sleeps, nobody has rung.
    #[allow(clippy::new_without_default, reason = "loom's atomics make no default")]
    pub fn new() -> WakeWord {
        WakeWord(AtomicU32::new(0))
    }

    /// Rings. True if the caller must wake the waiter through the channel.
    #[must_use = "the waiter may be asleep"]
    pub fn ring(&self, who: u32) -> bool {
        let before = self.0.fetch_or(who, Ordering::AcqRel);
        before == ASLEEP
    }

    /// The waiter is going to sleep. False if somebody has rung: then it must not.
    pub fn doze(&self) -> bool {
        self.0.compare_exchange(0, ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The waiter is awake: who has rung since the last time.
    pub fn take(&self) -> u32 {
        // Nearly always nothing. A ring that this load misses is found next time: before the waiter sleeps it dozes.
        if self.0.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.0.swap(0, Ordering::AcqRel) & !ASLEEP
    }
}
