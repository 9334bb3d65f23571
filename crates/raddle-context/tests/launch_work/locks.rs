//! Launching while another thread stands still with a lock of libc's in its hands.

use super::calls::{gettid, send};
use super::{arena, end};
use raddle_context::{KernelThread, running, system_call};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

thread_local!(static HERE: Cell<u32> = const { Cell::new(7) });

/// What a new worker does that finds nothing to do: no allocation, no lock.
unsafe fn looks_around(ran: *mut u8) {
    let me = KernelThread::enter().expect("a kernel thread");
    assert!(running().is_none());
    HERE.set(HERE.get() + 1);
    drop(me);
    // SAFETY: it is the counter that `launches` keeps until this thread has ended.
    unsafe { AtomicU32::from_ptr(ran.cast()) }.store(HERE.get(), Release);
}

/// Launches with everything prepared, and waits until the new thread has run and is gone.
fn launches(prepared: raddle_context::Prepared) -> raddle_context::Body {
    let ran = AtomicU32::new(0);
    let launched =
        // SAFETY: the counter lives until the thread has ended, as does the arena; nothing is suspended in `looks_around`.
        unsafe { KernelThread::launch(prepared, looks_around, ran.as_ptr().cast(), None) };
    let launched = launched.unwrap_or_else(|_| panic!("launched"));
    let begin = Instant::now();
    while !launched.has_ended() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it waits for a lock");
        std::thread::yield_now();
    }
    assert_eq!(ran.load(Acquire), 8);
    launched.into_body().expect("it has ended")
}

pub(super) fn the_loaders_lock_is_held() {
    static HELD: AtomicBool = AtomicBool::new(false);
    static LET_GO: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn hold(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        HELD.store(true, Release);
        while !LET_GO.load(Acquire) {
            std::thread::yield_now();
        }
        1
    }
    let arena = arena();
    for _ in 0..2 {
        let prepared: Vec<_> = (0..8).map(|_| arena.make().unwrap().prepare()).collect();
        HELD.store(false, Relaxed);
        LET_GO.store(false, Relaxed);
        let holder =
            // SAFETY: the callback looks at none of its arguments, and does not unwind.
            std::thread::spawn(|| unsafe { libc::dl_iterate_phdr(Some(hold), ptr::null_mut()) });
        while !HELD.load(Acquire) {
            std::thread::yield_now();
        }
        for body in prepared {
            arena.give(launches(body));
        }
        LET_GO.store(true, Release);
        holder.join().unwrap();
    }
}

/// A thread that does nothing but allocate is stopped wherever it stands, most often with a lock of malloc's.
pub(super) fn mallocs_locks_are_held() {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    static GO_ON: AtomicBool = AtomicBool::new(false);
    static OVER: AtomicBool = AtomicBool::new(false);
    static ALLOCATOR: AtomicU32 = AtomicU32::new(0);
    extern "C" fn stop(_: c_int) {
        STOPPED.store(true, Release);
        while !GO_ON.load(Acquire) {
            // SAFETY: it takes nothing.
            unsafe { system_call(libc::SYS_sched_yield, [0; 6]) };
        }
        STOPPED.store(false, Release);
    }
    /// Needs the lock that the stopped thread has, if it has it.
    unsafe fn allocates(_: *mut u8) {
        // SAFETY: the block is freed once, by the one who got it; null may be freed.
        unsafe { libc::free(black_box(libc::malloc(black_box(20_000)))) };
    }
    /// `M_ARENA_MAX` of `<malloc.h>`.
    const ARENAS: c_int = -8;
    // One lock for all threads.
    // SAFETY: numbers only; no other thread allocates just then.
    unsafe { libc::mallopt(ARENAS, 1) };
    // SAFETY: the handler waits, and calls the kernel only: it may stop a thread anywhere.
    unsafe { libc::signal(libc::SIGUSR1, stop as *const () as usize) };
    let arena = arena();
    let allocator = std::thread::spawn(|| {
        ALLOCATOR.store(gettid() as u32, Release);
        while !OVER.load(Relaxed) {
            // Too large for the thread's own cache.
            // SAFETY: as above.
            unsafe { libc::free(black_box(libc::malloc(black_box(20_000)))) };
        }
    });
    while ALLOCATOR.load(Acquire) == 0 {
        std::thread::yield_now();
    }
    let mut prepared = [(); 2].map(|()| Some(arena.make().unwrap().prepare()));
    let begin = Instant::now();
    let (mut rounds, mut held) = (0, 0);
    while rounds < 300 && begin.elapsed() < Duration::from_secs(20) {
        let [first, second] = prepared.each_mut().map(|one| one.take().expect("as before"));
        GO_ON.store(false, Relaxed);
        assert!(send(libc::SIGUSR1, ALLOCATOR.load(Relaxed) as i32));
        while !STOPPED.load(Acquire) {
            std::thread::yield_now();
        }
        let first = launches(first);
        // SAFETY: `allocates` uses nothing of its argument; the thread is waited for below, and the arena lives longer.
        let waits = unsafe { KernelThread::launch(second, allocates, ptr::null_mut(), None) };
        let waits = waits.unwrap_or_else(|_| panic!("launched"));
        let patience = Instant::now();
        while !waits.has_ended() && patience.elapsed() < Duration::from_millis(2) {
            std::thread::yield_now();
        }
        held += u32::from(!waits.has_ended());
        GO_ON.store(true, Release);
        while STOPPED.load(Acquire) {
            std::thread::yield_now();
        }
        waits.wait();
        prepared = [first, waits.into_body().unwrap()].map(|body| Some(body.prepare()));
        rounds += 1;
    }
    OVER.store(true, Relaxed);
    allocator.join().unwrap();
    prepared.into_iter().flatten().for_each(|one| arena.give(one.into_body()));
    end(&arena, super::launch(&arena, super::live));
    assert!(rounds > 20 && held > 0, "{rounds} rounds, a lock was held in {held}");
    println!("{rounds} rounds, a lock was held in {held}");
}
