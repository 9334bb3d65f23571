//! A plain round-robin over a few kernel threads, with a timer signal: the least scheduler that exercises everything a body
//! can do. It is not raddle's scheduler; it has no priorities, no parking and no timers.
//!
//! - Every body's control block holds a count that forbids preemption while it is not 0, the worker it runs on, and a queue link.
//! - A monitor thread sends SIGURG to every worker once a tick. The handler switches to the next body in the queue.
//! - There are seats, as many as workers were asked for, and more kernel threads than seats. A worker whose body blocks in the
//!   kernel (on a lock of libc's, say, whose holder was preempted) is found by the monitor, which gives its seat to a spare; the
//!   stalled one becomes a spare at its next pass through here. Spares are made beforehand: making one takes libc's locks.
//! - Code with the count up takes no lock but the queues': it keeps its kernel thread whatever happens, and the holder of a lock of
//!   libc's or an allocator's may be a preempted body. With the count at 0 a body that waits for such a lock is preempted itself, and
//!   its kernel thread is free again after a few ticks: a few spares are enough, however many bodies wait.
//! - Inside the text of libc and its like the handler holds back, a bounded number of times: it saves replacements, and is
//!   not what correctness rests on.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use super::calls::{errno, gettid, send, set_errno};
use raddle_context::{
    After, Arena, Body, BodyRef, Cache, Config, Departure, Hooks, KernelThread, Launched, Outcome,
    SignalFrame, running, switch,
};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How to run.
#[derive(Clone, Debug)]
pub struct Run {
    pub workers: usize,
    /// Time between two signals; `None` for no preemption.
    pub tick: Option<Duration>,
    pub config: Config,
}

impl Default for Run {
    fn default() -> Self {
        Run { workers: 2, tick: Some(Duration::from_micros(100)), config: Config::default() }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub bodies: u64,
    pub switches: u64,
    pub preemptions: u64,
    pub migrations: u64,
    pub spares: u64,
    /// Workers without a seat whose bodies were blocked, at once.
    pub most_stalled: usize,
    pub elapsed: Duration,
}

/// At the top of every body.
#[repr(C)]
struct Control {
    /// Preemption is forbidden while it is not 0.
    count: AtomicU32,
    worker: AtomicPtr<Worker>,
    next: AtomicPtr<u8>,
    ended: AtomicPtr<Ended>,
}

fn control(body: BodyRef) -> &'static Control {
    // SAFETY: `spawn_in` has written the block before the body was to be seen; it stays there as long as the arena, which is never
    // dropped. All its fields are atomic.
    unsafe { body.control().cast::<Control>().as_ref() }
}

/// The worker that the calling body runs on. Asked with the count up, so that it stays that.
fn worker_of(body: BodyRef) -> &'static Worker {
    // SAFETY: whoever switched to the body has set it, and a worker stays as long as there is a body.
    unsafe { &*control(body).worker.load(Relaxed) }
}

/// What a joiner waits for.
///
/// The joiner gives up the body's share of it too, and one that is not joined stays. The body can't do it: it would free after it has left,
/// under the TLS of another that was preempted in the middle of the allocator perhaps.
#[derive(Default)]
struct Ended {
    done: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
}

/// One kernel thread.
struct Worker {
    kernel_thread: KernelThread,
    world: &'static World,
    cache: UnsafeCell<Cache>,
    /// What the action after a switch shall publish.
    parting: Cell<Parting>,
    kernel_id: i32,
    /// Passes through the scheduler.
    looks: AtomicU64,
    seated: AtomicBool,
    /// It lost its seat while its body was blocked, and does not know it yet.
    stalled: AtomicBool,
    /// Signals in a row that found it inside libc's text.
    deferred: AtomicU32,
}

#[derive(Clone, Copy)]
enum Parting {
    Nothing,
    Yielded(BodyRef),
    Preempted(BodyRef),
    Ended(BodyRef),
}

/// Kernel threads at most: workers and spares. No more than that, so that a storm tells if bodies keep them.
const KERNEL_THREADS: usize = 16;

struct World {
    arena: Arena,
    yielded: Queue,
    /// Bodies that may hold a lock of libc's; first when somebody waits for one.
    preempted: Queue,
    live: AtomicUsize,
    /// The monitor has ended.
    unwatched: AtomicBool,
    /// Seats that nobody sits on.
    seats: AtomicUsize,
    stalled: AtomicUsize,
    workers: [AtomicPtr<Worker>; KERNEL_THREADS],
    text: Vec<std::ops::Range<usize>>,
    bodies: AtomicU64,
    switches: AtomicU64,
    preemptions: AtomicU64,
    migrations: AtomicU64,
    spares: AtomicU64,
    most_stalled: AtomicUsize,
}

impl World {
    /// The next to run, at a worker's look number `look`.
    fn next(&self, look: u64) -> Option<BodyRef> {
        // Joiners that come by and queue again would keep those that they wait for from ever running: each eighth look is for these.
        if self.stalled.load(Relaxed) > 0 || look.is_multiple_of(8) {
            self.preempted.pop().or_else(|| self.yielded.pop())
        } else {
            self.yielded.pop().or_else(|| self.preempted.pop())
        }
    }

    fn waiting(&self) -> bool {
        self.yielded.length.load(Relaxed) + self.preempted.length.load(Relaxed) > 0
    }
}

/// First in, first out, linked through the control blocks: the scheduler never allocates.
struct Queue {
    lock: AtomicBool,
    bodies: UnsafeCell<(Option<BodyRef>, Option<BodyRef>)>,
    length: AtomicUsize,
}
// SAFETY: whoever holds `lock` has the list for itself; the rest is atomic.
unsafe impl Sync for Queue {}
// SAFETY: a body in the list is nobody else's, whatever thread takes it out.
unsafe impl Send for Queue {}

impl Queue {
    fn new() -> Queue {
        Queue {
            lock: AtomicBool::new(false),
            bodies: UnsafeCell::new((None, None)),
            length: AtomicUsize::new(0),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut (Option<BodyRef>, Option<BodyRef>)) -> R) -> R {
        let mut spins = 0;
        while self.lock.swap(true, Acquire) {
            spins += 1;
            if spins % 100 == 0 {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held, so this is the only reference.
        let result = f(unsafe { &mut *self.bodies.get() });
        self.lock.store(false, Release);
        result
    }

    fn push(&self, body: BodyRef) {
        control(body).next.store(ptr::null_mut(), Relaxed);
        self.with(|(first, last)| {
            match last.replace(body) {
                Some(last) => control(last).next.store(as_pointer(body), Relaxed),
                None => *first = Some(body),
            }
            self.length.fetch_add(1, Relaxed);
        });
    }

    fn pop(&self) -> Option<BodyRef> {
        if self.length.load(Relaxed) == 0 {
            return None;
        }
        self.with(|(first, last)| {
            let body = (*first)?;
            *first = from_pointer(control(body).next.load(Relaxed));
            if first.is_none() {
                *last = None;
            }
            self.length.fetch_sub(1, Relaxed);
            Some(body)
        })
    }
}

fn as_pointer(body: BodyRef) -> *mut u8 {
    body.control().as_ptr()
}

fn from_pointer(pointer: *mut u8) -> Option<BodyRef> {
    // SAFETY: only `as_pointer` makes such pointers, of bodies of the world's arena.
    ptr::NonNull::new(pointer).map(|control| unsafe { BodyRef::of_control(control) })
}

/// A spawned body, to be joined from another.
pub struct Join<T> {
    ended: Arc<Ended>,
    value: Arc<Mutex<Option<T>>>,
}

impl<T> Join<T> {
    /// Yields until the body has ended: its value, or the payload of its panic.
    pub fn join(self) -> Result<T, Box<dyn Any + Send>> {
        while !self.ended.done.load(Acquire) {
            yield_now();
        }
        // SAFETY: the body's share, which `part` looked at for the last time when it told `done`.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(&self.ended)) };
        let outcome = self.ended.outcome.lock().unwrap().take().expect("joined once");
        outcome.map(|()| self.value.lock().unwrap().take().expect("a body that did not panic"))
    }
}

/// Runs `main` as the first body, and returns when every body has ended. A panic of `main` goes on here.
pub fn run(how: Run, main: impl FnOnce() + Send + 'static) -> Stats {
    raddle_context::overflow::install(raddle_context::overflow::describe_by_number).unwrap();
    let world: &'static World = Box::leak(Box::new(World {
        arena: Arena::new(Config { control_bytes: size_of::<Control>(), ..how.config }).unwrap(),
        yielded: Queue::new(),
        preempted: Queue::new(),
        live: AtomicUsize::new(0),
        unwatched: AtomicBool::new(false),
        seats: AtomicUsize::new(how.workers),
        stalled: AtomicUsize::new(0),
        workers: [const { AtomicPtr::new(ptr::null_mut()) }; KERNEL_THREADS],
        text: library_text(),
        bodies: AtomicU64::new(0),
        switches: AtomicU64::new(0),
        preemptions: AtomicU64::new(0),
        migrations: AtomicU64::new(0),
        spares: AtomicU64::new(0),
        most_stalled: AtomicUsize::new(0),
    }));
    if how.tick.is_some() {
        install_handler();
    }
    let start = Instant::now();
    let (first, join) = place(world, world.arena.make().unwrap(), main);
    world.yielded.push(first);
    // Half of them are libc's, half are launched: bodies move between the two kinds.
    let seats = Arena::new(Config::default()).unwrap();
    let threads: Vec<_> = (0..KERNEL_THREADS)
        .step_by(2)
        .map(|slot| std::thread::spawn(move || work(world, slot)))
        .collect();
    let launched: Vec<_> = (1..KERNEL_THREADS)
        .step_by(2)
        .map(|slot| launch(&seats, Box::new(Seat { world, slot })))
        .collect();
    monitor(world, how.tick);
    world.unwatched.store(true, Release);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for thread in launched {
        thread.wait();
        assert!(!thread.has_panicked(), "a launched kernel thread panicked");
        seats.give(thread.into_body().unwrap());
    }
    let outcome = join.ended.outcome.lock().unwrap().take().expect("every body has ended");
    if let Err(payload) = outcome {
        std::panic::resume_unwind(payload);
    }
    Stats {
        bodies: world.bodies.load(Relaxed),
        switches: world.switches.load(Relaxed),
        preemptions: world.preemptions.load(Relaxed),
        migrations: world.migrations.load(Relaxed),
        spares: world.spares.load(Relaxed),
        most_stalled: world.most_stalled.load(Relaxed),
        elapsed: start.elapsed(),
    }
}

/// What a launched kernel thread is told.
struct Seat {
    world: &'static World,
    slot: usize,
}

fn launch(arena: &Arena, seat: Box<Seat>) -> Launched {
    unsafe fn main(seat: *mut u8) {
        // SAFETY: `launch` gives a box away, once.
        let seat = unsafe { Box::from_raw(seat.cast::<Seat>()) };
        work(seat.world, seat.slot);
    }
    let body = arena.make().unwrap().prepare();
    let seat = Box::into_raw(seat).cast();
    // SAFETY: the seat is `Send` and its box lives until `work` has it; `run` waits for the thread before the arena goes; `work`
    // returns when no body is left.
    unsafe { KernelThread::launch(body, main, seat, None) }.expect("a kernel thread")
}

/// Signals the seated workers once a tick and takes seats from blocked ones. It never allocates: a preempted body may
/// hold malloc's lock.
fn monitor(world: &'static World, tick: Option<Duration>) {
    /// A worker that has not come by for so long, although others wait, is blocked.
    const PATIENCE: Duration = Duration::from_millis(4);
    let mut seen = [(0u64, Instant::now()); KERNEL_THREADS];
    while world.live.load(Acquire) > 0 {
        std::thread::sleep(tick.unwrap_or(Duration::from_millis(1)));
        for (slot, worker) in world.workers.iter().enumerate() {
            // SAFETY: a worker stays until the monitor has ended.
            let Some(worker) = (unsafe { worker.load(Acquire).as_ref() }) else { continue };
            let looks = worker.looks.load(Relaxed);
            if !worker.seated.load(Relaxed) || looks != seen[slot].0 || !world.waiting() {
                seen[slot] = (looks, Instant::now());
            }
            if worker.seated.load(Relaxed) && tick.is_some() {
                send(libc::SIGURG, worker.kernel_id);
            }
            if seen[slot].1.elapsed() > PATIENCE && !worker.stalled.load(Relaxed) {
                // Counted first: a worker that sees that it stalled counts itself out at once. Only the monitor sets the flag.
                let stalled = world.stalled.fetch_add(1, Relaxed) + 1;
                world.most_stalled.fetch_max(stalled, Relaxed);
                world.spares.fetch_add(1, Relaxed);
                world.seats.fetch_add(1, Release);
                worker.stalled.store(true, Release);
            }
        }
    }
}

/// The text of libc, the loader and the unwinder.
fn library_text() -> Vec<std::ops::Range<usize>> {
    const DEFER: [&str; 4] = ["/libc.so", "/ld-linux", "/libgcc_s", "/libc_malloc_debug"];
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains(" r-xp ") && DEFER.iter().any(|name| line.contains(name)))
        .map(|line| {
            let (low, high) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |hex| usize::from_str_radix(hex, 16).unwrap();
            number(low)..number(high)
        })
        .collect()
}

/// Spawns a body from a body.
pub fn spawn<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> Join<T> {
    let body = running().expect("spawn is called on a body");
    let (world, warm) = held(body, |worker| {
        // SAFETY: with the count up nobody else runs on this kernel thread, and only it uses the worker's cache.
        (worker.world, unsafe { (*worker.cache.get()).take_warm() })
    });
    let new = warm.unwrap_or_else(|| world.arena.make().unwrap());
    let (new, join) = place(world, new, main);
    held(body, |worker| worker.world.yielded.push(new));
    join
}

/// Does something on `body`, which calls, with the count up.
fn held<R>(body: BodyRef, f: impl FnOnce(&Worker) -> R) -> R {
    let count = &control(body).count;
    count.fetch_add(1, SeqCst);
    let result = f(worker_of(body));
    count.fetch_sub(1, SeqCst);
    result
}

/// Makes `body` ready to run `main`. It allocates.
fn place<T: Send + 'static>(
    world: &'static World,
    mut body: Body,
    main: impl FnOnce() -> T + Send + 'static,
) -> (BodyRef, Join<T>) {
    let value = Arc::new(Mutex::new(None));
    let ended = Arc::new(Ended::default());
    let put = value.clone();
    let block = Control {
        count: AtomicU32::new(1),
        worker: AtomicPtr::default(),
        next: AtomicPtr::default(),
        ended: AtomicPtr::new(Arc::into_raw(ended.clone()).cast_mut()),
    };
    // SAFETY: the body is fresh and has room for the block. `main` and its value are `Send`, and `'static`. It is given back by `part`
    // only, after its departure.
    unsafe {
        body.control().cast::<Control>().write(block);
        body.start(
            move || {
                let result = main();
                *put.lock().unwrap() = Some(result);
            },
            HOOKS,
        );
    }
    world.live.fetch_add(1, Relaxed);
    world.bodies.fetch_add(1, Relaxed);
    (body.into_ref(), Join { ended, value })
}

const HOOKS: Hooks = Hooks { arrive, settle, depart };

unsafe fn arrive(body: BodyRef) {
    control(body).count.fetch_sub(1, SeqCst);
}

unsafe fn settle(body: BodyRef, outcome: Outcome) {
    // SAFETY: the body's own share of it, which a joiner gives up later.
    let ended = unsafe { &*control(body).ended.load(Relaxed) };
    *ended.outcome.lock().unwrap() = Some(outcome);
}

unsafe fn depart(body: BodyRef) -> Departure {
    let block = control(body);
    // The count stays up from here on. `done` is told by the action, which runs when the body has left its stack.
    block.count.fetch_add(1, SeqCst);
    let worker = worker_of(body);
    worker.parting.set(Parting::Ended(body));
    let to = next_context(worker).unwrap_or(worker.kernel_thread.context());
    Departure { to, after: After::run(part, ptr::from_ref(worker).cast_mut().cast()) }
}

/// Lets the next body run, if there is one.
pub fn yield_now() {
    let Some(body) = running() else { return std::thread::yield_now() };
    held(body, |_| pass_on(body, Parting::Yielded(body)));
}

/// Called with the count up: to the next body, behind which this one queues.
fn pass_on(body: BodyRef, parting: Parting) {
    let worker = worker_of(body);
    worker.looks.fetch_add(1, Relaxed);
    let to = match next_context(worker) {
        Some(to) => to,
        None if worker.stalled.load(Relaxed) => worker.kernel_thread.context(),
        None => return,
    };
    worker.parting.set(parting);
    worker.world.switches.fetch_add(1, Relaxed);
    let after = After::run(part, ptr::from_ref(worker).cast_mut().cast());
    // SAFETY: the count is up, so no handler switches. `to` came out of a queue, so it is saved and this worker's alone, or is this
    // kernel thread's own. The body goes into a queue by `part`, when it is saved.
    unsafe { switch(body.context(), to, after) };
    if control(body).worker.load(Relaxed) != ptr::from_ref(worker).cast_mut() {
        worker.world.migrations.fetch_add(1, Relaxed);
    }
}

/// The first body in the queue, made ready to run on `worker`.
fn next_context(worker: &Worker) -> Option<*mut raddle_context::Context> {
    if worker.stalled.load(Relaxed) {
        return None;
    }
    let next = worker.world.next(worker.looks.load(Relaxed))?;
    control(next).worker.store(ptr::from_ref(worker).cast_mut(), Relaxed);
    Some(next.context())
}

/// Runs on the new side: now the old one may be resumed, or used again.
unsafe extern "C" fn part(worker: *mut u8) {
    // SAFETY: `after`'s argument is the worker that it runs on.
    let worker = unsafe { &*worker.cast::<Worker>() };
    match worker.parting.replace(Parting::Nothing) {
        Parting::Nothing => {}
        Parting::Yielded(body) => worker.world.yielded.push(body),
        Parting::Preempted(body) => worker.world.preempted.push(body),
        Parting::Ended(body) => {
            let ended = control(body).ended.load(Relaxed);
            // SAFETY: the body has left its stack for good, and nobody else holds it. The cache is this kernel thread's, as above;
            // `ended` is the body's own share of it until `done` is told.
            unsafe {
                (*worker.cache.get()).give(Body::from_ref(body));
                (*ended).done.store(true, Release);
            }
            worker.world.live.fetch_sub(1, Release);
        }
    }
}

/// A kernel thread's life: waits for a seat, runs bodies until it loses it, and so on until none is left.
fn work(world: &'static World, slot: usize) {
    let worker = Worker {
        kernel_thread: KernelThread::enter().unwrap(),
        world,
        cache: UnsafeCell::new(world.arena.cache()),
        parting: Cell::new(Parting::Nothing),
        kernel_id: gettid(),
        looks: AtomicU64::new(0),
        seated: AtomicBool::new(false),
        stalled: AtomicBool::new(false),
        deferred: AtomicU32::new(0),
    };
    world.workers[slot].store(ptr::from_ref(&worker).cast_mut(), Release);
    while world.live.load(Acquire) > 0 {
        let taken = world.seats.try_update(Acquire, Relaxed, |seats| seats.checked_sub(1)).is_ok();
        if !taken {
            nap(Duration::from_micros(300));
            continue;
        }
        worker.seated.store(true, Relaxed);
        while world.live.load(Acquire) > 0 && !worker.stalled.load(Relaxed) {
            worker.looks.fetch_add(1, Relaxed);
            match next_context(&worker) {
                Some(to) => {
                    world.switches.fetch_add(1, Relaxed);
                    // SAFETY: as in `pass_on`: `to` is this worker's alone, and what is left is the kernel thread's own context.
                    unsafe { switch(worker.kernel_thread.context(), to, After::nothing()) };
                }
                None => nap(Duration::from_micros(50)),
            }
        }
        worker.seated.store(false, Relaxed);
        if worker.stalled.swap(false, Acquire) {
            world.stalled.fetch_sub(1, Relaxed);
        }
    }
    world.workers[slot].store(ptr::null_mut(), Release);
    // The monitor may have loaded the pointer just before.
    while !world.unwatched.load(Acquire) {
        nap(Duration::from_micros(300));
    }
}

fn nap(length: Duration) {
    std::thread::sleep(length);
}

fn install_handler() {
    // SAFETY: zeros are a `sigaction` without flags and mask. The handler allocates nothing and locks nothing but the queues, which no
    // thread holds that it could interrupt: their users have the count up, or are no bodies.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_tick as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(libc::SIGURG, &action, ptr::null_mut());
    }
}

extern "C" fn on_tick(_signal: i32, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(body) = running() else { return };
    let block = control(body);
    if block.count.load(Relaxed) != 0 {
        return;
    }
    // SAFETY: it is this handler's third argument, and stays in here.
    let mut frame = unsafe { SignalFrame::from_handler(context) };
    block.count.fetch_add(1, SeqCst);
    let worker = worker_of(body);
    if !frame.may_switch(&worker.kernel_thread) {
        block.count.fetch_sub(1, SeqCst);
        return;
    }
    let pc = frame.program_counter();
    let in_library = worker.world.text.iter().any(|text| text.contains(&pc));
    if in_library && worker.deferred.fetch_add(1, Relaxed) < 10 {
        block.count.fetch_sub(1, SeqCst);
        return;
    }
    worker.deferred.store(0, Relaxed);
    let errno = errno();
    worker.world.preemptions.fetch_add(1, Relaxed);
    pass_on(body, Parting::Preempted(body));
    // Perhaps another worker by now.
    // SAFETY: this kernel thread runs the body now; the count is up until the handler is at its end.
    unsafe { frame.resume_on(&worker_of(body).kernel_thread) };
    set_errno(errno);
    block.count.fetch_sub(1, SeqCst);
}
