//! `syscall`, defined here in place of libc's: a thread of raddle's that waits on a private futex parks.
//!
//! The locks of std, parking_lot and many others are a word and two system calls, `FUTEX_WAIT` and `FUTEX_WAKE`, made through
//! libc's `syscall`. Here the first parks a thread of raddle's in raddle's own table, at the cost of a switch, where the kernel
//! would block its worker. Kernel threads wait in the kernel as ever; a wake goes to both.
//!
//! ```text
//!   WAIT  thread of raddle's      ──▶ table                   WAKE n  ──▶ table, the first n
//!         kernel thread, handler, ──▶ kernel                          ──▶ kernel, as many as are left of n
//!         shared futex, bitset
//! ```
//!
//! *Nothing is lost between the two.* Each side checks the word under its own lock, and the waker changes the word before it looks
//! at either. Of two who wait for one wake, one in each place, one is woken; every 16th wake asks the kernel first, so that a
//! kernel thread is not passed for ever by threads that are at hand. The kernel is always asked, unless the count is reached: who
//! waits there can't be known, as system calls may be made without libc.
//!
//! *Answers are the kernel's*: `EAGAIN` if the word is another, `ETIMEDOUT`, 0 for a wake, perhaps a spurious one. Never `EINTR`. What
//! is cancelled stays: the locks that wait here can't unwind, and would not heed an error. Calls that move waiters
//! (`REQUEUE`, `CMP_REQUEUE`, `WAKE_OP`) wake those in the table instead, who look again: allowed, and rare.
//! An address that can't be read is a fault here where the kernel says `EFAULT`.
//!
//! A thread parks only where it could be preempted: outside the runtime, on its own stack (not in a handler on an alternate
//! stack). glibc's own locks wait and wake inside of libc, past this. `clone` with a new stack, and `vfork`, can't go through a
//! function that is not one instruction long; nor could they through libc's.

#![allow(unsafe_code, reason = "defines a libc function; reads its caller's pointers")]

use crate::futex::{self, Ended, Request};
use crate::host;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::sys::clock;
use std::ffi::{c_int, c_long};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a system call: see `syscall(2)`. Returns its result, or -1 with the reason in `errno`.
///
/// # Safety
///
/// As the system call's.
// SAFETY: the name is libc's on purpose, and so is the meaning. libc's is variadic: integers arrive in the same places
// (System V ABI, x86_64, 3.5.7), those that the caller didn't give hold whatever was there, as with libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn syscall(
    number: c_long,
    a1: usize,
    a2: usize,
    a3: usize,
    a4: usize,
    a5: usize,
    a6: usize,
) -> c_long {
    let arguments = [a1, a2, a3, a4, a5, a6];
    let is_private_futex = number == libc::SYS_futex && a2 & libc::FUTEX_PRIVATE_FLAG as usize != 0;
    // SAFETY: the caller's contract is the system call's.
    let result = unsafe {
        if is_private_futex { private_futex(arguments) } else { pass_on(number, arguments) }
    };
    // The kernel's error numbers.
    if (-4095..0).contains(&result) {
        // SAFETY: the calling thread's own.
        unsafe { *libc::__errno_location() = -result as c_int };
        return -1;
    }
    result as c_long
}

/// # Safety
///
/// As the system call's.
unsafe fn pass_on(number: c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: the caller's.
    unsafe { raddle_context::system_call(number, arguments) }
}

/// The result of a private futex call, or an error number below 0.
///
/// # Safety
///
/// As the system call's.
unsafe fn private_futex(arguments: [usize; 6]) -> isize {
    let [address, operation, value, a4, _, bits] = arguments;
    let operation = operation as c_int & !libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the caller's.
    let kernel = || unsafe { pass_on(libc::SYS_futex, arguments) };
    let is_any = bits as u32 == u32::MAX;
    let clock = operation & libc::FUTEX_CLOCK_REALTIME;
    match operation & !libc::FUTEX_CLOCK_REALTIME {
        // The kernel refuses the first with the other clock.
        command @ (libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
            if (command == libc::FUTEX_WAIT && clock == 0)
                || (command == libc::FUTEX_WAIT_BITSET && is_any) =>
        {
            let limit = Limit { is_relative: command == libc::FUTEX_WAIT, is_real: clock != 0 };
            // SAFETY: the caller's, who gives a word and perhaps a time.
            unsafe { wait(address, value as u32, a4, limit) }.unwrap_or_else(kernel)
        }
        libc::FUTEX_WAKE => wake(arguments),
        // Those in the table wait for any bit.
        libc::FUTEX_WAKE_BITSET if bits as u32 != 0 => wake(arguments),
        command @ (libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE | libc::FUTEX_WAKE_OP) => {
            let result = kernel();
            if result < 0 {
                return result;
            }
            // The fourth argument is a number here: how many to move, or to wake at the other address.
            let (first, second) = (value as u32 as usize, a4 as u32 as usize);
            let woken = if command == libc::FUTEX_WAKE_OP {
                futex::wake(address, first) + futex::wake(arguments[4], second)
            } else {
                futex::wake(address, first.saturating_add(second))
            };
            result + woken as isize
        }
        _ => kernel(),
    }
}

/// Wakes those in the table and those in the kernel; says how many.
fn wake(arguments: [usize; 6]) -> isize {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let address = arguments[0];
    // For less than one the kernel wakes one.
    let count = (arguments[2] as c_int).max(1);
    let in_kernel = |count: c_int| {
        let mut arguments = arguments;
        arguments[2] = count as u32 as usize;
        // SAFETY: wakes at most `count` who wait at an address, as the caller asked.
        unsafe { pass_on(libc::SYS_futex, arguments) }
    };
    let kernel_first =
        futex::may_have_waiters(address) && TURN.fetch_add(1, Ordering::Relaxed).is_multiple_of(16);
    if kernel_first {
        let woken = in_kernel(count);
        if woken < 0 || woken >= count as isize {
            return woken;
        }
        return woken + futex::wake(address, (count as isize - woken) as usize) as isize;
    }
    let woken = futex::wake(address, count as usize) as isize;
    if woken >= count as isize {
        return woken;
    }
    match in_kernel(count - woken as c_int) {
        // It was right for those in the table.
        error if error < 0 && woken > 0 => woken,
        error if error < 0 => error,
        more => more + woken,
    }
}

/// What a wait's time means.
#[derive(Clone, Copy)]
struct Limit {
    is_relative: bool,
    /// By `CLOCK_REALTIME`, not `CLOCK_MONOTONIC`.
    is_real: bool,
}

/// Parks the calling thread; `None` if that is the kernel's to do, or to refuse.
///
/// # Safety
///
/// `address` can be read, and `time` is null or that of a `timespec`.
unsafe fn wait(address: usize, expected: u32, time: usize, limit: Limit) -> Option<isize> {
    if !can_park() || address == 0 || !address.is_multiple_of(align_of::<AtomicU32>()) {
        return None;
    }
    let time = match ptr::with_exposed_provenance::<libc::timespec>(time) {
        time if time.is_null() => None,
        // SAFETY: the caller's.
        time => Some(nanoseconds(unsafe { time.read_unaligned() })?),
    };
    // SAFETY: the caller's; the word changes by atomic operations, as a futex's must.
    let word = unsafe { &*ptr::with_exposed_provenance::<AtomicU32>(address) };
    loop {
        // Waits end by the clock of the thread's host. The real one may be set meanwhile: backwards is noticed below, forwards when
        // the time is over.
        let rest = time.map(|time| match limit {
            Limit { is_relative: true, .. } => time,
            Limit { is_real: true, .. } => time.saturating_sub(real_ns()),
            _ => time.saturating_sub(clock::now_ns()),
        });
        let deadline_ns = rest.map(|rest| host::now_ns().saturating_add(rest));
        let usual = Request::at(address, Label::FUTEX.at(address));
        let request = Request { deadline_ns, heeds_cancel: false, ..usual };
        let mut was_expected = false;
        let is_needed = || {
            was_expected = word.load(Ordering::SeqCst) == expected;
            was_expected
        };
        return Some(match futex::wait_with(request, is_needed, || (), |_, _| ()) {
            Ended::LookAgain if !was_expected => -libc::EAGAIN as isize,
            Ended::TimedOut => {
                if limit.is_real && time.is_some_and(|at| real_ns() < at) {
                    continue;
                }
                -libc::ETIMEDOUT as isize
            }
            _ => 0,
        });
    }
}

/// Whether the calling code is a thread of raddle's at a point where it may be switched away from.
fn can_park() -> bool {
    let Some(thread) = ThreadRef::running() else { return false };
    let block = thread.block();
    let is_outside = block.depth.get() == 0;
    // In the child of a fork there is none.
    let has_worker = !block.worker.load(Ordering::Relaxed).is_null();
    let here = 0_u8;
    let is_on_own_stack = thread.body().stack().contains(&ptr::from_ref(&here));
    is_outside && has_worker && is_on_own_stack
}

/// `None` for what the kernel would refuse.
fn nanoseconds(time: libc::timespec) -> Option<u64> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let rest = u64::try_from(time.tv_nsec).ok().filter(|&rest| rest < 1_000_000_000)?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
}

/// Nanoseconds on `CLOCK_REALTIME`.
fn real_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a live structure; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    nanoseconds(now).unwrap_or(0)
}
