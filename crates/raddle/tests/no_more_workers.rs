//! Catches threads that wait for ever because all workers wait in the kernel for a lock whose holder is queued, and the kernel has
//! no room for another worker. Locks inside of libc are such: nothing can step between them and the kernel.
//!
//! The user that the cases run as has few kernel threads to spend: only root can become that user.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;

use calls::{alarm, geteuid};
use children::Case;
use raddle::thread;
use std::io::{PipeReader, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::Duration;

unsafe extern "C" {
    fn flockfile(file: *mut libc::FILE);
    fn funlockfile(file: *mut libc::FILE);
}

fn main() -> ExitCode {
    let not_root = (geteuid() != 0).then_some("only root becomes a user of few threads");
    children::main(vec![
        Case::new("a_queued_holder_gets_its_turn", a_queued_holder_gets_its_turn).unless(not_root),
        Case::new("and_with_preemption_off", and_with_preemption_off).unless(not_root),
        Case::new("who_waits_without_a_core_makes_room", || {
            a_writer_gets_its_turn(|stream, _| stream.hold(|| {}))
        })
        .unless(not_root),
        Case::new("who_reads_makes_room", || a_writer_gets_its_turn(|_, source| read(source)))
            .unless(not_root),
        Case::new("calls_that_would_be_cut_short_are_left_alone", calls_are_left_alone)
            .unless(not_root),
        Case::new("one_cannot_start", || starts_or_says_why(1)).unless(not_root),
        Case::new("two_cannot_start", || starts_or_says_why(2)).unless(not_root),
        Case::new("three_cannot_start", || starts_or_says_why(3)).unless(not_root),
        Case::new("four_cannot_start", || starts_or_says_why(4)).unless(not_root),
        Case::new("five_are_enough_for_two_cores", || starts_or_says_why(5)).unless(not_root),
    ])
}

/// Whatever it is that can't be made, the error names the limit.
fn starts_or_says_why(kernel_threads: u64) {
    have_at_most(kernel_threads);
    match raddle::runtime::Builder::new().cores(2).start() {
        Ok(_) => {
            assert_eq!(kernel_threads, 5);
            assert_eq!(thread::spawn(|| 5).join().unwrap(), 5);
        }
        Err(error) => {
            assert!(kernel_threads < 5, "{error}");
            assert!(error.to_string().contains("ulimit -u"), "{error}");
        }
    }
}

/// From here on this process can have so many kernel threads. The runtime's main thread and monitor are two of them.
fn have_at_most(kernel_threads: u64) {
    // Not a user that others of these tests become.
    let user = 60_000 + std::process::id() % 5_000;
    let limit = libc::rlimit { rlim_cur: kernel_threads, rlim_max: kernel_threads };
    // SAFETY: the limit is a local; the rest are ids.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit), 0);
        assert_eq!(libc::setuid(user), 0);
    }
    alarm(20);
}

/// A `FILE`, whose lock is one of libc's own.
#[derive(Clone, Copy)]
struct Stream(*mut libc::FILE);

// SAFETY: a `FILE` has a lock of its own, and is never closed here.
unsafe impl Send for Stream {}

impl Stream {
    fn new() -> Stream {
        // SAFETY: two C strings.
        let file = unsafe { libc::fopen(c"/dev/null".as_ptr(), c"w".as_ptr()) };
        assert!(!file.is_null());
        Stream(file)
    }

    fn hold(self, while_held: impl FnOnce()) {
        // SAFETY: the stream is open.
        unsafe { flockfile(self.0) };
        while_held();
        // SAFETY: as above, and this thread has the lock. (A raddle thread keeps its TCB, by which libc knows it, wherever it runs.)
        unsafe { funlockfile(self.0) };
    }
}

fn all_wait_for_one() {
    let stream = Stream::new();
    let done = Arc::new(AtomicU32::new(0));
    let holder = thread::spawn(move || {
        // Asleep with the lock held, and queued when the time has come.
        stream.hold(|| thread::sleep(Duration::from_millis(50)));
    });
    thread::sleep(Duration::from_millis(5));
    let waiters: Vec<_> = (0..30)
        .map(|_| {
            let done = done.clone();
            thread::spawn(move || {
                stream.hold(|| {
                    done.fetch_add(1, Relaxed);
                });
            })
        })
        .collect();
    holder.join().unwrap();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(done.load(Relaxed), 30);
}

/// On all cores threads read from a pipe that a queued one would write to, and all other workers wait in the kernel in `first`, which may
/// ask for a lock that somebody holds.
fn a_writer_gets_its_turn(first: fn(Stream, &PipeReader)) {
    const CORES: usize = 2;
    const OTHERS: usize = 3;
    have_at_most(2 + CORES as u64 + OTHERS as u64);
    let runtime = raddle::runtime::Builder::new().cores(CORES).start().unwrap();
    let (source, mut sink) = std::io::pipe().unwrap();
    let (source, stream) = (Arc::new(source), Stream::new());
    let is_held = Arc::new(AtomicBool::new(false));
    let held = is_held.clone();
    let holder = thread::spawn(move || {
        stream.hold(|| {
            held.store(true, Release);
            thread::park();
        });
    });
    wait_until(|| is_held.load(Acquire));
    // Nobody takes a core from a blocked worker for nobody.
    let is_over = Arc::new(AtomicBool::new(false));
    let yielders = [is_over.clone(), is_over.clone()].map(|is_over| {
        thread::spawn(move || {
            while !is_over.load(Relaxed) {
                thread::yield_now();
            }
        })
    });
    let others: Vec<_> = (0..OTHERS)
        .map(|_| {
            let source = source.clone();
            thread::spawn(move || first(stream, &source))
        })
        .collect();
    wait_until(|| runtime.counters().workers_blocked == OTHERS);
    let begun = Arc::new(AtomicU32::new(0));
    let readers: Vec<_> = (0..CORES)
        .map(|_| {
            let (source, begun) = (source.clone(), begun.clone());
            thread::spawn(move || {
                begun.fetch_add(1, Relaxed);
                read(&source);
            })
        })
        .collect();
    wait_until(|| begun.load(Relaxed) == CORES as u32);
    let writer = thread::spawn(move || sink.write_all(&[0; CORES + OTHERS]).unwrap());
    writer.join().unwrap();
    is_over.store(true, Relaxed);
    holder.thread().unpark();
    for thread in others.into_iter().chain(readers).chain(yielders).chain([holder]) {
        thread.join().unwrap();
    }
}

/// One byte, by the kernel's `read`.
fn read(mut source: &PipeReader) {
    source.read_exact(&mut [0]).unwrap();
}

/// Looks now and then, from a kernel thread of no runtime.
fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_queued_holder_gets_its_turn() {
    have_at_most(7);
    all_wait_for_one();
}

fn and_with_preemption_off() {
    have_at_most(7);
    preempt_nobody();
    all_wait_for_one();
}

/// To be called before the runtime begins.
fn preempt_nobody() {
    // SAFETY: the process has one thread so far.
    unsafe { std::env::set_var("RADDLE_SLICE", "off") };
}

/// `nanosleep` and `poll` return early when a handler has run: no thread in them is asked to make room. Without preemption, whose
/// signal may meet a thread on its way into the call.
fn calls_are_left_alone() {
    have_at_most(6);
    preempt_nobody();
    let sleepers: Vec<_> = (0..12)
        .map(|_| {
            thread::spawn(|| {
                let time = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                // SAFETY: the time is a local, and what is left of it is not asked for.
                unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) }
            })
        })
        .collect();
    for sleeper in sleepers {
        assert_eq!(sleeper.join().unwrap(), 0, "cut short");
    }
}
