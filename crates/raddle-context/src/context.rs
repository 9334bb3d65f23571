//! A suspended context, and the switch from one to the next.

#![allow(unsafe_code, reason = "the switch: its contract is the caller's to keep")]

use crate::arch;
use crate::sanitizer;
use std::ptr;

/// Where something that can be resumed stands: a stack pointer and the TLS block that belongs to it.
///
/// A body has one in its header ([`BodyRef::context`](crate::BodyRef::context)), a kernel thread that enters bodies keeps
/// one for itself ([`KernelThread`](crate::KernelThread)). While the context runs, its stack pointer is stale.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    pub(crate) resume: arch::Resume,
    pub(crate) sanitizer: sanitizer::Fiber,
}

impl Context {
    /// A context that is running on this stack and TLS block right now, to be saved by the first switch away.
    pub(crate) fn running() -> Context {
        Context {
            resume: arch::Resume { sp: ptr::null_mut(), fs: arch::fs_base() },
            sanitizer: sanitizer::Fiber::running(),
        }
    }

    /// A context that is not running and has no frame to resume yet.
    pub(crate) fn fresh(fs: usize, stack_low: *const u8, stack_high: *const u8) -> Context {
        Context {
            resume: arch::Resume { sp: ptr::null_mut(), fs },
            sanitizer: sanitizer::Fiber::of_stack(stack_low, stack_high),
        }
    }

    /// Where the suspended stack stands. Stale while the context runs.
    pub fn stack_pointer(&self) -> *const u8 {
        self.resume.sp
    }
}

/// What a [`switch`] does first on the new side.
///
/// It runs on the resumed stack, under the resumed TLS, before the resumed code goes on, whatever the way in: a plain
/// resume, a fresh body's first frame, or a return from a signal. It must return, must not panic, and must not switch.
pub type Action = unsafe extern "C" fn(*mut u8);

/// An [`Action`] with its argument, or nothing: what makes the old side known to others once it is wholly saved.
///
/// Nobody may resume a context before it is saved, so whoever queues the old side, or unlocks what it sleeps under,
/// does it from here.
///
/// ```
/// use raddle_context::After;
/// unsafe extern "C" fn publish(old: *mut u8) {
///     let _ = old; // push it to a run queue
/// }
/// let after = After::run(publish, std::ptr::null_mut());
/// # let _ = (after, After::nothing());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct After {
    action: Option<Action>,
    argument: *mut u8,
}

impl After {
    /// Nothing is to be done.
    pub const fn nothing() -> After {
        After { action: None, argument: ptr::null_mut() }
    }

    /// `action(argument)` is to be called on the new side.
    pub const fn run(action: Action, argument: *mut u8) -> After {
        After { action: Some(action), argument }
    }
}

/// Saves the running context in `from`, resumes `to` with its own stack and TLS, and runs `after` there.
///
/// Returns when somebody switches to `from`, perhaps on another kernel thread. Kept across the switch: the registers
/// that the System V ABI lets a callee keep, MXCSR, the x87 control word, and the thread pointer. Not kept, because they are the
/// kernel thread's: GS base, signal mask, alternate stack, and whatever `gettid` and `/proc/thread-self` say.
///
/// # Safety
///
/// - `from` is the context of what runs now: of the current body, or of this kernel thread's own [`KernelThread`](crate::KernelThread).
/// - `to` is suspended and wholly saved (its own switch away has reached its `after`), or fresh; nobody else switches to it.
///   The kernel thread's own context is resumed on that kernel thread only.
/// - Both stay where they are until they run again.
/// - No reference to a Rust thread-local is held across the call *by code that expects another thread's value after it*:
///   each side finds its own TLS again.
/// - `after`'s action keeps to [`Action`]'s rules, and its argument lives until it has run.
/// - A signal handler may run at any instruction in here and then finds one side's TLS on the other side's stack. A
///   handler that switches must therefore hold back while a switch is under way: the caller keeps a flag for it.
#[inline]
pub unsafe fn switch(from: *mut Context, to: *const Context, after: After) {
    // SAFETY: `from` and `to` are valid by this function's contract, which is that of arch::switch.
    unsafe {
        sanitizer::leaving(&raw mut (*from).sanitizer);
        arch::switch(
            &raw mut (*from).resume,
            &raw const (*to).resume,
            after.action,
            after.argument,
        );
        sanitizer::arrived(&raw mut (*from).sanitizer);
    }
}
