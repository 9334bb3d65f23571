//! `futex(2)`, for kernel threads: private futexes, absolute deadlines on `CLOCK_MONOTONIC`.

#![allow(unsafe_code, reason = "system calls")]

use raddle_context::system_call;
use std::ptr;
use std::sync::atomic::AtomicU32;

/// Blocks the kernel thread while `word` is `expected`, until somebody wakes it or `deadline_ns` comes. It may also return for
/// no reason: the caller looks again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) {
    let until = deadline_ns.map(|at| libc::timespec {
        tv_sec: (at / 1_000_000_000) as libc::time_t,
        tv_nsec: (at % 1_000_000_000) as libc::c_long,
    });
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // WAIT_BITSET takes its time as absolute, WAIT as relative.
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time are live for the call; the kernel only reads them.
    unsafe {
        system_call(
            libc::SYS_futex,
            [
                word.as_ptr().expose_provenance(),
                operation as usize,
                expected as usize,
                until.expose_provenance(),
                0,
                libc::FUTEX_BITSET_MATCH_ANY as u32 as usize,
            ],
        )
    };
}

/// Wakes up to `count` kernel threads that wait on `word`; says how many.
pub(crate) fn wake(word: &AtomicU32, count: i32) -> usize {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel only takes the address as a key.
    let woken = unsafe {
        system_call(
            libc::SYS_futex,
            [word.as_ptr().expose_provenance(), operation as usize, count as usize, 0, 0, 0],
        )
    };
    woken.max(0) as usize
}
