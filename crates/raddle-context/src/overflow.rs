//! A stack overflow is caught and named; every other fault goes to whatever handler was there before.
//!
//! Two faults mean an overflow of the running body's stack:
//!
//! - the fault address lies in the body's guard (SEGV_MAPERR for an installed guard, SEGV_ACCERR for a protected page);
//! - the *kernel* could not push a signal frame because the frame would have met the guard. It then forces SIGSEGV with SI_KERNEL
//!   and no address, and only the stack pointer tells: it stands so low that a frame does not fit above the guard.
//!
//! The handler runs on the kernel thread's alternate stack ([`KernelThread`](crate::KernelThread) puts one in place), with
//! the body's TLS. It writes one line and aborts, as the standard library does for its own threads.

#![allow(unsafe_code, reason = "signal handlers")]

use crate::arch;
use crate::body::{self, BodyRef};
use crate::glibc::glibc;
use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::mem::MaybeUninit;
use std::sync::{Mutex, OnceLock};
use std::{io, ptr};

/// A body that ran out of stack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Overflow {
    /// Which.
    pub body: BodyRef,
    /// How large its stack is.
    pub stack_bytes: usize,
    /// Whether it was the own stack of a kernel thread that was launched on the body
    /// ([`KernelThread::launch`](crate::KernelThread::launch)), and not code that ran on a body.
    pub is_kernel_thread: bool,
}

/// Writes who overflowed and what to do about it, one line without its end. It runs in a signal handler: it must not
/// allocate, lock or panic. An error it returns is ignored.
pub type Describe = fn(overflow: &Overflow, line: &mut dyn Write) -> fmt::Result;

struct Installed {
    describe: Describe,
    segv: libc::sigaction,
    bus: libc::sigaction,
    /// Room that the kernel needs for a signal frame.
    frame_bytes: usize,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// The line for programs that have no names for their bodies.
///
/// ```text
/// raddle: body 3 overflowed its stack of 233 KiB; a larger Config::slot_bytes gives it more
/// raddle: the kernel thread on body 4 overflowed its stack of 233 KiB; a larger Config::slot_bytes gives it more
/// ```
pub fn describe_by_number(overflow: &Overflow, line: &mut dyn Write) -> fmt::Result {
    write!(
        line,
        "raddle: {}body {} overflowed its stack of {} KiB; a larger Config::slot_bytes gives it more",
        if overflow.is_kernel_thread { "the kernel thread on " } else { "" },
        overflow.body.number(),
        overflow.stack_bytes / 1024
    )
}

/// Catches overflows from now on, in the whole process, and describes them with `describe`. The first call decides;
/// later ones change nothing.
///
/// Handlers that are installed for SIGSEGV or SIGBUS later take precedence and should pass on what they do not know, as this
/// one does.
///
/// # Errors
///
/// `Unsupported` where bodies can't exist; from `sigaction(2)`.
pub fn install(describe: Describe) -> io::Result<()> {
    /// Whoever comes second returns when the handler is in place.
    static INSTALLING: Mutex<()> = Mutex::new(());
    glibc()?;
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    /// `AT_MINSIGSTKSZ` of `<linux/auxvec.h>`: bytes of a signal frame with all of the processor's state.
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    // SAFETY: the former actions are read into zeroed structures; the new one is complete. The handler may run as soon
    // as it is installed and then finds INSTALLED set: it is set between reading the former actions and installing.
    unsafe {
        let former = |signal: c_int| -> io::Result<libc::sigaction> {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            match libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) {
                0 => Ok(action.assume_init()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        let installed = Installed {
            describe,
            segv: former(libc::SIGSEGV)?,
            bus: former(libc::SIGBUS)?,
            frame_bytes: (libc::getauxval(AT_MINSIGSTKSZ) as usize).max(2048),
        };
        if INSTALLED.set(installed).is_err() {
            return Ok(());
        }
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            if libc::sigaction(signal, &raw const action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(installed) = INSTALLED.get() else { return };
    // SAFETY: the kernel's arguments to an SA_SIGINFO handler.
    let (code, address, sp) = unsafe {
        ((*info).si_code, (*info).si_addr().addr(), arch::sp(&*context.cast::<libc::ucontext_t>()))
    };
    // A kernel thread that nobody gave TLS has FS = 0, and no word to read there.
    let (body, is_kernel_thread) = match arch::fs_base() {
        0 => (None, false),
        _ => match body::running() {
            Some(body) => (Some(body), false),
            None => (body::launched(), true),
        },
    };
    match body {
        Some(body) if is_overflow(body, code, address, sp, installed.frame_bytes) => {
            let stack = body.stack();
            let stack_bytes = stack.end.addr() - stack.start.addr();
            let overflow = Overflow { body, stack_bytes, is_kernel_thread };
            report(installed.describe, &overflow);
        }
        _ => pass_on(installed, signal, info, context),
    }
}

/// Whether a fault with `code` at `address`, met with the stack pointer at `sp`, is an overflow of `body`'s stack.
fn is_overflow(body: BodyRef, code: c_int, address: usize, sp: usize, frame_bytes: usize) -> bool {
    /// `SI_KERNEL` of `<asm-generic/siginfo.h>`.
    const SI_KERNEL: c_int = 0x80;
    if code <= 0 {
        // Sent, not caused by a fault: there is no address.
        return false;
    }
    let guard = body.guard();
    if code == SI_KERNEL {
        // The frame is aligned and keeps off the red zone; a page more covers both.
        let needed = frame_bytes + arch::RED_ZONE + 4096;
        return address == 0 && sp >= guard.start && sp < guard.end + needed;
    }
    guard.contains(&address)
}

fn report(describe: Describe, overflow: &Overflow) -> ! {
    let mut line = Line { bytes: [0; 512], used: 0 };
    let _ = describe(overflow, &mut line);
    // The last byte is kept free by `Line`.
    line.bytes[line.used] = b'\n';
    // SAFETY: writes initialised bytes of a live buffer; abort may be called from a handler.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.used + 1);
        libc::abort()
    }
}

/// A line on the stack; what does not fit is cut.
struct Line {
    bytes: [u8; 512],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.used;
        let take = text.len().min(room);
        self.bytes[self.used..self.used + take].copy_from_slice(&text.as_bytes()[..take]);
        self.used += take;
        Ok(())
    }
}

/// Does what would have happened without this module.
fn pass_on(installed: &Installed, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let former = if signal == libc::SIGBUS { &installed.bus } else { &installed.segv };
    let handler = former.sa_sigaction;
    // SAFETY: `former` is what sigaction reported: a default, an ignore, or a handler of the kind its flags say. With
    // the default restored, returning repeats the faulting instruction, which then ends the process as it should; a
    // signal that was sent and not caused by a fault is raised again.
    unsafe {
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            let sent = (*info).si_code <= 0;
            if handler == libc::SIG_IGN && sent {
                return;
            }
            let mut default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &raw const default, ptr::null_mut());
            if sent {
                libc::raise(signal);
            }
        } else if former.sa_flags & libc::SA_SIGINFO != 0 {
            std::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(
                handler,
            )(signal, info, context);
        } else {
            std::mem::transmute::<usize, extern "C" fn(c_int)>(handler)(signal);
        }
    }
}
