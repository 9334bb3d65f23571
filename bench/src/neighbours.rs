//! What others have taken of the two processors while a round was measured: other processes, and the host of a virtual machine.

use std::fs;
use std::time::{Duration, Instant};

/// More than that and the round is measured again.
pub(crate) const TOLERATED: f64 = 0.03;

/// `USER_HZ`, the unit of `/proc`: fixed for all of today's architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processors at the beginning of a round.
pub(crate) struct Neighbours {
    processors: [usize; 2],
    server: u32,
    since: Instant,
    /// What all have used, and the host has taken, in ticks.
    used: f64,
    /// What the server and the clients so far have used.
    ours: f64,
}

impl Neighbours {
    /// Begins to watch. `None` where the kernel does not tell: then nothing can be said.
    pub(crate) fn before(processors: [usize; 2], server: u32) -> Option<Neighbours> {
        let used = used(&fs::read_to_string("/proc/stat").ok()?, processors)?;
        let ours = of_process(server)? + of_ended_children();
        Some(Neighbours { processors, server, since: Instant::now(), used, ours })
    }

    /// The share of the two processors that others have taken since, between 0 and 1. The client has ended, the server has not.
    pub(crate) fn share(&self) -> Option<f64> {
        let now = Neighbours::before(self.processors, self.server)?;
        let had = self.since.elapsed().as_secs_f64() * TICKS_PER_SECOND * 2.0;
        let others = (now.used - self.used) - (now.ours - self.ours);
        Some((others / had).clamp(0.0, 1.0))
    }
}

/// Of these processors' lines: user, nice, system and stolen time. What interrupts have taken is on the account of whoever they came to, or
/// on nobody's; it is most of all the round's own traffic.
fn used(stat: &str, processors: [usize; 2]) -> Option<f64> {
    let of_one = |processor: usize| {
        let name = format!("cpu{processor} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let numbers: Vec<f64> =
            line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let steal = numbers.get(7).copied().unwrap_or(0.0);
        Some(numbers.get(..3)?.iter().sum::<f64>() + steal)
    };
    Some(of_one(processors[0])? + of_one(processors[1])?)
}

/// User and system time of a process, in ticks.
fn of_process(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything. After it come the third field and the following; the times are the 14th and 15th.
    let times = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
    times.map(|word| word.parse::<f64>().ok()).sum()
}

fn of_ended_children() -> f64 {
    ticks(raddle_bench::process::cpu_time_of_children())
}

fn ticks(time: Duration) -> f64 {
    time.as_secs_f64() * TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_processors_are_added_up() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 5 6 7 8 0 0\ncpu1 10 20 30 0 0 0 0 80\ncpu10 7 7 7 7\n";
        assert_eq!(used(stat, [0, 1]), Some(14.0 + 140.0));
        assert_eq!(used(stat, [0, 10]), Some(14.0 + 21.0));
        assert_eq!(used(stat, [0, 2]), None);
    }

    #[test]
    fn a_process_is_known_by_its_time() {
        let me = std::process::id();
        let before = of_process(me).expect("this process runs");
        raddle_bench::work::spin(300_000_000);
        assert!(of_process(me).expect("it still does") > before);
        assert_eq!(of_process(u32::MAX), None);
    }
}
