//! Catches a signal frame that is returned from on another kernel thread with the first one's mask or alternate stack.

mod calls;
mod stage;

use calls::{gettid, send};
use raddle_context::{KernelThread, SignalFrame, running};
use stage::{Stage, leave};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::mpsc;

static SWITCHED: AtomicU32 = AtomicU32::new(0);
static HELD_BACK: AtomicU32 = AtomicU32::new(0);
static IN_HANDLER: AtomicBool = AtomicBool::new(false);

extern "C" fn preempt(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    if running().is_none() {
        return;
    }
    // SAFETY: it is this handler's third argument, and stays in here.
    let mut frame = unsafe { SignalFrame::from_handler(context) };
    if !frame.may_switch(stage::home()) {
        HELD_BACK.fetch_add(1, Relaxed);
        return;
    }
    SWITCHED.fetch_add(1, Relaxed);
    leave();
    // SAFETY: `home` is the kernel thread that has entered the body, the calling one; nobody switches away from here to the handler's
    // end.
    unsafe { frame.resume_on(stage::home()) };
}

extern "C" fn other(_: i32) {
    IN_HANDLER.store(true, Relaxed);
    raise(libc::SIGURG);
}

fn install(signal: i32, handler: usize, flags: i32) {
    // SAFETY: zeros are a `sigaction` with an empty mask; both handlers have the signature that their flags announce.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &raw const action, ptr::null_mut()), 0);
    }
}

fn install_all() {
    let flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
    install(libc::SIGURG, preempt as *const () as usize, flags);
    install(libc::SIGUSR1, other as *const () as usize, libc::SA_RESTART);
}

fn raise(signal: i32) {
    send(signal, gettid());
}

fn alternate_stack() -> usize {
    // SAFETY: with no new stack the call only writes what there is, to a local.
    unsafe {
        let mut now: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(ptr::null(), &raw mut now);
        now.ss_sp.addr()
    }
}

fn blocks(signal: i32) -> bool {
    // SAFETY: with no new mask the call only writes the old one, to a local.
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask);
        libc::sigismember(&raw const mask, signal) == 1
    }
}

fn expected(here: &KernelThread) -> usize {
    here.alternate_stack().ss_sp.addr()
}

/// What the two kernel threads hand over: only one of them uses it at a time.
struct Handed<T>(T);
// SAFETY: by what is said above: a channel hands it over, and its former owner waits meanwhile.
unsafe impl<T> Send for Handed<T> {}

/// A body that a signal switched away from goes on elsewhere; both kernel threads keep what is theirs.
#[test]
fn a_frame_is_returned_from_elsewhere() {
    install_all();
    let (to_other, at_other) = mpsc::channel();
    let (to_home, at_home) = mpsc::channel::<()>();
    let home = std::thread::spawn(move || {
        let mut stage = Stage::new();
        let actor = stage.cast(|| {
            for round in 0..100 {
                let before = round * 3;
                raise(libc::SIGURG);
                assert_eq!(std::hint::black_box(before), round * 3);
                assert_eq!(alternate_stack(), expected(stage::home()), "after the frame");
                assert!(!blocks(libc::SIGUSR2) || on_other(), "the mask is the kernel thread's");
            }
        });
        let mine = alternate_stack();
        assert!(stage.enter(&actor));
        to_other.send(Handed((actor, stage))).map_err(drop).expect("the other thread waits");
        at_home.recv().unwrap();
        assert_eq!(alternate_stack(), mine);
    });
    let other = std::thread::spawn(move || {
        // SAFETY: the set is a local; a thread may block what it likes of its own signals.
        unsafe {
            let mut mask = std::mem::zeroed();
            libc::sigemptyset(&raw mut mask);
            libc::sigaddset(&raw mut mask, libc::SIGUSR2);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, ptr::null_mut());
        }
        let Handed((actor, theirs)) = at_other.recv().unwrap();
        let mine = Stage::new();
        let stack = alternate_stack();
        while mine.enter(&actor) {
            assert_eq!(alternate_stack(), stack);
            assert!(blocks(libc::SIGUSR2));
        }
        assert!(mine.has_ended(&actor));
        // The other stage's kernel thread drops nothing of its own here.
        std::mem::forget(theirs);
        to_home.send(()).unwrap();
    });
    other.join().unwrap();
    home.join().unwrap();
    assert!(SWITCHED.load(Relaxed) >= 100);
}

/// Whether this is the kernel thread that blocks SIGUSR2.
fn on_other() -> bool {
    // SAFETY: the set is whole.
    unsafe { libc::sigismember(stage::home().signal_mask(), libc::SIGUSR2) == 1 }
}

/// Inside another signal's handler a switch is refused: that frame could not be mended.
#[test]
fn a_handler_of_another_signal_is_not_switched_away_from() {
    install_all();
    let mut stage = Stage::new();
    let actor = stage.cast(|| {
        let before = HELD_BACK.load(Relaxed);
        raise(libc::SIGUSR1);
        assert!(IN_HANDLER.load(Relaxed));
        assert_eq!(HELD_BACK.load(Relaxed), before + 1);
    });
    assert!(stage.finish(actor), "the body did not leave, and ended");
    assert!(!blocks(libc::SIGUSR1));
}

/// One kernel thread enters once: a second value would leave the first one's alternate stack behind.
#[test]
fn a_kernel_thread_enters_once() {
    let first = KernelThread::enter().unwrap();
    let error = KernelThread::enter().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    drop(first);
    drop(KernelThread::enter().unwrap());
}
