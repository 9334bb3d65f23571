//! What the kernel says of this process, and what it is asked to do with it.

#![allow(
    unsafe_code,
    reason = "system calls: affinity, nice value, limits, CPU time, alarm, prctl, pipe, read, sendfile, exit"
)]

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Ends the process now: nothing is run at exit, since threads of a runtime may be in the middle of anything.
pub fn end(code: i32) -> ! {
    // SAFETY: ends the process; what was printed went out line by line.
    unsafe { libc::_exit(code) }
}

/// Ends the process after so many seconds, by a signal that nobody handles.
pub fn end_after(seconds: usize) {
    // SAFETY: sets the process's one alarm clock, which nothing else here uses.
    unsafe { libc::alarm(seconds.try_into().unwrap_or(u32::MAX)) };
}

/// Gives the calling kernel thread a nice value.
///
/// # Errors
///
/// From `setpriority(2)`: below 0 it takes a privilege.
pub fn set_nice(nice: i32) -> Result<(), String> {
    // SAFETY: numbers. On Linux 0 is the calling kernel thread, not the process.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 { Ok(()) } else { Err(format!("setpriority: {}", io::Error::last_os_error())) }
}

/// Restricts the calling kernel thread, and those that it makes from now on, to `cores` of the processors it may use.
///
/// # Errors
///
/// If there are not that many, or the kernel refuses.
pub fn use_cores(cores: usize) -> Result<(), String> {
    let some: Vec<usize> = processors()?.into_iter().take(cores).collect();
    if some.len() < cores {
        return Err(format!("{cores} cores are wanted, and {} are there", some.len()));
    }
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of bits, for which all zeroes is the empty set, with its true size.
    let result = unsafe {
        let mut chosen: libc::cpu_set_t = std::mem::zeroed();
        some.iter().for_each(|&cpu| libc::CPU_SET(cpu, &mut chosen));
        libc::sched_setaffinity(0, size, &raw const chosen)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(format!("sched_setaffinity: {}", io::Error::last_os_error()))
    }
}

/// CPU time that all threads of this process have used, in the kernel too.
pub fn cpu_time() -> Duration {
    used_by(libc::RUSAGE_SELF)
}

/// The same of all child processes that have ended and were waited for.
pub fn cpu_time_of_children() -> Duration {
    used_by(libc::RUSAGE_CHILDREN)
}

fn used_by(whom: libc::c_int) -> Duration {
    // SAFETY: the kernel fills in the structure, for which all zeroes is a value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(whom, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Asks for as many descriptors as may be had without privileges; how many that are, 0 if the kernel does not say.
pub fn raise_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one limit to where there is room for it.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: reads a limit that is there.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } {
        0 => raised.rlim_cur as usize,
        _ => limit.rlim_cur as usize,
    }
}

/// The processors that the calling kernel thread may use.
///
/// # Errors
///
/// From `sched_getaffinity(2)`.
pub fn processors() -> Result<Vec<usize>, String> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of bits, for which all zeroes is the empty set, with its true size.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size, &raw mut allowed) != 0 {
            return Err(format!("sched_getaffinity: {}", io::Error::last_os_error()));
        }
        Ok((0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &allowed)).collect())
    }
}

/// Has a program that is about to be started run on one processor only.
pub fn pin(command: &mut Command, processor: usize) {
    // SAFETY: all zeroes is the empty set, and the processor is one that a set has room for.
    let chosen = unsafe {
        let mut chosen: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut chosen);
        chosen
    };
    let pin = move || {
        // SAFETY: reads a set of its true size.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&chosen), &raw const chosen) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call, and allocates only if that fails.
    unsafe { command.pre_exec(pin) };
}

/// Has a program that is about to be started killed when the kernel thread that starts it ends, in whatever way: for those that would go on.
pub fn end_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: numbers; it concerns the calling process only.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call, and allocates only if that fails.
    unsafe { command.pre_exec(ask) };
}

/// Sends so much of a file, from its position on: a loop of `sendfile(2)`, which blocks. How much it was.
///
/// # Errors
///
/// From `sendfile(2)`.
pub fn send_file(file: &File, to: &TcpStream, len: u64) -> io::Result<u64> {
    let mut left = len;
    while left > 0 {
        // SAFETY: numbers; the position is the file's.
        let count = unsafe {
            let (to, file) = (to.as_raw_fd(), file.as_raw_fd());
            libc::sendfile(to, file, std::ptr::null_mut(), left as usize)
        };
        match u64::try_from(count) {
            Ok(0) => break,
            Ok(count) => left -= count,
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(len - left)
}

/// How many kernel threads this process has.
pub fn kernel_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// A pipe into which nobody writes.
#[derive(Clone, Copy)]
pub struct EmptyPipe {
    read: libc::c_int,
}

impl EmptyPipe {
    /// Makes one; it stays open as long as the process lives.
    ///
    /// # Errors
    ///
    /// If there are too many files.
    pub fn new() -> Result<EmptyPipe, String> {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two numbers.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            return Err(format!("pipe2: {}", io::Error::last_os_error()));
        }
        Ok(EmptyPipe { read: ends[0] })
    }

    /// Blocks the kernel thread that this runs on. It may return when a signal comes.
    pub fn block(self) {
        let mut byte = 0u8;
        // SAFETY: at most one byte is written.
        unsafe { libc::read(self.read, (&raw mut byte).cast(), 1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        assert!(kernel_threads() >= 1);
        let before = cpu_time();
        crate::work::spin(20_000_000);
        assert!(cpu_time() > before);
    }

    #[test]
    fn more_cores_than_there_are_can_not_be_had() {
        assert!(use_cores(100_000).is_err_and(|why| why.starts_with("100000 cores are wanted")));
    }
}
