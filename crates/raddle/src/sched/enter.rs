//! The way into the runtime and out of it: preemption is forbidden in between.
//!
//! A count in the thread's block says how deep it is inside. While it is above 0 the signal handler only leaves a note, and the
//! monitor does not take the core away. Both leave their notes in the *worker's* flags, which are looked at on the way in (has
//! the core been lost meanwhile?) and on the way out (is there a preemption to make up for?).
//!
//! The count is the thread's, not the worker's: between reading which worker it is and counting there, a thread could be
//! preempted and go on elsewhere. It stands in the control block, not in a thread-local, because it must hold while a body's
//! thread-locals are made anew. Only the thread and its own handler touch it, so plain loads and stores do; the monitor's
//! half of the bargain is `membarrier`, see `monitor`.

#![allow(unsafe_code, reason = "a signal handler")]

use crate::dumper::{Answer, Question};
use crate::flag;
use crate::machine::{Place, ThreadRef, Worker};
use crate::record::RecordRef;
use crate::sched::{dispatch, handover, wake};
use crate::sleeper::{Reason, Sleep};
use crate::sys::{clock, task};
use crate::trace;
use raddle_context::SignalFrame;
use raddle_context::trace::Trace;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{Ordering, compiler_fence};

/// The calling thread is inside the runtime as long as this lives: it stays on its worker, and the worker on its core.
pub(crate) struct Here {
    thread: ThreadRef,
    of_this_thread: PhantomData<*mut ()>,
}

impl Here {
    /// Goes in. `None` on a kernel thread that is no worker's, and in a child that was forked by a raddle thread.
    #[inline]
    pub(crate) fn enter() -> Option<Here> {
        let thread = ThreadRef::running()?;
        let depth = count_up(thread);
        // SAFETY: workers are never freed.
        let Some(worker) = (unsafe { thread.block().worker.load(Ordering::Relaxed).as_ref() })
        else {
            count_down(thread);
            return None;
        };
        if depth == 1
            && worker.flags.load(Ordering::Relaxed) & (flag::DOUBT | flag::LOST | flag::LOOKED_AT)
                != 0
        {
            settle_core(thread);
        }
        Some(Here { thread, of_this_thread: PhantomData })
    }

    /// Where the calling thread is. To be asked again after it has slept or given way.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        place_of(self.thread)
    }

    pub(crate) fn thread(&self) -> ThreadRef {
        self.thread
    }

    /// Sleeps; returns when the prepared sleep is over.
    ///
    /// The caller must not be inside twice: what the outer one has locked would stay locked.
    #[inline]
    pub(crate) fn sleep(&self, sleep: Sleep, at: &'static Location<'static>) {
        debug_assert_eq!(self.thread.block().count.load(Ordering::Relaxed), 1);
        dispatch::sleep(self.place(), sleep, at);
    }

    /// Goes out without the core, if others want it: what follows may block in the kernel.
    pub(crate) fn leave_to_block(self) {
        let thread = self.thread;
        std::mem::forget(self);
        if handover::hand_over(&place_of(thread)) {
            // Not `leave`: that would attend to the loss at once.
            count_down(thread);
        } else {
            leave(thread);
        }
    }

    /// Has spawned a thread, and lets others run if too many wait.
    #[inline]
    pub(crate) fn after_spawn(&self) {
        dispatch::after_spawn(self.place());
    }

    /// Lets others run.
    #[inline]
    pub(crate) fn give_way(&self) {
        debug_assert_eq!(self.thread.block().count.load(Ordering::Relaxed), 1);
        dispatch::give_way(self.place());
    }
}

impl Drop for Here {
    #[inline]
    fn drop(&mut self) {
        leave(self.thread);
    }
}

/// Forbids preemption once more, and says how often it is forbidden now.
#[inline]
fn count_up(thread: ThreadRef) -> u32 {
    let count = &thread.block().count;
    let depth = count.load(Ordering::Relaxed) + 1;
    count.store(depth, Ordering::Relaxed);
    // The cheap half of the pair whose other half is `membarrier`.
    compiler_fence(Ordering::SeqCst);
    depth
}

#[inline]
fn count_down(thread: ThreadRef) -> u32 {
    compiler_fence(Ordering::SeqCst);
    let count = &thread.block().count;
    let depth = count.load(Ordering::Relaxed) - 1;
    count.store(depth, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    depth
}

/// Goes out, once. Makes up for what was put off.
#[inline]
pub(crate) fn leave(thread: ThreadRef) {
    let block = thread.block();
    // SAFETY: workers are never freed; inside the runtime there is one.
    let worker = unsafe { &*block.worker.load(Ordering::Relaxed) };
    let is_out = count_down(thread) == 0;
    // By now it may run elsewhere; then this is another worker's note, and `attend` finds nothing to do.
    if is_out && worker.flags.load(Ordering::Relaxed) != 0 {
        attend(thread);
    }
}

/// Does what notes ask for, until there are none.
#[cold]
fn attend(thread: ThreadRef) {
    loop {
        count_up(thread);
        act_on_notes(thread);
        // SAFETY: workers are never freed.
        let worker = unsafe { &*thread.block().worker.load(Ordering::Relaxed) };
        count_down(thread);
        if worker.flags.load(Ordering::Relaxed) == 0 {
            return;
        }
    }
}

/// With preemption forbidden once: gives way if it must.
fn act_on_notes(thread: ThreadRef) {
    settle_core(thread);
    let place = place_of(thread);
    let notes = flag::PREEMPT | flag::STEP_BACK;
    if place.worker.flags.load(Ordering::Relaxed) & notes == 0 {
        return;
    }
    let asked = place.worker.flags.fetch_and(!notes, Ordering::Relaxed);
    if asked & flag::STEP_BACK != 0 {
        dispatch::step_back(place);
    } else {
        dispatch::preempt(place);
    }
}

/// Waits until the monitor has decided about the core; if it is gone, goes on elsewhere.
#[cold]
fn settle_core(thread: ThreadRef) {
    loop {
        // SAFETY: workers are never freed.
        let worker = unsafe { &*thread.block().worker.load(Ordering::Relaxed) };
        let flags = worker.flags.load(Ordering::Acquire);
        if flags & (flag::DOUBT | flag::LOOKED_AT) != 0 {
            task::yield_processor();
        } else if flags & flag::LOST != 0 {
            dispatch::evict(Place { thread, worker });
        } else {
            return;
        }
    }
}

#[inline]
fn place_of(thread: ThreadRef) -> Place {
    // SAFETY: workers are never freed; inside the runtime there is one.
    let worker: &'static Worker = unsafe { &*thread.block().worker.load(Ordering::Relaxed) };
    Place { thread, worker }
}

/// Ends a sleep, from anywhere. Whether this call was what ended it.
#[inline]
pub(crate) fn end_sleep(sleep: Sleep, reason: Reason) -> bool {
    let here = Here::enter();
    let core = here.as_ref().map(|here| here.place().core());
    wake::wake(sleep, reason, core)
}

/// The last moment of a thread: it goes inside for ever. Says where it is.
pub(crate) fn enter_for_ever(thread: ThreadRef) -> Option<Place> {
    count_up(thread);
    // SAFETY: workers are never freed.
    unsafe { thread.block().worker.load(Ordering::Relaxed).as_ref() }?;
    settle_core(thread);
    Some(place_of(thread))
}

/// The handler of the preemption signal: on the stack of the thread that is to give way.
///
/// It does nothing on a kernel thread that is no worker's, on a worker's own stack, inside the runtime (it leaves a note),
/// on an alternate stack, inside another signal's handler. It does not allocate, lock or panic.
pub(crate) extern "C" fn on_signal(
    _signal: c_int,
    _info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let Some(thread) = ThreadRef::running() else { return };
    let block = thread.block();
    // SAFETY: workers are never freed.
    let Some(worker) = (unsafe { block.worker.load(Ordering::Relaxed).as_ref() }) else { return };
    if block.count.load(Ordering::Relaxed) != 0 {
        note_preemption(worker);
        return;
    }
    count_up(thread);
    // Asked again: before this line another signal may have come, whose handler moved the thread.
    let worker = place_of(thread).worker;
    // SAFETY: the kernel's argument, used while the handler runs.
    let mut frame = unsafe { SignalFrame::from_handler(context) };
    if let Some(question) = Question::take(&worker.asked) {
        say_where(thread, question, &mut frame);
        return;
    }
    if !frame.may_switch(&worker.kernel_thread) {
        count_down(thread);
        return;
    }
    // SAFETY: the thread's own errno, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    if !puts_off(worker, &frame) {
        note_preemption(worker);
        act_on_notes(thread);
    }
    // Until the kernel has taken the frame back: a handler that came in between would move the thread, and the frame would give
    // its new kernel thread the alternate stack of this one.
    task::block_signals();
    // SAFETY: on return the frame goes to the worker that runs this now, perhaps another one; nothing switches before. The mask
    // returns with the frame.
    unsafe {
        frame.resume_on(&place_of(thread).worker.kernel_thread);
        *libc::__errno_location() = errno;
    }
    count_down(thread);
}

/// The signal has come. With preemption off it is meant for a thread whose worker has lost its core, and comes late, perhaps, to
/// another one: that one is left in peace.
fn note_preemption(worker: &Worker) {
    if worker.runtime.settings.preempts {
        worker.flags.fetch_or(flag::PREEMPT, Ordering::Relaxed);
    }
}

/// Answers, from the handler, who runs here and where. Preemption is forbidden once, and allowed again at the end.
#[cold]
fn say_where(thread: ThreadRef, question: &Question, frame: &mut SignalFrame) {
    question.answer(Answer {
        thread: thread.as_ptr().addr(),
        // SAFETY: the calling thread.
        record: unsafe { RecordRef::second(&thread.block().record) },
        since_ns: thread.block().since_ns.get(),
        trace: Trace::of_interrupted(frame),
    });
    // As in `on_signal`: nobody moves the thread before the kernel has taken the frame back; but before this handler counted a second
    // one may have, and then the frame is another kernel thread's. One that may not be switched away from was not moved.
    task::block_signals();
    let here = &place_of(thread).worker.kernel_thread;
    if frame.may_switch(here) {
        // SAFETY: on return the frame goes to the worker that runs this; nothing switches before.
        unsafe { frame.resume_on(here) };
    }
    count_down(thread);
}

/// Inside libc, the loader or the unwinder a thread may hold a lock that others need: it gets a little time to come out. A
/// courtesy: if it stays, it is preempted there, and whoever waits for the lock in the kernel loses its core to a spare worker.
fn puts_off(worker: &'static Worker, frame: &SignalFrame) -> bool {
    const TIMES: u32 = 10;
    const AGAIN_NS: u64 = 20_000;
    if worker.flags.load(Ordering::Relaxed) & flag::STEP_BACK != 0 {
        return false;
    }
    let pc = frame.program_counter();
    let is_in_library = worker.runtime.library_text.iter().any(|text| text.contains(&pc));
    if !is_in_library || worker.put_off.get() >= TIMES {
        worker.put_off.set(0);
        return false;
    }
    worker.put_off.set(worker.put_off.get() + 1);
    if let Some(core) = wake::core_of(&worker.core) {
        core.slice_end_ns.store(clock::coarse_ns() + AGAIN_NS, Ordering::Relaxed);
        trace::put_off(core);
    }
    true
}
