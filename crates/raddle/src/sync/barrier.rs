//! `Barrier`: a number of threads wait for each other.
//!
//! A mutex and a condition variable, as in std. One thing is added: who is cancelled while it waits takes its arrival back, so that
//! the others wait for somebody who still comes.

use super::{Condvar, Mutex, PoisonError};
use crate::label::Label;
use std::fmt;

/// Lets a number of threads go on when all of them have come. As `std::sync::Barrier`.
///
/// ```
/// use raddle::sync::Barrier;
/// use raddle::thread;
///
/// let barrier = Barrier::new(3);
/// let leaders: usize = thread::scope(|s| {
///     let threads: Vec<_> =
///         (0..3).map(|_| s.spawn(|| usize::from(barrier.wait().is_leader()))).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    state: Mutex<State>,
    complete: Condvar,
    threads: usize,
}

struct State {
    arrived: usize,
    /// Counts how often the barrier was complete.
    generation: usize,
}

/// Whether this thread is the one that completed the barrier. As `std::sync::BarrierWaitResult`.
#[derive(Debug)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// True for one of the threads that waited together, and no other.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// An arrival that is taken back if the wait unwinds.
struct Arrival<'a> {
    barrier: &'a Barrier,
    generation: usize,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation == self.generation {
            state.arrived -= 1;
        }
    }
}

impl Barrier {
    /// A barrier for `threads` threads. For 0 it is as for 1.
    #[must_use]
    pub const fn new(threads: usize) -> Barrier {
        Barrier {
            state: Mutex::new(State { arrived: 0, generation: 0 }),
            complete: Condvar::new(),
            threads,
        }
    }

    /// Waits until as many threads have come as the barrier is for. Then it can be used again.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits: it has not come, then.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        // What it guards is whole at every point where a thread may unwind.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = state.generation;
        state.arrived += 1;
        if state.arrived >= self.threads {
            state.arrived = 0;
            state.generation = generation.wrapping_add(1);
            self.complete.notify_all();
            return BarrierWaitResult { is_leader: true };
        }
        let label = Label::BARRIER.at(std::ptr::from_ref(self).addr());
        let arrival = Arrival { barrier: self, generation };
        let waited = self.complete.wait_as(label, state, |state| state.generation == generation);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        std::mem::forget(arrival);
        BarrierWaitResult { is_leader: false }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}
