//! Lists of threads for whoever asks with a signal: `SIGQUIT`, unless `RADDLE_DUMP_SIGNAL` names another.
//!
//! ```text
//!   signal ── handler: a flag, a poke ──▶ monitor ── makes a kernel thread ──▶ "raddle-dump": looks, writes, ends
//! ```
//!
//! A handler may do next to nothing, and the monitor must not wait for libc. So a kernel thread of its own lists the threads: made
//! when it is asked for, by one system call out of a body that was prepared before, as workers are. It may allocate and wait for
//! locks, as whoever holds them goes on running. It needs no core: it lists threads as well when every core is stuck in an endless loop
//! and nobody is preempted. An idle process pays for it with one unused body and no kernel thread.
//!
//! | module | what it does |
//! |---|---|
//! | `look` | finds one thread where it is, keeps it there, and takes its backtrace |
//! | `group` | puts threads that are alike together |
//! | `symbols` | names for addresses, without the runtime's own frames |
//! | `text` | writes it all down |
//! | `output` | the way to the standard error |
//!
//! Threads are looked at one after the other while the rest runs: the list is not of one moment.
//!
//! Rejected: a parked raddle thread that dumps (it would need a core, and preemption to get one, just when those may be stuck);
//! the monitor itself (names for addresses take libc's locks and memory).

#![allow(unsafe_code, reason = "a signal handler; launches a kernel thread")]

mod group;
mod look;
mod output;
mod symbols;
mod text;

use crate::dumper::DumpSignal;
use crate::machine::Runtime;
use crate::sys::{futex, task};
use raddle_context::{Body, KernelThread};
use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The runtime whose threads are listed; null in a forked child.
static RUNTIME: AtomicPtr<Runtime> = AtomicPtr::new(ptr::null_mut());
/// Somebody asks, and nobody has begun to answer.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Sees to it that the signal of the settings dumps the threads of `runtime`.
///
/// # Errors
///
/// From making a body; for a signal that was wished for, `AlreadyExists` if the program handles it, and what `sigaction(2)` says.
pub(crate) fn install(runtime: &'static Runtime) -> io::Result<()> {
    let (signal, is_wished) = match runtime.settings.dump {
        DumpSignal::Off => return Ok(()),
        DumpSignal::Usual => (libc::SIGQUIT, false),
        DumpSignal::Wished(signal) => (signal, true),
    };
    if signal == runtime.settings.signal {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "signal {signal} can't both preempt threads and list them; give RADDLE_SIGNAL or RADDLE_DUMP_SIGNAL another"
            ),
        ));
    }
    if !install_handler(signal)? {
        if is_wished {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "signal {signal} shall list raddle's threads, but the program has a handler for it already"
                ),
            ));
        }
        return Ok(());
    }
    runtime.dumper.lock().next = Some(runtime.workers_arena.make()?.prepare());
    RUNTIME.store(ptr::from_ref(runtime).cast_mut(), Ordering::Release);
    Ok(())
}

/// In a forked child the signal does what it did before there was a runtime: see the handler.
pub(crate) fn forget() {
    RUNTIME.store(ptr::null_mut(), Ordering::Release);
    ASKED.store(false, Ordering::Relaxed);
    look::let_go();
}

/// False if the program has a handler for `signal`.
fn install_handler(signal: c_int) -> io::Result<bool> {
    let handler = on_signal as *const () as usize;
    // SAFETY: the former action is read into a zeroed structure; the new one is complete, and its handler keeps to what handlers may do.
    let result = unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let result = libc::sigaction(signal, ptr::null(), &raw mut action);
        let is_free = [libc::SIG_DFL, libc::SIG_IGN, handler].contains(&action.sa_sigaction);
        if result == 0 && !is_free {
            return Ok(false);
        }
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        if result == 0 {
            libc::sigaction(signal, &raw const action, ptr::null_mut())
        } else {
            result
        }
    };
    if result == 0 { Ok(true) } else { Err(io::Error::last_os_error()) }
}

/// On whatever kernel thread the signal arrives. It calls nothing of libc's but what handlers may.
extern "C" fn on_signal(signal: c_int) {
    // SAFETY: runtimes are never freed.
    match unsafe { RUNTIME.load(Ordering::Acquire).as_ref() } {
        Some(runtime) => {
            ASKED.store(true, Ordering::Release);
            if runtime.monitor.poked.ring() {
                futex::wake(runtime.monitor.poked.word(), 1);
            }
        }
        None => {
            // A forked child without a runtime: as if raddle were not there. It takes effect when the handler has returned.
            // SAFETY: both may be called in handlers.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
    }
}

/// Whether somebody asks for a dump, for the monitor to [serve](serve).
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Acquire)
}

/// Whether a dump is being made. For the monitor, which alone begins them.
pub(crate) fn is_at_work(runtime: &Runtime) -> bool {
    runtime.dumper.lock().last.as_ref().is_some_and(|last| !last.has_ended())
}

/// Starts the dump that was asked for. Neither allocates nor waits. To be called again soon as long as [`is_asked`] says so.
pub(crate) fn serve(runtime: &'static Runtime) {
    let mut dumper = runtime.dumper.lock();
    match dumper.last.take().map(raddle_context::Launched::into_body) {
        None => {}
        Some(Ok(body)) => runtime.workers_arena.give(body),
        // Still at work, and it will see that it is asked again, or just ending.
        Some(Err(last)) => {
            dumper.last = Some(last);
            return;
        }
    }
    let Some(body) = dumper.next.take() else {
        ASKED.store(false, Ordering::Relaxed);
        output::write(
            b"raddle: threads can't be listed now: there is no memory for another kernel thread\n",
        );
        return;
    };
    let argument = ptr::from_ref(runtime).cast_mut().cast();
    // Signals stay blocked: a handler would run on the stack of a thread that is looked at.
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: fills a set; a runtime is never freed, and its arena never dropped; `main` leaves nothing behind.
    let launched = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        KernelThread::launch(body, main, argument, Some(&all.assume_init()))
    };
    match launched {
        Ok(launched) => dumper.last = Some(launched),
        Err((_, body)) => {
            dumper.next = Some(body);
            ASKED.store(false, Ordering::Relaxed);
            output::write(
                b"raddle: threads can't be listed now: the kernel gives no further kernel thread\n",
            );
        }
    }
}

/// # Safety
///
/// `runtime` leads to a [`Runtime`], which is never freed.
unsafe fn main(runtime: *mut u8) {
    // SAFETY: the caller's.
    let runtime: &'static Runtime = unsafe { &*runtime.cast() };
    task::set_name(c"raddle-dump");
    raddle_context::trace::prepare();
    // For the next dump, now: should this one fail.
    if let Ok(body) = runtime.workers_arena.make() {
        let next = Body::prepare(body);
        runtime.dumper.lock().next = Some(next);
    }
    while ASKED.swap(false, Ordering::AcqRel) {
        text::write(runtime);
    }
}
