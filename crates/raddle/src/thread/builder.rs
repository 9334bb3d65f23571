//! What a thread can be given before it starts.

use super::Priority;
use super::spawn::Wishes;

/// Settings of a thread that is about to start. As `std::thread::Builder`, and a priority besides.
///
/// ```
/// let thread = raddle::thread::Builder::new()
///     .name("reader".into())
///     .stack_size(1 << 20)
///     .spawn(|| raddle::thread::current().name().map(str::to_owned))
///     .unwrap();
/// assert_eq!(thread.join().unwrap().as_deref(), Some("reader"));
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder starts nothing before `spawn`"]
pub struct Builder {
    wishes: Wishes,
}

impl Builder {
    /// A thread without a name, with the usual stack and its parent's priority.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The thread's name, for lists of threads, gdb, traces and stack overflows. It must not contain a NUL byte. std's message about a panic
    /// does not know it.
    pub fn name(mut self, name: String) -> Builder {
        self.wishes.name = Some(name);
        self
    }

    /// The least size of the stack, in bytes. What is below the usual one makes no difference: memory is taken as it is
    /// touched.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.wishes.stack_bytes = Some(bytes);
        self
    }

    /// The thread's share of the processor.
    pub fn priority(mut self, priority: Priority) -> Builder {
        self.wishes.priority = Some(priority);
        self
    }

    /// The core on which the thread begins: from 0 to one less than [`available_parallelism`](super::available_parallelism). [`core`](super::core)
    /// says on which one a thread runs.
    ///
    /// It is queued there, and from then on a thread like any other: a core that has nothing to do may take it over, even before it has run,
    /// and what wakes it may take it along. Without this a thread begins on its spawner's core, or on one that is idle.
    ///
    /// If there is no such core, `spawn` fails with `InvalidInput`.
    ///
    /// ```
    /// use raddle::thread::Builder;
    /// let sum = Builder::new().on_core(0).spawn(|| 1 + 1)?.join().unwrap();
    /// assert_eq!(sum, 2);
    /// assert!(Builder::new().on_core(usize::MAX).spawn(|| ()).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_core(mut self, index: usize) -> Builder {
        self.wishes.core = Some(index);
        self.wishes.is_bound = false;
        self
    }

    /// As [`on_core`](Builder::on_core), and the thread stays there: no other core takes it over, however busy that one is. For a thread that stands for its
    /// core, such as one that takes the core's share of something; all others are better off where there is room.
    ///
    /// ```
    /// use raddle::thread::{self, Builder};
    /// let core = Builder::new().bound_to_core(0).spawn(|| {
    ///     thread::yield_now();
    ///     thread::core()
    /// })?;
    /// assert_eq!(core.join().unwrap(), Some(0));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bound_to_core(mut self, index: usize) -> Builder {
        self.wishes.core = Some(index);
        self.wishes.is_bound = true;
        self
    }

    pub(super) fn into_wishes(self) -> Wishes {
        self.wishes
    }
}
