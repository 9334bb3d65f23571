//! The client that makes a connection for each message: connects, sends, receives, closes, `n` at a time.
//!
//! It goes from one address of the loopback network to the next, since each has ports of its own: those that were closed are not free for
//! a minute. What remains is one call for a socket, one to connect it, and one for everything else of a round.

#![allow(unsafe_code, reason = "requests over memory that outlives them; sockets")]

use super::calls::{check, completed, failed};
use super::talk::{push, ring};
use super::window::Window;
use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};
use raddle_bench::process;
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::now_ns;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::Duration;

/// What a completion is of: this bit is a send's, that one a close's.
const SEND: u64 = 1 << 32;
const CLOSE: u64 = 1 << 33;

/// Addresses that are used in turns.
const ADDRESSES: u32 = 250;

struct Slot {
    socket: i32,
    begun_ns: u64,
}

/// Measures with `n` connections at a time, and messages of `bytes`.
pub(crate) fn measure(arguments: &Arguments) -> Result<Said, String> {
    let (count, bytes) = (arguments.number("n")?, arguments.number("bytes")?);
    let address: SocketAddrV4 =
        arguments.text("address").parse().map_err(|_| "address=IP:PORT is missing")?;
    process::raise_descriptors();
    let mut ring = ring(1024)?;
    // Never freed: requests may be under way when this returns.
    let message: &'static [u8] = Box::leak(vec![b'x'; bytes].into());
    let answers: &'static mut [u8] = Box::leak(vec![0; count * bytes].into());
    let mut window = Window::new(arguments)?;
    let mut turn = 0;
    let mut begin = |ring: &mut IoUring, slots: &mut [Slot], at: usize, now: u64| {
        turn = (turn + 1) % ADDRESSES;
        let to = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + turn);
        let socket = connected(SocketAddrV4::new(to, address.port()))?;
        slots[at] = Slot { socket, begun_ns: now };
        let (fd, at) = (types::Fd(socket), at as u64);
        let send = opcode::Send::new(fd, message.as_ptr(), bytes as u32).flags(libc::MSG_NOSIGNAL);
        let send = send.build().flags(Flags::IO_LINK | Flags::SKIP_SUCCESS);
        push(ring, &send.user_data(at | SEND))?;
        let answer = answers[at as usize * bytes..].as_mut_ptr();
        let receive = opcode::Recv::new(fd, answer, bytes as u32).flags(libc::MSG_WAITALL);
        push(ring, &receive.build().user_data(at))
    };
    let mut now = now_ns()?;
    let mut slots: Vec<Slot> = (0..count).map(|_| Slot { socket: -1, begun_ns: now }).collect();
    (0..count).try_for_each(|at| begin(&mut ring, &mut slots, at, now))?;
    loop {
        ring.submit_and_wait(1).map_err(failed("io_uring_enter"))?;
        now = now_ns()?;
        let mut ended = Vec::with_capacity(count);
        for done in ring.completion() {
            let what = match done.user_data() {
                send if send & SEND != 0 => "send",
                close if close & CLOSE != 0 => "close",
                _ => "recv",
            };
            let result = completed(what, done.result())?;
            if what == "recv" {
                if result != bytes {
                    return Err(format!("{result} of {bytes} bytes came back"));
                }
                ended.push(done.user_data() as usize);
            }
        }
        for at in ended {
            window.record(now - slots[at].begun_ns);
            let close = opcode::Close::new(types::Fd(slots[at].socket)).build();
            push(&mut ring, &close.flags(Flags::SKIP_SUCCESS).user_data(CLOSE))?;
            begin(&mut ring, &mut slots, at, now_ns()?)?;
        }
        if let Some(said) = window.round(now)? {
            return Ok(said);
        }
        match window.pause_ns(now)? {
            0 => {}
            ns => thread::sleep(Duration::from_nanos(ns)),
        }
    }
}

/// A socket that is connected. Over loopback that takes no waiting.
fn connected(to: SocketAddrV4) -> Result<i32, String> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: numbers only.
    let socket = check("socket", unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: reads an address of that size.
    check("connect", unsafe { libc::connect(socket, (&raw const address).cast(), size) })?;
    Ok(socket)
}
