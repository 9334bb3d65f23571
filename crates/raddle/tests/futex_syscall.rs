//! `syscall` as raddle defines it, against the kernel's own answers: the same calls on a kernel thread, which the kernel serves,
//! and on a thread of raddle's, which the table does.
#![allow(unsafe_code, reason = "system calls")]

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
mod sync_kit;

use calls::{alarm, end_of, exit_now, fork};
use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sync_kit::{Cast, a_moment, each_cast, for_seconds, until};

const PRIVATE: i32 = libc::FUTEX_PRIVATE_FLAG;
const ANY: u32 = u32::MAX;

/// The result, or the error number.
fn futex(
    word: &AtomicU32,
    operation: i32,
    value: u32,
    time: Option<libc::timespec>,
    bits: u32,
) -> Result<i64, i32> {
    let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
    let no_address: *const u32 = ptr::null();
    // SAFETY: the word and the time live through the call; the kernel reads no more of them than those.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, time, no_address, bits)
    };
    if result < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(result) }
}

fn wait(word: &AtomicU32, value: u32) -> Result<i64, i32> {
    futex(word, libc::FUTEX_WAIT | PRIVATE, value, None, 0)
}

fn wake(word: &AtomicU32, count: i32) -> Result<i64, i32> {
    futex(word, libc::FUTEX_WAKE | PRIVATE, count as u32, None, 0)
}

fn time(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs() as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

fn clock(which: i32) -> Duration {
    let mut now = time(Duration::ZERO);
    // SAFETY: the time is written to a local.
    unsafe { libc::clock_gettime(which, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[test]
fn the_errors_are_the_kernels() {
    each_cast(|cast| {
        cast.spawn(0, || {
            let word = AtomicU32::new(1);
            let soon = Some(time(Duration::from_millis(5)));
            let wait_bits = libc::FUTEX_WAIT_BITSET | PRIVATE;
            assert_eq!(wait(&word, 2), Err(libc::EAGAIN));
            assert_eq!(futex(&word, libc::FUTEX_WAIT | PRIVATE, 1, soon, 0), Err(libc::ETIMEDOUT));
            // Passed already, on either clock; the value is looked at first.
            assert_eq!(futex(&word, wait_bits, 1, soon, ANY), Err(libc::ETIMEDOUT));
            assert_eq!(futex(&word, wait_bits, 2, soon, ANY), Err(libc::EAGAIN));
            let real = wait_bits | libc::FUTEX_CLOCK_REALTIME;
            assert_eq!(futex(&word, real, 1, soon, ANY), Err(libc::ETIMEDOUT));
            // Refused: no bits, no such time, a clock that this call doesn't take, an address between two words.
            assert_eq!(futex(&word, wait_bits, 1, soon, 0), Err(libc::EINVAL));
            for (tv_sec, tv_nsec) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
                let wrong = Some(libc::timespec { tv_sec, tv_nsec });
                assert_eq!(
                    futex(&word, libc::FUTEX_WAIT | PRIVATE, 1, wrong, 0),
                    Err(libc::EINVAL)
                );
            }
            let wrong_clock = libc::FUTEX_WAIT | PRIVATE | libc::FUTEX_CLOCK_REALTIME;
            assert_eq!(futex(&word, wrong_clock, 1, soon, 0), Err(libc::ENOSYS));
            // SAFETY: the address is refused; nothing is read there.
            let misaligned = unsafe {
                let address = word.as_ptr().byte_add(1);
                libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAIT | PRIVATE, 1, 0, 0, 0)
            };
            assert_eq!(
                (misaligned, io::Error::last_os_error().raw_os_error()),
                (-1, Some(libc::EINVAL))
            );
            assert_eq!(wake(&word, 1), Ok(0));
            assert_eq!(
                futex(&word, libc::FUTEX_WAKE_BITSET | PRIVATE, 1, None, 0),
                Err(libc::EINVAL)
            );
        })
        .join()
        .unwrap();
    });
}

#[test]
fn other_calls_reach_the_kernel_and_errno_is_set() {
    each_cast(|cast| {
        // SAFETY: the kernel reads nothing of ours in the first two; the mapping is new, and goes again before anybody uses it.
        cast.spawn(0, || unsafe {
            assert_eq!(libc::syscall(libc::SYS_getpid), i64::from(std::process::id()));
            assert_eq!(libc::syscall(libc::SYS_close, -1), -1);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
            // Six arguments, of which the last one counts.
            let bytes: i64 = 4096;
            let (none, protection) = (ptr::null::<u8>(), libc::PROT_READ);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let mapped = libc::syscall(libc::SYS_mmap, none, bytes, protection, flags, -1, 0_i64);
            assert!(mapped > 0);
            assert_eq!(libc::syscall(libc::SYS_munmap, mapped, bytes), 0);
            let refused = libc::syscall(libc::SYS_mmap, none, bytes, protection, flags, -1, 1_i64);
            assert_eq!(
                (refused, io::Error::last_os_error().raw_os_error()),
                (-1, Some(libc::EINVAL))
            );
        })
        .join()
        .unwrap();
    });
}

#[test]
fn deadlines_are_relative_or_absolute_and_by_either_clock() {
    each_cast(|cast| {
        cast.spawn(0, || {
            let word = AtomicU32::new(0);
            let short = Duration::from_millis(30);
            let bits = libc::FUTEX_WAIT_BITSET | PRIVATE;
            let real = bits | libc::FUTEX_CLOCK_REALTIME;
            let cases: [(i32, fn() -> Duration); 3] = [
                (libc::FUTEX_WAIT | PRIVATE, || Duration::ZERO),
                (bits, || clock(libc::CLOCK_MONOTONIC)),
                (real, || clock(libc::CLOCK_REALTIME)),
            ];
            for (operation, from) in cases {
                let start = Instant::now();
                let when = Some(time(from() + short));
                assert_eq!(futex(&word, operation, 0, when, ANY), Err(libc::ETIMEDOUT));
                let took = start.elapsed();
                // The real clock may be adjusted meanwhile, a little.
                assert!(took >= short - Duration::from_millis(2) && took < 100 * short, "{took:?}");
            }
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_wake_is_counted_over_both_kinds_and_goes_to_the_first() {
    each_cast(|cast| {
        let word = Arc::new((AtomicU32::new(0), AtomicUsize::new(0), AtomicUsize::new(0)));
        let waiters: Vec<_> = (0..6)
            .map(|n| {
                let word = word.clone();
                cast.spawn(n, move || {
                    word.2.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(wait(&word.0, 0), Ok(0));
                    word.1.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        until(|| word.2.load(Ordering::Relaxed) == 6);
        std::thread::sleep(Duration::from_millis(100));
        // From a thread of each kind.
        let waker = {
            let word = word.clone();
            cast.spawn_other(0, move || assert_eq!(wake(&word.0, 2), Ok(2)))
        };
        waker.join().unwrap();
        until(|| word.1.load(Ordering::Relaxed) == 2);
        assert_eq!(futex(&word.0, libc::FUTEX_WAKE_BITSET | PRIVATE, 1, None, 4), Ok(1));
        until(|| word.1.load(Ordering::Relaxed) == 3);
        a_moment();
        assert_eq!(word.1.load(Ordering::Relaxed), 3);
        assert_eq!(wake(&word.0, i32::MAX), Ok(3));
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(wake(&word.0, i32::MAX), Ok(0));
    });
}

/// A mutex as in the futex paper, where every lost wake-up hangs.
#[test]
fn wait_against_wake_loses_nothing() {
    each_cast(|cast| {
        let word = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let is_over = Arc::new(for_seconds(1.0));
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let (word, is_over) = (word.clone(), is_over.clone());
                cast.spawn(n, move || {
                    while !is_over() {
                        if word
                            .0
                            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                            .is_err()
                        {
                            while word.0.swap(2, Ordering::Acquire) != 0 {
                                let waited = wait(&word.0, 2);
                                assert!(matches!(waited, Ok(0) | Err(libc::EAGAIN)), "{waited:?}");
                            }
                        }
                        assert_eq!(word.1.fetch_add(1, Ordering::Relaxed), 0);
                        word.1.fetch_sub(1, Ordering::Relaxed);
                        if word.0.swap(0, Ordering::Release) == 2 {
                            wake(&word.0, 1).unwrap();
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Waiters that the kernel would move to another address are woken in the table: they look again there.
#[test]
fn requeue_and_wake_op_forget_nobody() {
    each_cast(|cast| {
        let words = Arc::new((AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0)));
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let words = words.clone();
                cast.spawn(n, move || {
                    let _ = wait(&words.0, 0);
                    words.2.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(30));
        let moved = Cell::new(0);
        // SAFETY: both words live through the call, and are atomic.
        let call = |operation: i32, third: u32| unsafe {
            let (from, to) = (words.0.as_ptr(), words.1.as_ptr());
            libc::syscall(libc::SYS_futex, from, operation | PRIVATE, 1, 100_usize, to, third)
        };
        assert_eq!(call(libc::FUTEX_CMP_REQUEUE, 7), -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN));
        until(|| {
            moved.set(moved.get() + call(libc::FUTEX_CMP_REQUEUE, 0));
            moved.get() >= 1
        });
        // Those that the kernel has moved wait at the second word now.
        until(|| {
            wake(&words.0, i32::MAX).unwrap();
            wake(&words.1, i32::MAX).unwrap();
            words.2.load(Ordering::Relaxed) == 4
        });
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        let waiter = {
            let words = words.clone();
            cast.spawn(0, move || wait(&words.1, 0))
        };
        // Adds 0 to the second word, and wakes there if it was 0 before.
        let operation = (libc::FUTEX_OP_ADD << 28 | libc::FUTEX_OP_CMP_EQ << 24) as u32;
        until(|| call(libc::FUTEX_WAKE_OP, operation) >= 1);
        waiter.join().unwrap().unwrap();
    });
}

/// Threads of other addresses that share a bucket don't wake for each other.
#[test]
fn a_wake_reaches_its_own_address_only() {
    each_cast(|cast| {
        let words: Arc<Vec<AtomicU32>> = Arc::new((0..20_000).map(|_| AtomicU32::new(0)).collect());
        let waiters: Vec<_> = (0..200_usize)
            .map(|n| {
                let words = words.clone();
                let cast = if n < 190 && cast == Cast::Mixed { Cast::Raddle } else { cast };
                cast.spawn(n, move || {
                    while words[n * 100].load(Ordering::Acquire) == 0 {
                        let _ = wait(&words[n * 100], 0);
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        for word in words.iter() {
            word.store(1, Ordering::Release);
            wake(word, 1).unwrap();
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// In a forked child the table is empty, also if it was in use, and locks work.
#[test]
fn a_forked_child_has_locks_that_work() {
    let lock = Arc::new(std::sync::Mutex::new(0));
    let stop = Arc::new(AtomicU32::new(0));
    let crowd: Vec<_> = (0..6)
        .map(|n| {
            let (lock, stop) = (lock.clone(), stop.clone());
            Cast::Raddle.spawn(n, move || {
                while stop.load(Ordering::Relaxed) == 0 {
                    *lock.lock().unwrap() += 1;
                    for _ in 0..20 {
                        std::hint::spin_loop();
                    }
                }
            })
        })
        .collect();
    let word = Arc::new(AtomicU32::new(0));
    let waiters: Vec<_> = (0..3)
        .map(|n| {
            let word = word.clone();
            Cast::Raddle.spawn(n, move || {
                while word.load(Ordering::Acquire) == 0 {
                    let _ = wait(&word, 0);
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    for _ in 0..50 {
        let child = fork();
        if child == 0 {
            // A child that hangs ends by that.
            alarm(10);
            // A word that others wait for in the parent: nobody is woken here. A lock's word, whose bucket may have been in
            // somebody's hands: nothing hangs.
            let lock =
                // SAFETY: a mutex is at least as large and as aligned as such a word, and all of it may change at any time; only its
                // address is used.
                unsafe { AtomicU32::from_ptr(ptr::from_ref(&*lock).cast_mut().cast::<u32>()) };
            let ok = wake(&word, i32::MAX) == Ok(0)
                && wake(lock, i32::MAX) == Ok(0)
                && wait(&word, 1) == Err(libc::EAGAIN);
            exit_now(if ok { 0 } else { 1 });
        }
        let status = end_of(child);
        assert!(status.success(), "the child ended with {status}");
    }
    word.store(1, Ordering::Release);
    wake(&word, i32::MAX).unwrap();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    stop.store(1, Ordering::Relaxed);
    crowd.into_iter().for_each(|thread| thread.join().unwrap());
}
