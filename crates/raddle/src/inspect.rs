//! What tests, debuggers and statistics may see of the scheduler.

#![allow(unsafe_code, reason = "workers and blocks, which are never freed")]

use crate::machine::{Core, ThreadRef, Worker};
use crate::sched::start;
use std::fmt::{self, Write};
use std::sync::atomic::Ordering;

/// How deep the calling thread is inside the runtime, 0 on a kernel thread. An allocator asks this: inside, nothing may be
/// allocated.
#[doc(hidden)]
pub fn debug_preemption_count() -> u32 {
    ThreadRef::running().map_or(0, |thread| thread.block().depth.get())
}

/// The number of the core that the calling thread runs on.
#[inline]
pub(crate) fn running_core() -> Option<usize> {
    let thread = ThreadRef::running()?;
    // SAFETY: a running thread has its core, which is never freed; it may become another one of the same runtime.
    unsafe { thread.block().core.get().as_ref() }.map(|core| core.index)
}

/// The scheduler's state, line by line. It waits for no lock and allocates nothing: whoever holds one may be what hangs.
#[doc(hidden)]
pub fn debug_dump(line: &mut dyn FnMut(&str)) {
    let Some(runtime) = start::started() else { return };
    let mut text = Text { bytes: [0; 256], len: 0 };
    let _ = write!(
        text,
        "idle cores {}, homeless workers {}, monitor wakes at {} (poked {}), now {}",
        runtime.idle_cores.load(Ordering::Relaxed),
        runtime.homeless.load(Ordering::Relaxed),
        runtime.monitor.wakes_at_ns.load(Ordering::Relaxed),
        runtime.monitor.poked.is_rung(),
        crate::sys::clock::now_ns(),
    );
    text.flush(line);
    match (runtime.spares.try_lock(), runtime.recruits.try_lock()) {
        (Some(spares), Some(recruits)) => {
            let _ = write!(
                text,
                "spares: {} parked, {} coming, one fills the stock: {}; stock {}",
                spares.parked(),
                spares.coming,
                spares.is_filling,
                recruits.count(),
            );
        }
        _ => text.write_str("spares or recruits locked").unwrap_or_default(),
    }
    text.flush(line);
    for core in &runtime.cores {
        let _ = core_line(&mut text, core);
        text.flush(line);
    }
    for worker in runtime.workers() {
        let _ = worker_line(&mut text, worker);
        text.flush(line);
    }
}

fn core_line(text: &mut Text, core: &Core) -> fmt::Result {
    // SAFETY: workers and blocks are never freed.
    let (worker, current) = unsafe {
        (
            core.worker.load(Ordering::Acquire).as_ref(),
            core.current.load(Ordering::Relaxed).as_ref(),
        )
    };
    write!(
        text,
        "core {}: waiting {}, queue locked {}, timers locked {}, next deadline {}, slice ends {}, dispatches {}, ",
        core.index,
        core.waiting.load(Ordering::Relaxed),
        core.queue.is_locked(),
        core.timers.is_locked(),
        core.next_deadline_ns.load(Ordering::Relaxed),
        core.slice_end_ns.load(Ordering::Relaxed),
        core.dispatches.load(Ordering::Relaxed),
    )?;
    match worker {
        Some(worker) => write!(text, "worker {}, ", worker.kernel_id())?,
        None => write!(text, "no worker, ")?,
    }
    match current {
        Some(block) => write!(text, "a thread runs, count {}", block.depth.get()),
        None => write!(text, "nobody runs"),
    }
}

fn worker_line(text: &mut Text, worker: &Worker) -> fmt::Result {
    let core = worker.core.load(Ordering::Relaxed);
    write!(text, "worker {}: notes {}, ", worker.kernel_id(), worker.notes.bits())?;
    write!(text, "woken {}, ", worker.woken.is_rung())?;
    if core.is_null() && !worker.notes.is_lost() {
        // Not looked at: it may end.
        return write!(text, "spare");
    }
    write!(
        text,
        "{}, {:?}",
        if core.is_null() { "no core" } else { "has a core" },
        worker.watch.look()
    )
}

/// A line of limited length.
struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Text {
    fn flush(&mut self, line: &mut dyn FnMut(&str)) {
        line(std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?"));
        self.len = 0;
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}
