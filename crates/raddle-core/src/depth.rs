//! How deep a thread is inside the runtime. Above 0 it is not preempted, and its worker keeps its core.
//!
//! Only the thread and its own signal handler write it, so plain loads and stores do. Whoever decides over the thread from elsewhere
//! makes the other half of the bargain with `membarrier(2)`: see [`notes`](crate::notes).

use crate::sync::{AtomicU32, Ordering, light_barrier};

/// The count.
///
/// ```
/// use raddle_core::depth::Depth;
/// let depth = Depth::new();
/// assert_eq!((depth.go_in(), depth.go_in(), depth.go_out()), (1, 2, 1));
/// assert!(!depth.is_outside());
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct Depth(AtomicU32);

impl Depth {
    /// Outside.
    pub fn new() -> Depth {
        Depth(AtomicU32::new(0))
    }

    /// A thread begins inside: in the memory of a former one.
    #[inline]
    pub fn begin_inside(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Goes in once more, and looks at its worker's notes afterwards. How deep it is then. The thread, or its handler.
    #[inline]
    pub fn go_in(&self) -> u32 {
        let depth = self.get() + 1;
        self.0.store(depth, Ordering::Relaxed);
        light_barrier();
        depth
    }

    /// Goes out once, and looks at its worker's notes afterwards. How deep it is then. The thread, or its handler.
    #[inline]
    pub fn go_out(&self) -> u32 {
        let depth = self.get() - 1;
        // Release: whoever finds it outside finds all that it did inside.
        self.0.store(depth, Ordering::Release);
        light_barrier();
        depth
    }

    /// How deep it is. For the thread itself.
    #[inline]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether it is outside. From elsewhere: only after a mark in its worker's notes and a barrier.
    #[inline]
    pub fn is_outside(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Default for Depth {
    fn default() -> Self {
        Self::new()
    }
}
