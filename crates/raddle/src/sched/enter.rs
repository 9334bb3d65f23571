//! The way into the runtime and out of it: preemption is forbidden in between.
//!
//! The thread's depth (`raddle_core::depth`) says whether it is inside. Then the signal handler only leaves a note, and the
//! monitor does not take the core away. Both leave their notes with the *worker* (`raddle_core::notes`), where they are looked at on the
//! way in (has the core been lost meanwhile?) and on the way out (is there a preemption to make up for?).
//!
//! The depth is the thread's, not the worker's: between reading which worker it is and counting there, a thread could be
//! preempted and go on elsewhere. It stands in the control block, not in a thread-local, because it must hold while a body's
//! thread-locals are made anew.

#![allow(unsafe_code, reason = "a signal handler")]

use crate::dumper::{Answer, Question};
use crate::machine::{Core, Place, Runtime, ThreadRef, Worker};
use crate::record::RecordRef;
use crate::sched::{dispatch, handover, wake};
use crate::sleeper::{Reason, Sleep};
use crate::sys::{clock, task};
use crate::trace;
use raddle_context::SignalFrame;
use raddle_context::trace::Trace;
use raddle_core::notes::{Request, Verdict};
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{Ordering, fence};

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
        let depth = thread.block().depth.go_in();
        // SAFETY: workers are never freed.
        let Some(worker) = (unsafe { thread.block().worker.load(Ordering::Relaxed).as_ref() })
        else {
            thread.block().depth.go_out();
            return None;
        };
        if depth == 1 && worker.notes.concern_core() {
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
        debug_assert_eq!(self.thread.block().depth.get(), 1);
        dispatch::sleep(self.place(), sleep, at);
    }

    /// Goes out without the core, if others want it: what follows may block in the kernel.
    pub(crate) fn leave_to_block(self) {
        let thread = self.thread;
        std::mem::forget(self);
        if handover::hand_over(&place_of(thread)) {
            // Not `leave`: that would attend to the loss at once.
            thread.block().depth.go_out();
        } else {
            leave(thread);
        }
    }

    /// Has spawned a thread, and lets others run if too many wait.
    #[inline]
    pub(crate) fn after_spawn(&self) {
        dispatch::after_spawn(self.place());
    }

    /// Goes on on `core`.
    pub(crate) fn move_to(&self, core: &'static Core) {
        debug_assert_eq!(self.thread.block().depth.get(), 1);
        dispatch::move_to(self.place(), core);
    }

    /// Lets others run.
    #[inline]
    pub(crate) fn give_way(&self) {
        debug_assert_eq!(self.thread.block().depth.get(), 1);
        dispatch::give_way(self.place());
    }
}

impl Drop for Here {
    #[inline]
    fn drop(&mut self) {
        leave(self.thread);
    }
}

/// The runtime whose thread the caller is; `None` as for [`Here::enter`].
#[inline]
pub(crate) fn runtime() -> Option<&'static Runtime> {
    let thread = ThreadRef::running()?;
    // SAFETY: workers are never freed. By now another one may run the thread: of the same runtime.
    let worker = unsafe { thread.block().worker.load(Ordering::Relaxed).as_ref() }?;
    Some(worker.runtime)
}

/// The core that the calling thread runs on, for who wants to know how things stand there, and does nothing: the thread may run elsewhere by now.
#[inline]
pub(crate) fn core_nearby() -> Option<&'static Core> {
    let thread = ThreadRef::running()?;
    // SAFETY: workers are never freed.
    let worker = unsafe { thread.block().worker.load(Ordering::Relaxed).as_ref() }?;
    wake::core_of(&worker.core)
}

/// Lets others run before the caller, wherever it runs.
pub(crate) fn let_others_run() {
    match Here::enter() {
        Some(here) => here.give_way(),
        None => task::yield_processor(),
    }
}

/// Goes out, once. Makes up for what was put off.
#[inline]
pub(crate) fn leave(thread: ThreadRef) {
    let block = thread.block();
    // SAFETY: workers are never freed; inside the runtime there is one.
    let worker = unsafe { &*block.worker.load(Ordering::Relaxed) };
    let is_out = block.depth.go_out() == 0;
    // By now it may run elsewhere; then this is another worker's note, and `attend` finds nothing to do.
    if is_out && worker.notes.is_any() {
        attend(thread);
    }
}

/// Does what notes ask for, until there are none.
#[cold]
fn attend(thread: ThreadRef) {
    loop {
        thread.block().depth.go_in();
        act_on_notes(thread);
        // SAFETY: workers are never freed.
        let worker = unsafe { &*thread.block().worker.load(Ordering::Relaxed) };
        thread.block().depth.go_out();
        if !worker.notes.is_any() {
            return;
        }
    }
}

/// With preemption forbidden once: gives way if it must.
fn act_on_notes(thread: ThreadRef) {
    settle_core(thread);
    let place = place_of(thread);
    match place.worker.notes.take_request() {
        None => {}
        Some(Request::StepBack) => dispatch::step_back(place),
        Some(Request::Preempt) => dispatch::preempt(place),
    }
}

/// Waits until the monitor has decided about the core; if it is gone, goes on elsewhere.
#[cold]
fn settle_core(thread: ThreadRef) {
    loop {
        // SAFETY: workers are never freed.
        let worker = unsafe { &*thread.block().worker.load(Ordering::Relaxed) };
        match worker.notes.verdict() {
            Verdict::GoOn => return,
            Verdict::Wait => task::yield_processor(),
            Verdict::Lost => dispatch::evict(Place { thread, worker }),
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
    thread.block().depth.go_in();
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
    if block.depth.get() != 0 {
        note_preemption(worker);
        return;
    }
    block.depth.go_in();
    // Asked again: before this line another signal may have come, whose handler moved the thread.
    let worker = place_of(thread).worker;
    // SAFETY: the kernel's argument, used while the handler runs.
    let mut frame = unsafe { SignalFrame::from_handler(context) };
    if let Some(question) = Question::take(&worker.asked) {
        say_where(thread, question, &mut frame);
        return;
    }
    // SAFETY: a thread runs on it, this one, which stays as long as preemption is forbidden.
    if !frame.may_switch(unsafe { worker.kernel_thread() }) {
        block.depth.go_out();
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
        frame.resume_on(place_of(thread).worker.kernel_thread());
        *libc::__errno_location() = errno;
    }
    thread.block().depth.go_out();
}

/// The signal has come. With preemption off it is meant for a thread whose worker has lost its core, and comes late, perhaps, to
/// another one: that one is left in peace.
fn note_preemption(worker: &Worker) {
    if worker.runtime.settings.preempts {
        worker.notes.preempt();
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
    // SAFETY: as in `on_signal`.
    let here = unsafe { place_of(thread).worker.kernel_thread() };
    if frame.may_switch(here) {
        // SAFETY: on return the frame goes to the worker that runs this; nothing switches before.
        unsafe { frame.resume_on(here) };
    }
    thread.block().depth.go_out();
}

/// Inside libc, the loader or the unwinder a thread may hold a lock that others need: it gets a little time to come out. A
/// courtesy: if it stays, it is preempted there, and whoever waits for the lock in the kernel loses its core to a spare worker.
fn puts_off(worker: &'static Worker, frame: &SignalFrame) -> bool {
    const TIMES: u32 = 10;
    const AGAIN_NS: u64 = 20_000;
    if worker.notes.is_to_step_back() {
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
        let again_at = clock::coarse_ns() + AGAIN_NS;
        core.slice_end_ns.store(again_at, Ordering::Relaxed);
        // Either the monitor, which has just sent the signal and is about to sleep, sees that, or this thread sees until when it sleeps.
        fence(Ordering::SeqCst);
        wake::ensure_watched(worker.runtime, again_at);
        trace::put_off(core);
    }
    true
}
