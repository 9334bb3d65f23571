//! One thread: where it is at this moment, kept there until its backtrace is taken.
//!
//! | it is | what keeps it there | who takes the backtrace |
//! |---|---|---|
//! | asleep | its state word: [`State::hold`](raddle_core::state::State::hold) | this kernel thread, on its stack |
//! | ready | the locks of all queues: it can't be popped, nor stolen | the same |
//! | running | nothing | itself: the preemption signal asks it |
//! | blocked in the kernel | `LOOKED_AT`: it can't enter the runtime, and so not end | nobody: the kernel says where it is |
//!
//! A thread that is none of these is on its way from one to another, or inside the runtime: it is looked for again.

#![allow(
    unsafe_code,
    reason = "blocks and workers, which are never freed; threads that are kept where they are"
)]

use crate::dumper::{Answer, Question};
use crate::label::{Label, WaitsFor};
use crate::machine::{Block, Queue, Runtime, ThreadRef, Worker};
use crate::newborns;
use crate::record::RecordRef;
use crate::spin::Locked;
use crate::sys::task;
use raddle_context::trace::{Trace, without_waiting};
use raddle_core::pool::KernelState;
use raddle_core::state::State;
use std::fs;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

/// What a thread was found doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// On this core, or on a worker without one, on its way to give place.
    Running(Option<usize>),
    /// Blocked in the kernel, in a system call or, `None`, where can't be told. The core, if it still has it.
    Blocked {
        call: Option<u64>,
        core: Option<usize>,
    },
    Ready,
    /// Until when, `u64::MAX` for no limit.
    Sleeps {
        what: Label,
        address: usize,
        until_ns: u64,
    },
    /// Inside the runtime whenever somebody looked.
    Inside,
}

/// A thread as it was found.
#[derive(Debug)]
pub(super) struct Sample {
    /// The address of its block.
    pub(super) block: usize,
    pub(super) doing: Doing,
    /// Not known of a thread that was only met inside the runtime.
    pub(super) record: Option<RecordRef>,
    /// Since when, as far as the scheduler knows; 0: it doesn't.
    pub(super) since_ns: u64,
    pub(super) trace: Trace,
}

/// Looks at threads, one at a time.
pub(super) struct Looker {
    runtime: &'static Runtime,
    /// Room for the locks of all queues: nothing is allocated while they are held.
    locks: Vec<Locked<'static, Queue>>,
}

impl Looker {
    pub(super) fn new(runtime: &'static Runtime) -> Looker {
        Looker { runtime, locks: Vec::with_capacity(runtime.cores.len()) }
    }

    /// The thread of this body; `None` if there is none, or it ends.
    pub(super) fn look_at(&mut self, thread: ThreadRef) -> Option<Sample> {
        /// A thread inside the runtime comes out, or falls asleep, within microseconds, unless the kernel takes its processor away.
        const PATIENCE: Duration = Duration::from_millis(50);
        let mut first = None;
        loop {
            let block = thread.block();
            if block.is_live.load(Ordering::Acquire) == 0 {
                return None;
            }
            let found =
                asleep(thread).or_else(|| self.queued(thread)).or_else(|| self.running(thread));
            if found.is_some() {
                return found;
            }
            if first.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                let sample = Sample::of(thread, Doing::Inside, Trace::empty());
                return Some(Sample { since_ns: 0, ..sample });
            }
            task::yield_processor();
        }
    }

    fn queued(&mut self, thread: ThreadRef) -> Option<Sample> {
        without_waiting(|| {
            // In the order of their numbers. Nobody else waits for a second queue's lock while holding one: thieves only try.
            let now = self.runtime.coarse_ns();
            self.locks.extend(self.runtime.cores.iter().map(|core| {
                let mut queue = core.queue.lock();
                newborns::queue_theirs(core, &mut queue, now, usize::MAX);
                queue
            }));
            let block = thread.block();
            let is_ready = block.link.is_queued() && block.is_live.load(Ordering::Acquire) != 0;
            // SAFETY: a queued thread is saved: whoever queues one that runs keeps the lock until then. With all locks held nobody
            // takes it out. This is a kernel thread's own stack.
            let sample = is_ready.then(|| unsafe { Sample::suspended(thread, Doing::Ready) });
            self.locks.clear();
            sample
        })
    }

    fn running(&self, thread: ThreadRef) -> Option<Sample> {
        let cores = &self.runtime.cores;
        let core = cores
            .iter()
            .find(|core| ptr::eq(core.current.load(Ordering::Relaxed), thread.as_ptr()));
        let worker = match core {
            Some(core) => core.worker.load(Ordering::Acquire),
            None => thread.block().worker.load(Ordering::Relaxed),
        };
        // SAFETY: workers are never freed.
        let worker: &'static Worker = unsafe { worker.as_ref() }?;
        if core.is_none() && !worker.notes.is_lost() {
            return None;
        }
        let core = core.map(|core| core.index);
        match worker.watch.look() {
            KernelState::Waits | KernelState::Other => blocked(thread, worker, core),
            _ => ask(thread, worker, core, self.runtime.settings.signal),
        }
    }
}

impl Sample {
    /// Of a thread of which only the block is looked at.
    fn of(thread: ThreadRef, doing: Doing, trace: Trace) -> Sample {
        Sample { block: thread.as_ptr().addr(), doing, record: None, since_ns: 0, trace }
    }

    /// # Safety
    ///
    /// The thread is suspended, and nobody resumes it meanwhile; the caller is a kernel thread, on its own stack.
    unsafe fn suspended(thread: ThreadRef, doing: Doing) -> Sample {
        // SAFETY: the caller's.
        let (trace, record) = unsafe {
            (Trace::of_suspended(thread.body()), RecordRef::second(&thread.block().record))
        };
        let since_ns = thread.block().since_ns.get();
        Sample { record, since_ns, ..Sample::of(thread, doing, trace) }
    }
}

/// The state word that is held, or about to be; for a child that is forked meanwhile.
static HELD: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

/// In a forked child: nobody looks any more.
pub(super) fn let_go() {
    // SAFETY: state words stand in control blocks, whose memory stays mapped.
    if let Some(state) = unsafe { HELD.swap(ptr::null_mut(), Ordering::Relaxed).as_ref() } {
        state.let_go();
    }
}

fn asleep(thread: ThreadRef) -> Option<Sample> {
    without_waiting(|| {
        let block = thread.block();
        let state = &block.sleeper.state;
        HELD.store(ptr::from_ref(state).cast_mut(), Ordering::Relaxed);
        let held = state.hold()?;
        let (what, address) = WaitsFor(block.waits_for.load(Ordering::Relaxed)).parts();
        let until_ns = block.waits_until_ns.load(Ordering::Relaxed);
        // SAFETY: it sleeps, so it is saved, and is held. This is a kernel thread's own stack.
        let sample =
            unsafe { Sample::suspended(thread, Doing::Sleeps { what, address, until_ns }) };
        drop(held);
        HELD.store(ptr::null_mut(), Ordering::Relaxed);
        Some(sample)
    })
}

/// A thread that the kernel has put to sleep outside the runtime: kept outside while its record is read.
fn blocked(thread: ThreadRef, worker: &'static Worker, core: Option<usize>) -> Option<Sample> {
    let block: &Block = thread.block();
    worker.notes.look_at();
    // Either the depth is seen here, or the note there.
    task::barrier();
    let is_here = || ptr::eq(block.worker.load(Ordering::Acquire), worker);
    // A thread that is suspended is inside. So outside it runs; and on this worker, which it can't leave
    // without seeing the flag.
    let is_outside = is_here() && block.depth.is_outside() && is_here();
    let is_live = block.is_live.load(Ordering::Acquire) != 0;
    // SAFETY: outside the runtime it doesn't end before it has come in.
    let record = (is_outside && is_live).then(|| unsafe { RecordRef::second(&block.record) });
    let since_ns = block.since_ns.get();
    worker.notes.looked_at();
    let (call, trace) = system_call_of(worker.kernel_id());
    let doing = Doing::Blocked { call, core };
    Some(Sample { record: record?, since_ns, ..Sample::of(thread, doing, trace) })
}

/// In which system call a kernel thread of this process waits, and the address that it was made from.
fn system_call_of(kernel_id: i32) -> (Option<u64>, Trace) {
    // "0 0x5 0x7f.. 0x1 0x0 0x0 0x0 0x7ffd.. 0x7f..": number, arguments, stack pointer, program counter. Or "running", or "-1 sp pc".
    let text = fs::read_to_string(format!("/proc/self/task/{kernel_id}/syscall"));
    let text = text.unwrap_or_default();
    let mut words = text.split_whitespace();
    let call = words.next().and_then(|number| number.parse().ok());
    let pc = words.next_back().and_then(|word| word.strip_prefix("0x"));
    let pc = pc.and_then(|hex| usize::from_str_radix(hex, 16).ok());
    (call, pc.map_or_else(Trace::empty, Trace::of_address))
}

/// Asks whatever runs on `worker` who it is and where. `None` if it does not answer, or is another thread by now.
fn ask(
    thread: ThreadRef,
    worker: &'static Worker,
    core: Option<usize>,
    signal: i32,
) -> Option<Sample> {
    const PATIENCE: Duration = Duration::from_millis(5);
    let question = Question::new();
    let place = NonNull::from(&question);
    worker.asked.put(place);
    task::send_signal(worker.kernel_id(), signal);
    let asked_at = Instant::now();
    while !question.is_answered() {
        // Taken back: nobody has seen it, nobody will. If it was taken, the answer comes.
        if asked_at.elapsed() > PATIENCE && worker.asked.take_back(place) {
            return None;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
    let Answer { thread: address, record, since_ns, trace } = question.into_answer()?;
    let is_it = address == thread.as_ptr().addr();
    is_it.then(|| Sample { record, since_ns, ..Sample::of(thread, Doing::Running(core), trace) })
}
