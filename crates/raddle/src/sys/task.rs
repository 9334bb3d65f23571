//! Kernel threads as the kernel sees them: ids, signals, whether one is blocked, the expedited barrier.

#![allow(unsafe_code, reason = "system calls")]

use raddle_context::system_call;
use raddle_core::pool::KernelState;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

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
    say(line);
    std::process::abort()
}

/// Says a line on the standard error output, from where nothing may be allocated or locked.
#[cold]
pub(crate) fn say(line: &[u8]) {
    // SAFETY: reads the line.
    unsafe {
        system_call(
            libc::SYS_write,
            [libc::STDERR_FILENO as usize, line.as_ptr().expose_provenance(), line.len(), 0, 0, 0],
        )
    };
}

/// Lets the kernel run another kernel thread here.
pub(crate) fn yield_processor() {
    // SAFETY: no arguments.
    unsafe { system_call(libc::SYS_sched_yield, [0; 6]) };
}

/// By how much the kernel may be late with timed waits of the program's own kernel threads; 0 before that was asked.
static USUAL_SLACK_NS: AtomicUsize = AtomicUsize::new(0);

/// The calling kernel thread's timed waits are as exact as the program wants them: for [`want_usual_timers`].
pub(crate) fn note_usual_timers() {
    // SAFETY: no memory is involved.
    let slack_ns =
        unsafe { system_call(libc::SYS_prctl, [libc::PR_GET_TIMERSLACK as usize, 0, 0, 0, 0, 0]) };
    USUAL_SLACK_NS.store(usize::try_from(slack_ns).unwrap_or(0), Ordering::Relaxed);
}

/// Makes the calling kernel thread's timed waits exact: the default slack is 50 us. What it makes, threads and processes, inherits that.
pub(crate) fn want_exact_timers() {
    set_timer_slack(1);
}

/// Makes them as they were noted.
pub(crate) fn want_usual_timers() {
    set_timer_slack(USUAL_SLACK_NS.load(Ordering::Relaxed));
}

fn set_timer_slack(ns: usize) {
    // SAFETY: a number; affects the calling thread only.
    unsafe {
        system_call(libc::SYS_prctl, [libc::PR_SET_TIMERSLACK as usize, ns, 0, 0, 0, 0]);
    }
}

/// Asks the kernel to run the calling kernel thread soon when it wakes, for a short time: it is to preempt others, at their nice value.
/// From Linux 6.12 on a wish for a short slice does that; before, and where it is refused, nothing changes. Kernel threads that
/// the caller makes do not inherit it. The flag for that would take a negative nice value from them as well: a process that was put before
/// others does without the wish.
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
    if result != 0 || now.policy != libc::SCHED_OTHER as u32 || now.nice < 0 {
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

/// Looks at one kernel thread after another: at the one that has begun last. Through files opened ahead: opening allocates descriptors,
/// and `/proc` may be out of reach later (chroot, landlock).
#[derive(Debug)]
pub(crate) struct Watch {
    stat: AtomicI32,
    /// Its clock of processor time; 0: there is nobody to look at.
    clock: AtomicI32,
}

impl Watch {
    pub(crate) const fn of_nobody() -> Watch {
        Watch { stat: AtomicI32::new(-1), clock: AtomicI32::new(0) }
    }

    /// Looks at the calling kernel thread from now on.
    pub(crate) fn begin(&self) {
        /// As `<linux/posix-timers_types.h>` has it: a thread's, by the scheduler's count.
        const CPU_CLOCK_OF_THREAD: i32 = 4 | 2;
        let id = id();
        let mut path = Path::default();
        path.write(id);
        // SAFETY: a path that ends; the descriptor is closed by `end`.
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
        self.stat.store(stat as i32, Ordering::Relaxed);
        self.clock.store((!id << 3) | CPU_CLOCK_OF_THREAD, Ordering::Relaxed);
    }

    /// Looks at nobody any more. Nobody else looks just now.
    ///
    /// The program may have closed the file long ago, with all others, and have one of its own by that number: that one stays open.
    pub(crate) fn end(&self) {
        let mut text = [0; TEXT];
        let is_its_own = match self.read(&mut text) {
            Ok(text) => self.is_of_it(text),
            // The file is of a kernel thread that is gone.
            Err(error) => error == -libc::ESRCH as isize,
        };
        let descriptor = self.stat.swap(-1, Ordering::Relaxed);
        self.clock.store(0, Ordering::Relaxed);
        if is_its_own {
            // SAFETY: opened by `begin`, and by nobody else closed.
            unsafe { system_call(libc::SYS_close, [descriptor as usize, 0, 0, 0, 0, 0]) };
        }
    }

    /// Whether it runs on a processor at this moment: then the time that it has used grows between two looks at its clock. Much
    /// cheaper than reading the file, and it is what is seen most: whoever is to be preempted computes.
    fn is_on_processor(&self) -> bool {
        let first = self.ran_ns();
        first.is_some() && first != self.ran_ns()
    }

    /// The processor time that it has used.
    pub(crate) fn ran_ns(&self) -> Option<u64> {
        let clock = self.clock.load(Ordering::Relaxed);
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes a live structure.
        let result = unsafe {
            system_call(
                libc::SYS_clock_gettime,
                [clock as usize, (&raw mut time).expose_provenance(), 0, 0, 0, 0],
            )
        };
        (clock != 0 && result == 0)
            .then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// Its state now.
    pub(crate) fn look(&self) -> KernelState {
        if self.is_on_processor() {
            return KernelState::Runs;
        }
        let mut text = [0; TEXT];
        let Ok(text) = self.read(&mut text) else { return KernelState::Unknown };
        if !self.is_of_it(text) {
            return KernelState::Unknown;
        }
        // "id (name) S ...": the name may hold anything, so the state follows the last parenthesis.
        let state = text.iter().rposition(|&byte| byte == b')').and_then(|end| text.get(end + 2));
        state.map_or(KernelState::Unknown, |&letter| KernelState::from_letter(letter))
    }

    /// What the file begins with, or the error.
    fn read<'t>(&self, text: &'t mut [u8; TEXT]) -> Result<&'t [u8], isize> {
        let descriptor = self.stat.load(Ordering::Relaxed);
        // SAFETY: reads into a live buffer, at offset 0.
        let read = unsafe {
            system_call(
                libc::SYS_pread64,
                [descriptor as usize, text.as_mut_ptr().expose_provenance(), TEXT, 0, 0, 0],
            )
        };
        text.get(..usize::try_from(read).map_err(|_| read)?).ok_or(read)
    }

    /// Whether that is the text of its file, and not of another one by that number.
    fn is_of_it(&self, text: &[u8]) -> bool {
        let id = !(self.clock.load(Ordering::Relaxed) >> 3);
        text.strip_prefix(Digits::of(id).as_bytes()).is_some_and(|rest| rest.starts_with(b" ("))
    }
}

/// As much of a `stat` file as is read.
const TEXT: usize = 128;

/// A number in decimal digits, without allocation.
struct Digits {
    bytes: [u8; 10],
    from: usize,
}

impl Digits {
    fn of(number: i32) -> Digits {
        let mut digits = Digits { bytes: [0; 10], from: 10 };
        let mut rest = number.unsigned_abs();
        loop {
            digits.from -= 1;
            digits.bytes[digits.from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return digits;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
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
        let mut at = 0;
        for part in [&b"/proc/self/task/"[..], Digits::of(id).as_bytes(), &b"/stat"[..]] {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn of_this_thread() -> Watch {
        let watch = Watch::of_nobody();
        watch.begin();
        watch
    }

    #[test]
    fn a_running_thread_is_seen_running_and_a_sleeping_one_waiting() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(of_this_thread()).unwrap();
            let _ = wait.recv();
        });
        let watch = receive.recv().unwrap();
        let own = of_this_thread();
        assert!(own.is_on_processor() && own.look() == KernelState::Runs);
        own.end();
        while watch.look() != KernelState::Waits {
            std::thread::yield_now();
        }
        assert!(!watch.is_on_processor());
        drop(end);
        thread.join().unwrap();
        // The kernel tells who joins a moment before the thread is gone, and its file with it.
        let begun = std::time::Instant::now();
        while watch.look() != KernelState::Unknown {
            assert!(begun.elapsed().as_secs() < 60, "its file is still there");
            std::thread::yield_now();
        }
        assert!(!watch.is_on_processor());
        watch.end();
    }

    #[test]
    fn nobody_is_not_seen() {
        let watch = Watch::of_nobody();
        assert_eq!((watch.look(), watch.ran_ns()), (KernelState::Unknown, None));
        watch.end();
        watch.begin();
        watch.end();
        assert_eq!((watch.look(), watch.ran_ns()), (KernelState::Unknown, None));
    }

    #[test]
    fn a_file_by_the_same_number_is_left_alone() {
        let watch = of_this_thread();
        let other = std::fs::File::open("/proc/self/stat").unwrap();
        let number = watch.stat.load(Ordering::Relaxed);
        // SAFETY: the watch's own descriptor becomes another file, whose number it stays.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), number) }, number);
        assert!(!watch.is_of_it(watch.read(&mut [0; TEXT]).unwrap()));
        watch.end();
        // SAFETY: asks for flags, then closes what nobody else has.
        assert!(unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 && libc::close(number) == 0 });
    }

    #[test]
    fn digits_are_as_they_are_written() {
        for number in [0, 7, 10, 4_194_304, i32::MAX] {
            assert_eq!(Digits::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
