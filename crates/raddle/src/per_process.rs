//! What a process has one of, and a forked child does not share: whoever had a lock in it is not there, nor are its kernel threads.

#![allow(unsafe_code, reason = "leaked, and shared by a pointer")]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A static that each process makes anew when it first wants it. It is never freed.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    made: AtomicPtr<Made<T>>,
}

#[derive(Debug)]
struct Made<T> {
    process: u32,
    value: T,
}

impl<T: Sync> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess { made: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's, if there is one. May be asked in a signal's handler.
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or leaked.
        let made = unsafe { self.made.load(Ordering::Acquire).as_ref() }?;
        // The kernel says: a child made by `vfork(2)` has the parent's memory.
        (made.process == std::process::id()).then_some(&made.value)
    }

    /// This process's; made by `make` if there is none.
    pub(crate) fn get_or_make(&self, make: impl Fn() -> T) -> &'static T {
        loop {
            let found = self.made.load(Ordering::Acquire);
            if let Some(value) = self.get() {
                return value;
            }
            let new = Box::into_raw(Box::new(Made { process: std::process::id(), value: make() }));
            let set = self.made.compare_exchange(found, new, Ordering::AcqRel, Ordering::Relaxed);
            if set.is_err() {
                // SAFETY: made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_find_the_same() {
        static ONE: PerProcess<std::sync::Mutex<u32>> = PerProcess::new();
        let threads: Vec<_> = (0..8)
            .map(|number| {
                std::thread::spawn(move || {
                    *ONE.get_or_make(|| std::sync::Mutex::new(number)).lock().unwrap()
                })
            })
            .collect();
        let found: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        assert!(ONE.get().is_some_and(|one| *one.lock().unwrap() == found[0]));
    }

    #[test]
    fn a_forked_child_makes_its_own() {
        static ONE: PerProcess<u32> = PerProcess::new();
        assert_eq!((ONE.get(), ONE.get_or_make(|| 1)), (None, &1));
        // SAFETY: the child allocates, which libc has made ready for it, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_right = ONE.get().is_none() && *ONE.get_or_make(|| 2) == 2;
            // SAFETY: nothing is tidied up.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = 1;
        // SAFETY: a local is written to.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((status, ONE.get()), (0, Some(&1)));
    }
}
