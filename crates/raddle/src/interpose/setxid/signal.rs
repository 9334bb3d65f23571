//! Signal 33: queued with a value for one kernel thread, and its handler put in place.
//!
//! *The signal* is 33, glibc's own for the same purpose (`SIGSETXID`): no program uses it, and libc's functions never block it. glibc
//! installs its handler when the first pthread is created, so ours is installed before each use, by the raw call (`sigaction` refuses), and
//! stays: a signal that is not ours goes on to glibc's handler. Where glibc's is back nevertheless, it ignores ours, which
//! is queued and not `tgkill`ed, and the signal is sent again. 32, for cancellation, is left alone.
//!
//! All of it by raw system calls: libc's functions leave this signal alone.

use raddle_context::system_call;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// glibc's `SIGSETXID`.
pub(super) const SIGNAL: c_int = 33;

/// A handler that is told who sent the signal, and what it interrupts.
pub(super) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The handler that was there before ours, glibc's, or 0.
static FORMER: AtomicUsize = AtomicUsize::new(0);

/// The value that the signal was queued with; `None` for a signal of somebody else's.
///
/// # Safety
///
/// `information` is a handler's argument.
pub(super) unsafe fn carried_by(information: *const libc::siginfo_t) -> Option<u64> {
    let information = information.cast::<Information>();
    // SAFETY: the kernel's structure, which has this form at least as far as it is read.
    let (code, value) = unsafe { ((*information).code, (*information).value) };
    (code == libc::SI_QUEUE).then_some(value)
}

/// A signal of somebody else's: glibc's own broadcast, from a call that did not come here.
pub(super) fn pass_on(signal: c_int, information: *mut libc::siginfo_t, context: *mut c_void) {
    let former = FORMER.load(Ordering::Relaxed);
    if former == 0 {
        return;
    }
    // SAFETY: the handler that stood here before, of the kind that takes these three.
    unsafe {
        std::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(
            former,
        )(signal, information, context);
    }
}

/// A `siginfo_t` of a queued signal, as the kernel has it on x86_64.
#[repr(C)]
struct Information {
    signal: c_int,
    error: c_int,
    code: c_int,
    unused: c_int,
    process: i32,
    user: u32,
    value: u64,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Information>() == size_of::<libc::siginfo_t>());

/// Queues a signal for one kernel thread of this process; signal 0 only asks whether that is allowed.
pub(super) fn queue(process: i32, thread: i32, signal: c_int, value: u64) -> Result<(), isize> {
    let information = Information {
        signal,
        error: 0,
        code: libc::SI_QUEUE,
        unused: 0,
        process,
        user: 0,
        value,
        rest: [0; 12],
    };
    // SAFETY: reads a live structure; the handler is in place.
    let result = unsafe {
        system_call(
            libc::SYS_rt_tgsigqueueinfo,
            [
                process as usize,
                thread as usize,
                signal as usize,
                (&raw const information).expose_provenance(),
                0,
                0,
            ],
        )
    };
    if result < 0 { Err(result) } else { Ok(()) }
}

/// `struct kernel_sigaction` of x86_64.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// `<asm/signal.h>`: the action says where its handler returns to. x86_64 kernels insist.
const SA_RESTORER: u64 = 0x0400_0000;

/// Puts the handler in place if another is, or none. It is called with all signals blocked, on any stack.
pub(super) fn install(handler: Handler) -> Result<(), isize> {
    let handler = handler as *const () as usize;
    let former = action_of(SIGNAL)?;
    if former.handler == handler {
        return Ok(());
    }
    let takes_three = former.flags & libc::SA_SIGINFO as u64 != 0;
    let is_handler = former.handler != libc::SIG_DFL && former.handler != libc::SIG_IGN;
    FORMER.store(if takes_three && is_handler { former.handler } else { 0 }, Ordering::Relaxed);
    let ours = KernelAction {
        handler,
        flags: (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART) as u64 | SA_RESTORER,
        restorer: restorer(former)?,
        mask: u64::MAX,
    };
    // SAFETY: a complete action; the handler keeps to what handlers may do.
    unsafe { kernel_sigaction(SIGNAL, &raw const ours, ptr::null_mut()) }
}

/// libc's return from handlers: debuggers and unwinders know it by its bytes. Every action that libc installed names it; glibc's
/// own of this signal does, once there was a pthread.
fn restorer(of: KernelAction) -> Result<usize, isize> {
    /// Hardly anybody's.
    const LAST_SIGNAL: c_int = 64;
    if of.flags & SA_RESTORER != 0 {
        return Ok(of.restorer);
    }
    let mut action = action_of(LAST_SIGNAL)?;
    if action.flags & SA_RESTORER == 0 {
        // As it is, and now libc's.
        // SAFETY: reads and writes a live structure, and installs what was installed.
        unsafe {
            let mut same = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            libc::sigaction(LAST_SIGNAL, ptr::null(), &raw mut same);
            libc::sigaction(LAST_SIGNAL, &raw const same, ptr::null_mut());
        }
        action = action_of(LAST_SIGNAL)?;
    }
    if action.flags & SA_RESTORER != 0 { Ok(action.restorer) } else { Err(-libc::EAGAIN as isize) }
}

fn action_of(signal: c_int) -> Result<KernelAction, isize> {
    let mut action = KernelAction::default();
    // SAFETY: writes a live structure.
    unsafe { kernel_sigaction(signal, ptr::null(), &raw mut action)? };
    Ok(action)
}

/// `rt_sigaction(2)`: libc's function refuses the signals that libc keeps for itself.
///
/// # Safety
///
/// `new`, if it is not null, is an action whose handler may run anywhere; `former` is null or writable.
unsafe fn kernel_sigaction(
    signal: c_int,
    new: *const KernelAction,
    former: *mut KernelAction,
) -> Result<(), isize> {
    // SAFETY: the caller's.
    let result = unsafe {
        system_call(
            libc::SYS_rt_sigaction,
            [
                signal as usize,
                new.expose_provenance(),
                former.expose_provenance(),
                size_of::<u64>(),
                0,
                0,
            ],
        )
    };
    if result < 0 { Err(result) } else { Ok(()) }
}

/// Sets the signals that the calling kernel thread blocks, and gives the former. libc's function leaves out those that it keeps for itself.
pub(super) fn set_mask(new: u64) -> u64 {
    let mut former = 0u64;
    // SAFETY: reads one local of 8 bytes and writes another.
    unsafe {
        system_call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                (&raw const new).expose_provenance(),
                (&raw mut former).expose_provenance(),
                size_of::<u64>(),
                0,
                0,
            ],
        )
    };
    former
}
