//! The trace as JSON, in the trace event format that Perfetto and Chrome read.
//!
//! Three "processes" group the tracks: the cores, the threads, and kernel threads that are no workers. What lasts is a
//! complete event (`X`), what happens an instant (`i`); a wake is a flow (`s`, `f`) from who wakes to where the woken thread runs.
//! Spans of one track follow one another and are never nested.
//!
//! The writer is by hand: five kinds of lines, numbers, and names to be escaped. A JSON library would be three crates more
//! in what users build.

use super::event::{Ended, Waker};
use super::story::{Mark, Piece, Span, Then, Track};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

/// What a reader of the file is told besides the story.
pub(super) struct Head {
    pub(super) process: u32,
    pub(super) cores: usize,
    /// What each ring holds at most.
    pub(super) events: usize,
    /// On `CLOCK_MONOTONIC`: the file's moment 0.
    pub(super) start_ns: u64,
    /// Lost from each core's ring, and last from that of kernel threads.
    pub(super) lost: Vec<u64>,
    /// From here on nothing is missing.
    pub(super) complete_from_ns: u64,
}

/// Writes a file from its first to its last byte.
pub(super) struct Writer<W: Write> {
    out: W,
    start_ns: u64,
    names: BTreeMap<u64, Box<str>>,
    seen: BTreeSet<Track>,
    /// The first error, which ends the writing.
    failed: Option<io::Error>,
}

/// The three groups, by number. A viewer takes the thread whose number is its process's for the main one and shows it first: so
/// these are not numbers of cores.
const CORES: u32 = 2001;
const THREADS: u32 = 2002;
const KERNEL_THREADS: u32 = 2003;

/// Where a track is found: process and thread, as the format has it.
fn ids(track: Track) -> (u32, u64) {
    match track {
        Track::Core(core) => (CORES, u64::from(core)),
        Track::Thread(thread) => (THREADS, thread),
        Track::KernelThread(id) => (KERNEL_THREADS, id),
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(super) fn new(out: W, head: &Head, names: BTreeMap<u64, Box<str>>) -> Writer<W> {
        let (start_ns, seen) = (head.start_ns, BTreeSet::new());
        let mut writer = Writer { out, start_ns, names, seen, failed: None };
        // Cores are there even if nothing ever ran on them.
        writer.seen.extend((0..head.cores as u32).map(Track::Core));
        writer.put(format_args!("{{\"displayTimeUnit\":\"ns\",\n\"otherData\":{{"));
        let version = env!("CARGO_PKG_VERSION");
        writer.put(format_args!(
            "\"raddle\":\"{version}\",\"process\":{},\"cores\":{},\"clock\":\"CLOCK_MONOTONIC\",\"start_ns\":{},",
            head.process, head.cores, head.start_ns
        ));
        let total: u64 = head.lost.iter().sum();
        writer.put(format_args!("\"events_per_core\":{},\"events_lost\":{total}", head.events));
        let complete_from = head.complete_from_ns.saturating_sub(head.start_ns) / 1000;
        writer.put(format_args!(",\"complete_from_us\":{complete_from}"));
        for (core, lost) in head.lost.iter().enumerate() {
            if core < head.cores {
                writer.put(format_args!(",\"events_lost_core_{core}\":{lost}"));
            } else {
                writer.put(format_args!(",\"events_lost_outside\":{lost}"));
            }
        }
        writer.put(format_args!("}},\n\"traceEvents\":["));
        let groups = [(CORES, "cores"), (THREADS, "threads"), (KERNEL_THREADS, "kernel threads")];
        for (at, (process, name)) in groups.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            writer.put(format_args!(
                "{comma}\n{{\"ph\":\"M\",\"pid\":{process},\"name\":\"process_name\",\"args\":{{\"name\":\"{name}\"}}}}"
            ));
            writer.put(format_args!(
                ",\n{{\"ph\":\"M\",\"pid\":{process},\"name\":\"process_sort_index\",\"args\":{{\"sort_index\":{process}}}}}"
            ));
        }
        writer
    }

    /// One piece of the story.
    pub(super) fn piece(&mut self, piece: &Piece) {
        match *piece {
            Piece::Span { track, from, to, span } => self.span(track, from, to, span),
            Piece::Mark { track, at, mark } => self.mark(track, at, mark),
            Piece::ArrowStart { track, at, number } => {
                self.begin('s', track, at);
                self.put(format_args!(",\"cat\":\"wake\",\"name\":\"wake\",\"id\":{number}}}"));
            }
            Piece::ArrowEnd { track, at, number } => {
                self.begin('f', track, at);
                self.put(format_args!(
                    ",\"bp\":\"e\",\"cat\":\"wake\",\"name\":\"wake\",\"id\":{number}}}"
                ));
            }
            Piece::Waiting { core, at, threads } => {
                self.begin('C', Track::Core(core), at);
                self.put(format_args!(
                    ",\"name\":\"ready on core {core}\",\"args\":{{\"threads\":{threads}}}}}"
                ));
            }
        }
    }

    /// Ends the file. `kernel_name` is asked what a kernel thread is called.
    ///
    /// # Errors
    ///
    /// The first that writing met.
    pub(super) fn end(mut self, kernel_name: impl Fn(u64) -> Option<String>) -> io::Result<()> {
        for track in std::mem::take(&mut self.seen) {
            let (process, id) = ids(track);
            let name = match track {
                Track::Core(core) => format!("core {core}"),
                Track::Thread(thread) => self.name(thread).to_string(),
                Track::KernelThread(id) => {
                    kernel_name(id).unwrap_or_else(|| format!("kernel thread {id}"))
                }
            };
            let name = Text(&name);
            self.put(format_args!(
                ",\n{{\"ph\":\"M\",\"pid\":{process},\"tid\":{id},\"name\":\"thread_name\",\"args\":{{\"name\":{name}}}}}"
            ));
            self.put(format_args!(
                ",\n{{\"ph\":\"M\",\"pid\":{process},\"tid\":{id},\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{id}}}}}"
            ));
        }
        self.put(format_args!("\n]}}\n"));
        let flushed = self.out.flush();
        self.failed.map_or(flushed, Err)
    }

    fn span(&mut self, track: Track, from: u64, to: u64, span: Span) {
        self.begin('X', track, from);
        let ns = to.saturating_sub(from);
        self.put(format_args!(",\"dur\":{}.{:03}", ns / 1000, ns % 1000));
        match span {
            Span::Of { thread, worker, then } => {
                let name = self.name(thread).to_string();
                self.put(format_args!(
                    ",\"name\":{},\"args\":{{\"thread\":{thread},\"worker\":{worker},\"then\":\"{}\"}}}}",
                    Text(&name),
                    word(then)
                ));
            }
            Span::Running { core, worker, then } => self.put(format_args!(
                ",\"name\":\"running\",\"args\":{{\"core\":{core},\"worker\":{worker},\"then\":\"{}\"}}}}",
                word(then)
            )),
            Span::Ready { core, waker } => {
                self.put(format_args!(",\"name\":\"ready\",\"args\":{{\"core\":{core}"));
                self.waker(waker);
                self.put(format_args!("}}}}"));
            }
            Span::Sleeping { why, woken } => {
                let (file, line) = why.place();
                let what = why.what().said();
                let at = format!("{file}:{line}");
                let at = Text(&at);
                self.put(format_args!(",\"name\":\"{what}\",\"args\":{{\"at\":{at},"));
                let ended = match woken.map(|(_, ended)| ended) {
                    None => "not yet",
                    Some(Ended::Ready) => "ready",
                    Some(Ended::TimedOut) => "timed out",
                    Some(Ended::Cancelled) => "cancelled",
                    Some(Ended::Signalled) => "signalled",
                };
                self.put(format_args!("\"ended\":\"{ended}\""));
                if let Some((waker, Ended::Ready | Ended::Cancelled | Ended::Signalled)) = woken {
                    self.waker(waker);
                }
                self.put(format_args!("}}}}"));
            }
            Span::Blocked { worker } => self.put(format_args!(
                ",\"name\":\"blocked in the kernel\",\"args\":{{\"worker\":{worker}}}}}"
            )),
            Span::Waking { thread } => {
                self.put(format_args!(",\"name\":\"wakes\",\"args\":{{\"thread\":{thread}}}}}"));
            }
        }
    }

    fn mark(&mut self, track: Track, at: u64, mark: Mark) {
        self.begin('i', track, at);
        self.put(format_args!(",\"s\":\"t\""));
        match mark {
            Mark::Preempted { thread, used_up } => {
                let why = if used_up { "its slice is over" } else { "another is more urgent" };
                self.put(format_args!(
                    ",\"name\":\"preempted\",\"args\":{{\"thread\":{thread},\"why\":\"{why}\"}}}}"
                ));
            }
            Mark::PreemptedInVain { thread } => self.put(format_args!(
                ",\"name\":\"preempted in vain\",\"args\":{{\"thread\":{thread}}}}}"
            )),
            Mark::Stole { first, victim, count } => self.put(format_args!(
                ",\"name\":\"steal\",\"args\":{{\"from_core\":{victim},\"threads\":{count},\"thread\":{first}}}}}"
            )),
            Mark::HandedOver { thread, from, to } => self.put(format_args!(
                ",\"name\":\"hand-over\",\"args\":{{\"thread\":{thread},\"from_worker\":{from},\"to_worker\":{to}}}}}"
            )),
            Mark::Signalled { worker } => {
                self.put(format_args!(",\"name\":\"signal\",\"args\":{{\"worker\":{worker}}}}}"));
            }
            Mark::PutOff => self.put(format_args!(",\"name\":\"put off: in libc\"}}")),
            Mark::Operated { what, descriptor, result } => {
                let what = what.said();
                let (kind, value) = if result < 0 { ("errno", -i64::from(result)) } else { ("result", result.into()) };
                self.put(format_args!(
                    ",\"name\":\"{what}: done\",\"args\":{{\"descriptor\":{descriptor},\"{kind}\":{value}}}}}"
                ));
            }
        }
    }

    fn waker(&mut self, waker: Waker) {
        match waker {
            Waker::Unknown => {}
            Waker::Thread(id) => self.put(format_args!(",\"by_thread\":{id}")),
            Waker::KernelThread(id) => self.put(format_args!(",\"by_kernel_thread\":{id}")),
        }
    }

    /// A line up to where its own fields follow.
    fn begin(&mut self, phase: char, track: Track, at: u64) {
        self.seen.insert(track);
        let (process, thread) = ids(track);
        let ns = at.saturating_sub(self.start_ns);
        // Microseconds with three decimals, and a tenth of a nanosecond more: Perfetto multiplies by 1000 and cuts off, and of
        // .001 as a binary fraction nothing might be left. A length errs to the short side, so spans never overlap.
        self.put(format_args!(
            ",\n{{\"ph\":\"{phase}\",\"pid\":{process},\"tid\":{thread},\"ts\":{}.{:03}1",
            ns / 1000,
            ns % 1000
        ));
    }

    fn name(&self, thread: u64) -> Name<'_> {
        Name(self.names.get(&thread).map(|name| &**name), thread)
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        if self.failed.is_none() {
            self.failed = self.out.write_fmt(text).err();
        }
    }
}

/// What a thread is called.
struct Name<'a>(Option<&'a str>, u64);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => f.write_str(name),
            None => write!(f, "thread {}", self.1),
        }
    }
}

fn word(then: Then) -> &'static str {
    match then {
        Then::GaveWay => "gave way",
        Then::Preempted => "preempted",
        Then::Slept => "slept",
        Then::Ended => "ended",
        Then::Blocked => "blocked in the kernel",
        Then::Unknown => "?",
    }
}

/// A string as JSON has it, with its quotes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                // Line separators are legal in JSON, but not where it is read as JavaScript.
                '\0'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                    write!(f, "\\u{:04x}", u32::from(char))?;
                }
                _ => f.write_str(char.encode_utf8(&mut [0; 4]))?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        for (text, json) in [
            ("", r#""""#),
            ("plain ü 线程", r#""plain ü 线程""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\t\u{1}\u{7f}", r#""\u000a\u0009\u0001\u007f""#),
            ("\u{2028}", r#""\u2028""#),
        ] {
            assert_eq!(Text(text).to_string(), json);
        }
    }

    #[test]
    fn an_error_of_the_file_comes_out() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let head = Head {
            process: 1,
            cores: 1,
            events: 2,
            start_ns: 0,
            lost: vec![0, 0],
            complete_from_ns: 0,
        };
        let writer = Writer::new(Full, &head, BTreeMap::new());
        assert_eq!(writer.end(|_| None).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
