//! Floors: what the processor and the kernel charge for the parts that no implementation gets around.

#![allow(unsafe_code, reason = "maps memory, touches it and makes guards in it")]

use crate::pairs::{Block, Work};
use raddle_bench::process::cpu_time;
use std::arch::x86_64::_rdtsc;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;

/// All of them, by the name of their case.
pub(crate) fn all<'a>() -> [(&'static str, Work<'a>); 4] {
    [
        ("wrfsbase", Box::new(wrfsbase)),
        ("rdtsc", Box::new(rdtsc)),
        ("page_fault", Box::new(page_fault)),
        ("guard", guard()),
    ]
}

/// The write of the thread pointer that each of raddle's switches makes, and no peer's does.
fn wrfsbase(operations: u64) -> io::Result<Block> {
    Block::time(operations, || {
        raddle_context::floor::write_thread_pointer(operations).map_err(io::Error::from)
    })
}

fn rdtsc(operations: u64) -> io::Result<Block> {
    Block::time(operations, || {
        for _ in 0..operations {
            // SAFETY: reads a counter that every x86_64 processor has, and that Linux lets user space read.
            black_box(unsafe { _rdtsc() });
        }
        Ok(())
    })
}

/// The first touch of a page, the share of a new page table included.
fn page_fault(operations: u64) -> io::Result<Block> {
    /// Mapped at once: 16 MiB.
    const PAGES: u64 = 4096;
    in_mappings(operations, PAGES, PAGE, |page| {
        // SAFETY: the first byte of a page of the mapping.
        unsafe { page.write_volatile(1) };
        Ok(())
    })
}

/// How long it takes to touch so many fresh pages of one mapping, two by two: what each of many sleeping threads has of its stack.
pub(crate) fn first_touch(pages: usize) -> io::Result<Duration> {
    /// From one pair to the next, as stacks lie.
    const STRIDE: usize = 64 * PAGE;
    let pairs = pages / 2;
    let mapping = Mapping::new(pairs * STRIDE)?;
    let block = Block::time(pages as u64, || {
        for pair in 0..pairs {
            let start = mapping.start.wrapping_add(pair * STRIDE);
            // SAFETY: two pages within the mapping, since a stride has 64.
            unsafe {
                start.write_volatile(1);
                start.add(PAGE).write_volatile(1);
            }
        }
        Ok(())
    })?;
    Ok(block.elapsed)
}

/// What became of a kernel thread that slept again and again.
pub(crate) struct Woken {
    /// How late it woke, on an average.
    pub(crate) mean_late: Duration,
    /// The CPU time of the whole process meanwhile.
    pub(crate) cpu: Duration,
}

/// Runs `work` on a kernel thread of its own, whose sleeps have none of the kernel's slack.
pub(crate) fn without_slack<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let sleeper = std::thread::spawn(move || {
        // SAFETY: a number; affects this kernel thread only.
        done(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) })?;
        work()
    });
    sleeper.join().map_err(|_| io::Error::other("the sleeping thread panicked"))?
}

/// The calling kernel thread sleeps for `interval` again and again, for `time`. Each time that it is awake it does `work`, which is told how
/// much of the time has passed.
pub(crate) fn wake(
    interval: Duration,
    time: Duration,
    mut work: impl FnMut(Duration),
) -> io::Result<Woken> {
    let before = cpu_time();
    let begin = Instant::now();
    let (mut late, mut times) = (Duration::ZERO, 0);
    while begin.elapsed() < time {
        let start = Instant::now();
        std::thread::sleep(interval);
        late += start.elapsed().saturating_sub(interval);
        times += 1;
        work(begin.elapsed());
    }
    Ok(Woken { mean_late: late / times, cpu: cpu_time() - before })
}

/// A guard of 16 KiB at the bottom of a slot, as an arena makes one for each body: by mark where the kernel has them, by
/// protection otherwise.
fn guard<'a>() -> Work<'a> {
    const GUARD_BYTES: usize = 16 * 1024;
    const SLOT_BYTES: usize = 256 * 1024;
    /// Mapped at once: 1 GiB of address space.
    const SLOTS: u64 = 4096;
    /// `MADV_GUARD_INSTALL` of `<asm-generic/mman-common.h>`, Linux 6.13.
    const MADV_GUARD_INSTALL: libc::c_int = 102;
    let mark = |at: *mut u8| {
        // SAFETY: a range of the mapping, in which nothing lives.
        done(unsafe { libc::madvise(at.cast(), GUARD_BYTES, MADV_GUARD_INSTALL) })
    };
    let protect = |at: *mut u8| {
        // SAFETY: as above.
        done(unsafe { libc::mprotect(at.cast(), GUARD_BYTES, libc::PROT_NONE) })
    };
    Box::new(move |operations| {
        match in_mappings(operations, SLOTS, SLOT_BYTES, mark) {
            // How kernels before 6.13 answer to an advice that they don't know.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                in_mappings(operations, SLOTS, SLOT_BYTES, protect)
            }
            block => block,
        }
    })
}

/// Calls `operation` on `operations` places that are `stride` bytes apart in fresh mappings of `places` each. Mapping and
/// unmapping are not timed.
fn in_mappings(
    operations: u64,
    places: u64,
    stride: usize,
    operation: impl Fn(*mut u8) -> io::Result<()>,
) -> io::Result<Block> {
    let mut elapsed = Duration::ZERO;
    let mut left = operations;
    while left > 0 {
        let now = left.min(places);
        let mapping = Mapping::new(places as usize * stride)?;
        let block = Block::time(now, || {
            (0..now as usize)
                .try_for_each(|place| operation(mapping.start.wrapping_add(place * stride)))
        })?;
        elapsed += block.elapsed;
        left -= now;
    }
    Ok(Block { operations, elapsed })
}

/// Address space like an arena's: without reserve and without huge pages.
struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice, and an advice for it.
        unsafe {
            let start = libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            // Fails on a kernel without huge pages, where it is not needed.
            libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE);
            Ok(Mapping { start: start.cast(), bytes })
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nobody has kept an address in it.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// What a system call's 0 or -1 means.
fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
