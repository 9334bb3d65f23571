//! Kernel threads that libc does not make: on the stack and TLS block of a body, by one system call.
//!
//! A runtime that replaces blocked workers must be able to make a kernel thread at any time, also while a preempted body
//! holds malloc's lock or the loader's. `pthread_create` takes both, and would wait for a body that nobody runs. Everything a
//! thread needs is in a body, though, and was put there beforehand: a guarded stack, TLS, a thread control block on glibc's list. What is
//! left is `clone(2)`.
//!
//! ```text
//!   the caller                                       the new kernel thread
//!   ──────────                                       ─────────────────────
//!   Body::prepare      TLS made as new: perhaps the loader's lock, free()
//!   launch
//!     all signals blocked
//!     the tag is cleared, "launched" is set
//!     clone ────────────────────────────────────────▶ first_entry, under the body's thread pointer
//!     mask restored                                    libc's part of TLS begun, signal mask set
//!     Launched                                         main: KernelThread::enter, switch to bodies and back
//!                                                      thread-locals' destructors
//!                                                      all signals blocked, exit(2)
//!     has_ended, wait  ◀────── the kernel clears the id, when nothing touches the stack any more
//!   into_body          the tag is set again; the body may be given back
//! ```
//!
//! The kernel has no robust list of such a thread: its robust mutexes are marked when it ends, not when the process is killed. It
//! has no rseq area: `sched_getcpu` asks the vDSO. glibc's malloc and locks take the process for one with many threads since the specimen
//! ran, in forked children too, so that it need not know of this one.
//!
//! Rejected: a pthread made beforehand as the only way (a burst of blocking bodies uses any number of them up); a thread without
//! TLS of its own (it could not call libc, nor read a thread-local); the loader's lock at the launch, to renew a
//! recycled block (a preempted body may hold it).

#![allow(unsafe_code, reason = "makes a kernel thread out of raw memory")]

use crate::arch;
use crate::body::{Body, BodyRef};
use crate::fork;
use crate::glibc::{Glibc, forget_dlerror, glibc};
use crate::header::Header;
use crate::kernel_thread::KernelThread;
use crate::sanitizer;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A body whose TLS block is as new, ready for [`KernelThread::launch`].
#[derive(Debug)]
#[must_use = "a body that is not given back keeps its slot"]
pub struct Prepared {
    body: Body,
    /// Forked children don't launch their parent's bodies: glibc has taken them off its list there.
    generation: u32,
}

impl Prepared {
    /// The body as it was.
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl Body {
    /// Makes the body ready for [`KernelThread::launch`], which must not wait for anybody: a body's TLS is otherwise made as new at
    /// the start of its run. May take the loader's lock and free memory, unless nothing ever ran on the body.
    pub fn prepare(self) -> Prepared {
        let header = self.header().as_ptr();
        // SAFETY: the owner of a body that does not run has its header and its block to itself; what ran there has ended and left
        // by `depart`, after its destructors.
        unsafe {
            if !(*header).is_fresh {
                known_glibc().renew_block((*header).tp);
                (*header).is_fresh = true;
            }
        }
        Prepared { body: self, generation: fork::generation() }
    }
}

/// What a new kernel thread finds at the top of its stack, and its launcher looks at.
struct Start {
    body: BodyRef,
    main: unsafe fn(*mut u8),
    argument: *mut u8,
    /// The signals that it begins with blocked.
    mask: SignalSet,
    generation: u32,
    panicked: AtomicBool,
    /// What the kernel calls it; cleared by the kernel when it is gone.
    id: AtomicU32,
}

impl KernelThread {
    /// Makes a kernel thread that runs `main(argument)` on the body's stack and with its thread-locals, and ends when `main`
    /// returns. Takes no lock and allocates nothing, whether it succeeds or not; nor does the new thread before `main`.
    ///
    /// The thread is a kernel thread like one of libc's: it has thread-locals, may call libc, may [`enter`](KernelThread::enter) and then
    /// switch to bodies and come back; [`running`](crate::running) is `None` on its own context. It starts with `mask` blocked, or the
    /// caller's mask where that is `None`, and without an alternate signal stack; `enter` installs one, and from then on an overflow is
    /// told. When `main` has returned or panicked, its thread-locals' destructors run. In a forked child whose one
    /// thread it is, its end is that of the process, as with libc's threads.
    ///
    /// What it lacks: the kernel has no robust list of it, and no rseq area. libc does not count it: a `main` that leaves by
    /// `pthread_exit` ends the process although it still runs. `pthread_exit`, cancellation, `pthread_kill`, priority-inheriting mutexes and
    /// `setuid` don't work on it, as they don't on a body: its id, as libc sees it, is none of the kernel's.
    ///
    /// ```
    /// use raddle_context::{Arena, KernelThread, running};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static RAN: AtomicU32 = AtomicU32::new(0);
    /// unsafe fn main_of_the_new_one(_: *mut u8) {
    ///     let me = KernelThread::enter().expect("a kernel thread like any other");
    ///     assert!(running().is_none());
    ///     drop(me);
    ///     RAN.store(1, Ordering::Relaxed);
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let arena = Arena::new(Default::default())?;
    /// let body = arena.make()?.prepare();
    /// // SAFETY: `main_of_the_new_one` asks nothing of its argument.
    /// let launched = unsafe { KernelThread::launch(body, main_of_the_new_one, std::ptr::null_mut(), None) };
    /// let launched = launched.map_err(|(error, _)| error)?;
    /// launched.wait();
    /// assert_eq!(RAN.load(Ordering::Relaxed), 1);
    /// arena.give(launched.into_body().expect("it has ended"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `clone(2)`, `EAGAIN` above all (`ulimit -u`, a cgroup's `pids.max`); `EINVAL` in a child that was forked after the
    /// body was prepared. The body comes back with the error.
    ///
    /// # Safety
    ///
    /// - `main(argument)` may be called on another thread, and what it uses lives until it has returned.
    /// - The body's arena outlives the thread, as for any body that runs, and was made in this process, not before a fork.
    /// - When `main` returns, nothing of this kernel thread is needed any more: no body is suspended that must come back to its
    ///   context.
    pub unsafe fn launch(
        body: Prepared,
        main: unsafe fn(argument: *mut u8),
        argument: *mut u8,
        mask: Option<&libc::sigset_t>,
    ) -> Result<Launched, (io::Error, Prepared)> {
        let generation = fork::generation();
        if body.generation != generation {
            return Err((io::Error::from_raw_os_error(libc::EINVAL), body));
        }
        let header = body.body.header().as_ptr();
        // Blocked from here on: the new thread begins without a signal on a half-made stack, and nobody takes the caller's thread
        // elsewhere between here and the restoring of its mask.
        let caller = set_mask(ALL_SIGNALS);
        // SAFETY: a prepared body's memory is its owner's. The record and two words of 0 fit on any stack, which has 16 KiB at least;
        // both stay untouched until `into_body`, that is until the kernel says that the thread is gone.
        let (start, id) = unsafe {
            sanitizer::unpoison((*header).stack_low, (*header).stack_high);
            let start = (*header).stack_high.cast::<Start>().sub(1);
            let start = start.wrapping_byte_sub(start.addr() % 64);
            start.write(Start {
                body: *body.body,
                main,
                argument,
                mask: mask.map_or(caller, signal_set),
                generation,
                panicked: AtomicBool::new(false),
                id: AtomicU32::new(0),
            });
            let stack = start.cast::<[usize; 2]>().sub(1);
            stack.write([0; 2]);
            tag(header, false);
            (*header).is_fresh = false;
            (*header).is_entered = false;
            let id = arch::clone_thread(
                FLAGS as usize,
                stack.cast(),
                (*start).id.as_ptr(),
                (*header).tp.expose_provenance(),
                first_function,
                start.cast(),
            );
            (start, id)
        };
        set_mask(caller);
        if id < 0 {
            // SAFETY: there is no thread: the body is its owner's as before.
            unsafe {
                tag(header, true);
                (*header).is_fresh = true;
            }
            return Err((io::Error::from_raw_os_error(-id as i32), body));
        }
        // SAFETY: not null: inside the slot.
        let start = unsafe { NonNull::new_unchecked(start) };
        Ok(Launched { body: body.body, start, id: id as i32 })
    }
}

/// A thread of this process, as `pthread_create` makes one.
const FLAGS: libc::c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// Says in the TCB whose it is: a body's, or a launched kernel thread's.
///
/// # Safety
///
/// The header is of a body that the caller owns and that does not run.
unsafe fn tag(header: *mut Header, is_body: bool) {
    let own = header.expose_provenance();
    let (tag, launched) = if is_body { (own, 0) } else { (0, own) };
    // SAFETY: two words of the body's TCB, which by contract nobody else uses.
    unsafe {
        (*header).tp.add(arch::TAG_OFFSET).cast::<usize>().write(tag);
        (*header).tp.add(arch::LAUNCHED_OFFSET).cast::<usize>().write(launched);
    }
}

/// A launched kernel thread's first Rust function. Its caller is `first_entry`, which has none.
unsafe extern "C" fn first_function(start: *mut u8) -> ! {
    // SAFETY: `launch` wrote the record, and it stays until this thread is gone. Every field but the atomic ones is constant.
    let start = unsafe { &*start.cast::<Start>() };
    let header = start.body.header().as_ptr();
    // SAFETY: this thread's own block, prepared and never used since. `main` is called once, as its caller allowed; after it
    // nothing else of this thread's own code runs, so the destructors are due.
    unsafe {
        let tp = (*header).tp;
        known_glibc().begin_libc(tp);
        set_mask(start.mask);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (start.main)(start.argument))) {
            start.panicked.store(true, Ordering::Relaxed);
            drop(payload);
        }
        known_glibc().run_destructors(tp);
        forget_dlerror();
        if start.generation != fork::generation() {
            libc::exit(0);
        }
        // From here on the kernel alone is on this stack.
        set_mask(ALL_SIGNALS);
        loop {
            arch::system_call(libc::SYS_exit, [0; 6]);
        }
    }
}

/// A kernel thread that [`KernelThread::launch`] made.
///
/// Dropping it does nothing to the thread, and keeps its body's slot taken.
#[derive(Debug)]
#[must_use = "the thread's body can be given back only through this"]
pub struct Launched {
    body: Body,
    start: NonNull<Start>,
    id: i32,
}

// SAFETY: a handle that reads atomics; the body in it is Send.
unsafe impl Send for Launched {}
// SAFETY: shared, it only reads atomics and constants.
unsafe impl Sync for Launched {}

impl Launched {
    /// What the kernel calls the thread: what `gettid` says there, and `/proc/self/task` lists. The kernel gives it to another
    /// some time after the thread has ended.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The body on whose stack and TLS it runs.
    pub fn body(&self) -> BodyRef {
        *self.body
    }

    /// Whether the thread is gone, and its body free. In a child that was forked while it ran it stays `false`.
    pub fn has_ended(&self) -> bool {
        // Acquire: the thread's writes come before the kernel's.
        self.word().load(Ordering::Acquire) == 0
    }

    /// Waits until the thread is gone: blocks the calling kernel thread, with a system call of its own. Several may wait.
    pub fn wait(&self) {
        let mut slept = false;
        loop {
            let id = self.word().load(Ordering::Acquire);
            if id == 0 {
                break;
            }
            self.futex(libc::FUTEX_WAIT, id);
            slept = true;
        }
        if slept {
            // The kernel wakes one.
            self.futex(libc::FUTEX_WAKE, i32::MAX as u32);
        }
    }

    fn futex(&self, operation: i32, value: u32) {
        let word = self.word().as_ptr().expose_provenance();
        // Not FUTEX_PRIVATE_FLAG: the kernel wakes as for a shared word.
        // SAFETY: an aligned word that lives as long as this handle; there is no timeout.
        unsafe {
            arch::system_call(libc::SYS_futex, [word, operation as usize, value as usize, 0, 0, 0]);
        }
    }

    /// Whether `main` ended with a panic. False while the thread runs.
    pub fn has_panicked(&self) -> bool {
        // SAFETY: the record stays until `into_body`.
        self.has_ended() && unsafe { (*self.start.as_ptr()).panicked.load(Ordering::Relaxed) }
    }

    /// The body, if the thread is gone: to be given back, started as a body, or prepared and launched again.
    ///
    /// # Errors
    ///
    /// The handle itself, while the thread runs.
    pub fn into_body(self) -> Result<Body, Launched> {
        if !self.has_ended() {
            return Err(self);
        }
        // SAFETY: the thread is gone, so the body is this handle's alone, and what lived on its stack has ended.
        unsafe { tag(self.body.header().as_ptr(), true) };
        Ok(self.body)
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the record stays until `into_body`.
        unsafe { &(*self.start.as_ptr()).id }
    }
}

/// A set of signals as the kernel has it.
type SignalSet = u64;

const ALL_SIGNALS: SignalSet = SignalSet::MAX;

/// The kernel's part of libc's type.
fn signal_set(set: &libc::sigset_t) -> SignalSet {
    // SAFETY: a sigset_t is 128 bytes, of which the kernel uses the first 8.
    unsafe { ptr::from_ref(set).cast::<SignalSet>().read() }
}

/// Sets the calling kernel thread's mask and gives the former. libc's function would leave out the signals that it keeps for
/// itself.
fn set_mask(new: SignalSet) -> SignalSet {
    let mut former = 0;
    let arguments = [
        libc::SIG_SETMASK as usize,
        (&raw const new).expose_provenance(),
        (&raw mut former).expose_provenance(),
        size_of::<SignalSet>(),
        0,
        0,
    ];
    // SAFETY: reads one local of 8 bytes and writes another.
    unsafe { arch::system_call(libc::SYS_rt_sigprocmask, arguments) };
    former
}

fn known_glibc() -> &'static Glibc {
    glibc().expect("a body exists, so glibc was examined")
}
