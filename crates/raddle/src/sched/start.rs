//! A runtime's beginning: by itself at first use, or from a builder. There is one for each process; a forked child starts
//! without, and makes its own when it needs one.

#![allow(unsafe_code, reason = "leaked runtime behind a pointer; signal handler; pthread_atfork")]

use crate::crew::{Recruits, Spares};
use crate::debugger;
use crate::dump;
use crate::dumper::Dumper;
use crate::host_contract::Host;
use crate::large::LargeArenas;
use crate::machine::{Block, Core, MonitorWord, Runtime, ThreadRef};
use crate::sched::{enter, monitor, recruit, stock};
use crate::settings::Settings;
use crate::slab;
use crate::sleeper::Foreign;
use crate::spin::Spin;
use crate::sys::{clock, kernel_threads, task};
use crate::trace;
use raddle_context::{Arena, overflow};
use raddle_core::bell::Bell;
use raddle_core::eagerness::Eagerness;
use raddle_core::timekeeper::Timekeeper;
use std::fmt::{self, Write};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

static RUNTIME: AtomicPtr<Runtime> = AtomicPtr::new(ptr::null_mut());
static STARTING: Mutex<()> = Mutex::new(());

/// The process's runtime, if it has started.
pub(crate) fn started() -> Option<&'static Runtime> {
    // SAFETY: runtimes are never freed.
    unsafe { RUNTIME.load(Ordering::Acquire).as_ref() }
}

/// The process's runtime; starts it with `settings` if there is none.
///
/// # Errors
///
/// What is missing to run threads here; from creating kernel threads.
pub(crate) fn get_or_start(
    settings: impl FnOnce() -> io::Result<Settings>,
) -> io::Result<&'static Runtime> {
    if let Some(runtime) = started() {
        return Ok(runtime);
    }
    let _one_at_a_time = STARTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match started() {
        Some(runtime) => Ok(runtime),
        None => start(settings()?),
    }
}

fn start(settings: Settings) -> io::Result<&'static Runtime> {
    let signal = settings.signal;
    let runtime = build(settings, None)?;
    if let Some(path) = &runtime.settings.trace {
        trace::start(path, runtime.cores.len(), runtime.settings.trace_events)?;
    }
    task::register_barrier().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("raddle needs membarrier(2), which this kernel or sandbox refuses: {error}"),
        )
    })?;
    handle_signal(signal)?;
    dump::install(runtime)?;
    debugger::publish();
    task::note_usual_timers();
    recruit_workers(runtime)?;
    std::thread::Builder::new()
        .name("raddle-monitor".into())
        .stack_size(128 * 1024)
        .spawn(move || monitor::watch(runtime))
        .map_err(|_| no_more_after("all its workers, but not its monitor"))?;
    RUNTIME.store(ptr::from_ref(runtime).cast_mut(), Ordering::Release);
    Ok(runtime)
}

/// A runtime without workers.
///
/// # Errors
///
/// What is missing to run threads here; settings that no arena can be made with.
pub(crate) fn build(
    settings: Settings,
    host: Option<Box<dyn Host>>,
) -> io::Result<&'static Runtime> {
    raddle_context::check()?;
    forget_in_children();
    clock::calibrate();
    kernel_threads::keep_proc();
    overflow::install(describe_overflow)?;
    let arena = Arena::new(raddle_context::Config {
        slot_bytes: settings.stack_bytes,
        control_bytes: size_of::<Block>(),
        ..Default::default()
    })?;
    let now = host.as_ref().map_or_else(clock::now_ns, |host| host.now_ns());
    // One by one: they are large, a stack may be small, and each adapter of an iterator has a copy of its own where nothing is optimised.
    let mut cores = Vec::with_capacity(settings.cores);
    for index in 0..settings.cores {
        cores.push(Core::new(index, arena.cache(), now));
    }
    let runtime: &'static Runtime = Box::leak(Box::new(Runtime {
        settings,
        host,
        simulated: AtomicU64::new(0),
        cores: cores.into(),
        arena,
        workers_arena: Arena::new(raddle_context::Config::default())?,
        large: LargeArenas::new(),
        library_text: library_text(),
        idle_cores: AtomicUsize::new(0),
        eagerness: Eagerness::new(),
        timekeeper: Timekeeper::new(),
        turn: AtomicUsize::new(0),
        workers: AtomicPtr::new(ptr::null_mut()),
        homeless: AtomicUsize::new(0),
        monitor: MonitorWord {
            poked: Bell::new(),
            wakes_at_ns: AtomicU64::new(0),
            is_at_ease: AtomicBool::new(false),
        },
        has_queues: AtomicBool::new(false),
        spares: Spin::new(Spares::NONE),
        dumper: Spin::new(Dumper::default()),
        recruits: Spin::new(Recruits::NONE),
    }));
    for core in &runtime.cores {
        core.runtime.store(ptr::from_ref(runtime).cast_mut(), Ordering::Release);
    }
    Ok(runtime)
}

/// A worker for each core, and a spare.
fn recruit_workers(runtime: &'static Runtime) -> io::Result<()> {
    for (count, core) in runtime.cores.iter().enumerate() {
        stock::fill(runtime)?;
        if !recruit::launch(runtime, Some(core)) {
            return Err(no_more_after(&format!("{count} workers and no more")));
        }
    }
    recruit::launch(runtime, None);
    stock::fill(runtime)
}

fn no_more_after(those: &str) -> io::Error {
    let what = format!("raddle could make {those}; ulimit -u or pids.max limit the kernel threads");
    io::Error::new(io::ErrorKind::WouldBlock, what)
}

fn handle_signal(signal: i32) -> io::Result<()> {
    // SAFETY: a complete action; the handler keeps to what handlers may do. An empty mask and NODEFER: see `SignalFrame`.
    let result = unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = enter::on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A forked child has one kernel thread, no worker and no monitor: its runtime is off.
fn forget_in_children() {
    extern "C" fn in_child() {
        slab::forget();
        Foreign::forget_free();
        if let Some(parents) = started() {
            parents.cores.iter().for_each(|core| core.events.let_go_in_child());
        }
        RUNTIME.store(ptr::null_mut(), Ordering::Release);
        dump::forget();
        trace::forget();
        clock::forget_parent();
        if let Some(thread) = ThreadRef::running() {
            thread.block().worker.store(ptr::null_mut(), Ordering::Relaxed);
            // A worker's would be those of whatever the child executes.
            task::want_usual_timers();
        }
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: the handler writes words, closes descriptors, and takes no lock.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

/// One line for a thread that ran out of stack. Runs in a signal handler.
fn describe_overflow(overflow: &overflow::Overflow, line: &mut dyn Write) -> fmt::Result {
    if overflow.is_kernel_thread {
        return write!(line, "raddle: a worker overflowed its own stack; please report this");
    }
    let thread = ThreadRef::of_body(overflow.body);
    // SAFETY: a running thread has its record, and a reference to it.
    let record = unsafe { thread.block().record.load(Ordering::Relaxed).as_ref() };
    let kib = overflow.stack_bytes / 1024;
    match record.map(|record| (record.id, record.name.as_deref())) {
        Some((id, Some(name))) => {
            write!(line, "raddle: thread '{name}' ({id}) overflowed its stack of {kib} KiB")?;
        }
        Some((id, None)) => write!(line, "raddle: thread {id} overflowed its stack of {kib} KiB")?,
        None => write!(line, "raddle: a thread overflowed its stack of {kib} KiB")?,
    }
    write!(line, "; Builder::stack_size or RADDLE_STACK give it more")
}

/// Where the text of libc, the loader and the unwinder lies.
fn library_text() -> Vec<std::ops::Range<usize>> {
    const NAMES: [&str; 3] = ["/libc.so", "/ld-linux", "/libgcc_s"];
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return Vec::new() };
    let range = |line: &str| {
        let (low, high) = line.split(' ').next()?.split_once('-')?;
        let number = |hex| usize::from_str_radix(hex, 16).ok();
        Some(number(low)?..number(high)?)
    };
    maps.lines()
        .filter(|line| line.contains(" r-xp ") && NAMES.iter().any(|name| line.contains(name)))
        .filter_map(range)
        .collect()
}
