//! The list as it is written: a line with counts, then a paragraph for each group, each with one write.
//!
//! ```text
//! raddle: 102 threads of process 4711: 1 running, 0 blocked in the kernel, 1 ready, 100 asleep; 2 cores, 4 workers, 1 of them spare
//! thread "compute" (id 5)
//!   running on core 1, for 4 ms
//!     #0 program::step at src/main.rs:12
//! 100 threads like this: "reader-0" (id 7), "reader-1" (id 8), ... and 95 more
//!   parked, for 1.2 s to 1.3 s
//!     #0 raddle::thread::current::park at ...
//! ```

use super::group::{Group, Groups, Kind};
use super::look::{Doing, Looker};
use super::output;
use super::symbols::Symbols;
use crate::label::Label;
use crate::machine::{Blocks, Runtime, ThreadRef};
use crate::newborns;
use crate::sys::clock;
use std::collections::HashMap;
use std::fmt::{self, Write};

/// Groups that are written.
const GROUPS: usize = 50;

/// Where a ready thread stands: the core, how many run before it, how many are queued there.
type Places = HashMap<usize, (usize, usize, usize)>;

/// Looks at all threads, and writes the list.
pub(super) fn write(runtime: &'static Runtime) {
    let places = places(runtime);
    let mut groups = Groups::default();
    let mut counts = [0usize; 4];
    let mut looker = Looker::new(runtime);
    for body in
        std::iter::once(&runtime.arena).chain(runtime.large.iter()).flat_map(|arena| arena.bodies())
    {
        let Some(sample) = looker.look_at(ThreadRef::of_body(body)) else { continue };
        let kind = match sample.doing {
            Doing::Running(_) | Doing::Inside => 0,
            Doing::Blocked { .. } => 1,
            Doing::Ready => 2,
            Doing::Sleeps { .. } => 3,
        };
        counts[kind] += 1;
        groups.add(sample);
    }
    let mut text = String::new();
    let _ = header(&mut text, runtime, counts);
    output::write(text.as_bytes());
    let groups = groups.sorted();
    let mut symbols = Symbols::default();
    let now = clock::now_ns();
    for group in groups.iter().take(GROUPS) {
        text.clear();
        let _ = paragraph(&mut text, group, &places, now);
        let rest = match group.kind {
            Kind::Blocked(_) => "... its callers are not known; gdb finds them",
            _ => "... and frames that are not listed",
        };
        symbols.write(&group.trace, rest, &mut text);
        output::write(text.as_bytes());
    }
    let rest = &groups[groups.len().min(GROUPS)..];
    text.clear();
    if !rest.is_empty() {
        let threads: usize = rest.iter().map(|group| group.count).sum();
        let _ = writeln!(text, "{threads} more threads in {} groups are not listed", rest.len());
    }
    let _ = writeln!(text, "raddle: end of the list");
    output::write(text.as_bytes());
}

/// Who stands where in the queues, of the first ones.
fn places(runtime: &'static Runtime) -> Places {
    const AT_MOST: usize = 1000;
    let mut places = Places::new();
    for core in &runtime.cores {
        // Nothing is allocated under the lock.
        let mut first = Vec::with_capacity(AT_MOST);
        let queued = {
            let mut queue = core.queue.lock();
            newborns::queue_theirs(core, &mut queue, runtime.coarse_ns(), usize::MAX);
            first.extend(queue.ready.threads.iter(&Blocks).take(AT_MOST).map(|placed| placed.key));
            queue.ready.threads.len()
        };
        let place = |(at, thread): (usize, ThreadRef)| {
            (thread.as_ptr().addr(), (core.index, at + 1, queued))
        };
        places.extend(first.into_iter().enumerate().map(place));
    }
    places
}

fn header(text: &mut String, runtime: &Runtime, counts: [usize; 4]) -> fmt::Result {
    let all: usize = counts.iter().sum();
    let [running, blocked, ready, asleep] = counts;
    let workers = runtime.workers().count();
    let spares = runtime.spares.lock().parked();
    writeln!(
        text,
        "raddle: {all} {} of process {}: {running} running, {blocked} blocked in the kernel, {ready} ready, {asleep} asleep; \
         {} cores, {workers} workers, {spares} of them spare",
        if all == 1 { "thread" } else { "threads" },
        std::process::id(),
        runtime.cores.len(),
    )
}

fn paragraph(text: &mut String, group: &Group, places: &Places, now: u64) -> fmt::Result {
    match group.count {
        1 => write!(text, "thread ")?,
        count => write!(text, "{count} threads like this: ")?,
    }
    for (number, (record, _)) in group.named.iter().enumerate() {
        text.push_str(if number > 0 { ", " } else { "" });
        match record.as_deref().map(|record| (record.id, record.name.as_deref())) {
            Some((id, Some(name))) => write!(text, "{name:?} (id {id})")?,
            Some((id, None)) => write!(text, "id {id}")?,
            None => write!(text, "of an unknown id")?,
        }
    }
    match group.count - group.named.len() {
        0 => text.push('\n'),
        more => writeln!(text, ", ... and {more} more")?,
    }
    write!(text, "  ")?;
    doing(text, group, places)?;
    // Of a ready thread it is not known since when: what is noted is when it last ran or fell asleep.
    if let Some(since) = group.since_ns.filter(|_| group.kind != Kind::Ready) {
        let passed = |at: u64| Time(now.saturating_sub(at));
        write!(text, ", for {}", Spread(passed(since.high), passed(since.low)))?;
    }
    if let Some(until) = group.until_ns {
        let left = |at: u64| Time(at.saturating_sub(now));
        write!(text, ", at most {} more", Spread(left(until.low), left(until.high)))?;
    }
    text.push('\n');
    Ok(())
}

fn doing(text: &mut String, group: &Group, places: &Places) -> fmt::Result {
    let cores = |text: &mut String| -> fmt::Result {
        let mut cores: Vec<Option<usize>> =
            group.named.iter().map(|(_, doing)| core_of(doing)).collect();
        cores.sort_unstable();
        cores.dedup();
        let on = cores.iter().filter(|core| core.is_some()).count();
        let mut before = if on > 1 { " on cores " } else { " on core " };
        for core in cores.iter().flatten() {
            write!(text, "{before}{core}")?;
            before = ", ";
        }
        match (on, cores.first()) {
            (0, Some(None)) => write!(text, " without a core"),
            (_, Some(None)) => write!(text, " or without one"),
            _ => Ok(()),
        }
    };
    match group.kind {
        Kind::Running => {
            write!(text, "running")?;
            cores(text)
        }
        Kind::Inside => write!(text, "inside the runtime"),
        Kind::Blocked(call) => {
            write!(text, "blocked in the kernel")?;
            match call {
                Some(call) => write!(text, " ({}),", Call(call))?,
                None => text.push(','),
            }
            cores(text)
        }
        Kind::Ready => match places.get(&group.first) {
            Some((core, at, queued)) if group.count == 1 => {
                write!(text, "ready, {} of {queued} on core {core}", Ordinal(*at))
            }
            _ => write!(text, "ready"),
        },
        Kind::Sleeps(what) => {
            write!(text, "{}", what.said())?;
            match group.address {
                Some(0) => Ok(()),
                Some(id) if what == Label::JOIN => write!(text, " (id {id})"),
                None if what == Label::JOIN => write!(text, " (different ones)"),
                Some(number) if what.is_on_descriptor() => write!(text, " on descriptor {number}"),
                None if what.is_on_descriptor() => write!(text, " on different descriptors"),
                Some(address) => write!(text, " at {address:#x}"),
                None => write!(text, " at different addresses"),
            }
        }
    }
}

fn core_of(doing: &Doing) -> Option<usize> {
    match doing {
        Doing::Running(core) | Doing::Blocked { core, .. } => *core,
        _ => None,
    }
}

/// Nanoseconds for people.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        match ns {
            0..1_000_000 => write!(f, "{} us", ns / 1_000),
            1_000_000..1_000_000_000 => write!(f, "{} ms", ns / 1_000_000),
            1_000_000_000..100_000_000_000 => {
                write!(f, "{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10)
            }
            _ => {
                let minutes = ns / 60_000_000_000;
                match minutes {
                    0..100 => write!(f, "{minutes} min {} s", ns / 1_000_000_000 % 60),
                    _ => write!(f, "{} h {} min", minutes / 60, minutes % 60),
                }
            }
        }
    }
}

/// From one time to another; one of them if both read the same.
struct Spread(Time, Time);

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.0.to_string(), self.1.to_string());
        if low == high { write!(f, "{low}") } else { write!(f, "{low} to {high}") }
    }
}

/// 1st, 2nd, 3rd, 4th.
struct Ordinal(usize);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{end}", self.0)
    }
}

/// A system call by its number, and by its name if it is one that often waits.
struct Call(u64);

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: &[(i64, &str)] = &[
            (libc::SYS_read, "read"),
            (libc::SYS_write, "write"),
            (libc::SYS_readv, "readv"),
            (libc::SYS_writev, "writev"),
            (libc::SYS_poll, "poll"),
            (libc::SYS_ppoll, "ppoll"),
            (libc::SYS_select, "select"),
            (libc::SYS_pselect6, "pselect6"),
            (libc::SYS_epoll_wait, "epoll_wait"),
            (libc::SYS_epoll_pwait, "epoll_pwait"),
            (libc::SYS_futex, "futex"),
            (libc::SYS_nanosleep, "nanosleep"),
            (libc::SYS_clock_nanosleep, "clock_nanosleep"),
            (libc::SYS_connect, "connect"),
            (libc::SYS_accept, "accept"),
            (libc::SYS_accept4, "accept4"),
            (libc::SYS_recvfrom, "recvfrom"),
            (libc::SYS_recvmsg, "recvmsg"),
            (libc::SYS_sendto, "sendto"),
            (libc::SYS_sendmsg, "sendmsg"),
            (libc::SYS_wait4, "wait4"),
            (libc::SYS_waitid, "waitid"),
            (libc::SYS_flock, "flock"),
            (libc::SYS_fcntl, "fcntl"),
            (libc::SYS_fsync, "fsync"),
            (libc::SYS_openat, "openat"),
        ];
        match NAMES.iter().find(|(number, _)| *number as u64 == self.0) {
            Some((_, name)) => write!(f, "{name}"),
            None => write!(f, "system call {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let ordinals: Vec<String> =
            [1, 2, 3, 4, 11, 12, 13, 21, 112].map(|n| Ordinal(n).to_string()).into();
        assert_eq!(ordinals, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
        let times = [999, 1_500, 2_000_000, 1_250_000_000, 123_456_000_000, 100_054_000_000_000]
            .map(|ns| Time(ns).to_string());
        assert_eq!(times, ["0 us", "1 us", "2 ms", "1.2 s", "2 min 3 s", "27 h 47 min"]);
        assert_eq!(Call(0).to_string(), "read");
        assert_eq!(Call(9_999).to_string(), "system call 9999");
    }
}
