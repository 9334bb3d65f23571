//! The live clock: `CLOCK_MONOTONIC`, and a faster estimate of it for the scheduler.
//!
//! A scheduler reads a clock at every switch. `clock_gettime` takes 22 ns here, the processor's time stamp counter 9.5. Where
//! the kernel itself keeps time by the counter (so it is constant and the same on all processors), [`coarse_ns`] computes from
//! it: nanoseconds since a *fix*, at a rate that two readings have given. The monitor renews the fix, so the error stays
//! within a microsecond or so. Timers never rely on it alone: what seems due is checked against the exact clock.

#![allow(unsafe_code, reason = "clock_gettime, rdtsc")]

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Nanoseconds on `CLOCK_MONOTONIC`.
pub(crate) fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a live structure; this clock always exists. In the vDSO: no system call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A reading of both clocks and the rate between them. Read and written without a lock: `version` is odd while it changes.
struct Fix {
    version: AtomicU64,
    counter: AtomicU64,
    ns: AtomicU64,
    /// Nanoseconds for each count, times 2^32; 0: there is no usable counter.
    rate: AtomicU64,
}

static FIX: Fix = Fix {
    version: AtomicU64::new(0),
    counter: AtomicU64::new(0),
    ns: AtomicU64::new(0),
    rate: AtomicU64::new(0),
};

/// The rate's first estimate is taken over at least this time; later ones over the time between two fixes.
const FIRST_NS: u64 = 200_000;

/// Decides whether the counter can be used, and takes the first fix. Called once, before the scheduler runs; takes 0.2 ms.
pub(crate) fn calibrate() {
    if FIX.rate.load(Ordering::Relaxed) != 0 || !kernel_trusts_the_counter() {
        return;
    }
    let (counter, ns) = (read_counter(), now_ns());
    while now_ns() - ns < FIRST_NS {
        std::hint::spin_loop();
    }
    FIX.counter.store(counter, Ordering::Relaxed);
    FIX.ns.store(ns, Ordering::Relaxed);
    renew();
}

/// Takes a new fix: the rate is that since the former one. One caller at a time: the monitor.
pub(crate) fn renew() {
    let (counter, ns) = (read_counter(), now_ns());
    let counted = counter.wrapping_sub(FIX.counter.load(Ordering::Relaxed));
    let passed = ns - FIX.ns.load(Ordering::Relaxed);
    if passed < FIRST_NS || counted == 0 {
        return;
    }
    let rate = (u128::from(passed) << 32) / u128::from(counted);
    let version = FIX.version.load(Ordering::Relaxed);
    FIX.version.store(version + 1, Ordering::Relaxed);
    fence(Ordering::Release);
    FIX.counter.store(counter, Ordering::Relaxed);
    FIX.ns.store(ns, Ordering::Relaxed);
    FIX.rate.store(rate as u64, Ordering::Relaxed);
    FIX.version.store(version + 2, Ordering::Release);
}

/// About what [`now_ns`] says, faster. Not monotonic to the nanosecond: compare with saturation.
#[inline]
pub(crate) fn coarse_ns() -> u64 {
    loop {
        let version = FIX.version.load(Ordering::Acquire);
        let rate = FIX.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return now_ns();
        }
        let (counter, ns) = (FIX.counter.load(Ordering::Relaxed), FIX.ns.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if version.is_multiple_of(2) && FIX.version.load(Ordering::Relaxed) == version {
            let counted = read_counter().saturating_sub(counter);
            return ns + ((u128::from(counted) * u128::from(rate)) >> 32) as u64;
        }
        std::hint::spin_loop();
    }
}

/// The processor's counter, or nanoseconds where that can't be relied on: never goes back, on whichever processors it is
/// read. For those who convert later.
pub(crate) fn ticks() -> u64 {
    if FIX.rate.load(Ordering::Relaxed) == 0 { now_ns() } else { read_counter() }
}

fn read_counter() -> u64 {
    // SAFETY: reads a register that every x86_64 processor has.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The kernel tests the counter for being constant and synchronous before it keeps time by it.
fn kernel_trusts_the_counter() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_stays_near_the_exact_one() {
        calibrate();
        for _ in 0..100 {
            let before = now_ns();
            let coarse = coarse_ns();
            let after = now_ns();
            // Generous: the machine may take the processor away in between.
            assert!(coarse + 200_000 > before, "{coarse} lags {before}");
            assert!(coarse < after + 200_000, "{coarse} is ahead of {after}");
            std::thread::sleep(std::time::Duration::from_micros(100));
            renew();
        }
    }
}
