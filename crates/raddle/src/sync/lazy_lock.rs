//! `LazyLock`: a value that is made when it is first asked for.

#![allow(unsafe_code, reason = "a value that is made once, then shared")]

use super::Once;
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value that is made at its first use. As `std::sync::LazyLock`.
///
/// ```
/// use raddle::sync::LazyLock;
/// static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| "one two three".split(' ').collect());
/// assert_eq!(WORDS.len(), 3);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    data: UnsafeCell<Data<T, F>>,
}

enum Data<T, F> {
    ToBeMade(F),
    Made(T),
    /// The closure panicked.
    Lost,
}

// SAFETY: threads share the value (Sync), one may make what another drops (Send), and any may call the closure, of which
// no reference is ever shared (Send).
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will make.
    #[inline]
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock { once: Once::new(), data: UnsafeCell::new(Data::ToBeMade(f)) }
    }

    /// The value; makes it if need be, or waits while another thread does.
    ///
    /// # Panics
    ///
    /// If the closure panics, or did. Unwinds if the calling thread is cancelled while it waits.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.once.call_once(|| {
            let data = this.data.get();
            // SAFETY: `once` lets one in, and nobody reads before that has left. While `f` runs no reference is held.
            unsafe {
                if let Data::ToBeMade(f) = data.replace(Data::Lost) {
                    let value = f();
                    data.write(Data::Made(value));
                }
            }
        });
        // SAFETY: it has been made, and nobody writes any more.
        match unsafe { &*this.data.get() } {
            Data::Made(value) => value,
            Data::ToBeMade(_) | Data::Lost => unreachable!("what is done once has been made"),
        }
    }

    /// The value, to be changed; makes it if need be.
    ///
    /// # Panics
    ///
    /// If the closure panics, or did.
    ///
    /// ```
    /// use raddle::sync::LazyLock;
    /// let mut words = LazyLock::new(|| vec!["one"]);
    /// LazyLock::force_mut(&mut words).push("two");
    /// assert_eq!(*words, ["one", "two"]);
    /// ```
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        LazyLock::get_mut(this).expect("it has just been made")
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. Never waits.
    ///
    /// ```
    /// use raddle::sync::LazyLock;
    /// let number = LazyLock::new(|| 92);
    /// assert_eq!(LazyLock::get(&number), None);
    /// assert_eq!(*number, 92);
    /// assert_eq!(LazyLock::get(&number), Some(&92));
    /// ```
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        // SAFETY: once it has been made, nobody writes any more.
        match this.once.is_completed().then(|| unsafe { &*this.data.get() }) {
            Some(Data::Made(value)) => Some(value),
            _ => None,
        }
    }

    /// The value, if it has been made, to be changed.
    #[inline]
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        match this.data.get_mut() {
            Data::Made(value) => Some(value),
            Data::ToBeMade(_) | Data::Lost => None,
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}
