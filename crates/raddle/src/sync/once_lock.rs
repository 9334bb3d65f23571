//! `OnceLock`: a place that is written once and read by all.

#![allow(unsafe_code, reason = "a place that is written once, then shared")]

use super::Once;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A place that is written once. As `std::sync::OnceLock`.
///
/// ```
/// use raddle::sync::OnceLock;
/// static NAME: OnceLock<String> = OnceLock::new();
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "first".to_owned()), "first");
/// assert_eq!(NAME.set("second".to_owned()), Err("second".to_owned()));
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<MaybeUninit<T>>,
    /// It drops a `T`.
    owns: PhantomData<T>,
}

// SAFETY: threads share the value (Sync), and one may write what another drops (Send). Writing is `once`'s.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
// SAFETY: it takes its value along.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// Nothing is there.
    #[must_use]
    pub const fn new() -> OnceLock<T> {
        OnceLock {
            once: Once::new(),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            owns: PhantomData,
        }
    }

    /// The value, if it is there. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: written, and never again while `self` is shared.
        self.once.is_completed().then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// The value, if it is there, to be changed.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: written, and `self` is borrowed exclusively.
        self.once.is_completed().then(|| unsafe { self.value.get_mut().assume_init_mut() })
    }

    /// The value; waits until somebody has written it.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("a place that is done is written")
    }

    /// Writes the value, unless one is there; waits while another thread writes one.
    ///
    /// # Errors
    ///
    /// `value`, if it wasn't written.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("a closure that is called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; writes what `f` gives first if none is there. Waits while another thread does so.
    ///
    /// # Panics
    ///
    /// If `f` does: then nothing was written, and the next one may try. Unwinds if the calling thread is cancelled while it waits.
    /// An `f` that asks for the value of the same place waits for ever.
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        self.once.call_once_force(|_| {
            let value = f();
            // SAFETY: `once` lets one in at a time, and nobody after it has been done; nobody reads before.
            unsafe { (*self.value.get()).write(value) };
        });
        self.get().expect("a place that is done is written")
    }

    /// The value, which leaves nothing there.
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_completed() {
            return None;
        }
        self.once = Once::new();
        // SAFETY: it was written, is read out here, and counts as not written from now on; `self` is borrowed exclusively.
        Some(unsafe { self.value.get_mut().assume_init_read() })
    }

    /// The value, if it is there.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let place = OnceLock::new();
        place.get_or_init(|| value);
        place
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get().cloned().map_or_else(OnceLock::new, OnceLock::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}
