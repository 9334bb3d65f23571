//! The live clock: `CLOCK_MONOTONIC`, and a faster estimate of it for the scheduler.
//!
//! A scheduler reads a clock at every switch. `clock_gettime` takes 22 ns here, the processor's time stamp counter 9.5. Where
//! the kernel itself keeps time by the counter (so it is constant and the same on all processors), [`coarse_ns`] computes from
//! it: nanoseconds since a *fix*, at a rate that two readings have given. The monitor renews the fix, so the error stays
//! within a microsecond or so. Timers never rely on it alone: what seems due is checked against the exact clock.

#![allow(unsafe_code, reason = "clock_gettime, rdtsc")]

use raddle_core::fix::{Fix, Reading};

/// Nanoseconds on `CLOCK_MONOTONIC`. In the vDSO: no system call.
pub(crate) fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The processor time that the calling kernel thread has had. A system call.
pub(crate) fn thread_cpu_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a live structure; the callers' clocks always exist.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

static FIX: Fix = Fix::new();

/// The rate's first estimate is taken over at least this time; later ones over the time between two fixes.
const FIRST_NS: u64 = 200_000;

/// Decides whether the counter can be used, and takes the first fix, before a scheduler runs; takes 0.2 ms. Where another runtime
/// starts at the same moment it waits for its fix: [`ticks`] has one unit for as long as a scheduler runs.
pub(crate) fn calibrate() {
    if !kernel_trusts_the_counter() {
        return;
    }
    while !FIX.has_rate() {
        let is_ours = FIX.try_renew(|before| {
            if before.rate != 0 {
                return None;
            }
            let (counter, ns) = (read_counter(), now_ns());
            while now_ns() - ns < FIRST_NS {
                std::hint::spin_loop();
            }
            fix_since(Reading { counter, ns, rate: 0 })
        });
        if !is_ours {
            std::thread::yield_now();
        }
    }
}

/// Takes a new fix: the rate is that since the former one. For the monitors; where two do it at once, one does.
pub(crate) fn renew() {
    FIX.try_renew(|before| if before.rate == 0 { None } else { fix_since(before) });
}

/// A fix now, unless the one before was a moment ago: the rate would be coarse.
fn fix_since(before: Reading) -> Option<Reading> {
    let (counter, ns) = (read_counter(), now_ns());
    let counted = counter.wrapping_sub(before.counter);
    let passed = ns - before.ns;
    if passed < FIRST_NS || counted == 0 {
        return None;
    }
    let rate = (u128::from(passed) << 32) / u128::from(counted);
    Some(Reading { counter, ns, rate: rate as u64 })
}

/// In a forked child: whoever renewed the fix is not here.
pub(crate) fn forget_parent() {
    FIX.forget_claim();
}

/// About what [`now_ns`] says, faster. Not monotonic to the nanosecond: compare with saturation.
#[inline]
pub(crate) fn coarse_ns() -> u64 {
    let fix = FIX.read();
    if fix.rate == 0 {
        return now_ns();
    }
    let counted = read_counter().saturating_sub(fix.counter);
    fix.ns + ((u128::from(counted) * u128::from(fix.rate)) >> 32) as u64
}

/// The processor's counter, or nanoseconds where that can't be relied on: never goes back, on whichever processors it is
/// read. For those who convert later.
pub(crate) fn ticks() -> u64 {
    if FIX.has_rate() { read_counter() } else { now_ns() }
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
