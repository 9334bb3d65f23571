//! The door to the event queue: what a thread does that waits for an operation, one of several, or several steps.
//!
//! A raddle thread submits to the queue of its core, and parks. A plain kernel thread sends its request to a core, and parks on a futex. Both
//! come back when the operation has ended: early only for good, never while its memory could still be written.

#![allow(unsafe_code, reason = "operations over raw memory, by their submitter's promise")]

use crate::at_hand::AtHand;
use crate::cancel;
use crate::carry;
use crate::event_seat::Seated;
use crate::host;
use crate::label::WaitsFor;
use crate::machine::{Core, Runtime};
use crate::park::Wait;
use crate::request::{CoreName, Machine, Next, Request, Steps, Wish, as_number, as_result};
use crate::sched::enter::{self, Here};
use crate::sched::events::{self, Refused};
use crate::sched::start;
use crate::settings;
use crate::signals;
use crate::sleeper::{Reason, Sleep};
use crate::trace;
use raddle_event::Op;
use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `op`, and parks the caller meanwhile. A time-out is `ErrorKind::TimedOut`.
///
/// # Errors
///
/// The operation's; from making the core's first queue; `Unsupported` in a simulation.
///
/// # Panics
///
/// Unwinds if the calling thread is cancelled while it waits. An operation that has been done nevertheless is not lost: then it returns.
///
/// # Safety
///
/// All memory that `op` points to is valid for what it does, and nobody else's, until this returns or unwinds.
#[track_caller]
pub(crate) unsafe fn perform(
    op: Op,
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    // SAFETY: the caller's.
    unsafe { perform_on(op, None, waits_for, deadline_ns) }
}

/// A socket that may be at hand somewhere.
pub(crate) type Busy<'a> = (BorrowedFd<'a>, &'a AtHand);

/// As [`perform`]; `socket` is what `op` is over, and where that is at hand.
///
/// # Errors
///
/// As `perform`.
///
/// # Panics
///
/// As `perform`.
///
/// # Safety
///
/// As `perform`.
#[inline(always)]
#[track_caller]
pub(crate) unsafe fn perform_on(
    op: Op,
    socket: Option<Busy<'_>>,
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    // Made where it is described: a copy of what has just been written in parts keeps the processor waiting.
    let mut request = Request::new(op);
    // SAFETY: the caller's.
    unsafe { see_to(&mut request, socket, waits_for, deadline_ns) }
}

/// # Safety
///
/// As [`perform`], of what a new request is for.
#[track_caller]
unsafe fn see_to(
    request: &mut Request,
    socket: Option<Busy<'_>>,
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    loop {
        request.at_hand = socket.map_or(CoreName::NONE, |(_, at_hand)| at_hand.core());
        let (core, wait, here) = begin_and_wait(request, waits_for)?;
        let reason = wait.park_from(here, deadline_ns);
        if let Some((fd, at_hand)) = socket
            && !request.is_at_hand_on(core.index)
        {
            at_hand.missed(fd);
        }
        if let Some(result) = after_park(core, request, reason, waits_for) {
            return result;
        }
        *request = Request::new(*request.op());
    }
}

/// Has a helper of the event queue call `body`, and parks the caller meanwhile: for what may wait for a disk. What it returns is the result, an
/// error as its number with a minus.
///
/// It has a small stack, and must not panic: that ends the process. It is called once, or not at all.
///
/// # Errors
///
/// As [`perform`].
///
/// # Panics
///
/// As [`perform`], if `body` was not called.
#[track_caller]
pub(crate) fn call<F: FnOnce() -> i64 + Send>(body: F, waits_for: WaitsFor) -> io::Result<usize> {
    /// # Safety
    ///
    /// `body` is an `Option<F>`, and the caller's for the moment.
    unsafe extern "C" fn take_and_call<F: FnOnce() -> i64>(body: *mut c_void) -> i64 {
        // SAFETY: the caller's.
        let body = unsafe { (*body.cast::<Option<F>>()).take() };
        body.map_or(-i64::from(libc::EINVAL), |body| body())
    }
    let mut body = Some(body);
    let op = Op::Call { function: take_and_call::<F>, argument: (&raw mut body).cast() };
    // SAFETY: the body stands here until this returns, is touched by nobody else meanwhile, and may be called by another thread.
    unsafe { perform(op, waits_for, None) }
}

/// Whether what the calling thread is about to try by a system call of its own is better given to the event queue at once: other threads wait for
/// its core, they are done soon, as far as the monitor has seen, and what they submit goes to the kernel with this, in one entry.
///
/// A thread that computes, all of a sudden, holds it up by a step of the monitor's, once: then nobody is at ease any more.
///
/// Where very many threads wait, one that parks is in no near cache any more when it comes back: that costs more than the call that it spares.
#[inline]
pub(crate) fn goes_with_others() -> bool {
    /// Of so many at most, those included that have been answered and did not run since: behind a server that is all busy most have.
    const WARM: u32 = 256;
    let Some(core) = enter::core_nearby() else { return false };
    core.waiting.load(Ordering::Relaxed) > 0
        && core.events.outlook.expected() <= WARM
        && core.events.is_cheap.load(Ordering::Relaxed)
        && core.runtime().monitor.is_at_ease.load(Ordering::Relaxed)
}

/// Whether so few operations are in flight on the calling thread's core that most of its waits end with one of them. Then to wait until a socket has
/// something, and to take that by a call, is less than to have the kernel take it: this has to keep the request's description, and begin anew.
#[inline]
pub(crate) fn is_nearly_alone() -> bool {
    /// A server's listener is one, and its signals.
    const FEW: u32 = 4;
    let Some(here) = Here::enter() else { return false };
    let core = here.place().core();
    core.waiting.load(Ordering::Relaxed) == 0 && core.events.outlook.expected() <= FEW
}

/// Does what `machine` says, step by step, and parks the caller once meanwhile. `TimedOut` if no step has ended for `patience_ns`.
///
/// # Errors
///
/// What the machine ends with; otherwise as [`perform`].
///
/// # Panics
///
/// As [`perform`]. The machine stands where the last step has left it.
///
/// # Safety
///
/// As [`perform`], of all operations that the machine gives.
#[track_caller]
pub(crate) unsafe fn run<M: Machine>(
    machine: &mut M,
    waits_for: WaitsFor,
    patience_ns: Option<u64>,
) -> io::Result<usize> {
    let deadline = || patience_ns.map(|patience| host::now_ns().saturating_add(patience));
    loop {
        let first = match machine.next(None) {
            Next::Submit(op) => op,
            Next::End(result) => return as_result(result),
        };
        // SAFETY: the caller waits here until it was settled, and uses the machine after that.
        let mut request = unsafe { Request::of_steps(first, Steps::of(machine)) };
        let (core, wait, here) = begin_and_wait(&mut request, waits_for)?;
        let mut reason = wait.park_from(here, deadline());
        let mut seen = 0;
        while reason == Reason::TIMED_OUT {
            let done = request.steps_done();
            if done == std::mem::replace(&mut seen, done) {
                break;
            }
            reason = match arm(&request, waits_for) {
                Some(wait) => wait.park(deadline()),
                None => Reason::READY,
            };
        }
        if let Some(result) = after_park(core, &request, reason, waits_for) {
            return result;
        }
    }
}

/// As [`run`], of a machine whose operations are all over `socket`, and until `deadline_ns`.
///
/// # Errors
///
/// As `run`.
///
/// # Panics
///
/// As `run`.
///
/// # Safety
///
/// As `run`.
#[track_caller]
pub(crate) unsafe fn run_on<M: Machine>(
    machine: &mut M,
    socket: Busy<'_>,
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    let (fd, at_hand) = socket;
    loop {
        let first = match machine.next(None) {
            Next::Submit(op) => op,
            Next::End(result) => return as_result(result),
        };
        // SAFETY: the caller waits here until it was settled, and uses the machine after that.
        let mut request = unsafe { Request::of_steps(first, Steps::of(machine)) };
        request.at_hand = at_hand.core();
        let (core, wait, here) = begin_and_wait(&mut request, waits_for)?;
        let reason = wait.park_from(here, deadline_ns);
        if !request.is_at_hand_on(core.index) {
            at_hand.missed(fd);
        }
        if let Some(result) = after_park(core, &request, reason, waits_for) {
            return result;
        }
    }
}

/// Does all of `ops`, and parks the caller until one of them has ended; then ends the others. Says what each has come to: those that were ended
/// are `ECANCELED`, all of them after a time-out.
///
/// # Errors
///
/// As [`perform`], but for the operations' own. At most [`MANY`] can be waited for.
///
/// # Panics
///
/// Unwinds if the calling thread is cancelled while it waits, and none has ended.
///
/// # Safety
///
/// As [`perform`], of all.
#[track_caller]
pub(crate) unsafe fn perform_any(
    ops: &[Op],
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<Vec<io::Result<usize>>> {
    if ops.len() > MANY {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many to wait for at once"));
    }
    'anew: loop {
        let mut requests: Vec<Request> = ops.iter().copied().map(Request::new).collect();
        let mut begun = Vec::with_capacity(requests.len());
        let wait = Wait::begin(waits_for);
        for (index, request) in requests.iter_mut().enumerate() {
            match begin(request, wait.sleep(), Reason::choice(index as u16)) {
                Ok(core) => begun.push((core, &*request)),
                Err(refused) => {
                    // Who has ended it was one of those that are ended here.
                    let _ = wait.retract();
                    end(&begun, waits_for);
                    make_room(refused)?;
                    continue 'anew;
                }
            }
        }
        let reason = wait.park(deadline_ns);
        end(&begun, waits_for);
        let results: Vec<_> = requests.iter().map(Request::result).collect();
        let has_ended = results.iter().any(|result| !is_cancelled(result));
        if has_ended || reason == Reason::TIMED_OUT {
            return Ok(results);
        }
        // An operation may say that it was cancelled by another: then the wait is over as well.
        if reason.chosen().is_some() {
            return Ok(results);
        }
        go_on_after(reason)?;
    }
}

/// So many can be waited for at once.
pub(crate) const MANY: usize = (u16::MAX - Reason::FIRST_CHOICE) as usize;

fn is_cancelled(result: &io::Result<usize>) -> bool {
    result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ECANCELED))
}

/// What follows a wait that was cut short, and has come to nothing: an error, an end, or to wait again.
pub(crate) fn go_on_after(reason: Reason) -> io::Result<()> {
    match reason {
        Reason::TIMED_OUT => Err(io::ErrorKind::TimedOut.into()),
        Reason::SIGNALLED => {
            signals::deliver();
            Ok(())
        }
        _ => cancel::unwind(),
    }
}

/// What a request has come to, whose waiter was woken for `reason`: it is settled when this returns. `None`: it has come to nothing, and is to be
/// begun anew.
#[inline(always)]
fn after_park(
    core: &'static Core,
    request: &Request,
    reason: Reason,
    waits_for: WaitsFor,
) -> Option<io::Result<usize>> {
    if reason == Reason::READY {
        return Some(come_to(request, waits_for));
    }
    cut_short(core, request, reason, waits_for)
}

/// As [`after_park`], of a wait that something else has ended.
#[cold]
fn cut_short(
    core: &'static Core,
    request: &Request,
    reason: Reason,
    waits_for: WaitsFor,
) -> Option<io::Result<usize>> {
    end(&[(core, request)], waits_for);
    let result = come_to(request, waits_for);
    if is_cancelled(&result) { go_on_after(reason).err().map(Err) } else { Some(result) }
}

/// How a request has ended.
#[inline(always)]
fn come_to(request: &Request, waits_for: WaitsFor) -> io::Result<usize> {
    let result = request.result();
    if trace::is_on() {
        tell(waits_for, as_number(&result));
    }
    result
}

/// Tells a trace how an operation has ended.
#[cold]
fn tell(waits_for: WaitsFor, result: i64) {
    if let Some(here) = Here::enter() {
        trace::operated(here.place().core(), here.thread(), waits_for, result);
    }
}

/// Submits a request, and begins the sleep that its end will end. On which core; a raddle thread stays inside the runtime, once, to sleep there.
#[inline]
fn begin_and_wait(
    request: &mut Request,
    waits_for: WaitsFor,
) -> io::Result<(&'static Core, Wait, Option<Here>)> {
    loop {
        let Some(here) = Here::enter() else { return begin_from_outside(request, waits_for) };
        let wait = Wait::begin_from(&here, waits_for);
        request.arm_alone(wait.sleep(), Reason::READY);
        let core = here.place().core();
        // SAFETY: this module's callers keep the request, and what its operation points to, until it was settled.
        let Err(refused) = (unsafe { events::submit(core, request) }) else {
            return Ok((core, wait, Some(here)));
        };
        // Nobody has counted on this sleep.
        let _ = wait.retract();
        drop(here);
        make_room(refused)?;
    }
}

/// As [`begin_and_wait`], on a kernel thread that is no worker's.
#[cold]
fn begin_from_outside(
    request: &mut Request,
    waits_for: WaitsFor,
) -> io::Result<(&'static Core, Wait, Option<Here>)> {
    loop {
        let wait = Wait::begin(waits_for);
        match begin(request, wait.sleep(), Reason::READY) {
            Ok(core) => return Ok((core, wait, None)),
            Err(refused) => {
                let _ = wait.retract();
                make_room(refused)?;
            }
        }
    }
}

/// Submits a request whose end shall end `sleep`. On which core.
fn begin(request: &mut Request, sleep: Sleep, reason: Reason) -> Result<&'static Core, Refused> {
    request.arm_alone(sleep, reason);
    if let Some(here) = Here::enter() {
        let core = here.place().core();
        // SAFETY: this module's callers keep the request, and what its operation points to, until it was settled.
        return unsafe { events::submit(core, request) }.map(|()| core);
    }
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let runtime = start::get_or_start(settings::from_environment).map_err(Refused::Error)?;
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let core = &runtime.cores[turn % runtime.cores.len()];
    if core.events.waker.get().is_none() {
        return Err(Refused::NoQueue(core));
    }
    // SAFETY: as above.
    unsafe { events::send(core, request, Wish::Begin) };
    Ok(core)
}

/// Does something about it that a request was refused, if possible: then it may be tried again. No sleep has begun.
#[cold]
fn make_room(refused: Refused) -> io::Result<()> {
    match refused {
        Refused::Error(error) => Err(error),
        Refused::Simulated => Err(host::unsupported()),
        Refused::NoQueue(core) => give_queue(core),
    }
}

fn give_queue(core: &'static Core) -> io::Result<()> {
    let made = Seated::new()?;
    // Inside the runtime nothing is dropped.
    let spare = {
        let _here = Here::enter();
        events::install(core, made)
    };
    drop(spare);
    Ok(())
}

/// Gives each core its queue, once: for who is about to take descriptors by the thousand. When the last is taken, a core that has no queue
/// yet could not have one, and nobody there could wait for anything.
#[inline]
pub(crate) fn prepare() {
    let is_done = |runtime: &Runtime| runtime.has_queues.load(Ordering::Relaxed);
    if !start::started().is_some_and(is_done) && !host::is_simulated() {
        give_queues();
    }
}

/// As far as possible: who needs a queue that could not be made tries again, and says why not.
#[cold]
fn give_queues() {
    let Ok(runtime) = start::get_or_start(settings::from_environment) else { return };
    for core in &runtime.cores {
        if core.events.waker.get().is_none() && give_queue(core).is_err() {
            break;
        }
    }
    runtime.has_queues.store(true, Ordering::Relaxed);
}

/// Begins another sleep that the end of `request` will end; `None` if it has ended.
fn arm(request: &Request, waits_for: WaitsFor) -> Option<Wait> {
    let wait = Wait::begin(waits_for);
    let is_armed = {
        let _here = Here::enter();
        request.arm(wait.sleep(), Reason::READY)
    };
    if is_armed {
        return Some(wait);
    }
    let _ = wait.retract();
    None
}

/// Ends requests before their time, and waits for that: they are settled when this returns.
fn end(begun: &[(&'static Core, &Request)], waits_for: WaitsFor) {
    let _shield = carry::raise_shield();
    let mut at = 0;
    while let Some(&(core, _)) = begun.get(at) {
        // Mostly all of them.
        let count = begun[at..].iter().take_while(|(other, _)| std::ptr::eq(*other, core)).count();
        let those = begun[at..at + count].iter().map(|(_, request)| *request);
        let here = Here::enter();
        let here = here.as_ref().map(|here| here.place().core());
        // SAFETY: as in `begin`; below is waited until they are settled.
        unsafe { events::end(core, those, here) };
        at += count;
    }
    for (core, request) in begun {
        while let Some(wait) = arm(request, waits_for) {
            wait.park(None);
        }
        let _here = Here::enter();
        events::forget(core, request);
    }
}
