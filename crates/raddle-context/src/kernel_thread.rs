//! What a kernel thread needs to enter bodies: its own context to come back to, and an alternate signal stack.

#![allow(unsafe_code, reason = "sigaltstack, mmap")]

use crate::context::Context;
use crate::glibc::glibc;
use crate::header::launched_header;
use crate::rseq;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::{io, ptr};

/// The calling kernel thread, ready to enter bodies.
///
/// It holds the context to which the kernel thread comes back (its own stack and TLS), and has put an alternate signal stack in
/// place, on which a stack overflow can still be told. Dropping it puts the former alternate stack back.
///
/// It does not leave its kernel thread:
///
/// ```compile_fail
/// let me = raddle_context::KernelThread::enter().unwrap();
/// std::thread::spawn(move || drop(me));
/// ```
#[derive(Debug)]
pub struct KernelThread {
    /// Above the alternate stack, in its mapping: whoever enters a body keeps its address, and this value may move. Not in a box: a
    /// launched kernel thread must not wait for the allocator.
    context: NonNull<Context>,
    alternate_stack: AlternateStack,
    signal_mask: libc::sigset_t,
    /// `None` before glibc 2.35, which registers no area.
    _rseq: Option<rseq::Noted>,
    of_this_thread: PhantomData<*mut ()>,
}

impl KernelThread {
    /// Prepares the calling kernel thread: one that libc made, or one of [`launch`](KernelThread::launch).
    ///
    /// Neither allocates nor takes a lock of libc's, if bodies exist already and it succeeds.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported) inside the `io::Error` if bodies can't exist here; `InvalidInput` on a body (bodies are
    /// entered from kernel threads), and if a value of this kernel thread is still alive; out of memory for the alternate stack.
    pub fn enter() -> io::Result<KernelThread> {
        let glibc = glibc()?;
        if crate::running().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "KernelThread::enter was called on a body; only a kernel thread of its own can enter bodies",
            ));
        }
        if is_entered() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "KernelThread::enter was called twice on one kernel thread; keep the first value",
            ));
        }
        let rseq = match glibc.rseq_area() {
            None => None,
            // Nothing is registered for a kernel thread that libc did not make.
            Some(_) if !launched_header().is_null() => None,
            Some(area) => Some(rseq::note(area).ok_or_else(|| {
                io::Error::other("too many kernel threads run bodies in this process: at most 8192")
            })?),
        };
        let alternate_stack = AlternateStack::install()?;
        set_entered(true);
        let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: with a null `set` the call only writes the current mask; a zeroed sigset_t is a valid empty set besides.
        let signal_mask = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
            mask.assume_init()
        };
        let context = alternate_stack.context();
        // SAFETY: the mapping's highest bytes, writable and aligned, which are no part of the stack.
        unsafe { context.write(Context::running()) };
        Ok(KernelThread {
            context,
            alternate_stack,
            signal_mask,
            _rseq: rseq,
            of_this_thread: PhantomData,
        })
    }

    /// The kernel thread's own context: `from` when it enters a body, `to` when a body comes back to it.
    pub fn context(&self) -> *mut Context {
        self.context.as_ptr()
    }

    /// The signal mask that this kernel thread had when it entered: what a body resumed here shall run with.
    pub fn signal_mask(&self) -> &libc::sigset_t {
        &self.signal_mask
    }

    /// This kernel thread's alternate signal stack, as `sigaltstack(2)` describes one.
    pub fn alternate_stack(&self) -> libc::stack_t {
        describe(self.alternate_stack.mapping)
    }
}

thread_local! {
    /// Whether a KernelThread of this kernel thread is alive, if libc made it. A launched one says so in its header.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

fn is_entered() -> bool {
    match NonNull::new(launched_header()) {
        None => ENTERED.get(),
        // SAFETY: the header of this kernel thread's own body, whose field nobody else touches meanwhile.
        Some(header) => unsafe { (*header.as_ptr()).is_entered },
    }
}

fn set_entered(now: bool) {
    match NonNull::new(launched_header()) {
        None => ENTERED.set(now),
        // SAFETY: as above.
        Some(header) => unsafe { (*header.as_ptr()).is_entered = now },
    }
}

impl Drop for KernelThread {
    fn drop(&mut self) {
        set_entered(false);
    }
}

/// A mapping in use as this kernel thread's alternate signal stack.
#[derive(Debug)]
struct AlternateStack {
    mapping: *mut u8,
    former: libc::stack_t,
}

/// The lowest page is no memory, so that a handler that needs more fails visibly.
const GUARD: usize = 4096;
/// The kernel's frame takes up to 11 KiB with AMX, the report of an overflow about as much.
const SIZE: usize = 64 * 1024 - ABOVE;
/// What lies above it in the mapping: the kernel thread's context.
const ABOVE: usize = size_of::<Context>().next_multiple_of(64);
const MAPPING: usize = GUARD + SIZE + ABOVE;

impl AlternateStack {
    fn install() -> io::Result<AlternateStack> {
        // SAFETY: a new mapping at an address of the kernel's choice, then a guard inside it.
        let mapping = unsafe {
            let mapping = libc::mmap(
                ptr::null_mut(),
                MAPPING,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            if mapping == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            libc::mprotect(mapping, GUARD, libc::PROT_NONE);
            mapping.cast::<u8>()
        };
        let new = describe(mapping);
        let mut former =
            libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: both structures are live; the new stack stays mapped until `drop` has put the former back, or is
        // unmapped here where the kernel refused it.
        unsafe {
            if libc::sigaltstack(&raw const new, &raw mut former) != 0 {
                let error = io::Error::last_os_error();
                libc::munmap(mapping.cast(), MAPPING);
                return Err(error);
            }
        }
        Ok(AlternateStack { mapping, former })
    }

    /// Room for a context, above the stack.
    fn context(&self) -> NonNull<Context> {
        // SAFETY: inside the mapping, which is not at 0.
        unsafe { NonNull::new_unchecked(self.mapping.add(GUARD + SIZE).cast()) }
    }
}

/// As `sigaltstack(2)` has it.
fn describe(mapping: *mut u8) -> libc::stack_t {
    libc::stack_t { ss_sp: mapping.wrapping_add(GUARD).cast(), ss_flags: 0, ss_size: SIZE }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let mut former = self.former;
        if former.ss_flags & libc::SS_DISABLE != 0 {
            // The kernel looks at the size even of a stack that is to be disabled, on some versions.
            former.ss_size = SIZE;
        }
        // SAFETY: runs on the kernel thread that installed it (KernelThread is not Send) and not on the alternate
        // stack itself, so the kernel lets go of the mapping before it is unmapped.
        unsafe {
            if libc::sigaltstack(&raw const former, ptr::null_mut()) == 0 {
                libc::munmap(self.mapping.cast(), MAPPING);
            }
        }
    }
}
