//! Tracing: what the scheduler does, as a picture for Perfetto (<https://ui.perfetto.dev>) or Chrome.
//!
//! `RADDLE_TRACE=out.json`, or [`Builder::trace`](crate::runtime::Builder::trace), records every switch, sleep, wake,
//! preemption, steal and hand-over, and writes them when the process exits, with a track for each core and each thread.
//!
//! ```text
//!   dispatch, wake, park, monitor          record: one load and a branch while nothing is recorded
//!        │
//!        ▼
//!   recorder   a ring for each core, one for kernel threads without a core: the newest events
//!        │                                                                   at exit, or when asked
//!        ▼
//!   story      events become spans: who ran from when to when, what a thread did in between
//!        ▼
//!   json, file
//! ```
//!
//! A tracer that changes what it watches is worth little: an event costs a reading of the counter and five stores. Nothing is
//! allocated, no lock is taken on a core, and rings overwrite what is oldest. What a process that is killed had recorded is lost;
//! one that exits, from whichever thread, has its trace.
//!
//! Call sites stand where the scheduler decides, one line each. They say what happens *before* others can see it (a thread that is
//! queued may be running elsewhere a moment later), so cause comes before effect in the order of time.
//!
//! Rejected: Perfetto's own protobuf format (smaller, but a schema to carry along; whoever wants it has converters); writing to
//! the file as events come (a scheduler that waits for a disk); a ring for each thread (a million rings).

#![allow(
    unsafe_code,
    reason = "the recorder behind a pointer; records of threads in hand; an exit handler"
)]

mod event;
mod file;
mod json;
mod recorder;
mod story;
mod why;

use crate::label::WaitsFor;
use crate::machine::{Core, ThreadRef, Worker};
use crate::sleeper::Reason;
use crate::sys::task;
use event::Event;
use event::{Ended, Waker};
use file::Output;
use recorder::Recorder;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use why::Why;

/// What is recorded and where it goes. Leaked: whoever records may still do so when recording has ended.
struct Tracing {
    recorder: Recorder,
    output: Output,
}

/// Null while nothing is recorded.
static TRACING: AtomicPtr<Tracing> = AtomicPtr::new(ptr::null_mut());
/// The process has been forked off one that was tracing.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Starts to record, before any worker runs; the process's exit will write.
///
/// # Errors
///
/// If the file can't be made.
pub(crate) fn start(path: &Path, cores: usize, events: usize) -> io::Result<()> {
    let output = Output::open(path, IS_CHILD.load(Ordering::Relaxed))?;
    let tracing = Box::leak(Box::new(Tracing { recorder: Recorder::new(cores, events), output }));
    TRACING.store(tracing, Ordering::Release);
    static ONCE: Once = Once::new();
    // SAFETY: the handler may run at any exit.
    ONCE.call_once(|| unsafe {
        libc::atexit(write_at_exit);
    });
    Ok(())
}

/// Writes what was recorded so far.
///
/// # Errors
///
/// `Unsupported` if nothing is recorded; from writing the file.
pub(crate) fn write() -> io::Result<()> {
    match tracing() {
        Some(tracing) => tracing.write(),
        None => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "nothing is traced: set RADDLE_TRACE=FILE or runtime::Builder::trace",
        )),
    }
}

/// In a forked child: its parent goes on recording, and writes.
pub(crate) fn forget() {
    let was_on = !TRACING.swap(ptr::null_mut(), Ordering::Relaxed).is_null();
    IS_CHILD.fetch_or(was_on, Ordering::Relaxed);
}

extern "C" fn write_at_exit() {
    let last = tracing();
    // Threads that still run have nothing to add.
    TRACING.store(ptr::null_mut(), Ordering::Relaxed);
    if let Some(Err(error)) = last.map(Tracing::write) {
        eprintln!("raddle: {error}");
    }
}

fn tracing() -> Option<&'static Tracing> {
    // SAFETY: leaked.
    unsafe { TRACING.load(Ordering::Acquire).as_ref() }
}

impl Tracing {
    fn write(&self) -> io::Result<()> {
        let path = self.output.path().display();
        let lost = self.output.write(&self.recorder).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the trace could not be written to {path}: {error}"),
            )
        })?;
        if lost > 0 {
            let kept = self.recorder.capacity();
            eprintln!(
                "raddle: {path} has the newest {kept} events of each core; {lost} older ones are lost \
                 (RADDLE_TRACE_EVENTS keeps more)"
            );
        }
        Ok(())
    }
}

/// Whether anything is recorded.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    !TRACING.load(Ordering::Relaxed).is_null()
}

/// Functions of which nothing but a look at the switch is left in their callers: the rest is a cold function whose arguments are
/// plain words, so that nothing is laid out in memory for it beforehand.
macro_rules! events {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*) |$recorder:ident| $body:block)*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        pub(crate) fn $name($($argument: $type),*) {
            #[cold]
            #[inline(never)]
            fn record($($argument: $type),*) {
                let Some(Tracing { recorder: $recorder, .. }) = tracing() else { return };
                $body
            }
            if is_on() {
                record($($argument),*);
            }
        }
    )*};
}

// What happens. Where a core is asked for, the caller holds it, with preemption forbidden.
events! {
    /// `thread` runs on `core` from here on.
    dispatched(core: &Core, thread: ThreadRef) |recorder| {
        // SAFETY: workers are never freed.
        let worker = unsafe { core.worker.load(Ordering::Relaxed).as_ref() };
        let worker = worker.map_or(0, |worker| worker.kernel_id() as u32);
        let waiting = waiting(core);
        by(recorder, core, core, id(thread), Event::Dispatched { worker, waiting });
    }

    /// Nobody runs on `core` from here on.
    idle(core: &Core) |recorder| {
        by(recorder, core, core, 0, Event::Idle { waiting: waiting(core) });
    }

    /// The calling thread leaves `core` for a sleep.
    sleeps(core: &Core, thread: ThreadRef, at: &'static Location<'static>) |recorder| {
        let waits_for = WaitsFor(thread.block().waits_for.load(Ordering::Relaxed));
        let why = Why::new(waits_for.parts().0, at);
        by(recorder, core, core, id(thread), Event::Sleeps(why));
    }

    /// `thread`, which is in the caller's hands, sleeps no longer, and is about to be queued on `target`. `here` as for
    /// `sched::wake`.
    woken(here: Option<&Core>, thread: ThreadRef, target: &Core) |recorder| {
        let (waker, waiting) = (caller(here), waiting(target) + 1);
        let event = Event::Woken { waker, ended: how_it_ended(thread), waiting };
        by_whom(recorder, here, target, id(thread), event);
    }

    /// `thread`, which had begun to sleep on `core`, was woken on its way there: it is about to be queued again.
    woken_on_its_way(core: &Core, thread: ThreadRef) |recorder| {
        let (waker, waiting) = (Waker::Unknown, waiting(core) + 1);
        let event = Event::Woken { waker, ended: how_it_ended(thread), waiting };
        by(recorder, core, core, id(thread), event);
    }

    /// `thread` is new, and is about to be queued on `target`.
    begun(here: Option<&Core>, thread: ThreadRef, target: &Core) |recorder| {
        let event = Event::Begun { creator: caller(here), waiting: waiting(target) + 1 };
        by_whom(recorder, here, target, id(thread), event);
    }

    /// The calling thread has to give way: its slice is used up, or another thread is more urgent.
    preempted(core: &Core, thread: ThreadRef, used_up: bool) |recorder| {
        by(recorder, core, core, id(thread), Event::Preempted { used_up });
    }

    /// The calling thread is over.
    ends(core: &Core, thread: ThreadRef) |recorder| {
        by(recorder, core, core, id(thread), Event::Ends);
    }

    /// The calling thread, whose worker has lost its core, is about to be queued where it ran last.
    evicted(thread: ThreadRef) |recorder| {
        // SAFETY: it ran, so it has a core, and cores are never freed.
        let home = unsafe { &*thread.block().core.get() };
        by_whom(recorder, None, home, id(thread), Event::Evicted);
    }

    /// `core` took `count` threads from `victim`, `first` among them.
    stolen(core: &Core, first: ThreadRef, victim: &Core, count: usize) |recorder| {
        let (count, left) = (count as u16, waiting(victim));
        let event = Event::Stolen { victim: victim.index as u16, count, left };
        by(recorder, core, core, id(first), event);
    }

    /// `core` is about to go to another worker. Its thread, which keeps the old one, is the caller or is shut out.
    handed_over(core: &Core, from: &Worker, to: &Worker) |recorder| {
        let (from, to) = (from.kernel_id() as u32, to.kernel_id() as u32);
        // SAFETY: so it can't be parted with meanwhile.
        let thread = unsafe { runner_id(core) };
        by_whom(recorder, None, core, thread, Event::HandedOver { from, to });
    }

    /// The monitor asks `worker` to preempt its thread.
    signalled(core: &Core, worker: &Worker) |recorder| {
        let worker = worker.kernel_id() as u32;
        by_whom(recorder, None, core, 0, Event::Signalled { worker });
    }

    /// An operation on a descriptor has ended for which the calling thread has waited.
    operated(core: &Core, thread: ThreadRef, waited_for: WaitsFor, result: i64) |recorder| {
        let (what, descriptor) = waited_for.parts();
        let result = result.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let event = Event::Operated { what, descriptor: descriptor as u32, result };
        by(recorder, core, core, id(thread), event);
    }

    /// The signal found the calling thread inside libc.
    put_off(core: &Core) |recorder| {
        by(recorder, core, core, 0, Event::PutOff);
    }
}

/// A thread was made, outside the runtime: this allocates. Not inline, as generic code calls it: that would make the pointer a symbol
/// that other crates see, and every look at it two loads.
#[inline(never)]
pub(crate) fn named(id: u64, name: &str) {
    if let Some(Tracing { recorder, .. }) = tracing() {
        recorder.name(id, name);
    }
}

/// By the holder of `holder`. Simulated cores are numbered from 0 like the live ones; their time is not that of the trace.
fn by(recorder: &Recorder, holder: &Core, core: &Core, thread: u64, event: Event) {
    if holder.runtime().host.is_none() {
        recorder.push(holder.index, core.index, thread, event);
    }
}

fn by_whom(recorder: &Recorder, here: Option<&Core>, core: &Core, thread: u64, event: Event) {
    match here {
        Some(holder) => by(recorder, holder, core, thread, event),
        None if core.runtime().host.is_none() => recorder.push_outside(core.index, thread, event),
        None => {}
    }
}

/// Who calls: the thread that runs on its core.
fn caller(here: Option<&Core>) -> Waker {
    match here {
        // SAFETY: the caller holds the core, so who runs there is the caller, or has not begun to run.
        Some(core) => match unsafe { runner_id(core) } {
            0 => Waker::Unknown,
            id => Waker::Thread(id),
        },
        None => Waker::KernelThread(task::id() as u64),
    }
}

/// How the sleep of a thread in the caller's hands ended: its state word tells, so that call sites need not carry it along.
fn how_it_ended(thread: ThreadRef) -> Ended {
    match thread.block().sleeper.state.last_reason().map(Reason) {
        Some(Reason::TIMED_OUT) => Ended::TimedOut,
        Some(Reason::CANCELLED) => Ended::Cancelled,
        Some(Reason::SIGNALLED) => Ended::Signalled,
        _ => Ended::Ready,
    }
}

fn waiting(core: &Core) -> u32 {
    core.waiting.load(Ordering::Relaxed) as u32
}

/// The id of a thread that is in the caller's hands.
fn id(thread: ThreadRef) -> u64 {
    thread.block().id.get()
}

/// The id of the thread that runs on `core`, 0 without one.
///
/// # Safety
///
/// It can't be parted with meanwhile.
unsafe fn runner_id(core: &Core) -> u64 {
    // SAFETY: blocks are never freed, and the id is constant while the thread lives.
    unsafe { core.current.load(Ordering::Relaxed).as_ref() }.map_or(0, |block| block.id.get())
}
