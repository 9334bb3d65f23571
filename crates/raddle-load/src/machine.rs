//! What this process has had of the machine: processor time, and time in which it was ready and had no processor.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

/// Since the process began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Processor time, in the kernel as well.
    pub(crate) cpu: Duration,
    /// In which its kernel threads were ready to run while others ran: of those that are there. Zero where the kernel does not count it.
    pub(crate) waited: Duration,
}

impl Machine {
    pub(crate) fn now() -> Machine {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32);
        Machine { cpu, waited: waited() }
    }
}

impl Sub for Machine {
    type Output = Machine;

    fn sub(self, earlier: Machine) -> Machine {
        Machine {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// The second number in each thread's `schedstat`: see the kernel's `Documentation/scheduler/sched-stats.rst`.
fn waited() -> Duration {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let ns = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(ns.sum())
}
