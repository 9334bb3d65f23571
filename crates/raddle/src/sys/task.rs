//! Kernel threads as the kernel sees them: ids, signals, whether one is blocked, the expedited barrier.

#![allow(unsafe_code, reason = "system calls")]

use raddle_context::system_call;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// The calling kernel thread's id.
pub(crate) fn id() -> i32 {
    // SAFETY: no arguments, no effect.
    unsafe { system_call(libc::SYS_gettid, [0; 6]) as i32 }
}

/// Sends `signal` to kernel thread `id` of this process. A thread that is gone is none of the caller's business.
pub(crate) fn send_signal(id: i32, signal: c_int) {
    // SAFETY: the handler that raddle installed is what the signal can do.
    unsafe {
        system_call(
            libc::SYS_tgkill,
            [std::process::id() as usize, id as usize, signal as usize, 0, 0, 0],
        )
    };
}

/// Blocks every signal for the calling kernel thread, until its mask is set again: by a handler's return, for one.
pub(crate) fn block_signals() {
    let all = u64::MAX;
    // SAFETY: the kernel reads 8 bytes of a local.
    unsafe {
        system_call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_BLOCK as usize,
                (&raw const all).expose_provenance(),
                0,
                size_of::<u64>(),
                0,
                0,
            ],
        );
    }
}

/// Ends the process with a last line, from where nothing may be allocated or locked.
#[cold]
pub(crate) fn die(line: &[u8]) -> ! {
    // SAFETY: reads the line.
    unsafe {
        system_call(
            libc::SYS_write,
            [libc::STDERR_FILENO as usize, line.as_ptr().expose_provenance(), line.len(), 0, 0, 0],
        )
    };
    std::process::abort()
}

/// Lets the kernel run another kernel thread here.
pub(crate) fn yield_processor() {
    // SAFETY: no arguments.
    unsafe { system_call(libc::SYS_sched_yield, [0; 6]) };
}

/// Makes the calling kernel thread's timed waits exact: the default slack is 50 us.
pub(crate) fn want_exact_timers() {
    // SAFETY: a number; affects the calling thread only.
    unsafe {
        system_call(libc::SYS_prctl, [libc::PR_SET_TIMERSLACK as usize, 1, 0, 0, 0, 0]);
    }
}

/// Asks the kernel to run the calling kernel thread soon when it wakes, for a short time: it is to preempt others, at their nice value.
/// From Linux 6.12 on a wish for a short slice does that; before, and where it is refused, nothing changes. Kernel threads that
/// the caller makes do not inherit it.
pub(crate) fn want_short_slice() {
    const SLICE_NS: u64 = 100_000;
    const SCHED_FLAG_RESET_ON_FORK: u64 = 1;
    /// `struct sched_attr`, as `<linux/sched/types.h>` began it.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let size = size_of::<Attributes>();
    let mut now = Attributes::default();
    // SAFETY: writes a live structure of the size that it is told.
    let result = unsafe {
        system_call(libc::SYS_sched_getattr, [0, (&raw mut now).expose_provenance(), size, 0, 0, 0])
    };
    if result != 0 || now.policy != libc::SCHED_OTHER as u32 {
        return;
    }
    let wished =
        Attributes { flags: now.flags | SCHED_FLAG_RESET_ON_FORK, runtime_ns: SLICE_NS, ..now };
    // SAFETY: reads a live structure, which has its size in it.
    unsafe {
        system_call(
            libc::SYS_sched_setattr,
            [0, (&raw const wished).expose_provenance(), 0, 0, 0, 0],
        )
    };
}

/// What the calling kernel thread is called in lists of threads: at most 15 bytes.
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel copies up to 16 bytes of a string that ends.
    unsafe {
        system_call(
            libc::SYS_prctl,
            [libc::PR_SET_NAME as usize, name.as_ptr().expose_provenance(), 0, 0, 0, 0],
        );
    }
}

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: usize = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: usize = 1 << 4;

/// Registers the process for [`barrier`].
///
/// # Errors
///
/// From `membarrier(2)`: `ENOSYS` before Linux 4.14 or where a sandbox forbids it.
pub(crate) fn register_barrier() -> io::Result<()> {
    // SAFETY: registers an intent of this process.
    let result = unsafe {
        system_call(
            libc::SYS_membarrier,
            [MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0],
        )
    };
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// After this, every running kernel thread of this process has passed a full memory barrier since the call began: the expensive
/// half of an asymmetric pair, whose cheap half is a compiler fence.
pub(crate) fn barrier() {
    // SAFETY: interrupts other processors for a moment.
    unsafe {
        system_call(libc::SYS_membarrier, [MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0]);
    }
}

/// Looks at one kernel thread's state, through files opened ahead: opening allocates descriptors, and `/proc` may be out of
/// reach later (chroot, landlock).
#[derive(Debug)]
pub(crate) struct Watch {
    stat: AtomicI32,
    /// Its clock of processor time.
    clock: libc::clockid_t,
}

/// What the kernel says of a kernel thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It runs or wants to.
    Runnable,
    /// It waits in the kernel: state S or D.
    Blocked,
    /// It can't be told: no `/proc` here.
    Unknown,
}

impl Watch {
    /// Of the calling kernel thread.
    pub(crate) fn of_this_thread() -> Watch {
        /// As `<linux/posix-timers_types.h>` has it: a thread's, by the scheduler's count.
        const CPU_CLOCK_OF_THREAD: i32 = 4 | 2;
        let id = id();
        let mut path = Path::default();
        path.write(id);
        // SAFETY: a path that ends; the descriptor is closed by `drop`.
        let stat = unsafe {
            system_call(
                libc::SYS_openat,
                [
                    libc::AT_FDCWD as usize,
                    path.bytes.as_ptr().expose_provenance(),
                    (libc::O_RDONLY | libc::O_CLOEXEC) as usize,
                    0,
                    0,
                    0,
                ],
            )
        };
        Watch { stat: AtomicI32::new(stat as i32), clock: (!id << 3) | CPU_CLOCK_OF_THREAD }
    }

    /// Whether it runs on a processor at this moment: then the time that it has used grows between two looks at its clock. Much
    /// cheaper than reading the file, and it is what is seen most: whoever is to be preempted computes.
    fn is_on_processor(&self) -> bool {
        let first = self.ran_ns();
        first.is_some() && first != self.ran_ns()
    }

    fn ran_ns(&self) -> Option<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes a live structure.
        let result = unsafe {
            system_call(
                libc::SYS_clock_gettime,
                [self.clock as usize, (&raw mut time).expose_provenance(), 0, 0, 0, 0],
            )
        };
        (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// Its state now.
    pub(crate) fn look(&self) -> Seen {
        if self.is_on_processor() {
            return Seen::Runnable;
        }
        let descriptor = self.stat.load(Ordering::Relaxed);
        let mut text = [0u8; 128];
        // SAFETY: reads into a live buffer, at offset 0.
        let read = unsafe {
            system_call(
                libc::SYS_pread64,
                [descriptor as usize, text.as_mut_ptr().expose_provenance(), text.len(), 0, 0, 0],
            )
        };
        if descriptor < 0 || read <= 0 {
            return Seen::Unknown;
        }
        // "id (name) S ...": the name may hold anything, so the state follows the last parenthesis.
        let text = &text[..read as usize];
        let state = text.iter().rposition(|&byte| byte == b')').and_then(|end| text.get(end + 2));
        match state {
            Some(b'S' | b'D' | b'T' | b't') => Seen::Blocked,
            Some(_) => Seen::Runnable,
            None => Seen::Unknown,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let descriptor = self.stat.load(Ordering::Relaxed);
        if descriptor >= 0 {
            // SAFETY: opened by this value and by nobody else closed.
            unsafe { system_call(libc::SYS_close, [descriptor as usize, 0, 0, 0, 0, 0]) };
        }
    }
}

/// `/proc/self/task/N/stat`, written without allocation: a worker may be made while malloc's lock is held.
struct Path {
    bytes: [u8; 48],
}

impl Default for Path {
    fn default() -> Path {
        Path { bytes: [0; 48] }
    }
}

impl Path {
    fn write(&mut self, id: i32) {
        let mut digits = [0u8; 10];
        let mut count = 0;
        let mut rest = id as u32;
        loop {
            digits[count] = b'0' + (rest % 10) as u8;
            count += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        digits[..count].reverse();
        let mut at = 0;
        for part in [&b"/proc/self/task/"[..], &digits[..count], &b"/stat"[..]] {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_thread_is_seen_running_and_a_sleeping_one_blocked() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send((Watch::of_this_thread(), Watch::of_this_thread().look())).unwrap();
            let _ = wait.recv();
        });
        let (watch, own) = receive.recv().unwrap();
        assert_eq!(own, Seen::Runnable);
        let own = Watch::of_this_thread();
        assert!(own.is_on_processor() && own.look() == Seen::Runnable);
        while watch.look() != Seen::Blocked {
            std::thread::yield_now();
        }
        assert!(!watch.is_on_processor());
        drop(end);
        thread.join().unwrap();
        assert_eq!(watch.look(), Seen::Unknown, "its file is gone with it");
        assert!(!watch.is_on_processor());
    }
}
