//! The machine: what the scheduler keeps. A [`Runtime`] has [`Core`]s; a [`Worker`], a kernel thread, sits on a core and runs
//! threads, each of which has its [`Block`] at the top of its body.
//!
//! ```text
//!   Runtime ──┬── Core 0 ── queue, timers, spare bodies ◀── Worker ── current ──▶ Block
//!             ├── Core 1 ── ...                         ◀── Worker ── ...
//!             ├── parked spare workers, recruits for new ones
//!             └── the monitor, a kernel thread
//! ```
//!
//! These are only the nouns, so that modules that act on them need no circles. What guards a field is said above it:
//!
//! - **constant**: written before anybody else can see it.
//! - **atomic**: anybody's, any time.
//! - **its lock**: the [`Spin`] that it stands in.
//! - **the holder**: the worker that sits on the core, with preemption forbidden.
//! - **the thread**: the thread itself; while it is queued, whoever holds the queue's lock; between the two whoever carries it
//!   from the one to the other. It never is in two hands.

#![allow(unsafe_code, reason = "control blocks are memory of bodies; cells that a protocol guards")]

use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::crew::{Listed, Recruits, Spares};
use crate::dumper::{Dumper, Question};
use crate::event_seat::EventSeat;
use crate::gang::Gang;
use crate::host_contract::Host;
use crate::large::LargeArenas;
use crate::nursery::Nursery;
use crate::record::{Graveyard, Record, fresh_ids};
use crate::settings::Settings;
use crate::slab::Pieces;
use crate::sleeper::{Kind, Sleeper};
use crate::spin::Spin;
use crate::stolen::Mark;
use crate::sys::clock;
use crate::sys::task::Watch;
use crate::timer::{TimerRef, Timers};
use raddle_context::{Arena, BodyRef, Cache, KernelThread, Launched};
use raddle_core::eagerness::Eagerness;
use raddle_core::ready::Ready;
use raddle_core::run_queue;
use raddle_core::slice::{Charge, Priority};
use raddle_core::timekeeper::Timekeeper;
use raddle_core::{attention::Attention, bell::Bell, depth::Depth, notes::Notes, question::Asked};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering,
};

/// Everything that belongs to one set of cores. It is never freed: threads that outlive its use may still look at it.
pub(crate) struct Runtime {
    // Constant.
    pub(crate) settings: Settings,
    /// Who is asked in place of the kernel, if this is a simulation.
    pub(crate) host: Option<Box<dyn Host>>,
    pub(crate) cores: Box<[Core]>,
    pub(crate) arena: Arena,
    /// Bodies on whose stacks the workers live.
    pub(crate) workers_arena: Arena,
    /// Of larger bodies.
    pub(crate) large: LargeArenas,
    /// Text of libc, the loader and the unwinder: where preemption is put off.
    pub(crate) library_text: Vec<std::ops::Range<usize>>,

    // Atomic.
    /// Threads that a simulation has had: ids are the process's, and depend on what else runs in it.
    pub(crate) simulated: AtomicU64,
    /// Cores whose worker sleeps, or is about to.
    pub(crate) idle_cores: AtomicUsize,
    pub(crate) eagerness: Eagerness,
    pub(crate) timekeeper: Timekeeper,
    /// Where the next thread from outside goes: as many came from outside so far.
    pub(crate) turn: AtomicUsize,
    /// The records of all workers, linked through `next_worker`. They are used again, and never freed.
    pub(crate) workers: AtomicPtr<Worker>,
    /// Workers that have lost their core and still carry a thread.
    pub(crate) homeless: AtomicUsize,
    pub(crate) monitor: MonitorWord,
    /// Each core has its event queue, as far as it could have one.
    pub(crate) has_queues: AtomicBool,

    // Its lock.
    pub(crate) spares: Spin<Spares<Worker>>,
    pub(crate) recruits: Spin<Recruits<Worker>>,
    pub(crate) dumper: Spin<Dumper>,
}

/// How others reach the monitor.
#[derive(Debug)]
pub(crate) struct MonitorWord {
    /// The futex that it sleeps on: 1 asks it to look at once.
    pub(crate) poked: Bell,
    /// When it will look by itself; `u64::MAX`: never.
    pub(crate) wakes_at_ns: AtomicU64,
    /// It has found that no thread has a core for long, and looks for the ends of slices now and then only.
    pub(crate) is_at_ease: AtomicBool,
}

/// A seat: what one worker at a time works with.
#[repr(align(128))]
pub(crate) struct Core {
    // Constant.
    pub(crate) index: usize,
    pub(crate) runtime: AtomicPtr<Runtime>,

    // Its lock.
    pub(crate) queue: Spin<Queue>,
    /// A copy of the queue's length, for those who only look, and of how many the holder keeps.
    pub(crate) waiting: Backlog,

    // Its word: the holder's, or, under the queue's lock, whoever claims it.
    pub(crate) nursery: Nursery<ThreadRef>,

    // Its lock; after it, a queue's lock may be taken.
    pub(crate) timers: Spin<Timers>,
    /// A copy of when the wheel must be looked at, `u64::MAX` for never.
    pub(crate) next_deadline_ns: AtomicU64,

    pub(crate) events: EventSeat,

    // Written by the holder (but `worker`, under the rules of hand-over), read by the monitor.
    pub(crate) worker: AtomicPtr<Worker>,
    /// The thread that runs; null in the worker's own context.
    pub(crate) current: AtomicPtr<Block>,
    /// Counts switches: the same number at two looks is the same run of the same thread.
    pub(crate) dispatches: AtomicU64,
    /// The core's clock: see `dispatch::glance`. Also set by the monitor.
    pub(crate) now_ns: AtomicU64,
    pub(crate) dispatched_at_ns: AtomicU64,
    pub(crate) slice_end_ns: AtomicU64,
    /// What the running thread had earned when it was dispatched.
    pub(crate) earned_ns: AtomicU64,
    pub(crate) nice: AtomicI32,
    /// It woke for timers, and will most likely be idle again before this.
    pub(crate) brief_until_ns: AtomicU64,
    /// It is idle, and woken for the sake of threads that wait elsewhere.
    pub(crate) is_to_help: AtomicBool,
    /// How often threads have yielded through the queue since it was looked whether they are among themselves.
    pub(crate) yields: AtomicUsize,

    // The holder's.
    pub(crate) own: UnsafeCell<Own>,

    pub(crate) counters: Counters,
}

/// What of a core only its holder touches.
pub(crate) struct Own {
    pub(crate) cache: Cache,
    pub(crate) graveyard: Graveyard,
    pub(crate) pieces: Pieces,
    /// Ids that this core may still give away.
    ids: std::ops::Range<u64>,
}

impl Own {
    /// An id that no other thread has.
    pub(crate) fn next_id(&mut self) -> u64 {
        const BATCH: u64 = 64;
        self.ids.next().unwrap_or_else(|| {
            let first = fresh_ids(BATCH);
            self.ids = first + 1..first + BATCH;
            first
        })
    }
}

/// Threads that are ready.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) ready: Ready<ThreadRef>,
    /// The worker sleeps or is about to: whoever queues a thread clears this, and wakes it.
    pub(crate) is_idle: bool,
}

// SAFETY: fields outside locks and atomics are the holder's, and there is one at a time (see `sched::handover`).
unsafe impl Sync for Core {}
// SAFETY: as above.
unsafe impl Send for Core {}

/// A kernel thread that runs threads when it has a core. The record outlives it, and is used for another one later: whoever still has
/// it from before finds a worker, which is not the one that was meant. `sched::worker` draws its life.
#[repr(align(128))]
pub(crate) struct Worker {
    // Constant.
    pub(crate) runtime: &'static Runtime,
    pub(crate) next_worker: Cell<*const Worker>,

    // The lock of the list that it is in: `Runtime::spares`, or `Runtime::recruits` when it was sent to its end.
    pub(crate) next_in_list: Cell<*const Worker>,

    // Whoever makes workers and sends them to their end: the starter, then the monitor. After that as above.
    pub(crate) launched: Cell<Option<Launched>>,

    // Atomic. Both written by the worker as it begins and ends.
    /// 0 if there is no kernel thread, or not yet.
    pub(crate) kernel_id: AtomicI32,
    pub(crate) watch: Watch,

    // Atomic.
    pub(crate) notes: Notes,
    /// Its core; null without. Written by the worker, and by the monitor under the rules of hand-over.
    pub(crate) core: AtomicPtr<Core>,
    /// The futex on which it sleeps, idle or as a spare: 1 when it has been woken.
    pub(crate) woken: Bell,
    /// When it lost its core, if it has.
    pub(crate) lost_at_ns: AtomicU64,
    /// Who prints lists of threads asks here who runs; null: nobody asks.
    pub(crate) asked: Asked<Question>,

    // The worker's own.
    /// Its way into bodies and back: there while it works.
    pub(crate) kernel_thread: UnsafeCell<Option<KernelThread>>,
    /// What is to be done on the other side of a switch.
    pub(crate) parting: Cell<Parting>,
    /// Signals in a row that found its thread in the text of libc and the like.
    pub(crate) put_off: Cell<u32>,
    pub(crate) mark: Cell<Mark>,
}

// SAFETY: `kernel_thread`, `parting`, `put_off` and `mark` are touched by the worker's own kernel thread only; the rest is constant, atomic,
// the monitor's or locked.
unsafe impl Sync for Worker {}

impl Listed for Worker {
    fn link(&self) -> &Cell<*const Worker> {
        &self.next_in_list
    }
}

impl Worker {
    /// A record in which nothing is said yet.
    pub(crate) fn new(runtime: &'static Runtime) -> Worker {
        Worker {
            runtime,
            next_worker: Cell::new(ptr::null()),
            next_in_list: Cell::new(ptr::null()),
            launched: Cell::new(None),
            kernel_id: AtomicI32::new(0),
            watch: Watch::of_nobody(),
            notes: Notes::new(),
            core: AtomicPtr::new(ptr::null_mut()),
            woken: Bell::new(),
            lost_at_ns: AtomicU64::new(0),
            asked: Asked::new(),
            kernel_thread: UnsafeCell::new(None),
            parting: Cell::new(Parting::Nothing),
            put_off: Cell::new(0),
            mark: Cell::new(Mark::NONE),
        }
    }

    /// The calling kernel thread's way into bodies and back.
    ///
    /// # Safety
    ///
    /// The worker is the calling kernel thread's, and works; it goes on working as long as the reference is used.
    #[inline]
    pub(crate) unsafe fn kernel_thread(&self) -> &KernelThread {
        // SAFETY: nobody else touches it, and the worker itself changes it only before and after it works.
        unsafe { (*self.kernel_thread.get()).as_ref() }.expect("it works")
    }

    /// What the kernel calls it; 0 if there is no kernel thread.
    pub(crate) fn kernel_id(&self) -> i32 {
        self.kernel_id.load(Ordering::Relaxed)
    }
}

/// What is to be done about a thread that has just been switched away from, on the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parting {
    Nothing,
    /// It is in the core's queue already, whose lock is held: to be released.
    Queued,
    /// It is in the core's nursery already: to be left.
    Newborn,
    /// It has begun a sleep.
    Sleeps(raddle_core::state::Ticket, ThreadRef),
    /// Its worker has no core any more: to be queued wherever.
    Evicted(ThreadRef),
    /// It has ended.
    Ended(ThreadRef),
}

/// A thread's control block, at the top of its body.
#[repr(C, align(64))]
pub(crate) struct Block {
    /// First, so that a pointer to it leads here.
    pub(crate) sleeper: Sleeper,

    // The thread's own, and its signal handler's.
    /// Inside the runtime preemption is forbidden.
    pub(crate) depth: Depth,
    /// Something of this thread's is to be seen to: a directed signal. Atomic.
    pub(crate) attention: Attention,
    /// Who runs it. Written by whoever dispatches it; null in a forked child.
    pub(crate) worker: AtomicPtr<Worker>,

    // The lock of the queue that it is in.
    pub(crate) link: run_queue::Link<ThreadRef>,

    // The thread.
    /// What will end its sleep, or has been kept for the next one, and on which core's wheel. Means nothing when that has happened.
    pub(crate) timer: Cell<Option<TimerRef>>,
    pub(crate) timer_core: Cell<*const Core>,
    pub(crate) charge: Cell<Charge>,
    pub(crate) priority: Cell<Priority>,
    /// How long its slices are: the runtime's, by its priority.
    pub(crate) slice_ns: Cell<u64>,
    /// When it was dispatched, or began to sleep.
    pub(crate) since_ns: Cell<u64>,
    /// Where it ran last. Up to here stands all that a switch touches: two lines.
    pub(crate) core: Cell<*const Core>,
    /// Until then it lets nobody run before it when it has spawned a thread.
    pub(crate) spawns_on_until_ns: Cell<u64>,
    /// The last time that it let others run before it, that took long.
    pub(crate) waited_long: Cell<bool>,
    /// What it waits for, and until when, for lists of threads: see [`Label`](crate::label::Label).
    pub(crate) waits_for: AtomicU64,
    pub(crate) waits_until_ns: AtomicU64,
    /// Among whose running workers it counts; null: it is no workqueue's. Also read by others.
    pub(crate) gang: AtomicPtr<Gang>,
    /// Its number in a simulation, from 1.
    pub(crate) number: Cell<u64>,
    /// Whose the body is, if not the usual arena's.
    pub(crate) arena: Cell<*const Arena>,

    /// Its record's, which is gone before the thread has left its stack; 0 afterwards.
    pub(crate) id: Cell<u64>,

    // Constant while it lives.
    pub(crate) record: AtomicPtr<Record>,
    pub(crate) is_live: AtomicU8,
}

/// A thread of this runtime's: a pointer to its block, which is never freed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadRef(NonNull<Block>);

// SAFETY: blocks are never freed; who may touch which field is said there.
unsafe impl Send for ThreadRef {}
// SAFETY: as above.
unsafe impl Sync for ThreadRef {}

impl fmt::Debug for ThreadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({})", self.body().number())
    }
}

impl ThreadRef {
    /// The thread that runs here; `None` on a kernel thread's own stack.
    #[inline]
    pub(crate) fn running() -> Option<ThreadRef> {
        raddle_context::running().map(ThreadRef::of_body)
    }

    /// The thread of a body. All bodies are raddle's: this crate is the only user of `raddle-context` in a process.
    #[inline]
    pub(crate) fn of_body(body: BodyRef) -> ThreadRef {
        ThreadRef(body.control().cast())
    }

    /// The thread whose sleeper this is, of kind [`Kind::Thread`].
    pub(crate) fn of_sleeper(sleeper: NonNull<Sleeper>) -> ThreadRef {
        // SAFETY: sleepers are never freed.
        debug_assert_eq!(unsafe { sleeper.as_ref() }.kind(), Kind::Thread);
        ThreadRef(sleeper.cast())
    }

    /// [`of_sleeper`](Self::of_sleeper) for who does not look whether it is one: that may take long to come from memory.
    pub(crate) fn of_sleeper_unseen(sleeper: NonNull<Sleeper>) -> ThreadRef {
        ThreadRef(sleeper.cast())
    }

    /// Asks for what the thread touches first when it goes on, which may have been long ago: without waiting.
    pub(crate) fn prefetch(self) {
        const LINES: usize = size_of::<Record>().div_ceil(64);
        self.body().prefetch_stack(12);
        let record = self.block().record.load(Ordering::Relaxed);
        raddle_context::prefetch(record.cast_const().cast(), LINES);
    }

    pub(crate) fn body(self) -> BodyRef {
        // SAFETY: a block is the control block of a body, and arenas of runtimes are never dropped.
        unsafe { BodyRef::of_control(self.0.cast()) }
    }

    pub(crate) fn as_ptr(self) -> *mut Block {
        self.0.as_ptr()
    }

    pub(crate) fn block(&self) -> &'static Block {
        // SAFETY: never freed.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn sleeper(self) -> NonNull<Sleeper> {
        self.0.cast()
    }

    /// [`block`](Self::block), to be named where a function is asked for.
    pub(crate) fn block_of(self) -> &'static Block {
        self.block()
    }
}

impl Block {
    /// The level on which the thread is queued if it has this account.
    #[inline]
    pub(crate) fn level(&self, charge: &Charge) -> u8 {
        charge.level(self.priority.get(), self.slice_ns.get())
    }

    /// Makes the block of a body that nobody runs on ready for a new thread.
    ///
    /// # Safety
    ///
    /// The body is the caller's own, and its last thread has been parted with.
    #[allow(clippy::too_many_arguments, reason = "a field each")]
    pub(crate) unsafe fn renew(
        body: BodyRef,
        id: u64,
        record: *mut Record,
        priority: Priority,
        slice_ns: u64,
        charge: Charge,
        arena: Option<&Arena>,
    ) -> ThreadRef {
        let thread = ThreadRef::of_body(body);
        let block = thread.block();
        // Zero bytes are a valid block, and so is what a former thread left: no field is overwritten as a whole, as others
        // may still look at the state word.
        block.sleeper.reuse(Kind::Thread);
        block.depth.begin_inside();
        block.attention.begin();
        block.worker.store(ptr::null_mut(), Ordering::Relaxed);
        block.charge.set(charge);
        block.priority.set(priority);
        block.slice_ns.set(slice_ns);
        block.since_ns.set(0);
        block.spawns_on_until_ns.set(0);
        block.waited_long.set(false);
        block.core.set(ptr::null());
        block.arena.set(arena.map_or(ptr::null(), ptr::from_ref));
        block.id.set(id);
        block.record.store(record, Ordering::Relaxed);
        // Release: who lists threads sees a live one whole.
        block.is_live.store(1, Ordering::Release);
        thread
    }
}

/// How the lists find their links in the blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks;

impl run_queue::Links for Blocks {
    type Key = ThreadRef;

    #[inline]
    fn link(&self, thread: ThreadRef) -> &run_queue::Link<ThreadRef> {
        &thread.block().link
    }
}

impl Runtime {
    /// Whether a thread is queued on any core.
    pub(crate) fn anyone_waits(&self) -> bool {
        self.cores.iter().any(|core| core.waiting.load(Ordering::Relaxed) > 0)
    }

    /// The arena of bodies with `stack_bytes` of stack, if the usual one has less.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none so large.
    pub(crate) fn arena_for(&self, stack_bytes: Option<usize>) -> io::Result<Option<&Arena>> {
        let wanted = stack_bytes.filter(|&bytes| bytes > self.arena.stack_bytes());
        wanted.map(|bytes| self.large.with(bytes, size_of::<Block>())).transpose()
    }

    /// What time it is for this runtime's threads.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        match &self.host {
            None => clock::now_ns(),
            Some(host) => host.now_ns(),
        }
    }

    /// The same, perhaps less exactly: for the scheduler's accounts.
    #[inline]
    pub(crate) fn coarse_ns(&self) -> u64 {
        match &self.host {
            None => clock::coarse_ns(),
            Some(host) => host.now_ns(),
        }
    }

    /// Threads that have not ended. The sum may lag by those that start and end just now.
    pub(crate) fn live_threads(&self) -> u64 {
        let sum = |counter: fn(&Counters) -> &AtomicU64| -> u64 {
            self.cores.iter().map(|core| counter(&core.counters).load(Ordering::Relaxed)).sum()
        };
        let ended = sum(|counters| &counters.ended);
        let started = sum(|counters| &counters.started) + self.turn.load(Ordering::Relaxed) as u64;
        started.saturating_sub(ended)
    }

    /// Workers that there are.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &'static Worker> {
        let first = self.workers.load(Ordering::Acquire).cast_const();
        // SAFETY: records of workers are never freed; the links are written before a record is published.
        std::iter::successors(unsafe { first.as_ref() }, |worker| unsafe {
            worker.next_worker.get().as_ref()
        })
        // Acquire: one that works is whole.
        .filter(|worker| worker.kernel_id.load(Ordering::Acquire) != 0)
    }
}

impl Core {
    pub(crate) fn new(index: usize, cache: Cache, now_ns: u64) -> Core {
        Core {
            index,
            runtime: AtomicPtr::new(ptr::null_mut()),
            queue: Spin::new(Queue { ready: Ready::new(now_ns), is_idle: false }),
            waiting: Backlog::none(),
            nursery: Nursery::new(),
            timers: Spin::new(Timers::new(now_ns)),
            next_deadline_ns: AtomicU64::new(u64::MAX),
            events: EventSeat::new(),
            worker: AtomicPtr::new(ptr::null_mut()),
            current: AtomicPtr::new(ptr::null_mut()),
            dispatches: AtomicU64::new(0),
            now_ns: AtomicU64::new(now_ns),
            dispatched_at_ns: AtomicU64::new(0),
            slice_end_ns: AtomicU64::new(u64::MAX),
            earned_ns: AtomicU64::new(0),
            nice: AtomicI32::new(0),
            brief_until_ns: AtomicU64::new(0),
            is_to_help: AtomicBool::new(false),
            yields: AtomicUsize::new(0),
            own: UnsafeCell::new(Own {
                cache,
                graveyard: Graveyard::new(),
                pieces: Pieces::new(),
                ids: 0..0,
            }),
            counters: Counters::default(),
        }
    }

    pub(crate) fn runtime(&self) -> &'static Runtime {
        // SAFETY: set before the core is used, and runtimes are never freed.
        unsafe { &*self.runtime.load(Ordering::Relaxed) }
    }
}

/// Proof that the caller runs on a thread with preemption forbidden, on a worker that has its core: neither changes
/// until it gives this up.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) thread: ThreadRef,
    pub(crate) worker: &'static Worker,
}

impl Place {
    #[inline]
    pub(crate) fn core(&self) -> &'static Core {
        // SAFETY: a place exists only while the worker has a core, and cores are never freed.
        unsafe { &*self.worker.core.load(Ordering::Relaxed) }
    }

    #[inline]
    pub(crate) fn runtime(&self) -> &'static Runtime {
        self.worker.runtime
    }

    /// What only the holder of the core touches.
    ///
    /// # Safety
    ///
    /// No other reference to it is alive: the caller keeps it short, and calls nothing of the scheduler meanwhile.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the holder's cell, by the contract above")]
    pub(crate) unsafe fn own(&self) -> &mut Own {
        // SAFETY: the caller is the holder's thread, with preemption forbidden, and keeps to the contract.
        unsafe { &mut *self.core().own.get() }
    }
}
