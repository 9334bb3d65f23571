//! A body: what a user-level thread physically is, and the way from its first frame to its last.

#![allow(unsafe_code, reason = "bodies are raw memory that code runs on")]

use crate::arch;
use crate::arch::FirstFrame;
use crate::context::{After, Context};
use crate::glibc::{Glibc, glibc};
use crate::header::{Header, LINE, launched_header, running_header};
use crate::sanitizer;
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// How a body's code ended: normally, or with the payload of a panic that nobody on the body caught.
pub type Outcome = Result<(), Box<dyn Any + Send + 'static>>;

/// What the user of a body does at three points of its run, each on the body itself.
///
/// ```text
///   switch to it ── after ── arrive ── TLS made as new ── main ── settle ── thread-local destructors ── depart ── switch ── after
///                            no thread-locals             ordinary code                                 no thread-locals
/// ```
///
/// Whatever forbids preemption must not be kept in thread-locals: they are made anew while the body runs. Keep it in the
/// control block.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Called first on the body, still under whatever forbade preemption during the switch: may allow it again, as making
    /// TLS as new takes a lock of the loader's. It must not touch thread-locals, and so not allocate: they are still those
    /// that the predecessor left.
    pub arrive: unsafe fn(body: BodyRef),
    /// Called when `main` has ended: takes the outcome. Ordinary code, which may allocate, block and be preempted. Its panic
    /// aborts.
    pub settle: unsafe fn(body: BodyRef, outcome: Outcome),
    /// Called when the destructors of the body's thread-locals have run: answers where the kernel thread goes next. From this
    /// call on the body must not be switched away from by a signal. It must not touch thread-locals, and so not allocate
    /// or free: an allocator would set up its caches in memory that is wiped at the next use. It must not panic.
    ///
    /// The `after` of the [`Departure`] is the first moment at which the body may be given back
    /// ([`Cache::give`](crate::Cache::give)) or started again.
    pub depart: unsafe fn(body: BodyRef) -> Departure,
}

/// Where a body goes when it leaves for the last time.
#[derive(Debug)]
pub struct Departure {
    /// The context to resume, as for [`switch`](crate::switch).
    pub to: *const Context,
    /// What happens there first.
    pub after: After,
}

/// A body that somebody owns: a slot of an arena with a stack, a TLS block and a control block.
///
/// It comes from [`Cache::take`](crate::Cache::take) and goes back with [`Cache::give`](crate::Cache::give). Dropping it
/// is neither: the slot stays taken until its arena goes, so keep the value, or [`Body::into_ref`] and rebuild it.
#[derive(Debug)]
#[must_use = "a body that is not given back to a cache keeps its slot"]
pub struct Body(BodyRef);

// SAFETY: a body is memory that is not bound to a kernel thread; carrying it between them is what it is for. What its
// code may do on another kernel thread is `start`'s contract.
unsafe impl Send for Body {}

/// A body seen by somebody who does not own it: a pointer to it.
///
/// The memory that it leads to stays mapped, even when the arena has been dropped (see [`Arena::unmap`](crate::Arena::unmap)); what
/// it says is about the slot's current use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyRef(NonNull<Header>);

impl Deref for Body {
    type Target = BodyRef;

    fn deref(&self) -> &BodyRef {
        &self.0
    }
}

impl Body {
    /// # Safety
    ///
    /// `header` is that of a built slot which nobody else owns.
    pub(crate) unsafe fn from_header(header: NonNull<Header>) -> Body {
        Body(BodyRef(header))
    }

    /// Gives up ownership without giving the body back; [`from_ref`](Self::from_ref) takes it up again.
    pub fn into_ref(self) -> BodyRef {
        self.0
    }

    /// Takes up ownership that [`into_ref`](Self::into_ref) gave up.
    ///
    /// # Safety
    ///
    /// `body` came from `into_ref`, and from this call on nobody else acts as its owner.
    pub unsafe fn from_ref(body: BodyRef) -> Body {
        Body(body)
    }

    /// Makes the body ready to run `main`: the first switch to its [`context`](BodyRef::context) enters it.
    ///
    /// `main` moves onto the body's stack (into a box if it is larger than 1 KiB). Its panic is caught and reaches
    /// [`Hooks::settle`] as the outcome. Then the body's thread-local destructors run: Rust's, C++'s, pthread keys'. Backtraces and
    /// unwinding end at the body's first frame.
    ///
    /// A body that is started and never switched to does not drop `main`.
    ///
    /// # Safety
    ///
    /// - The body is not running and not suspended: it is fresh from `take`, or its last departure's `after` has run.
    /// - `main` may run, and be moved, on any kernel thread that the caller will switch on: it captures nothing that is bound to
    ///   one (`F: Send` is not enough, and not asked for: the caller decides where the body runs).
    /// - What `main` borrows outlives the body's run.
    /// - Until its departure's `after` has run, the body is not given back to a cache and not started again: what lives on its
    ///   stack would be overwritten. (Started and never switched to, it may be.)
    pub unsafe fn start<F: FnOnce()>(&mut self, main: F, hooks: Hooks) {
        /// Past this a closure is boxed, so that a small stack stays the caller's.
        const ON_STACK: usize = 1024;
        if size_of::<Start<F>>() + align_of::<Start<F>>() > ON_STACK {
            let main = Box::new(main);
            // SAFETY: the same contract, for a closure of one pointer.
            unsafe { self.place(main, hooks) }
        } else {
            // SAFETY: the same contract.
            unsafe { self.place(main, hooks) }
        }
    }

    unsafe fn place<F: FnOnce()>(&mut self, main: F, hooks: Hooks) {
        let header = self.0.0.as_ptr();
        // SAFETY: the owner has the header to itself while the body does not run; the stack below `stack_high` is
        // this slot's and nothing lives on it. A closure of up to 1 KiB and the first frame fit: the least stack is 16 KiB.
        unsafe {
            sanitizer::unpoison((*header).stack_low, (*header).stack_high);
            let align = align_of::<Start<F>>().max(16);
            let start = (*header).stack_high.wrapping_sub(size_of::<Start<F>>());
            let start = start.wrapping_sub(start.addr() % align);
            start.cast::<Start<F>>().write(Start { main, hooks, body: self.0 });
            (*header).context.resume.sp = FirstFrame::write(start, first_function::<F>, start);
        }
    }
}

/// What waits at the top of a fresh stack.
struct Start<F> {
    main: F,
    hooks: Hooks,
    body: BodyRef,
}

/// A body's first Rust function. Its caller is `first_entry`, which has none.
unsafe extern "C" fn first_function<F: FnOnce()>(start: *mut u8) -> ! {
    // SAFETY: `Body::place` wrote it here and nobody else reads it.
    let Start { main, hooks, body } = unsafe { start.cast::<Start<F>>().read() };
    // SAFETY: this runs on `body`, for the first time since it was placed.
    unsafe { begin(body, hooks) };
    let outcome = catch_unwind(AssertUnwindSafe(main));
    // SAFETY: this runs on `body`, and its code has ended.
    unsafe { finish(body, hooks, outcome) }
}

/// # Safety
///
/// Runs on `body`, before its code.
unsafe fn begin(body: BodyRef, hooks: Hooks) {
    let header = body.0.as_ptr();
    // SAFETY: the hook is called as documented. The running body owns its header's `is_fresh`, and none of its code has
    // run yet.
    unsafe {
        (hooks.arrive)(body);
        let is_fresh = std::mem::take(&mut (*header).is_fresh);
        known_glibc().begin_thread((*header).tp, is_fresh);
    }
}

/// # Safety
///
/// Runs on `body`, after its code.
unsafe fn finish(body: BodyRef, hooks: Hooks, outcome: Outcome) -> ! {
    let header = body.0.as_ptr();
    // SAFETY: the body's code has ended and nothing of it is left on the stack. The departure is the caller's contract; this
    // context is never resumed again, only rewritten by `place`.
    unsafe {
        (hooks.settle)(body, outcome);
        known_glibc().run_destructors((*header).tp);
        let Departure { to, after } = (hooks.depart)(body);
        crate::switch(&raw mut (*header).context, to, after);
    }
    // A context that has departed was resumed: there is nothing to go on with.
    std::process::abort()
}

fn known_glibc() -> &'static Glibc {
    glibc().expect("a body exists, so glibc was examined")
}

impl BodyRef {
    /// Where the body stands: what to give to [`switch`](crate::switch).
    pub fn context(self) -> *mut Context {
        // SAFETY: the header stays mapped; no reference is made.
        unsafe { &raw mut (*self.0.as_ptr()).context }
    }

    /// The bytes that are the user's: as many as [`Config::control_bytes`](crate::Config::control_bytes), 64-byte
    /// aligned, zero when the slot is first used, and later zero or as the user left them.
    pub fn control(self) -> NonNull<u8> {
        // Directly behind the header, which is a multiple of 64 bytes.
        // SAFETY: Geometry reserves header and control together.
        unsafe { self.0.add(1).cast() }
    }

    /// The body whose control block starts at `control`: the way back for users who keep pointers to theirs.
    ///
    /// # Safety
    ///
    /// `control` is what [`control`](Self::control) gave for a body whose arena lives.
    pub unsafe fn of_control(control: NonNull<u8>) -> BodyRef {
        // SAFETY: by contract the header is directly before it.
        BodyRef(unsafe { control.cast::<Header>().sub(1) })
    }

    /// Asks the processor for the first `lines` cache lines of the control block, and for what this crate keeps before it, without
    /// waiting: for whoever has several bodies to look at that have long been idle.
    #[inline]
    pub fn prefetch_control(self, lines: usize) {
        prefetch(self.0.as_ptr().cast_const().cast(), size_of::<Header>() / LINE + lines);
    }

    /// Asks for what a switch to the body touches first: so many lines of its stack where it stands, and its TCB. Of one that runs by now, where it stood
    /// before.
    #[inline]
    pub fn prefetch_stack(self, lines: usize) {
        // SAFETY: the header stays mapped. The stack pointer may change meanwhile: an atomic load, of which any result will do.
        let (stack, tcb) = unsafe {
            let header = self.0.as_ptr();
            let sp = AtomicPtr::from_ptr(&raw mut (*header).context.resume.sp);
            (sp.load(Ordering::Relaxed), (*header).tp)
        };
        prefetch(stack, lines);
        prefetch(tcb, 1);
        prefetch(tcb.wrapping_add(arch::TAG_OFFSET), 1);
    }

    /// The body's number: unique in its arena, and small. A slot keeps its number over all its uses.
    pub fn number(self) -> u32 {
        // SAFETY: constant after the slot was built.
        unsafe { (*self.0.as_ptr()).index }
    }

    /// The addresses that the stack may use, lowest first. Below is the guard, above the TLS block.
    pub fn stack(self) -> std::ops::Range<*const u8> {
        // SAFETY: constant after the slot was built.
        unsafe {
            (*self.0.as_ptr()).stack_low.cast_const()..(*self.0.as_ptr()).stack_high.cast_const()
        }
    }

    /// The thread pointer (FS base) while the body runs: what `pthread_self()` says there.
    pub fn thread_pointer(self) -> usize {
        // SAFETY: constant after the slot was built.
        unsafe { (*self.0.as_ptr()).tp.addr() }
    }

    /// The guard below the stack.
    pub(crate) fn guard(self) -> std::ops::Range<usize> {
        // SAFETY: constant after the slot was built.
        unsafe { (*self.0.as_ptr()).slot.addr()..(*self.0.as_ptr()).stack_low.addr() }
    }

    /// Lowest usable address, bytes up to the TCB's end, guard bytes: as `pthread_getattr_np` reports them.
    pub(crate) fn reported_stack(self) -> (*mut u8, usize, usize) {
        // SAFETY: constant after the slot was built; the header is where the TCB ends.
        unsafe {
            let header = self.0.as_ptr();
            let low = (*header).stack_low;
            let end = header.addr();
            (low, end - low.addr(), low.addr() - (*header).slot.addr())
        }
    }

    pub(crate) fn header(self) -> NonNull<Header> {
        self.0
    }
}

impl fmt::Debug for BodyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({})", self.number())
    }
}

/// Asks the processor for so many cache lines from `address` on, without waiting for them. Any address will do.
#[inline]
pub fn prefetch(address: *const u8, lines: usize) {
    (0..lines).for_each(|line| arch::prefetch(address.wrapping_add(line * LINE)));
}

/// The body that runs here, or `None` on a plain kernel thread. One load through FS: signal handlers may ask.
///
/// ```
/// assert!(raddle_context::running().is_none());
/// ```
#[inline]
pub fn running() -> Option<BodyRef> {
    NonNull::new(running_header()).map(BodyRef)
}

/// The body whose stack and TLS block this kernel thread was launched on, if it was launched and runs its own code.
pub(crate) fn launched() -> Option<BodyRef> {
    NonNull::new(launched_header()).map(BodyRef)
}

/// The body whose thread pointer is `tp`, if it is a body's: one that runs, or one that a kernel thread was launched on.
///
/// # Safety
///
/// `tp` is the address of a live TCB.
pub(crate) unsafe fn of_thread_pointer(tp: usize) -> Option<BodyRef> {
    let tcb: *const u8 = ptr::with_exposed_provenance(tp);
    // SAFETY: a live TCB has the words, each a header's address or 0.
    let words = [arch::TAG_OFFSET, arch::LAUNCHED_OFFSET]
        .map(|offset| unsafe { tcb.add(offset).cast::<usize>().read() });
    let header = words.into_iter().find(|&word| word != 0)?;
    NonNull::new(ptr::with_exposed_provenance_mut::<Header>(header)).map(BodyRef)
}
