//! A floor: an echo server on epoll, edge-triggered, by hand. A message costs a receive and a send; a round, however many messages it
//! has, one wait. A short read has emptied the socket, so there is no call that fails.

#![allow(unsafe_code, reason = "epoll, and sockets without std's tables in between")]

use super::calls::{check, failed};
use super::stacks::Stacks;
use raddle_bench::process;
use raddle_bench::subject::{Said, serves};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

const BUFFER_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1024;
const INPUT: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
const OUTPUT: u32 = libc::EPOLLOUT as u32;

/// What is known of a descriptor.
#[derive(Default)]
struct Connection {
    /// What could not be sent yet.
    rest: Vec<u8>,
    /// Room to send is reported too, since there was none once.
    waits_for_room: bool,
}

/// Serves until the driver has seen enough; with `stacks`, as if each connection had one.
pub(crate) fn serve(mut stacks: Option<Stacks>) -> Result<Said, String> {
    let (listener, epoll) = listen()?;
    let own = listener.as_raw_fd();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        for event in wait(epoll, &mut events, -1)? {
            let fd = event.u64 as i32;
            if fd == own {
                accept(own, |fd| {
                    if connections.len() <= fd as usize {
                        connections.resize_with(fd as usize + 1, Connection::default);
                    }
                    connections[fd as usize] = Connection::default();
                    watch(epoll, libc::EPOLL_CTL_ADD, fd, INPUT)
                })?;
                continue;
            }
            if let Some(stacks) = &mut stacks {
                stacks.touch(fd);
            }
            let connection = &mut connections[fd as usize];
            if !echo(fd, event.events, &mut buffer, &mut connection.rest) {
                // SAFETY: a connection's descriptor, which is forgotten here.
                unsafe { libc::close(fd) };
            } else if !connection.rest.is_empty() && !connection.waits_for_room {
                connection.waits_for_room = true;
                watch(epoll, libc::EPOLL_CTL_MOD, fd, INPUT | OUTPUT)?;
            }
        }
    }
}

/// A listener on any port, which is said, and an epoll that watches it.
pub(super) fn listen() -> Result<(TcpListener, i32), String> {
    process::raise_descriptors();
    let listener = TcpListener::bind("0.0.0.0:0").map_err(failed("bind"))?;
    let own = listener.as_raw_fd();
    // SAFETY: numbers only; a longer backlog than std's.
    check("listen", unsafe { libc::listen(own, 4096) })?;
    listener.set_nonblocking(true).map_err(failed("a socket"))?;
    // SAFETY: numbers only.
    let epoll = check("epoll_create1", unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    watch(epoll, libc::EPOLL_CTL_ADD, own, libc::EPOLLIN as u32)?;
    serves(listener.local_addr().map_err(failed("a socket"))?.port());
    Ok((listener, epoll))
}

/// What there is, within so many milliseconds; for ever, if they are -1.
pub(super) fn wait(
    epoll: i32,
    events: &mut [libc::epoll_event],
    ms: i32,
) -> Result<&[libc::epoll_event], String> {
    let room = events.len() as i32;
    // SAFETY: the kernel writes at most as many events as there is room for.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, ms) };
    if count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
        return Ok(&[]);
    }
    let count = check("epoll_wait", count)?;
    Ok(&events[..count as usize])
}

pub(super) fn watch(epoll: i32, how: i32, fd: i32, events: u32) -> Result<(), String> {
    let mut event = libc::epoll_event { events, u64: fd as u64 };
    // SAFETY: reads one event.
    check("epoll_ctl", unsafe { libc::epoll_ctl(epoll, how, fd, &raw mut event) })?;
    Ok(())
}

/// Each connection that waits is for `admit`.
pub(super) fn accept(
    listener: i32,
    mut admit: impl FnMut(i32) -> Result<(), String>,
) -> Result<(), String> {
    loop {
        let (nobody, flags) = (std::ptr::null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
        // SAFETY: no memory is involved: nobody wants to know who connects.
        let fd = unsafe { libc::accept4(listener, nobody, std::ptr::null_mut(), flags) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            let is_over = error.kind() == io::ErrorKind::WouldBlock;
            return if is_over { Ok(()) } else { Err(format!("accept: {error}")) };
        }
        admit(fd)?;
    }
}

/// Sends back what there is; false at the end.
fn echo(fd: i32, events: u32, buffer: &mut [u8], rest: &mut Vec<u8>) -> bool {
    if !rest.is_empty() {
        let Some(sent) = send(fd, rest) else { return false };
        rest.drain(..sent);
        if !rest.is_empty() {
            return true;
        }
    }
    loop {
        // SAFETY: the kernel writes at most as many bytes as there is room for.
        let count = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        match count {
            0 => return false,
            1.. => {
                let Some(sent) = send(fd, &buffer[..count as usize]) else { return false };
                if sent < count as usize {
                    rest.extend_from_slice(&buffer[sent..count as usize]);
                    return true;
                }
                // A hang-up has no edge of its own if it came with the data.
                if (count as usize) < buffer.len() && events & libc::EPOLLRDHUP as u32 == 0 {
                    return true;
                }
            }
            _ => return io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// How much the kernel took; `None` if nobody is there any more.
pub(super) fn send(fd: i32, bytes: &[u8]) -> Option<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        let left = &bytes[sent..];
        // SAFETY: the kernel reads as many bytes as there are.
        let count = unsafe { libc::send(fd, left.as_ptr().cast(), left.len(), libc::MSG_NOSIGNAL) };
        match usize::try_from(count) {
            Ok(count) => sent += count,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => return None,
        }
    }
    Some(sent)
}
