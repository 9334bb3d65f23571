//! A runtime on a simulated host: one core, the calling kernel thread its only worker, no monitor, no preemption.

#![allow(unsafe_code, reason = "a leaked worker, as everywhere")]

use crate::dumper::DumpSignal;
use crate::host_contract::Host;
use crate::machine::{Orders, Runtime, Settings};
use crate::sched::{dispatch, start, timers, worker};
use raddle_context::KernelThread;
use std::io;
use std::mem::MaybeUninit;
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
    let orders = Box::leak(Box::new(Orders { runtime, core, worker: MaybeUninit::uninit() }));
    let worker = worker::report(orders, KernelThread::enter()?);
    let host = runtime.host.as_deref().expect("a simulated runtime has its host");
    loop {
        // Asked in the worker's own context: the last thread has been parted with.
        if is_done() {
            // SAFETY: nobody else has the worker's kernel thread, and no body will come back to it: the program is over. The
            // alternate stack goes with it; the rest of the worker stays, as others may look at it.
            unsafe { std::ptr::drop_in_place((&raw const worker.kernel_thread).cast_mut()) };
            return Ok(Ok(()));
        }
        match dispatch::pick(core, host.now_ns()) {
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
