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

    pub(super) fn into_wishes(self) -> Wishes {
        self.wishes
    }
}
