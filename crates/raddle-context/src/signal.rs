//! The kernel's signal frame on a body's stack: what a handler that switches away must know and mend.
//!
//! A handler without `SA_ONSTACK` runs on the stack of the body that it interrupts. The kernel has saved every register there,
//! vector state included; the handler may [`switch`](crate::switch) away, and the body goes on when somebody switches
//! back and the handler returns. But `rt_sigreturn` also restores the alternate stack and the signal mask *of the
//! kernel thread on which the signal arrived*, as the frame has them. Returned from on another one, the frame would give two
//! kernel threads one alternate stack. So they are rewritten first.
//!
//! ```text
//!   high  | the interrupted function's frame  |
//!         | red zone, 128 bytes               |
//!         +-----------------------------------+
//!         | xsave area: vector registers      |  restored by the kernel, on any kernel thread
//!         | siginfo_t                         |
//!         | ucontext_t: registers,            |
//!         |   uc_stack, uc_sigmask            |  <- SignalFrame rewrites these two
//!         | address of the restorer           |
//!         +-----------------------------------+
//!         | the handler's frames              |
//!         | switch: saved registers           |  <- Context::sp while it is away
//!   low   +-----------------------------------+
//! ```
//!
//! The handler must be installed with `SA_SIGINFO | SA_NODEFER | SA_RESTART`, an empty `sa_mask` and without `SA_ONSTACK`:
//! the mask that is in force while it runs is then the mask that the next context gets.

#![allow(unsafe_code, reason = "the kernel's frame is raw memory")]

use crate::arch;
use crate::kernel_thread::KernelThread;
use std::ffi::c_void;

/// The frame of the signal that is being handled.
#[derive(Debug)]
pub struct SignalFrame {
    context: *mut libc::ucontext_t,
}

impl SignalFrame {
    /// From the third argument of an `SA_SIGINFO` handler.
    ///
    /// # Safety
    ///
    /// `context` is that argument, and the value does not outlive the handler.
    pub unsafe fn from_handler(context: *mut c_void) -> SignalFrame {
        SignalFrame { context: context.cast() }
    }

    /// Where the interrupted code will go on.
    pub fn program_counter(&self) -> usize {
        // SAFETY: the kernel's frame, alive while its handler runs.
        arch::pc(unsafe { &*self.context })
    }

    /// The interrupted code's stack pointer. The frame lies below it, unless the handler runs on an alternate stack.
    pub fn stack_pointer(&self) -> usize {
        // SAFETY: as above.
        arch::sp(unsafe { &*self.context })
    }

    /// Whether a switch may follow: the calling handler and the code that it interrupted run on the stack of the running body, and
    /// that code was not a handler itself.
    ///
    /// False on a kernel thread's own stack, on an alternate stack, in the middle of a [`switch`](crate::switch) (one
    /// body's TLS is then on another's stack), and inside another signal's handler, whose frame would carry this kernel thread's mask and
    /// alternate stack to another one. Such a handler is known by the signal that it blocks; one that was installed with
    /// `SA_NODEFER` and an empty mask is not known, and must not be switched away from: forbid preemption in it.
    pub fn may_switch(&self, here: &KernelThread) -> bool {
        let Some(body) = crate::running() else { return false };
        let stack = body.stack();
        let stack = stack.start.addr()..stack.end.addr();
        stack.contains(&arch::stack_pointer())
            && stack.contains(&self.stack_pointer())
            && self.mask() == first_word(here.signal_mask())
    }

    /// The mask that returns with the frame.
    fn mask(&self) -> u64 {
        // SAFETY: the kernel's frame, alive while its handler runs.
        first_word(unsafe { &(*self.context).uc_sigmask })
    }

    /// Makes the return from the handler right for `here`, the kernel thread that the body was resumed on: its alternate
    /// stack, its signal mask. To be called after the switch back, each time, even if the kernel thread is the same.
    ///
    /// # Safety
    ///
    /// `here` is the calling kernel thread, and the body is not switched away from again before the handler returns.
    pub unsafe fn resume_on(&mut self, here: &KernelThread) {
        // SAFETY: the frame is on this body's stack and its handler is running, so it is ours alone. Only the kernel's 8 bytes of
        // `uc_sigmask` are written: the rest of glibc's larger type overlaps other parts of the kernel's structure.
        unsafe {
            (*self.context).uc_stack = here.alternate_stack();
            (&raw mut (*self.context).uc_sigmask)
                .cast::<u64>()
                .write(first_word(here.signal_mask()));
        }
    }
}

/// The kernel's part of a signal set: 64 signals.
fn first_word(mask: &libc::sigset_t) -> u64 {
    // SAFETY: a sigset_t is 128 bytes, of which the kernel uses the first 8.
    unsafe { std::ptr::from_ref(mask).cast::<u64>().read() }
}
