//! The client that talks: each connection has so many messages on the way, and sends another as soon as one has come back.
//!
//! One loop on a ring of its own, with receives that stay armed, and one call for each round: as light as the floor that it is to drive, and
//! lighter than all others. What comes back is counted, not copied (`MSG_TRUNC`), since it was compared once, when the connection was new.

#![allow(unsafe_code, reason = "requests over memory that outlives them")]

use super::buffers::{Buffers, GROUP};
use super::calls::{completed, failed};
use super::window::Window;
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types};
use raddle_bench::process;
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::now_ns;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Most that one receive finds.
const PIECE_BYTES: usize = 64 * 1024;
/// What a completion is of: this bit is a send's.
const SEND: u64 = 1 << 32;

struct Connection {
    /// When the messages on the way were sent.
    sent_ns: VecDeque<u64>,
    /// Bytes of the one that comes back.
    received: usize,
}

/// Measures with `n` connections, messages of `bytes`, `window` of them on the way.
pub(crate) fn measure(arguments: &Arguments) -> Result<Said, String> {
    let (count, bytes) = (arguments.number("n")?, arguments.number("bytes")?);
    let on_the_way = arguments.number("window")?;
    process::raise_descriptors();
    let streams: Result<Vec<TcpStream>, String> =
        (0..count).map(|_| connect(arguments.text("address"), bytes)).collect();
    let streams = streams?;
    let mut ring = ring(4096)?;
    let numbers: Vec<i32> = streams.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&numbers).map_err(failed("the kernel takes no files"))?;
    let mut buffers = Buffers::new(&ring, 1024, PIECE_BYTES)?;
    // Never freed: a send may be under way when this returns.
    let messages: &'static [u8] = Box::leak(vec![b'x'; bytes * on_the_way].into());
    let send = |at: u64, count: usize| {
        opcode::Send::new(types::Fixed(at as u32), messages.as_ptr(), (bytes * count) as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(at | SEND)
    };
    let receive = |at: u64| {
        opcode::RecvMulti::new(types::Fixed(at as u32), GROUP)
            .flags(libc::MSG_TRUNC)
            .build()
            .user_data(at)
    };
    let mut window = Window::new(arguments)?;
    let mut now = now_ns()?;
    let fresh = || Connection { sent_ns: vec![now; on_the_way].into(), received: 0 };
    let mut connections: Vec<Connection> = (0..count).map(|_| fresh()).collect();
    for at in 0..count as u64 {
        push(&mut ring, &receive(at))?;
        push(&mut ring, &send(at, on_the_way))?;
    }
    let mut batch: Vec<cqueue::Entry> = Vec::new();
    loop {
        ring.submit_and_wait(1).map_err(failed("io_uring_enter"))?;
        now = now_ns()?;
        batch.extend(ring.completion());
        for done in batch.drain(..) {
            if done.user_data() & SEND != 0 {
                completed("send", done.result())?;
                continue;
            }
            let at = done.user_data();
            if let Some(buffer) = cqueue::buffer_select(done.flags()) {
                buffers.give_back(buffer);
            }
            if !cqueue::more(done.flags()) {
                push(&mut ring, &receive(at))?;
                if done.result() == -libc::ENOBUFS {
                    continue;
                }
            }
            let connection = &mut connections[at as usize];
            match completed("recv", done.result())? {
                0 => return Err("the server has closed a connection".to_owned()),
                more => connection.received += more,
            }
            let back = connection.received / bytes;
            connection.received %= bytes;
            for _ in 0..back {
                let sent = connection.sent_ns.pop_front().ok_or("more came than was sent")?;
                window.record(now - sent);
                connection.sent_ns.push_back(now);
            }
            // What came together goes together.
            if back > 0 {
                push(&mut ring, &send(at, back))?;
            }
        }
        if let Some(said) = window.round(now)? {
            return Ok(said);
        }
    }
}

/// A new connection whose server gives back what it was given: that was tried.
pub(crate) fn connect(address: &str, bytes: usize) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(address).map_err(failed("connect"))?;
    stream.set_nodelay(true).map_err(failed("TCP_NODELAY"))?;
    let message: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
    stream.write_all(&message).map_err(failed("the first message"))?;
    let mut answer = vec![0; bytes];
    stream.read_exact(&mut answer).map_err(failed("the first answer"))?;
    if answer != message {
        return Err("the first message came back changed".to_owned());
    }
    Ok(stream)
}

/// A ring for one thread, which completes requests only when that waits.
pub(crate) fn ring(entries: u32) -> Result<IoUring, String> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(entries * 4)
        .build(entries)
        .map_err(failed("io_uring_setup"))
}

/// Puts a request into the ring; a full one is given to the kernel first.
#[inline]
pub(crate) fn push(ring: &mut IoUring, request: &Entry) -> Result<(), String> {
    loop {
        // SAFETY: here and in `churn` and `uring` requests point to memory that is never freed, or to what `Buffers` holds.
        if unsafe { ring.submission().push(request) }.is_ok() {
            return Ok(());
        }
        ring.submit().map_err(failed("io_uring_enter"))?;
    }
}
