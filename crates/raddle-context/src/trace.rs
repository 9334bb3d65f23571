//! Backtraces of bodies that don't run, and of code that a signal interrupted: return addresses only, to be named elsewhere.
//!
//! A suspended body is looked at on its own stack: the visitor puts the stack pointer below what the body saved, and asks
//! the unwinder of exceptions for the frames above ([`Trace::of_suspended`]). So every frame is seen that an exception would
//! pass, signal frames of preempted bodies included, by the rules that compilers wrote for exactly that; no frame pointers are needed.
//!
//! The unwinder finds those rules without a lock from glibc 2.35 on (`_dl_find_object`). Before, it took the loader's, which a
//! preempted body may hold: there [`without_waiting`] takes it beforehand, and interrupted code shows its innermost frame only.
//!
//! Code without unwinding rules ends a trace early. Code with wrong ones, hand-written assembly, can lead the unwinder anywhere, as a C++
//! exception would be led.
//!
//! Rejected: unwinding rules of our own reading (`framehop`, `gimli`: another unwinder, which would have to learn glibc's signal
//! trampoline, for the sake of memory that can be read in place); frame pointers (Rust's std and most C libraries are
//! built without).

#![allow(unsafe_code, reason = "the unwinder's C interface; a call on another stack")]

use crate::arch::{self, SavedFrame};
use crate::body::BodyRef;
use crate::signal::SignalFrame;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where this file was when it was compiled: whose frames have a path beside it are this crate's.
#[doc(hidden)]
pub const THIS_FILE: &str = file!();

/// Frames that a trace holds at most.
pub const DEPTH: usize = 64;

/// Frames that are passed at most on the way to the first one that counts: the tracer's own and a handler's.
const OWN_FRAMES: usize = 64;

/// What the unwinder needs of stack, with a signal's frame on top.
const ROOM: usize = 32 * 1024;
/// The same in a handler, whose own frame is on the stack already.
const ROOM_IN_HANDLER: usize = 12 * 1024;

/// The frames of one stack, innermost first.
#[derive(Clone, Copy)]
pub struct Trace {
    addresses: [usize; DEPTH],
    /// Bit i: frame i was interrupted by a signal at its address, which is no return address.
    interrupted: u64,
    length: u8,
    is_cut: bool,
}

const _: () = assert!(DEPTH <= u64::BITS as usize);

/// One frame of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where the function goes on.
    pub address: usize,
    /// Whether a signal interrupted it there. Otherwise it called something, and the call stands before the address.
    pub is_interrupted: bool,
}

impl Trace {
    /// A trace without frames.
    pub const fn empty() -> Trace {
        Trace { addresses: [0; DEPTH], interrupted: 0, length: 0, is_cut: false }
    }

    /// The frames, innermost first.
    pub fn frames(&self) -> impl Iterator<Item = Frame> {
        (0..usize::from(self.length)).map(|at| Frame {
            address: self.addresses[at],
            is_interrupted: self.interrupted >> at & 1 != 0,
        })
    }

    /// Whether there are frames that are not here: the trace is full, or there was no room on the stack to look.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The backtrace of a body that is suspended, or fresh. The innermost frame is that of the function that switched away.
    ///
    /// Allocates nothing and, inside [`without_waiting`], takes no lock.
    ///
    /// # Safety
    ///
    /// The body is started and wholly saved, and nobody resumes it before this returns. The caller is not itself switched away from
    /// meanwhile: a kernel thread of its own, or one on which preemption is forbidden.
    pub unsafe fn of_suspended(body: BodyRef) -> Trace {
        unsafe extern "C" fn look(collector: *mut u8) {
            // SAFETY: the collector given below.
            unsafe { (*collector.cast::<Collector>()).collect() }
        }
        // SAFETY: by contract the context is saved, and nobody's; its stack pointer leads to a saved frame.
        let (sp, start) = unsafe {
            let sp = (*body.context()).resume.sp;
            (sp, (*sp.cast::<SavedFrame>()).rip)
        };
        let mut collector = Collector::new(start);
        if sp.addr() - body.stack().start.addr() >= ROOM {
            // SAFETY: suspended by contract, with room; `look` returns and does not panic.
            unsafe { arch::visit(sp, look, (&raw mut collector).cast()) };
        }
        collector.finish()
    }

    /// The backtrace of the code that the signal of `frame` interrupted, for its handler.
    ///
    /// Allocates nothing and takes no lock.
    pub fn of_interrupted(frame: &SignalFrame) -> Trace {
        let mut collector = Collector::new(frame.program_counter());
        collector.is_interrupted = true;
        let here = arch::stack_pointer();
        let has_room = crate::running().is_none_or(|body| {
            let stack = body.stack();
            !(stack.start.addr()..stack.end.addr()).contains(&here)
                || here - stack.start.addr() >= ROOM_IN_HANDLER
        });
        if has_room && finds_without_lock() {
            collector.collect();
        }
        collector.finish()
    }

    /// A trace of one address, where nothing else is known.
    pub fn of_address(address: usize) -> Trace {
        let mut collector = Collector::new(address);
        collector.is_interrupted = true;
        collector.finish()
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Trace) -> bool {
        self.is_cut == other.is_cut && self.frames().eq(other.frames())
    }
}

impl Eq for Trace {}

impl std::hash::Hash for Trace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.addresses[..usize::from(self.length)].hash(state);
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

impl Default for Trace {
    fn default() -> Trace {
        Trace::empty()
    }
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        trace: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, is_before: *mut c_int) -> usize;
}

/// Collects frames from a certain one on: those before it are the tracer's.
struct Collector {
    start: usize,
    /// What the first frame is, if the unwinder does not come to it.
    is_interrupted: bool,
    passed: usize,
    trace: Trace,
}

impl Collector {
    fn new(start: usize) -> Collector {
        Collector { start, is_interrupted: false, passed: 0, trace: Trace::empty() }
    }

    #[inline(never)]
    fn collect(&mut self) {
        unsafe extern "C" fn note(context: *mut c_void, collector: *mut c_void) -> c_int {
            let mut is_before = 0;
            // SAFETY: the unwinder's context, and the collector given below.
            let (address, collector) = unsafe {
                (
                    _Unwind_GetIPInfo(context, &raw mut is_before),
                    &mut *collector.cast::<Collector>(),
                )
            };
            c_int::from(!collector.note(address, is_before != 0))
        }
        // SAFETY: the callback fits its argument, and does not panic.
        unsafe { _Unwind_Backtrace(note, (&raw mut *self).cast()) };
    }

    /// Whether to go on.
    fn note(&mut self, address: usize, is_interrupted: bool) -> bool {
        let trace = &mut self.trace;
        if trace.length == 0 && address != self.start {
            self.passed += 1;
            return self.passed < OWN_FRAMES;
        }
        // The end is reported as well.
        if address == 0 {
            return true;
        }
        let at = usize::from(trace.length);
        if at == DEPTH {
            trace.is_cut = true;
            return false;
        }
        trace.addresses[at] = address;
        trace.interrupted |= u64::from(is_interrupted) << at;
        trace.length += 1;
        true
    }

    fn finish(mut self) -> Trace {
        if self.trace.length == 0 && self.start != 0 {
            self.note(self.start, self.is_interrupted);
            self.trace.is_cut = true;
        }
        self.trace
    }
}

/// Whether the unwinder takes no lock: [`UNKNOWN`], [`YES`] or [`NO`].
static FINDS_WITHOUT_LOCK: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

fn finds_without_lock() -> bool {
    FINDS_WITHOUT_LOCK.load(Ordering::Relaxed) == YES
}

/// Makes the unwinder ready. To be called once before any trace is taken, where libc's locks may be waited for: the first use binds
/// symbols and examines registers.
pub fn prepare() {
    // SAFETY: looks for a name.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    let mut first = Collector::new(0);
    first.collect();
    FINDS_WITHOUT_LOCK.store(if found.is_null() { NO } else { YES }, Ordering::Relaxed);
}

/// Calls `action`, in which the unwinder then waits for nobody: where it would take the loader's lock, that is taken before.
pub fn without_waiting<T>(action: impl FnOnce() -> T) -> T {
    if finds_without_lock() {
        return action();
    }
    struct Call<A, T> {
        action: Option<A>,
        result: MaybeUninit<T>,
    }
    /// The loader calls it with its lock held, once for each module until the answer is not 0. The lock may be taken again.
    unsafe extern "C" fn inside<A: FnOnce() -> T, T>(
        _: *mut libc::dl_phdr_info,
        _: usize,
        call: *mut c_void,
    ) -> c_int {
        // SAFETY: the call given below.
        let call = unsafe { &mut *call.cast::<Call<A, T>>() };
        if let Some(action) = call.action.take() {
            call.result.write(action());
        }
        1
    }
    fn made<A: FnOnce() -> T, T>(action: A) -> Call<A, T> {
        Call { action: Some(action), result: MaybeUninit::uninit() }
    }
    fn iterate<A: FnOnce() -> T, T>(call: &mut Call<A, T>) {
        // SAFETY: the callback fits its argument, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(inside::<A, T>), (&raw mut *call).cast()) };
    }
    let mut call = made(action);
    iterate(&mut call);
    assert!(call.action.is_none(), "the program itself is a module that the loader knows");
    // SAFETY: the action was called, and its result written.
    unsafe { call.result.assume_init() }
}
