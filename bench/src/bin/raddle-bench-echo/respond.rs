//! What load generators ask: a server of HTTP on epoll, by hand. Its answers are always the same 13 bytes, and it knows of a request no more than
//! where it ends and whether it is the connection's last.
//!
//! With a delay it keeps a record, and says it to who asks for `/record`: how long it was from a request's coming to its answer's
//! going, both by the kernel's stamp; percentiles and all times until then, but for those of the first `skip` milliseconds, which are for connecting. While it delays it does not sleep: it
//! has a processor of its own, and no kernel's timer is in what it does. It may lose that processor all the same, to another program or to the
//! host of a virtual machine; what has come meanwhile has waited then, which only the kernel's stamps know.

#![allow(unsafe_code, reason = "sockets without std's tables in between")]

use super::arrival;
use super::calls::failed;
use super::delays::Delay;
use super::epoll::{accept, listen, send, wait, watch};
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::now_ns;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
/// Who is not told so takes the end of a connection for a failure: wrk.
const LAST_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: close\r\n\r\nHello, World!";
const BUFFER_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1024;
const END: &[u8] = b"\r\n\r\n";

/// Those that are told of; of no more than a thousandth of all, as there are some thousands.
const PERCENTS: [f64; 7] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9];

/// What is known of a descriptor.
#[derive(Default)]
struct Connection {
    /// The beginning of a head whose end has not come.
    rest: Vec<u8>,
    /// Which connection of this descriptor it is: a late answer is not for the next one.
    age: u64,
}

/// What was read asks for.
#[derive(Default)]
struct Asked {
    requests: usize,
    is_last: bool,
    wants_record: bool,
}

/// An answer that is not due yet: when, whose request it is, and when that came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at_ns: u64,
    number: u64,
    came_ns: u64,
    fd: i32,
    age: u64,
    closes: bool,
}

/// Serves until the driver has seen enough.
pub(crate) fn serve(arguments: &Arguments) -> Result<Said, String> {
    let mut server = Server {
        delay: Delay::parse(arguments.text("delay"))?,
        skip_ns: arguments.number("skip").unwrap_or(0) as u64 * 1_000_000,
        connections: Vec::new(),
        waiting: BinaryHeap::new(),
        took_ns: Vec::new(),
        first_ns: None,
        count: 0,
    };
    let (listener, epoll) = listen()?;
    let own = listener.as_raw_fd();
    if server.delay.is_some() {
        arrival::stamp(own)?;
        arrival::stamp_departures(own)?;
    }
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut buffer = vec![0; BUFFER_BYTES];
    let patience = if server.delay.is_some() { 0 } else { -1 };
    loop {
        for event in wait(epoll, &mut events, patience)? {
            let fd = event.u64 as i32;
            if fd != own {
                if !server.read(fd, &mut buffer)? {
                    server.close(fd);
                }
                continue;
            }
            accept(own, |fd| {
                server.admit(fd);
                watch(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32)
            })?;
        }
        server.answer_those_due()?;
    }
}

struct Server {
    delay: Option<Delay>,
    /// For so long from the first request on there is no record.
    skip_ns: u64,
    connections: Vec<Connection>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Its record: from a request's coming to its answer's going.
    took_ns: Vec<u64>,
    /// When the first request came.
    first_ns: Option<u64>,
    count: u64,
}

impl Server {
    fn admit(&mut self, fd: i32) {
        let at = fd as usize;
        if self.connections.len() <= at {
            self.connections.resize_with(at + 1, Connection::default);
        }
        let age = self.connections[at].age + 1;
        self.connections[at] = Connection { age, rest: Vec::new() };
    }

    /// Reads once; false at the end. A client that does not read what it has asked for is none.
    fn read(&mut self, fd: i32, buffer: &mut [u8]) -> Result<bool, String> {
        let (count, came_ns) = match self.delay {
            // SAFETY: the kernel writes at most as many bytes as there is room for.
            None => (unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) }, 0),
            Some(_) => {
                let read = arrival::read(fd, buffer)?;
                (read.count, read.came_ns)
            }
        };
        let count = match usize::try_from(count) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(_) => return Ok(io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock),
        };
        let connection = &mut self.connections[fd as usize];
        let asked = take(&mut connection.rest, &buffer[..count]);
        if asked.wants_record {
            let record = self.record()?;
            // Whether it was taken whole is seen by its length.
            _ = send(fd, &record);
            return Ok(false);
        }
        let Some(delay) = self.delay else { return Ok(answer(fd, &asked)) };
        let age = connection.age;
        let first = *self.first_ns.get_or_insert(came_ns);
        for _ in 0..asked.requests {
            // Those that have waited are read in any order.
            let at_ns = first + delay.answer_at(self.count, came_ns.saturating_sub(first));
            let (number, closes) = (self.count, asked.is_last);
            self.waiting.push(Reverse(Waiting { at_ns, number, came_ns, fd, age, closes }));
            self.count += 1;
        }
        Ok(true)
    }

    fn answer_those_due(&mut self) -> Result<(), String> {
        while let Some(Reverse(next)) = self.waiting.peek() {
            if next.at_ns > now_ns()? {
                return Ok(());
            }
            let Some(Reverse(one)) = self.waiting.pop() else { return Ok(()) };
            if self.connections[one.fd as usize].age != one.age {
                continue;
            }
            let asked = Asked { requests: 1, is_last: one.closes, wants_record: false };
            let before_ns = now_ns()?;
            let stays = answer(one.fd, &asked);
            // The call goes on when the answer has gone: it wakes whoever waits, which leaves the virtual machine, and there its host may take the
            // processor.
            let gone_ns = arrival::departure(one.fd)?.unwrap_or(before_ns);
            if !stays {
                self.close(one.fd);
            }
            if self.first_ns.is_some_and(|first| one.came_ns >= first + self.skip_ns) {
                self.took_ns.push(gone_ns.saturating_sub(one.came_ns));
            }
        }
        Ok(())
    }

    /// Its descriptor may be another's from here on; what still waits for it knows its age.
    fn close(&mut self, fd: i32) {
        self.connections[fd as usize].age += 1;
        // SAFETY: a connection's descriptor, which is used no more.
        unsafe { libc::close(fd) };
    }

    /// As an answer, in nanoseconds.
    fn record(&mut self) -> Result<Vec<u8>, String> {
        let mut said = Said::figures([("count", self.took_ns.len() as f64)]);
        said.figures.extend(percentiles("p", &mut self.took_ns));
        let all = self.took_ns.iter().map(|ns| *ns as f64);
        said.figures.insert("all".to_owned(), all.collect());
        let text = serde_json::to_string(&said).map_err(failed("the record"))?;
        let len = text.len();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        Ok((head + &text).into_bytes())
    }
}

/// Percentiles of these times, by names that begin so. They are sorted for it.
pub(super) fn percentiles(
    prefix: &str,
    times_ns: &mut [u64],
) -> impl Iterator<Item = (String, Vec<f64>)> {
    times_ns.sort_unstable();
    PERCENTS.into_iter().map(move |percent| {
        let rank = (times_ns.len() as f64 * percent / 100.0 - 1e-9).ceil() as usize;
        let value = times_ns.get(rank.max(1) - 1).map(|ns| *ns as f64);
        (format!("{prefix}{percent}"), value.into_iter().collect())
    })
}

/// Counts heads in what has come, behind what was left of it before.
fn take(rest: &mut Vec<u8>, came: &[u8]) -> Asked {
    let is_whole = rest.is_empty() && came.ends_with(END);
    let text: &[u8] = if is_whole {
        came
    } else {
        rest.extend_from_slice(came);
        rest
    };
    let mut asked = Asked::default();
    let (mut from, mut at) = (0, 0);
    while at + END.len() <= text.len() {
        if text[at] != b'\r' || &text[at..at + END.len()] != END {
            at += 1;
            continue;
        }
        at += END.len();
        asked.requests += 1;
        asked.is_last |= is_last(&text[from..at]);
        asked.wants_record |= text[from..at].starts_with(b"GET /record ");
        from = at;
    }
    if !is_whole {
        rest.drain(..from);
    }
    asked
}

/// Whether a head says `Connection: close`, in whatever case.
fn is_last(head: &[u8]) -> bool {
    const CLOSE: &[u8] = b"\nconnection: close\r";
    let starts = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let mut lines = starts.filter_map(|at| head.get(at..at + CLOSE.len()));
    lines.any(|line| line.eq_ignore_ascii_case(CLOSE))
}

/// Answers; false if that was the last.
fn answer(fd: i32, asked: &Asked) -> bool {
    let one = if asked.is_last { LAST_ANSWER } else { ANSWER };
    let sent = match asked.requests {
        0 => return true,
        1 => send(fd, one),
        many => send(fd, &one.repeat(many)),
    };
    sent.is_some_and(|sent| sent == one.len() * asked.requests) && !asked.is_last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_wherever_they_are_cut() {
        let all = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nCONNECTION: Close\r\n\r\n";
        for cut in 0..all.len() {
            let mut rest = Vec::new();
            let (one, other) = (take(&mut rest, &all[..cut]), take(&mut rest, &all[cut..]));
            assert_eq!((one.requests + other.requests, rest.len()), (2, 0), "{cut}");
            assert!(other.is_last && !one.is_last);
        }
        assert!(take(&mut Vec::new(), b"GET /record HTTP/1.1\r\n\r\n").wants_record);
        assert!(!take(&mut Vec::new(), b"GET / HTTP/1.1\r\nX: connection: close\r\n\r\n").is_last);
    }
}
