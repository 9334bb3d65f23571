//! The machine: what the scheduler keeps. A [`Runtime`] has [`Core`]s; a [`Worker`], a kernel thread, sits on a core and runs
//! threads, each of which has its [`Block`] at the top of its body.
//!
//! ```text
//!   Runtime ──┬── Core 0 ── queue, timers, spare bodies ◀── Worker ── current ──▶ Block
//!             ├── Core 1 ── ...                         ◀── Worker ── ...
//!             ├── parked spare workers
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

use crate::counters::Counters;
use crate::dumper::{DumpSignal, Dumper, Question};
use crate::host_contract::Host;
use crate::record::{Graveyard, Record, fresh_ids};
use crate::slab::Pieces;
use crate::sleeper::{Kind, Sleeper};
use crate::spin::Spin;
use crate::sys::clock;
use crate::sys::task::Watch;
use crate::timer::{TimerRef, Timers};
use raddle_context::{Arena, BodyRef, Cache, Config, KernelThread, Prepared};
use raddle_core::eagerness::Eagerness;
use raddle_core::ready::Ready;
use raddle_core::run_queue;
use raddle_core::slice::{Charge, Priority};
use raddle_core::timekeeper::Timekeeper;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// Settings that a runtime runs by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cores: usize,
    pub(crate) slice_ns: u64,
    /// How much a timer may be late so that several share a wake-up.
    pub(crate) timer_slack_ns: u64,
    pub(crate) stack_bytes: usize,
    pub(crate) signal: i32,
    pub(crate) preempts: bool,
    pub(crate) dump: DumpSignal,
    /// Where a trace goes, if one is asked for.
    pub(crate) trace: Option<PathBuf>,
    /// How many events of each core it keeps, and one more: a power of two.
    pub(crate) trace_events: usize,
}

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
    /// Arenas of larger bodies, by the binary logarithm of their size; made when they are first asked for.
    pub(crate) large: [OnceLock<Arena>; 31],
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
    /// All workers that there ever were, linked through `next_worker`.
    pub(crate) workers: AtomicPtr<Worker>,
    /// Workers that have lost their core and still carry a thread.
    pub(crate) homeless: AtomicUsize,
    pub(crate) monitor: MonitorWord,

    // Its lock.
    pub(crate) spares: Spin<Spares>,
    pub(crate) recruits: Spin<Recruits>,
    pub(crate) dumper: Spin<Dumper>,
}

/// Workers that are parked, ready to take a core.
#[derive(Debug)]
pub(crate) struct Spares {
    pub(crate) first: *const Worker,
    pub(crate) parked: usize,
    /// Being made: they will park.
    pub(crate) coming: usize,
    /// One fills the stock of recruits, and will park when libc has let it.
    pub(crate) refills: bool,
}

// SAFETY: workers are never freed, and shared by design.
unsafe impl Send for Spares {}

/// What a new worker needs, made beforehand: a worker must come when libc's locks are held by threads that nobody runs.
#[derive(Debug)]
pub(crate) struct Recruit {
    pub(crate) body: Prepared,
    pub(crate) orders: &'static mut Orders,
}

/// Where a new worker finds what it is to do, and the memory for its record.
pub(crate) struct Orders {
    pub(crate) runtime: *const Runtime,
    /// Null for a spare.
    pub(crate) core: *const Core,
    pub(crate) worker: std::mem::MaybeUninit<Worker>,
}

// SAFETY: orders are written by whoever launches the worker, and read by the worker.
unsafe impl Send for Orders {}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("core", &self.core).finish_non_exhaustive()
    }
}

/// The stock of recruits.
#[derive(Debug)]
pub(crate) struct Recruits {
    pub(crate) ready: [Option<Recruit>; Recruits::STOCK],
}

impl Recruits {
    /// As many workers can follow one another into blocking calls before one of them must have had time to call libc.
    pub(crate) const STOCK: usize = 16;
    /// Below this it is filled.
    pub(crate) const LOW: usize = 12;
    /// So many are kept from threads that wait for locks: those can be queued instead.
    pub(crate) const RESERVE: usize = 6;

    pub(crate) fn count(&self) -> usize {
        self.ready.iter().filter(|place| place.is_some()).count()
    }
}

/// How others reach the monitor.
#[derive(Debug)]
pub(crate) struct MonitorWord {
    /// The futex that it sleeps on: 1 asks it to look at once.
    pub(crate) poked: AtomicU32,
    /// When it will look by itself; `u64::MAX`: never.
    pub(crate) wakes_at_ns: AtomicU64,
}

/// A seat: what one worker at a time works with.
#[repr(align(128))]
pub(crate) struct Core {
    // Constant.
    pub(crate) index: usize,
    pub(crate) runtime: AtomicPtr<Runtime>,

    // Its lock.
    pub(crate) queue: Spin<Queue>,
    /// A copy of the queue's length, for those who only look.
    pub(crate) waiting: AtomicUsize,

    // Its lock; after it, a queue's lock may be taken.
    pub(crate) timers: Spin<Timers>,
    /// A copy of when the wheel must be looked at, `u64::MAX` for never.
    pub(crate) next_deadline_ns: AtomicU64,

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

/// A kernel thread that runs threads when it has a core.
#[repr(align(128))]
pub(crate) struct Worker {
    // Constant.
    pub(crate) runtime: &'static Runtime,
    pub(crate) kernel_thread: KernelThread,
    pub(crate) kernel_id: i32,
    pub(crate) watch: Watch,
    pub(crate) next_worker: Cell<*const Worker>,

    // Under the lock of `Runtime::spares`.
    pub(crate) next_spare: Cell<*const Worker>,

    // Atomic.
    /// The bits of [`flag`].
    pub(crate) flags: AtomicU32,
    /// Its core; null without. Written by the worker, and by the monitor under the rules of hand-over.
    pub(crate) core: AtomicPtr<Core>,
    /// The futex on which it sleeps, idle or as a spare: 1 when it has been woken.
    pub(crate) woken: AtomicU32,
    /// When it lost its core, if it has.
    pub(crate) lost_at_ns: AtomicU64,
    /// Who prints lists of threads asks here who runs; null: nobody asks.
    pub(crate) asked: AtomicPtr<Question>,

    // The worker's own.
    /// What is to be done on the other side of a switch.
    pub(crate) parting: Cell<Parting>,
    /// Signals in a row that found its thread in the text of libc and the like.
    pub(crate) put_off: Cell<u32>,
}

// SAFETY: `parting` and `put_off` are touched by the worker's own kernel thread only; the rest is constant, atomic or locked.
unsafe impl Sync for Worker {}

/// What is to be done about a thread that has just been switched away from, on the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parting {
    Nothing,
    /// It is in the core's queue already, whose lock is held: to be released.
    Queued,
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
    /// Preemption is forbidden while it is not 0.
    pub(crate) count: AtomicU32,
    /// Something of this thread's is to be seen to: a directed signal. Atomic.
    pub(crate) attention: AtomicU32,
    /// Who runs it. Written by whoever dispatches it; null in a forked child.
    pub(crate) worker: AtomicPtr<Worker>,

    // The lock of the queue that it is in.
    pub(crate) link: run_queue::Link<ThreadRef>,

    // The thread.
    /// What will end its sleep, and on which core's wheel. Means nothing when that has happened.
    pub(crate) timer: Cell<Option<TimerRef>>,
    pub(crate) timer_core: Cell<*const Core>,
    pub(crate) charge: Cell<Charge>,
    pub(crate) priority: Cell<Priority>,
    /// How long its slices are: the runtime's, by its priority.
    pub(crate) slice_ns: Cell<u64>,
    /// When it was dispatched, or began to sleep.
    pub(crate) since_ns: Cell<u64>,
    /// Until then it lets nobody run before it when it has spawned a thread.
    pub(crate) spawns_on_until_ns: Cell<u64>,
    /// What it waits for, and until when, for lists of threads: see [`Label`](crate::label::Label).
    pub(crate) waits_for: AtomicU64,
    pub(crate) waits_until_ns: AtomicU64,
    /// Its number in a simulation, from 1.
    pub(crate) number: Cell<u64>,
    /// Where it ran last.
    pub(crate) core: Cell<*const Core>,
    /// Whose the body is, if not the usual arena's.
    pub(crate) arena: Cell<*const Arena>,

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
        self.body().prefetch_stack();
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
        block.count.store(1, Ordering::Relaxed);
        block.attention.store(0, Ordering::Relaxed);
        block.worker.store(ptr::null_mut(), Ordering::Relaxed);
        block.charge.set(charge);
        block.priority.set(priority);
        block.slice_ns.set(slice_ns);
        block.since_ns.set(0);
        block.spawns_on_until_ns.set(0);
        block.core.set(ptr::null());
        block.arena.set(arena.map_or(ptr::null(), ptr::from_ref));
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
        /// Guard, TLS, control block.
        const OVERHEAD: usize = 48 * 1024;
        let Some(wanted) = stack_bytes.filter(|&bytes| bytes > self.arena.stack_bytes()) else {
            return Ok(None);
        };
        let slot_bytes = wanted.saturating_add(OVERHEAD).checked_next_power_of_two();
        let class = slot_bytes.map_or(usize::MAX, |bytes| bytes.trailing_zeros() as usize);
        let (Some(large), Some(slot_bytes)) = (self.large.get(class), slot_bytes) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a stack of {wanted} bytes is too large: at most 1 GiB, less 48 KiB"),
            ));
        };
        if let Some(arena) = large.get() {
            return Ok(Some(arena));
        }
        let config = Config { slot_bytes, control_bytes: size_of::<Block>(), ..Config::default() };
        let arena = Arena::new(config)?;
        Ok(Some(large.get_or_init(|| arena)))
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

    /// Workers that there are, and were.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &'static Worker> {
        let first = self.workers.load(Ordering::Acquire).cast_const();
        // SAFETY: workers are never freed; the links are written before a worker is published.
        std::iter::successors(unsafe { first.as_ref() }, |worker| unsafe {
            worker.next_worker.get().as_ref()
        })
    }
}

impl Core {
    pub(crate) fn new(index: usize, cache: Cache, now_ns: u64) -> Core {
        Core {
            index,
            runtime: AtomicPtr::new(ptr::null_mut()),
            queue: Spin::new(Queue { ready: Ready::new(now_ns), is_idle: false }),
            waiting: AtomicUsize::new(0),
            timers: Spin::new(Timers::new(now_ns)),
            next_deadline_ns: AtomicU64::new(u64::MAX),
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
