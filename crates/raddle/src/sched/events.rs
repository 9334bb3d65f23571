//! The cores' event queues: operations go in, threads come out.
//!
//! | who | when | does what |
//! |---|---|---|
//! | a thread | it needs an operation | [`submit`], then parks |
//! | the holder | between two threads, now and then; when it has nothing else | [`look`]: what has happened? |
//! | the holder | idle | [`wait`]: gives the kernel what was submitted and sleeps, in one call |
//! | the monitor | a core computes or is blocked | [`look_after`] |
//! | whoever woke before its operation ended | | [`end`]: cancels it, or asks the core to |
//!
//! So a scheduling round costs one kernel entry, however many operations it has submitted and found.

#![allow(unsafe_code, reason = "requests on the stacks of threads that wait")]

use crate::event_seat::Seated;
use crate::machine::{Core, ThreadRef, Worker};
use crate::request::{Letter, Next, Request, Wish, as_number};
use crate::sched::{core_clock, wake};
use crate::sleeper::Kind;
use crate::spin::Locked;
use crate::sys::{clock, futex, task};
use raddle_event::{BackendKind, Op, Operation, Queue, What};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Why a request could not be submitted.
pub(crate) enum Refused {
    /// The core has no queue: make one, outside the runtime, and [`install`] it.
    NoQueue(&'static Core),
    /// The core is simulated, and knows nothing of the kernel's events.
    Simulated,
    /// The queue took nothing more.
    Error(io::Error),
}

/// Submits a request to the queue of `core`, which the caller holds.
///
/// # Safety
///
/// `request` stays where it is, and all that its operation points to is as [`raddle_event::Queue::submit`] wants it, until it was settled.
#[inline]
pub(crate) unsafe fn submit(core: &'static Core, request: &Request) -> Result<(), Refused> {
    let mut held = core.events.queue.lock();
    let Some(seated) = held.as_mut() else {
        let is_live = core.runtime().host.is_none();
        return Err(if is_live { Refused::NoQueue(core) } else { Refused::Simulated });
    };
    // SAFETY: the caller's.
    let begun = unsafe { begin(core, seated, request) };
    leave(core, held);
    begun.map_err(Refused::Error)
}

/// # Safety
///
/// As [`submit`].
#[inline]
unsafe fn begin(core: &Core, seated: &mut Seated, request: &Request) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { start(core, &mut seated.queue, request, request.op()) }?;
    seated.is_unflushed = true;
    Ok(())
}

/// Begins a step of `request` in the queue of `core`.
///
/// # Safety
///
/// As [`submit`].
#[inline]
unsafe fn start(core: &Core, queue: &mut Queue, request: &Request, op: &Op) -> io::Result<()> {
    let key = request.key();
    // SAFETY: the caller's. A socket stands in tables under its own number only, and leaves them before it is closed; the queue has it, or had it
    // a moment ago.
    let operation = unsafe { queue.submit_either(key, *op, request.is_at_hand_on(core.index)) }?;
    request.operation.set(Some(operation));
    Ok(())
}

/// Gives `core` a queue, unless it has one: then the new one comes back, to be dropped outside the runtime. The caller is a kernel thread
/// that holds no core, or runs with preemption forbidden.
#[must_use = "a queue is dropped outside the runtime"]
pub(crate) fn install(core: &'static Core, mut seated: Box<Seated>) -> Option<Box<Seated>> {
    loop {
        // Whoever waits in a queue holds the lock for as long.
        if core.events.waker.get().is_some() {
            return Some(seated);
        }
        let Some(mut held) = core.events.queue.try_lock() else {
            std::hint::spin_loop();
            continue;
        };
        if held.is_some() {
            return Some(seated);
        }
        let is_cheap = seated.queue.report().backend == BackendKind::IoUring;
        core.events.is_cheap.store(is_cheap, Ordering::Relaxed);
        let _ = core.events.waker.set(seated.queue.waker());
        if let Some(files) = seated.files.take() {
            let _ = core.events.files.set(files);
        }
        *held = Some(seated);
        return None;
    }
}

/// Gives the lock back, and says how many operations are waited for: those in flight, and those that have ended and are still to be delivered.
fn leave(core: &'static Core, held: Locked<'_, Option<Box<Seated>>>) {
    let expected = held.as_ref().map_or(0, |seated| {
        let queue = &seated.queue;
        if queue.is_quiet() { 0 } else { queue.live() }
    });
    core.events.outlook.publish(expected as u32);
}

/// Does what others have asked for.
#[cold]
fn read_mail(core: &'static Core, seated: &mut Seated, here: Option<&'static Core>) {
    core.events.outlook.begins_to_read();
    loop {
        let Some(letter) = core.events.mail.lock().read() else { return };
        match letter {
            Letter::Begin(request) => {
                // SAFETY: whoever sent it waits until it is settled, which it is not before it has begun.
                let request = unsafe { &*request };
                // SAFETY: whoever sent it has promised that.
                if let Err(error) = unsafe { begin(core, seated, request) } {
                    settle(request, as_number(&Err(error)), here);
                }
            }
            Letter::End(operation) => cancel(seated, operation),
        }
    }
}

fn cancel(seated: &mut Seated, operation: Option<Operation>) {
    if let Some(operation) = operation {
        seated.queue.cancel(operation);
        seated.is_unflushed = true;
    }
}

fn settle(request: &Request, result: i64, here: Option<&'static Core>) {
    if let Some((sleep, reason)) = request.settle(result) {
        if sleep.kind() == Kind::Thread {
            ThreadRef::of_sleeper(sleep.sleeper).prefetch();
        }
        wake::wake(sleep, reason, here);
    }
}

/// Wakes those whose operations have ended, or begins their next steps. `first` is called before the first is woken. Whether one was.
///
/// Who has slept is no longer in any cache, so several are taken at once, as for timers.
fn deliver(
    core: &'static Core,
    seated: &mut Seated,
    here: Option<&'static Core>,
    first: impl Fn(),
) -> bool {
    const BATCH: usize = 16;
    /// What is touched of a request, and of a thread's block.
    const LINES: usize = 3;
    let Seated { queue, batch, is_unflushed, .. } = seated;
    let mut was_any_woken = false;
    let mut done = batch.iter().filter_map(|event| match event.what {
        What::Done(completion) => Some((event.key, completion)),
        _ => None,
    });
    loop {
        let mut ended = [(ptr::null::<Request>(), 0); BATCH];
        let mut count = 0;
        for (key, completion) in done.by_ref().take(BATCH) {
            let request = ptr::with_exposed_provenance::<Request>(key as usize);
            raddle_context::prefetch(request.cast(), LINES);
            ended[count] = (request, as_number(&completion.result()));
            count += 1;
        }
        if count == 0 {
            return was_any_woken;
        }
        // SAFETY: requests stay where they are until they are settled, and each step ends once.
        let ended = ended[..count].iter().map(|(request, result)| (unsafe { &**request }, *result));
        for (request, _) in ended.clone() {
            if let Some(sleeper) = request.sleeper() {
                ThreadRef::of_sleeper_unseen(sleeper).body().prefetch_control(LINES);
            }
        }
        for (request, mut result) in ended {
            if !request.is_plain() {
                match go_on(core, queue, request, result) {
                    Some(end) => result = end,
                    None => {
                        *is_unflushed = true;
                        continue;
                    }
                }
            }
            if !std::mem::replace(&mut was_any_woken, true) {
                first();
            }
            settle(request, result, here);
        }
    }
}

/// A step of `request` has ended: begins the next one, or says what it has come to.
fn go_on(core: &Core, queue: &mut Queue, request: &Request, mut last: i64) -> Option<i64> {
    loop {
        match request.next(last) {
            Next::End(result) => return Some(result),
            Next::Submit(op) => {
                // SAFETY: whoever waits for the request has promised that of all its steps; of the table see `begin`.
                match unsafe { start(core, queue, request, &op) } {
                    Ok(()) => return None,
                    Err(error) => last = as_number(&Err(error)),
                }
            }
        }
    }
}

/// Between two threads of `core`, which the caller holds: looks whether something has happened, if it is time to. Where nobody is ready, what was
/// submitted is given to the kernel as well if the caller `goes_on`: else the core sleeps soon, and does that then.
#[inline]
pub(crate) fn look(core: &'static Core, goes_on: bool) {
    /// So many threads run between two looks, if so many are ready.
    const EVERY: u64 = 32;
    if !core.events.is_armed() {
        return;
    }
    let is_due = core.dispatches.load(Ordering::Relaxed).is_multiple_of(EVERY);
    let waiting = core.waiting.load(Ordering::Relaxed);
    if waiting == 0 {
        // Where a look is a system call, one at the core's sleep will do.
        if core.events.is_cheap.load(Ordering::Relaxed) || core.events.outlook.has_mail() {
            look_now(core, goes_on);
        }
    } else if is_due {
        look_now(core, true);
    }
}

/// Looks, on a core that the caller holds; gives the kernel what was submitted as well, if `flushes`.
pub(crate) fn look_now(core: &'static Core, flushes: bool) {
    note_look(core);
    let mut held = core.events.queue.lock();
    if let Some(seated) = held.as_mut() {
        look_into(core, seated, flushes, Some(core));
    }
    leave(core, held);
}

/// The holder looks, so nobody else need.
fn note_look(core: &Core) {
    let looks = core.events.looks.load(Ordering::Relaxed);
    core.events.looks.store(looks + 1, Ordering::Relaxed);
}

fn look_into(core: &'static Core, seated: &mut Seated, flushes: bool, here: Option<&'static Core>) {
    if core.events.outlook.has_mail() {
        read_mail(core, seated, here);
    }
    if flushes && std::mem::take(&mut seated.is_unflushed) {
        complain(seated.queue.flush());
    }
    let found = seated.queue.harvest(&mut seated.batch);
    if complain(found).is_some_and(|count| count > 0) {
        deliver(core, seated, here, || ());
    }
}

/// As [`look_now`], for who does not hold the core, which computes or is blocked. The monitor comes again if others are at it.
pub(crate) fn look_after(core: &'static Core) {
    let Some(mut held) = core.events.queue.try_lock() else { return };
    if let Some(seated) = held.as_mut() {
        look_into(core, seated, true, None);
    }
    leave(core, held);
}

/// Sleeps in the queue of `core`, idle, until something has happened, `until_ns`, or somebody wakes the worker. Whether operations have ended
/// that threads wait for: these are ready then. The mark `is_idle` is taken down before.
pub(crate) fn wait(worker: &Worker, core: &'static Core, until_ns: Option<u64>) -> bool {
    note_look(core);
    let mut held = core.events.queue.lock();
    let Some(seated) = held.as_mut() else { return false };
    if core.events.outlook.has_mail() {
        read_mail(core, seated, Some(core));
    }
    let mut has_found = false;
    if worker.woken.doze_elsewhere() {
        let timeout = until_ns.map(|at| Duration::from_nanos(at.saturating_sub(clock::now_ns())));
        seated.is_unflushed = false;
        let found = seated.queue.wait(&mut seated.batch, timeout);
        worker.woken.rouse();
        if complain(found).is_some_and(|count| count > 0) {
            // What wakes has slept until now, not until the core went to sleep.
            core_clock::read(core);
            // Whoever makes a thread ready would wake this worker otherwise.
            has_found = deliver(core, seated, Some(core), || core.queue.lock().is_idle = false);
        }
    }
    leave(core, held);
    has_found
}

/// What a queue can't do is said, not too often, and tried again: nobody else could tell the threads that wait for it.
fn complain<T>(result: io::Result<T>) -> Option<T> {
    result.map_err(say).ok()
}

#[cold]
fn say(error: io::Error) {
    static SAID: AtomicU32 = AtomicU32::new(0);
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    const EVERY: u32 = 1000;
    const PAUSE_NS: u64 = 1_000_000;
    if SAID.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY) {
        let mut line = *b"raddle: the event queue fails and is tried again: error number    \n";
        let mut number = error.raw_os_error().unwrap_or(0);
        for place in line[63..66].iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        task::say(&line);
    }
    futex::wait(&NOBODY, 0, Some(clock::now_ns() + PAUSE_NS));
}

/// Asks that `requests`, which were submitted on `core`, end. Whoever is armed there is woken then, perhaps before this returns. `here`: the
/// core that the caller holds, if any.
///
/// # Safety
///
/// As [`send`].
pub(crate) unsafe fn end<'a>(
    core: &'static Core,
    requests: impl Iterator<Item = &'a Request>,
    here: Option<&'static Core>,
) {
    let Some(mut held) = core.events.queue.try_lock() else {
        // SAFETY: the caller's.
        return requests.for_each(|request| unsafe { send(core, request, Wish::End) });
    };
    if let Some(seated) = held.as_mut() {
        for request in requests {
            // One that was sent, and not submitted yet, is in the mail.
            let was_sent = core.events.mail.lock().remove(request);
            if was_sent == Some(Wish::Begin) {
                settle(request, -i64::from(libc::ECANCELED), here);
            } else {
                request.is_ending.set(true);
                cancel(seated, request.operation.get());
            }
        }
        look_into(core, seated, true, here);
    }
    leave(core, held);
}

/// Sends a request to the queue of `core`, which the caller need not hold. There is one.
///
/// # Safety
///
/// As [`submit`]; and whoever waits for it [forgets](forget) it before it goes on.
pub(crate) unsafe fn send(core: &'static Core, request: &Request, wish: Wish) {
    let mut mail = core.events.mail.lock();
    if mail.remove(request) == Some(Wish::Begin) {
        // It was not begun, and shall end.
        drop(mail);
        return settle(request, -i64::from(libc::ECANCELED), None);
    }
    // SAFETY: the caller's.
    unsafe { mail.push(request, wish) };
    drop(mail);
    core.events.outlook.there_is_mail();
    let was_idle = std::mem::take(&mut core.queue.lock().is_idle);
    if was_idle {
        wake::wake_core(core);
    } else {
        wake::ensure_watched(core.runtime(), 0);
    }
}

/// A request was settled that was sent, perhaps: the mail does not lead to it any more when this returns.
pub(crate) fn forget(core: &'static Core, request: &Request) {
    core.events.mail.lock().remove(request);
}
