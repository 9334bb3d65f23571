//! A process seen from outside: its CPU time to the nanosecond, and how many system calls it has made.

#![allow(unsafe_code, reason = "clocks of other processes, perf events")]

use std::fs;
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};

/// The server's process.
pub struct Watched {
    clock: libc::clockid_t,
    calls: Option<SystemCalls>,
}

impl Watched {
    /// Watches that process, and counts its system calls as well if `counts`: which makes each of them slower.
    ///
    /// # Errors
    ///
    /// If it is not there, or the kernel lets nobody count.
    pub fn new(process: usize, counts: bool) -> Result<Watched, String> {
        let mut clock = 0;
        // SAFETY: the library writes one number.
        match unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) } {
            0 => {}
            error => {
                let why = io::Error::from_raw_os_error(error);
                return Err(format!("the server's CPU clock: {why}"));
            }
        }
        let calls = if counts { Some(SystemCalls::count(process)?) } else { None };
        Ok(Watched { clock, calls })
    }

    /// CPU time of all its threads, of those that have ended too.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn cpu_ns(&self) -> Result<u64, String> {
        clock_ns(self.clock)
    }

    /// System calls since this began.
    ///
    /// # Errors
    ///
    /// If a counter can't be read.
    pub fn calls(&self) -> Result<Option<u64>, String> {
        self.calls.as_ref().map(SystemCalls::so_far).transpose()
    }
}

/// CPU time of this process.
///
/// # Errors
///
/// From `clock_gettime(2)`.
pub fn own_cpu_ns() -> Result<u64, String> {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Time that passes.
///
/// # Errors
///
/// From `clock_gettime(2)`.
pub fn now_ns() -> Result<u64, String> {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The time of day, since 1970: the kernel's stamps on what comes are by that clock, which may be set.
///
/// # Errors
///
/// From `clock_gettime(2)`.
pub fn today_ns() -> Result<u64, String> {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> Result<u64, String> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one time.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => {}
        _ => return Err(format!("clock_gettime: {}", io::Error::last_os_error())),
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// A counter of the tracepoint that every system call passes, for each thread that the process has, and those that it makes.
struct SystemCalls(Vec<fs::File>);

/// The beginning of `struct perf_event_attr`, as long as its first version was.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    more: u64,
}

impl SystemCalls {
    fn count(process: usize) -> Result<SystemCalls, String> {
        const TRACEPOINT: u32 = 2;
        const INHERIT: u64 = 2;
        let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
        let id = places.iter().find_map(|place| {
            let path = format!("{place}/events/raw_syscalls/sys_enter/id");
            fs::read_to_string(path).ok()?.trim().parse().ok()
        });
        let id = id.ok_or("system calls can't be counted: no tracepoint raw_syscalls:sys_enter")?;
        let size = size_of::<Attributes>() as u32;
        let attributes =
            Attributes { kind: TRACEPOINT, size, config: id, flags: INHERIT, ..Default::default() };
        let tasks = fs::read_dir(format!("/proc/{process}/task"))
            .map_err(|error| format!("the server's threads: {error}"))?;
        let mut counters = Vec::new();
        for task in tasks.flatten() {
            let Some(task) = task.file_name().to_str().and_then(|name| name.parse::<i64>().ok())
            else {
                continue;
            };
            // SAFETY: the kernel reads as many bytes as `size` says.
            let fd = unsafe {
                libc::syscall(
                    libc::SYS_perf_event_open,
                    &raw const attributes,
                    task,
                    -1i64,
                    -1i64,
                    8u64,
                )
            };
            if fd < 0 {
                let why = io::Error::last_os_error();
                return Err(format!("system calls can't be counted: perf_event_open: {why}"));
            }
            // SAFETY: just made, and nobody else knows of it.
            counters.push(unsafe { OwnedFd::from_raw_fd(fd as i32) }.into());
        }
        Ok(SystemCalls(counters))
    }

    fn so_far(&self) -> Result<u64, String> {
        let mut sum = 0;
        for mut counter in &self.0 {
            let mut count = [0; 8];
            counter.read_exact(&mut count).map_err(|error| format!("a perf counter: {error}"))?;
            sum += u64::from_ne_bytes(count);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_computes_uses_time() {
        let own = Watched::new(std::process::id() as usize, false).expect("it is there");
        let before = own.cpu_ns().expect("it has a clock");
        crate::work::spin(20_000_000);
        assert!(own.cpu_ns().expect("it has a clock") > before);
        assert!(own_cpu_ns().expect("it has a clock") > before);
        assert_eq!(own.calls(), Ok(None));
    }
}
