//! A runtime on a simulated host: one core, the calling kernel thread its only worker, no monitor, no preemption.

#![allow(unsafe_code, reason = "a leaked worker, as everywhere")]

use crate::dumper::DumpSignal;
use crate::host_contract::Host;
use crate::machine::{Runtime, Worker};
use crate::sched::{dispatch, pick, start, stock, timers, worker};
use crate::settings::Settings;
use raddle_context::KernelThread;
use std::io;
use std::ptr;
use std::sync::atomic::Ordering;

/// Why a simulated program did not come to its end: every thread waits, and nothing that they wait for will happen.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) threads: u64,
}

/// A runtime for [`drive`], which nobody drives yet.
///
/// # Errors
///
/// As starting a live one.
pub(crate) fn runtime(host: Box<dyn Host>, stack_bytes: usize) -> io::Result<&'static Runtime> {
    let settings = Settings {
        cores: 1,
        slice_ns: raddle_core::slice::BASE_SLICE_NS,
        timer_slack_ns: 0,
        stack_bytes,
        signal: 0,
        preempts: false,
        keep_alive_ns: raddle_core::pool::KEEP_ALIVE_NS,
        dump: DumpSignal::Off,
        trace: None,
        trace_events: 0,
    };
    start::build(settings, Some(host))
}

/// Runs the runtime's threads on the calling kernel thread until `is_done` says so.
///
/// # Errors
///
/// From [`KernelThread::enter`]: not inside another simulation. `Stuck` inside.
pub(crate) fn drive(
    runtime: &'static Runtime,
    is_done: impl Fn() -> bool,
) -> io::Result<Result<(), Stuck>> {
    let core = &runtime.cores[0];
    let kernel_thread = KernelThread::enter()?;
    let worker: &'static Worker = stock::publish(Box::leak(Box::new(Worker::new(runtime))));
    worker.core.store(ptr::from_ref(core).cast_mut(), Ordering::Relaxed);
    worker::begin(worker, kernel_thread);
    let host = runtime.host.as_deref().expect("a simulated runtime has its host");
    loop {
        // Asked in the worker's own context: the last thread has been parted with.
        if is_done() {
            // SAFETY: no body will come back to the worker: the program is over.
            unsafe { worker::end(worker) };
            return Ok(Ok(()));
        }
        match pick::pick(core, host.now_ns()) {
            Some(next) => dispatch::run(worker, core, next),
            None => {
                let deadline = core.next_deadline_ns.load(Ordering::Relaxed);
                if !host.wait_until((deadline != u64::MAX).then_some(deadline)) {
                    return Ok(Err(Stuck { threads: runtime.live_threads() }));
                }
                timers::expire(core, Some(core));
            }
        }
    }
}
