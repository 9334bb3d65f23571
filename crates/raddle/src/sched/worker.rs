//! A kernel thread's life: runs threads while it has a core, idles on it, waits as a spare when it has lost it, and ends if nobody
//! needs it any more.
//!
//! ```text
//!                              ┌─────────────── 3 a core ────────────────┐
//!                              ▼                                         │
//!    idle ◀──▶ works ── 4 its core is lost ──▶ blocked ── 5 back ──▶ spare, parked ◀───────┐
//!                ▲                                                       │                 │
//!                │ 2 for a core                                          │ 6 no use for it │ 2 as a spare
//!                │                                                       ▼                 │
//!             recruit ◀──────── 1 ──────── ended ◀── 7 ──────────────  ends             recruit
//! ```
//!
//! | | who | what |
//! |---|---|---|
//! | 1 | who fills the stock | a record and a body, new or of a worker that has ended; TLS made as new: may wait for libc |
//! | 2 | the monitor, or the starter | `KernelThread::launch`; the worker says in its record who it is |
//! | 3 | the monitor, or a thread that gives its core away | takes it off the list, under the list's lock; then it is nobody else's to take |
//! | 4 | the same | `LOST`: its thread goes on without a core |
//! | 5 | its thread, then itself | the thread is queued; the worker parks |
//! | 6 | the monitor, as policy says | takes it off the list, as in 3, and says `END` |
//! | 7 | itself | gives up all that it has, runs its destructors; the kernel says when it is gone |
//!
//! So a spare that is asked for can't end, and one that ends can't be asked for: both begin by taking it off the list. The record stays for
//! the next worker: whoever got hold of it from a core or a thread, a moment ago, may find it used anew, and wakes somebody for nothing at
//! worst. In the runtime nobody signals a worker by its id, or reads its file, but the monitor, which does so only while it has a core or is
//! `LOST`, and whoever lists threads, while the monitor sends none to its end.

#![allow(unsafe_code, reason = "records of workers are leaked, and shared by pointers")]

use crate::machine::{Core, ThreadRef, Worker};
use crate::sched::idle::{self, Stint};
use crate::sched::{census, core_clock, dispatch, pick, stock, wake};
use crate::sys::{clock, futex, task};
use raddle_context::KernelThread;
use raddle_core::pool;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

/// The calling kernel thread becomes the worker of this record. Neither allocates nor calls libc.
pub(super) fn begin(worker: &'static Worker, kernel_thread: KernelThread) {
    worker.notes.forget();
    worker.put_off.set(0);
    // SAFETY: the worker's own cell, by the kernel thread that is the worker. There was nothing in it.
    unsafe { *worker.kernel_thread.get() = Some(kernel_thread) };
    worker.watch.begin();
    // Release: whoever finds it working finds it whole.
    worker.kernel_id.store(task::id(), Ordering::Release);
    if let Some(core) = wake::core_of(&worker.core) {
        core.worker.store(ptr::from_ref(worker).cast_mut(), Ordering::Release);
    }
}

/// The calling kernel thread is a worker no more.
///
/// # Safety
///
/// It is this record's worker, and no thread will come back to its context.
pub(super) unsafe fn end(worker: &Worker) {
    worker.kernel_id.store(0, Ordering::Relaxed);
    worker.watch.end();
    // SAFETY: the worker's own cell; nobody uses what is in it any more. The alternate stack goes with it.
    drop(unsafe { (*worker.kernel_thread.get()).take() });
}

/// A worker's life, from its first to its last moment.
pub(super) fn live(worker: &'static Worker, kernel_thread: KernelThread) {
    begin(worker, kernel_thread);
    work(worker);
    // SAFETY: this is its own context, to which its last thread has come back, and it has no core to get another one on.
    unsafe { end(worker) };
}

/// Runs threads until nobody needs the worker any more.
fn work(worker: &'static Worker) {
    let mut was_coming = worker.core.load(Ordering::Relaxed).is_null();
    let mut stint = Stint::default();
    loop {
        match wake::core_of(&worker.core) {
            Some(core) => {
                let next = find_work(worker, core, &mut stint);
                dispatch::run(worker, core, next);
            }
            None => {
                stint = Stint::default();
                wait_for_core(worker, was_coming);
                if worker.notes.is_to_end() {
                    return;
                }
                was_coming = false;
            }
        }
    }
}

/// The next thread for `core`; sleeps until there is one.
fn find_work(worker: &'static Worker, core: &'static Core, stint: &mut Stint) -> ThreadRef {
    let runtime = core.runtime();
    loop {
        let now = core_clock::read(core);
        let is_sent = core.is_to_help.load(Ordering::Relaxed);
        if is_sent {
            stint.helps_since_ns = Some(now);
        }
        let next = pick::pick(core, now);
        if is_sent {
            core.is_to_help.store(false, Ordering::Relaxed);
        }
        if let Some(next) = next {
            return next;
        }
        stint.is_over(runtime, now);
        worker.woken.silence_before_lock();
        {
            let mut queue = core.queue.lock();
            if !queue.ready.threads.is_empty() {
                continue;
            }
            queue.is_idle = true;
        }
        idle::sleep(worker, core, stint);
    }
}

/// Parks as a spare until somebody gives the worker a core, or says `END`.
fn wait_for_core(worker: &'static Worker, mut was_coming: bool) {
    let runtime = worker.runtime;
    worker.woken.silence_before_lock();
    if worker.notes.is_lost() {
        worker.notes.forget();
        runtime.homeless.fetch_sub(1, Ordering::Relaxed);
    }
    stock::fill_if_spare(runtime, &mut was_coming);
    {
        let mut spares = runtime.spares.lock();
        spares.push(worker);
        spares.coming -= u32::from(was_coming);
    }
    if pool::too_many_workers(&census::count(runtime)) {
        // Either the monitor, which is about to sleep, sees one more, or this worker sees until when it sleeps.
        fence(Ordering::SeqCst);
        wake::ensure_watched(runtime, clock::now_ns() + runtime.settings.keep_alive_ns);
    }
    while !worker.notes.is_to_end() && wake::core_of(&worker.core).is_none() {
        futex::wait(worker.woken.word(), 0, None);
        // A waker that comes late, from when it had a core, would keep it from sleeping. Whoever has something to tell the worker wakes
        // it after that, so a ring that is silenced here shows what it is as well.
        worker.woken.silence();
    }
}

#[cfg(test)]
mod tests {
    use crate::sched::{start, wake};
    use raddle_core::pool::KernelState;
    use std::time::Duration;

    /// Whoever wakes a worker may be held up between finding it and waking it; by then it may be a spare.
    #[test]
    fn a_spare_that_was_woken_for_nothing_sleeps_on() {
        let _ = crate::thread::spawn(|| ()).join();
        let runtime = start::started().expect("a thread has run");
        let (mut asleep, mut looks) = (0, 0);
        // One that does not sleep is always awake; one that does may take its time on a busy machine.
        while asleep < 10 {
            assert!(looks < 10_000, "asleep {asleep} times of {looks}: a spare does not sleep");
            std::thread::sleep(Duration::from_millis(2));
            let spares = runtime.spares.lock();
            // As long as the lock is held it is on the list, and does not end.
            let Some(spare) = spares.first() else { continue };
            if looks == 0 {
                wake::wake_worker(spare);
            }
            looks += 1;
            asleep += u32::from(matches!(spare.watch.look(), KernelState::Waits));
        }
    }
}
