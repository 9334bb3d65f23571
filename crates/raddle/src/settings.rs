//! Settings: from the environment, and from what the kernel lets this process use.

use crate::dumper::DumpSignal;
use raddle_core::pool::KEEP_ALIVE_NS as KEEP_ALIVE;
use raddle_core::slice::BASE_SLICE_NS;
use std::io;
use std::path::PathBuf;

/// Settings that a runtime runs by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cores: usize,
    pub(crate) slice_ns: u64,
    /// How much a timer may be late so that several share a wake-up.
    pub(crate) timer_slack_ns: u64,
    pub(crate) stack_bytes: usize,
    pub(crate) signal: i32,
    pub(crate) preempts: bool,
    /// For how long nobody must have needed a surplus spare before it ends.
    pub(crate) keep_alive_ns: u64,
    pub(crate) dump: DumpSignal,
    /// Where a trace goes, if one is asked for.
    pub(crate) trace: Option<PathBuf>,
    /// How many events of each core it keeps, and one more: a power of two.
    pub(crate) trace_events: usize,
}

/// The default: so that timers are late by no more than the kernel's own, on an average, which has 50 us of slack and as much to do.
const TIMER_SLACK_NS: u64 = 80_000;
/// More would not save anything that counts.
pub(crate) const TIMER_SLACK_AT_MOST_NS: u64 = 100_000_000;

/// How long surplus spares may be kept: at least so that the monitor need not look all the time.
pub(crate) const KEEP_ALIVE_NS: std::ops::RangeInclusive<u64> = 1_000_000..=86_400_000_000_000;

/// What `RADDLE_CORES`, `RADDLE_SLICE`, `RADDLE_STACK`, `RADDLE_SIGNAL`, `RADDLE_TIMER_SLACK`, `RADDLE_KEEP_ALIVE`,
/// `RADDLE_DUMP_SIGNAL`, `RADDLE_TRACE` and `RADDLE_TRACE_EVENTS` say, and defaults for what they don't.
pub(crate) fn from_environment() -> io::Result<Settings> {
    let cores = match variable("RADDLE_CORES", parse_count)? {
        Some(cores) => cores,
        // Affinity and cgroup quota are respected by this one.
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let slice = variable("RADDLE_SLICE", parse_slice)?;
    Ok(Settings {
        cores,
        slice_ns: slice.flatten().unwrap_or(BASE_SLICE_NS),
        timer_slack_ns: variable("RADDLE_TIMER_SLACK", parse_slack)?.unwrap_or(TIMER_SLACK_NS),
        stack_bytes: variable("RADDLE_STACK", parse_stack)?.unwrap_or(256 * 1024),
        signal: variable("RADDLE_SIGNAL", parse_signal)?.unwrap_or(libc::SIGURG),
        preempts: slice != Some(None),
        keep_alive_ns: variable("RADDLE_KEEP_ALIVE", parse_keep_alive)?.unwrap_or(KEEP_ALIVE),
        dump: variable("RADDLE_DUMP_SIGNAL", parse_dump_signal)?.unwrap_or_default(),
        trace: trace_path()?,
        trace_events: variable("RADDLE_TRACE_EVENTS", parse_events)?.unwrap_or(65_536),
    })
}

/// Any name will do for a file, also one that is no text.
fn trace_path() -> io::Result<Option<PathBuf>> {
    match std::env::var_os("RADDLE_TRACE") {
        Some(path) if path.is_empty() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "RADDLE_TRACE=: give the name of a file, like trace.json; %p in it becomes the process's id",
        )),
        path => Ok(path.map(PathBuf::from)),
    }
}

/// The value of one variable; a value that can't be read is an error that says what would do.
fn variable<T>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> io::Result<Option<T>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    let text = text.to_string_lossy();
    match parse(text.trim()) {
        Ok(value) => Ok(Some(value)),
        Err(expected) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name}={text}: {expected}")))
        }
    }
}

fn parse_count(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err("give a number of cores from 1 to 1024"),
    }
}

/// `None` is "off": threads give way only when they wait.
fn parse_slice(text: &str) -> Result<Option<u64>, &'static str> {
    const EXPECTED: &str =
        "give a time from 50us to 1s with its unit, like 4ms or 500us, or off for no preemption";
    if text == "off" {
        return Ok(None);
    }
    match parse_time_ns(text) {
        Some(ns @ 50_000..=1_000_000_000) => Ok(Some(ns)),
        _ => Err(EXPECTED),
    }
}

fn parse_slack(text: &str) -> Result<u64, &'static str> {
    match text {
        "0" => Ok(0),
        _ => parse_time_ns(text)
            .filter(|ns| (0..=TIMER_SLACK_AT_MOST_NS).contains(ns))
            .ok_or("give a time up to 100ms with its unit, like 100us or 1ms, or 0"),
    }
}

fn parse_keep_alive(text: &str) -> Result<u64, &'static str> {
    parse_time_ns(text)
        .filter(|ns| KEEP_ALIVE_NS.contains(ns))
        .ok_or("give a time from 1ms to 86400s with its unit, like 2s or 500ms")
}

/// A number with its unit.
fn parse_time_ns(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale))
}

fn parse_stack(text: &str) -> Result<usize, &'static str> {
    const EXPECTED: &str = "give a power of two from 64K to 1G, like 256K";
    let (number, scale) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1024),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1024 * 1024),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1024 * 1024 * 1024),
        _ => (text, 1),
    };
    match number.parse::<usize>().ok().and_then(|number| number.checked_mul(scale)) {
        Some(bytes @ 65_536..=1_073_741_824) if bytes.is_power_of_two() => Ok(bytes),
        _ => Err(EXPECTED),
    }
}

fn parse_events(text: &str) -> Result<usize, &'static str> {
    match text.parse::<usize>() {
        Ok(events @ 16..=16_777_216) if events.is_power_of_two() => Ok(events),
        _ => Err(
            "give a power of two from 16 to 16777216, like 65536: so many events of each core are kept",
        ),
    }
}

fn parse_signal(text: &str) -> Result<i32, &'static str> {
    match text {
        "SIGURG" | "URG" => return Ok(libc::SIGURG),
        "SIGUSR1" | "USR1" => return Ok(libc::SIGUSR1),
        "SIGUSR2" | "USR2" => return Ok(libc::SIGUSR2),
        _ => {}
    }
    const EXPECTED: &str = "give SIGURG, SIGUSR1, SIGUSR2 or the number of a real-time signal";
    match text.parse() {
        Ok(signal) if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal) => Ok(signal),
        _ => Err(EXPECTED),
    }
}

fn parse_dump_signal(text: &str) -> Result<DumpSignal, &'static str> {
    if text == "off" {
        return Ok(DumpSignal::Off);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let signal = match DUMP_SIGNALS.iter().find(|(_, known)| *known == name) {
        Some((signal, _)) => *signal,
        None => text.parse().map_err(|_| DUMP_SIGNAL_EXPECTED)?,
    };
    check_dump_signal(signal).map(DumpSignal::Wished)
}

/// Signals by which programs are asked for things.
const DUMP_SIGNALS: [(i32, &str); 4] = [
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGHUP, "HUP"),
];

const DUMP_SIGNAL_EXPECTED: &str =
    "give SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, the number of a real-time signal, or off";

/// The signal, if it can ask for lists of threads.
pub(crate) fn check_dump_signal(signal: i32) -> Result<i32, &'static str> {
    let is_known = DUMP_SIGNALS.iter().any(|(known, _)| *known == signal);
    let is_real_time = (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal);
    if is_known || is_real_time { Ok(signal) } else { Err(DUMP_SIGNAL_EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_units() {
        assert_eq!(parse_slice("4ms"), Ok(Some(4_000_000)));
        assert_eq!(parse_slice("100us"), Ok(Some(100_000)));
        assert_eq!(parse_slice("1s"), Ok(Some(1_000_000_000)));
        assert_eq!(parse_slice("off"), Ok(None));
        for wrong in ["", "4", "ms", "4 ms", "-1ms", "10us", "2s", "99999999999999999999s", "4ns"] {
            assert!(parse_slice(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn slack_has_a_unit_or_is_none() {
        assert_eq!(parse_slack("0"), Ok(0));
        assert_eq!(parse_slack("100us"), Ok(100_000));
        assert_eq!(parse_slack("100ms"), Ok(100_000_000));
        for wrong in ["", "1", "us", "1s", "101ms", "-1us", "off"] {
            assert!(parse_slack(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spares_are_kept_for_a_time_with_a_unit() {
        assert_eq!(parse_keep_alive("1ms"), Ok(1_000_000));
        assert_eq!(parse_keep_alive("2s"), Ok(KEEP_ALIVE));
        for wrong in ["", "0", "2", "999us", "86401s", "off"] {
            assert!(parse_keep_alive(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn stacks_are_powers_of_two() {
        assert_eq!(parse_stack("256K"), Ok(262_144));
        assert_eq!(parse_stack("1M"), Ok(1_048_576));
        assert_eq!(parse_stack("65536"), Ok(65_536));
        for wrong in ["", "K", "100K", "32K", "2G", "x"] {
            assert!(parse_stack(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signals_that_list_threads_have_names_and_can_be_turned_off() {
        assert_eq!(parse_dump_signal("off"), Ok(DumpSignal::Off));
        assert_eq!(parse_dump_signal("QUIT"), Ok(DumpSignal::Wished(libc::SIGQUIT)));
        assert_eq!(parse_dump_signal("SIGUSR1"), Ok(DumpSignal::Wished(libc::SIGUSR1)));
        assert_eq!(parse_dump_signal("40"), Ok(DumpSignal::Wished(40)));
        for wrong in ["", "on", "SIGKILL", "9", "11", "-1", "1000"] {
            assert!(parse_dump_signal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_and_signals_are_checked() {
        assert_eq!(parse_count("2"), Ok(2));
        assert!(parse_count("0").is_err() && parse_count("two").is_err());
        assert_eq!(parse_signal("SIGURG"), Ok(libc::SIGURG));
        assert_eq!(parse_signal("40"), Ok(40));
        assert!(parse_signal("9").is_err() && parse_signal("SIGKILL").is_err());
    }

    #[test]
    fn events_are_powers_of_two() {
        assert_eq!(parse_events("65536"), Ok(65_536));
        for wrong in ["", "0", "8", "1000", "-16", "33554432", "64K"] {
            assert!(parse_events(wrong).is_err(), "{wrong}");
        }
    }
}
