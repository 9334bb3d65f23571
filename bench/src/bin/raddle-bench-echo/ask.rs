//! The control of `raddle-bench load`: an open loop by hand, whose thread never sleeps. What it is off is the machine's: the kernel's way there and back,
//! and time in which somebody else had one of the two processors, which it sees as leaps of its clock.
//!
//! It asks as `raddle load --precise` does, on as many connections, at even distances.

#![allow(unsafe_code, reason = "epoll, and sockets without std's tables in between")]

use super::arrival;
use super::calls::{check, failed};
use super::epoll::{send, wait, watch};
use super::respond::percentiles;
use raddle_bench::process;
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::now_ns;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const EVENTS: usize = 1024;

/// Between two looks at the clock there is one round of epoll, of some microseconds. What is longer than this was somebody else's.
const LEAP_NS: u64 = 100_000;

/// What is known of a connection with a request.
#[derive(Clone, Copy, Default)]
struct Asked {
    due_ns: u64,
    counts: bool,
}

/// Asks at `rate` for `skip` milliseconds, and for `ms` more that count.
pub(crate) fn measure(arguments: &Arguments) -> Result<Said, String> {
    process::raise_descriptors();
    let port = arguments.number("port")? as u16;
    let every_ns = 1e9 / arguments.number("rate")? as f64;
    // SAFETY: numbers only.
    let epoll = check("epoll_create1", unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    let mut free = Vec::new();
    for _ in 0..arguments.number("connections")? {
        free.push(connect(epoll, port)?);
    }
    let most = free.iter().copied().max().unwrap_or(0) as usize;
    let mut asked = vec![Asked::default(); most + 1];
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let (mut took_ns, mut late_ns, mut leaps_ns) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    let began = now_ns()?;
    let counts_from = began + arguments.ms("skip")?.as_nanos() as u64;
    let end = counts_from + arguments.ms("ms")?.as_nanos() as u64;
    let (mut sent, mut on_their_way, mut before) = (0_u64, 0, began);
    loop {
        let now = now_ns()?;
        if now - before > LEAP_NS && now > counts_from {
            leaps_ns.push(now - before);
        }
        before = now;
        let due_ns = began + (sent as f64 * every_ns) as u64;
        if due_ns >= end && on_their_way == 0 {
            break;
        }
        if due_ns < end && now >= due_ns {
            let fd = free.pop().ok_or("no connection is free")?;
            asked[fd as usize] = Asked { due_ns, counts: due_ns >= counts_from };
            if send(fd, REQUEST) != Some(REQUEST.len()) {
                return Err("the server has gone".to_owned());
            }
            (sent, on_their_way) = (sent + 1, on_their_way + 1);
        }
        for event in wait(epoll, &mut events, 0)? {
            let fd = event.u64 as i32;
            let read = arrival::read(fd, &mut buffer)?;
            // An answer of less than a segment comes whole.
            if read.count <= 0 {
                return Err("the server has closed a connection".to_owned());
            }
            let one = asked[fd as usize];
            if one.counts {
                took_ns.push(read.now_ns.saturating_sub(one.due_ns));
                late_ns.push(read.now_ns - read.came_ns);
            }
            free.push(fd);
            on_their_way -= 1;
        }
    }
    let mut said = Said::figures([
        ("count", took_ns.len() as f64),
        ("leapt", leaps_ns.iter().sum::<u64>() as f64),
        ("leap", leaps_ns.iter().copied().max().unwrap_or(0) as f64),
    ]);
    said.figures.extend(percentiles("p", &mut took_ns));
    said.figures.extend(percentiles("late", &mut late_ns));
    Ok(said)
}

/// A connection, watched, whose answers are stamped.
fn connect(epoll: i32, port: u16) -> Result<i32, String> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(failed("connect"))?;
    stream.set_nodelay(true).map_err(failed("a socket"))?;
    stream.set_nonblocking(true).map_err(failed("a socket"))?;
    arrival::stamp(stream.as_raw_fd())?;
    let fd = stream.into_raw_fd();
    watch(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32)?;
    Ok(fd)
}
