//! What a core has to expect of its event queue, for those who look without the queue's lock: nothing, or it must be looked at.
//!
//! ```text
//!   whoever has something for the queue      whoever has the queue's lock       the holder, idle
//!   post the letter; there_is_mail           begins_to_read                     say that it is idle
//!   was the holder idle? wake it             read the letters, begin            is_any? wait in the queue
//!                                            publish(expected)                  no: sleep elsewhere
//! ```
//!
//! The one in the middle is not always the holder: the monitor reads as well. Between its taking the mark of the mail down and its
//! saying that operations are in flight the holder must not find neither: it would sleep where no event reaches it. So from the first to the
//! last something is in flight.

use crate::sync::{AtomicBool, AtomicU32, Ordering, const_but_for_loom};

/// The two words.
///
/// ```
/// use raddle_core::outlook::Outlook;
/// let outlook = Outlook::new();
/// assert!(!outlook.is_any());
/// outlook.there_is_mail();
/// assert!(outlook.is_any() && outlook.has_mail());
/// outlook.begins_to_read();
/// assert!(outlook.is_any() && !outlook.has_mail());
/// outlook.publish(0);
/// assert!(!outlook.is_any());
/// ```
#[derive(Debug)]
pub struct Outlook {
    has_mail: AtomicBool,
    /// Written under the queue's lock.
    expected: AtomicU32,
}

impl Outlook {
    const_but_for_loom! {
        /// Nothing is expected.
        pub fn new() -> Outlook {
            Outlook { has_mail: AtomicBool::new(false), expected: AtomicU32::new(0) }
        }
    }

    /// A letter was posted. Afterwards the caller wakes the holder, if that has said that it is idle.
    pub fn there_is_mail(&self) {
        self.has_mail.store(true, Ordering::SeqCst);
    }

    /// Whether there may be mail.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Relaxed)
    }

    /// The caller, who has the queue's lock, reads all letters that were posted before this, and [publishes](Self::publish) what is in
    /// flight after that.
    pub fn begins_to_read(&self) {
        self.expected.store(self.expected().max(1), Ordering::Relaxed);
        // Release, for `is_any`; and before the letters are read, for those who post one more.
        self.has_mail.store(false, Ordering::SeqCst);
    }

    /// So many operations are in flight, or have ended and were not delivered. Under the queue's lock.
    #[inline]
    pub fn publish(&self, expected: u32) {
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// How many operations there were when somebody last said.
    ///
    /// ```
    /// # use raddle_core::outlook::Outlook;
    /// let outlook = Outlook::new();
    /// outlook.publish(3);
    /// assert_eq!(outlook.expected(), 3);
    /// ```
    #[inline]
    pub fn expected(&self) -> u32 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Whether there is anything that somebody has to look for in the queue.
    #[inline]
    pub fn is_any(&self) -> bool {
        // In this order, and acquire: whoever finds the mail taken finds something in flight, if it was not published as over.
        self.has_mail.load(Ordering::Acquire) || self.expected() > 0
    }
}

impl Default for Outlook {
    fn default() -> Self {
        Self::new()
    }
}
