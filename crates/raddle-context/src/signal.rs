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

    /// Whether the calling handler runs on the stack of the running body, and the interrupted code did: the one case in
    /// which a switch may follow. False on a kernel thread's own stack, on an alternate stack, and in the middle of a
    /// [`switch`](crate::switch), when one body's TLS is on another's stack.
    pub fn is_on_body_stack(&self) -> bool {
        let Some(body) = crate::running() else { return false };
        let stack = body.stack();
        let stack = stack.start.addr()..stack.end.addr();
        stack.contains(&arch::stack_pointer()) && stack.contains(&self.stack_pointer())
    }

    /// Makes the return from the handler right for `here`, the kernel thread that the body was resumed on: its alternate
    /// stack, its signal mask. To be called after the switch back, each time, even if the kernel thread is the same.
    ///
    /// # Safety
    ///
    /// `here` is the calling kernel thread, and the body is not switched away from again before the handler returns.
    pub unsafe fn resume_on(&mut self, here: &KernelThread) {
        // SAFETY: the frame is on this body's stack and its handler is running, so it is ours alone. The kernel copied its
        // mask, 8 bytes, to the front of `uc_sigmask`, which a sigset_t's first word is; the rest of glibc's larger type
        // overlaps other parts of the kernel's structure and is not touched.
        unsafe {
            (*self.context).uc_stack = here.alternate_stack();
            (&raw mut (*self.context).uc_sigmask)
                .cast::<u64>()
                .write((&raw const *here.signal_mask()).cast::<u64>().read());
        }
    }
}
