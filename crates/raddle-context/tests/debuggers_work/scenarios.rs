//! What debuggers and profilers look at: functions with known names on bodies, and a place to stop.
//!
//! The names are C names, and each call is followed by something: neither mangling nor a tail call hides a frame in a release build.

use crate::stage::{self, Stage};
use raddle_context::{After, Config, Guards, SignalFrame};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::Duration;

/// Scenarios by the name that the environment gives.
pub(crate) const ALL: &[(&str, fn())] = &[
    ("nested", nested),
    ("after_on_resumed", after_on_resumed),
    ("after_on_fresh", after_on_fresh),
    ("handler", handler),
    ("handler_resumed", handler_resumed),
    ("threads", threads),
    ("away_and_back", away_and_back),
    ("crowd", || crowd(Guards::Best, stop)),
    ("crowd_protected", || crowd(Guards::Protected, stop)),
    ("crowd_aborts", || crowd(Guards::Best, || std::process::abort())),
    ("burn", burn),
];

/// The debugger's breakpoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn raddle_test_stop() {
    black_box(());
}

/// Three frames, then `what`.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) fn raddle_test_outer(what: fn()) -> u64 {
    black_box(raddle_test_middle(what)) + 1
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) fn raddle_test_middle(what: fn()) -> u64 {
    black_box(raddle_test_inner(what)) + 1
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) fn raddle_test_inner(what: fn()) -> u64 {
    what();
    black_box(40)
}

fn stop() {
    raddle_test_stop();
    black_box(());
}

fn outer(what: fn()) {
    assert_eq!(raddle_test_outer(what), 42);
}

fn nested() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| outer(stop));
    assert!(stage.finish(actor));
}

/// A post-switch action.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn raddle_test_action(_: *mut u8) {
    raddle_test_stop();
    black_box(());
}

const ACTION: After = After::run(raddle_test_action, ptr::null_mut());

fn after_on_resumed() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| outer(stage::leave));
    assert!(stage.enter(&actor), "it left in the middle");
    stage.enter_after(&actor, ACTION);
}

fn after_on_fresh() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| outer(|| ()));
    stage.enter_after(&actor, ACTION);
}

static SPINNING: AtomicBool = AtomicBool::new(false);
static ENOUGH: AtomicBool = AtomicBool::new(false);

/// Spins until a handler has run.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn raddle_test_spin() {
    SPINNING.store(true, Release);
    while !ENOUGH.load(Acquire) {
        std::hint::spin_loop();
    }
}

fn spin() {
    raddle_test_spin();
    black_box(());
}

/// Installs `handler` for SIGURG as a preempting handler is, and sends the signal to a body that spins until [`end_spin`]. If
/// it leaves, it is entered again with `after`. Answers where the body's first frame began.
pub(crate) fn interrupted(
    handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void),
    after: After,
) -> usize {
    SPINNING.store(false, Release);
    ENOUGH.store(false, Release);
    // SAFETY: a complete sigaction.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut());
    }
    // SAFETY: asks for the caller's id.
    let thread = unsafe { libc::gettid() };
    let sender = std::thread::spawn(move || {
        while !SPINNING.load(Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: the thread waits for this one below.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGURG) };
    });
    let mut stage = Stage::new();
    let actor = stage.cast(|| outer(spin));
    let first_entry = stage::first_address(&actor);
    if stage.enter(&actor) {
        stage.enter_after(&actor, after);
    }
    sender.join().unwrap();
    first_entry
}

/// Lets the spinning body go on.
pub(crate) fn end_spin() {
    ENOUGH.store(true, Release);
}

extern "C" fn raddle_test_handler(_: i32, _: *mut libc::siginfo_t, _: *mut c_void) {
    raddle_test_stop();
    end_spin();
}

fn handler() {
    interrupted(raddle_test_handler, After::nothing());
}

/// A handler that switches away, as preemption does.
extern "C" fn raddle_test_preempt(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's argument; after the switch back this is the kernel thread of the only stage.
    unsafe {
        let mut frame = SignalFrame::from_handler(context);
        assert!(frame.may_switch(stage::home()));
        stage::leave();
        end_spin();
        frame.resume_on(stage::home());
    }
}

fn handler_resumed() {
    interrupted(raddle_test_preempt, ACTION);
}

/// Kernel threads beside the first, each inside a body.
pub(crate) const OTHERS: u32 = 3;

fn threads() {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    let others: Vec<_> = (0..OTHERS)
        .map(|_| {
            std::thread::spawn(|| {
                let mut stage = Stage::new();
                let actor = stage.cast(|| {
                    INSIDE.fetch_add(1, AcqRel);
                    outer(|| {
                        while !ENOUGH.load(Acquire) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    });
                });
                assert!(stage.finish(actor));
            })
        })
        .collect();
    while INSIDE.load(Acquire) < OTHERS {
        std::thread::yield_now();
    }
    nested();
    ENOUGH.store(true, Release);
    others.into_iter().for_each(|other| other.join().unwrap());
}

/// Two bodies take turns inside the same functions.
fn away_and_back() {
    let mut stage = Stage::new();
    let actors: Vec<_> = (0..2).map(|_| stage.cast(|| outer(stage::leave))).collect();
    for actor in &actors {
        assert!(stage.enter(actor));
    }
    for actor in actors {
        assert!(stage.finish(actor));
    }
}

/// Bodies in a crowd.
const CROWD: u32 = 400;

fn crowd(guards: Guards, what: fn()) {
    // Small slots, so that a core file is small.
    let mut stage = Stage::with(Config { guards, slot_bytes: 64 * 1024, ..Config::default() });
    let actors: Vec<_> = (0..CROWD).map(|_| stage.cast(|| outer(stage::leave))).collect();
    for actor in &actors {
        assert!(stage.enter(actor));
    }
    let actor = stage.cast(move || outer(what));
    assert!(stage.finish(actor));
    for actor in actors {
        assert!(stage.finish(actor));
    }
}

/// Burns CPU time on a few bodies of two kernel threads, in turns of about a millisecond.
fn burn() {
    fn about_a_millisecond() {
        let mut x = 1u64;
        for _ in 0..if cfg!(debug_assertions) { 50_000 } else { 500_000 } {
            x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
        }
    }
    /// Of the kernel thread: the sampler's clock is the same.
    fn cpu_time() -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes its argument.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    let threads = [(); 2].map(|()| {
        std::thread::spawn(|| {
            let mut stage = Stage::new();
            let actors = [(); 4].map(|()| {
                stage.cast(move || {
                    while cpu_time() < Duration::from_millis(400) {
                        outer(about_a_millisecond);
                        stage::leave();
                    }
                })
            });
            let mut left = true;
            while left {
                left = false;
                for actor in &actors {
                    left |= !stage.has_ended(actor) && stage.enter(actor);
                }
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
