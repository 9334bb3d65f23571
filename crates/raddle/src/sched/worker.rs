//! A kernel thread's life: runs threads while it has a core, idles on it, and waits as a spare when it has lost it.
//!
//! ```text
//!        ┌──────────── a core ────────────┐
//!        ▼                                │
//!   spare, parked ◀── lost its core ── works ◀──▶ idle: nothing to run, sleeps until a deadline or a waker
//! ```

#![allow(unsafe_code, reason = "workers are leaked, and shared by pointers")]

use crate::flag;
use crate::machine::{Core, Orders, Parting, ThreadRef, Worker};
use crate::sched::idle::{self, Stint};
use crate::sched::{dispatch, stock, wake};
use crate::sys::{futex, task};
use raddle_context::KernelThread;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The calling kernel thread as a worker, known to the runtime. `orders` are its own. Neither allocates nor calls libc.
pub(super) fn report(orders: &'static mut Orders, kernel_thread: KernelThread) -> &'static Worker {
    // SAFETY: runtimes and cores are never freed.
    let (runtime, core) = unsafe { (&*orders.runtime, orders.core.as_ref()) };
    let worker: &'static Worker = orders.worker.write(Worker {
        runtime,
        kernel_thread,
        kernel_id: task::id(),
        watch: task::Watch::of_this_thread(),
        next_worker: Cell::new(ptr::null()),
        next_spare: Cell::new(ptr::null()),
        flags: AtomicU32::new(0),
        core: AtomicPtr::new(core.map_or(ptr::null_mut(), |core| ptr::from_ref(core).cast_mut())),
        woken: AtomicU32::new(0),
        lost_at_ns: AtomicU64::new(0),
        asked: AtomicPtr::new(ptr::null_mut()),
        parting: Cell::new(Parting::Nothing),
        put_off: Cell::new(0),
    });
    if let Some(core) = core {
        core.worker.store(ptr::from_ref(worker).cast_mut(), Ordering::Release);
    }
    let this = ptr::from_ref(worker).cast_mut();
    let mut first = runtime.workers.load(Ordering::Relaxed);
    loop {
        worker.next_worker.set(first);
        match runtime.workers.compare_exchange_weak(
            first,
            this,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(_) => return worker,
            Err(now) => first = now,
        }
    }
}

/// Runs threads for ever.
pub(crate) fn work(worker: &'static Worker) -> ! {
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
                was_coming = false;
            }
        }
    }
}

/// The next thread for `core`; sleeps until there is one.
fn find_work(worker: &'static Worker, core: &'static Core, stint: &mut Stint) -> ThreadRef {
    let runtime = core.runtime();
    loop {
        let now = dispatch::read_clock(core);
        let is_sent = core.is_to_help.load(Ordering::Relaxed);
        if is_sent {
            stint.helps_since_ns = Some(now);
        }
        let next = dispatch::pick(core, now);
        if is_sent {
            core.is_to_help.store(false, Ordering::Relaxed);
        }
        if let Some(next) = next {
            return next;
        }
        stint.is_over(runtime, now);
        worker.woken.store(0, Ordering::Relaxed);
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

/// Parks as a spare until somebody gives the worker a core.
fn wait_for_core(worker: &'static Worker, mut was_coming: bool) {
    worker.woken.store(0, Ordering::Relaxed);
    if worker.flags.load(Ordering::Relaxed) & flag::LOST != 0 {
        worker.flags.store(0, Ordering::Relaxed);
        worker.runtime.homeless.fetch_sub(1, Ordering::Relaxed);
    }
    stock::refill_if_spare(worker.runtime, &mut was_coming);
    {
        let mut spares = worker.runtime.spares.lock();
        worker.next_spare.set(spares.first);
        spares.first = worker;
        spares.parked += 1;
        spares.coming -= usize::from(was_coming);
    }
    while worker.core.load(Ordering::Acquire).is_null() {
        futex::wait(&worker.woken, 0, None);
        // A waker that comes late, from when it had a core, would keep it from sleeping. An exchange: whoever gives a core to
        // the worker wakes it after that, so that a 1 which is taken here shows the core as well.
        worker.woken.swap(0, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use crate::sched::{start, wake};
    use crate::sys::task::Seen;
    use std::time::Duration;

    /// Whoever wakes a worker may be held up between finding it and waking it; by then it may be a spare.
    #[test]
    fn a_spare_that_was_woken_for_nothing_sleeps_on() {
        let _ = crate::thread::spawn(|| ()).join();
        let runtime = start::started().expect("a thread has run");
        let (mut asleep, mut awake) = (0, 0);
        while asleep + awake < 50 {
            std::thread::sleep(Duration::from_millis(2));
            let spares = runtime.spares.lock();
            // SAFETY: workers are never freed.
            let Some(spare) = (unsafe { spares.first.as_ref() }) else { continue };
            if asleep + awake == 0 {
                wake::wake_worker(spare);
            }
            // Others of this process's tests may use the spare now and then; one that does not sleep is always awake.
            match spare.watch.look() {
                Seen::Blocked => asleep += 1,
                _ => awake += 1,
            }
        }
        assert!(asleep > awake, "asleep {asleep} times of 50: a spare does not sleep");
    }
}
