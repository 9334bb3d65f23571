//! The calling thread: who it is, and how it waits.

#![allow(unsafe_code, reason = "the record of the running thread")]

use crate::cancel;
use crate::host;
use crate::label::{Label, WaitsFor};
use crate::machine::ThreadRef;
use crate::park::{self, Wait};
use crate::record::{Record, RecordRef};
use crate::sched::enter::{self, Here};
use crate::signals;
use crate::sleeper::{Foreign, Reason};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::num::{NonZero, NonZeroU64};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A handle to a thread: raddle's, or a plain kernel thread that uses this crate. As `std::thread::Thread`.
#[derive(Clone)]
pub struct Thread {
    pub(crate) record: RecordRef,
}

/// Tells threads apart: no two that this process ever has share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(NonZeroU64);

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadId({})", self.0)
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Thread {
    /// The thread's id.
    pub fn id(&self) -> ThreadId {
        ThreadId(NonZeroU64::new(self.record.id).expect("ids count from 1"))
    }

    /// The thread's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.record.name.as_deref()
    }

    /// Puts the thread's token in place: its [`park`], now or the next, returns.
    ///
    /// ```
    /// let parked = raddle::thread::spawn(raddle::thread::park);
    /// parked.thread().unpark();
    /// parked.join().unwrap();
    /// ```
    pub fn unpark(&self) {
        unpark(&self.record);
    }
}

pub(crate) fn unpark(record: &RecordRef) {
    if let Some(sleep) = record.put_token() {
        park::unpark(sleep, Reason::READY);
    }
}

thread_local! {
    /// Of a kernel thread that is no worker's; null before it is asked for. Without a destructor, so that it can be asked to the
    /// very end: whoever parks in the last destructors is unparked through the record that it gave away there.
    static FOREIGN: Cell<*mut Record> = const { Cell::new(ptr::null_mut()) };
    static FORGETS: Forgets = const { Forgets };
}

struct Forgets;

impl Drop for Forgets {
    fn drop(&mut self) {
        if let Some(own) = NonNull::new(FOREIGN.replace(ptr::null_mut())) {
            // SAFETY: the cell's own reference, taken out a moment ago.
            drop(unsafe { RecordRef::from_raw(own) });
        }
    }
}

fn own_record() -> RecordRef {
    if let Some(thread) = ThreadRef::running() {
        // SAFETY: the calling thread.
        return unsafe { record_of(thread) };
    }
    let own = NonNull::new(FOREIGN.get()).unwrap_or_else(|| {
        let name = std::thread::current().name().map(Box::from);
        let new = RecordRef::of_kernel_thread(name, Foreign::mine().sleeper()).into_raw();
        FOREIGN.set(new);
        // The first access registers the destructor.
        let _ = FORGETS.try_with(|_| ());
        // SAFETY: a reference is not null.
        unsafe { NonNull::new_unchecked(new) }
    });
    // SAFETY: the cell's own reference, which it keeps.
    unsafe { second_of(own) }
}

/// The record of the running thread.
///
/// # Safety
///
/// `thread` is the calling thread.
unsafe fn record_of(thread: ThreadRef) -> RecordRef {
    let raw: *mut Record = thread.block().record.load(Ordering::Relaxed);
    let raw = NonNull::new(raw).expect("a running thread has its record");
    // SAFETY: the block has a reference of its own as long as the thread runs.
    unsafe { second_of(raw) }
}

/// A second reference.
///
/// # Safety
///
/// `raw` is a reference that somebody keeps.
unsafe fn second_of(raw: NonNull<Record>) -> RecordRef {
    // SAFETY: taken up for a moment, and kept.
    unsafe {
        let own = RecordRef::from_raw(raw);
        let second = own.clone();
        let _ = own.into_raw();
        second
    }
}

/// A handle to the calling thread.
pub fn current() -> Thread {
    Thread { record: own_record() }
}

/// Waits until the thread's token is in place, and takes it. May return without one.
#[track_caller]
pub fn park() {
    park_for(Label::PARK.at(0), None);
}

/// As [`park`], for `timeout` at most.
#[track_caller]
pub fn park_timeout(timeout: Duration) {
    park_for(Label::PARK.at(0), Some(deadline_in(timeout)));
}

/// As [`park`], and says what the caller parks for.
#[track_caller]
pub(crate) fn park_for(waits_for: WaitsFor, deadline_ns: Option<u64>) {
    let record = own_record();
    loop {
        if record.take_token() {
            return;
        }
        let wait = Wait::begin(waits_for);
        if !record.parks(&wait.sleep()) {
            wait.retract();
            return;
        }
        let reason = wait.park(deadline_ns);
        let has_token = record.unparked();
        match reason {
            Reason::CANCELLED => cancel::unwind(),
            Reason::SIGNALLED => signals::deliver(),
            _ => return,
        }
        if has_token {
            return;
        }
    }
}

/// Waits for at least `duration`.
#[track_caller]
pub fn sleep(duration: Duration) {
    sleep_until_ns(Some(deadline_in(duration)).filter(|&at| at != u64::MAX));
}

/// Waits until `deadline`; not at all if it has passed. In a simulation use `time::sleep_until`: `std`'s clock is the kernel's.
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    sleep(deadline.saturating_duration_since(Instant::now()));
}

/// A wait that nobody but the clock ends; `None`: for ever.
#[track_caller]
pub(crate) fn sleep_until_ns(deadline_ns: Option<u64>) {
    loop {
        match Wait::begin(Label::TIME.at(0)).park(deadline_ns) {
            Reason::TIMED_OUT => return,
            Reason::CANCELLED if !std::thread::panicking() => cancel::unwind(),
            Reason::SIGNALLED => signals::deliver(),
            _ => {}
        }
    }
}

/// `duration` from now, on the clock that timers run by.
fn deadline_in(duration: Duration) -> u64 {
    let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    host::now_ns().saturating_add(ns)
}

/// Lets every other thread that is ready on this core run first.
pub fn yield_now() {
    enter::let_others_run();
    signals::check();
}

/// The core that runs the calling thread, from 0; `None` on a kernel thread that is none of the runtime's.
///
/// By the time that the caller looks at it, it may be another one, unless the thread is [bound](super::Builder::bound_to_core): good for
/// statistics and for a choice that is better with it than without.
///
/// ```
/// use raddle::thread;
/// let cores = thread::available_parallelism()?.get();
/// assert!(thread::spawn(thread::core).join().unwrap().is_some_and(|core| core < cores));
/// assert_eq!(thread::core(), None);
/// # std::io::Result::Ok(())
/// ```
#[inline]
pub fn core() -> Option<usize> {
    let thread = ThreadRef::running()?;
    // SAFETY: null, or a core, and those are never freed. It is the calling thread's own, written by whoever dispatches it.
    unsafe { thread.block().core.get().as_ref() }.map(|core| core.index)
}

/// How many threads can run at once: the number of cores, or, before the runtime has started, what it would have.
///
/// # Errors
///
/// From `std::thread::available_parallelism`, or a setting in the environment that can't be read.
pub fn available_parallelism() -> io::Result<NonZero<usize>> {
    let cores = match Here::enter() {
        Some(here) => here.place().runtime().cores.len(),
        None => match crate::sched::start::started() {
            Some(runtime) => runtime.cores.len(),
            None => crate::settings::from_environment()?.cores,
        },
    };
    NonZero::new(cores).ok_or_else(|| io::Error::other("a runtime has at least one core"))
}

/// Waits for the end of the thread that `record` belongs to.
#[track_caller]
pub(super) fn wait_for_end(record: &RecordRef) {
    while !record.has_ended() {
        let wait = Wait::begin(Label::JOIN.at(record.id as usize));
        if record.joined_by(&wait.sleep()) {
            match wait.park(None) {
                Reason::CANCELLED => cancel::unwind(),
                Reason::SIGNALLED => signals::deliver(),
                _ => {}
            }
        } else {
            wait.retract();
        }
    }
}
