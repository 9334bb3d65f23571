//! A floor: an echo server on io_uring, by hand. One call for each round, however many messages it has: accepts and receives stay armed,
//! the kernel chooses the buffers, sockets have no descriptors but places in a table of the ring.

#![allow(unsafe_code, reason = "the listener's backlog")]

use super::buffers::{Buffers, GROUP};
use super::calls::{check, completed, failed};
use super::talk::{push, ring};
use io_uring::squeue::Entry;
use io_uring::{IoUring, cqueue, opcode, types};
use raddle_bench::process;
use raddle_bench::subject::{Arguments, Said, serves};
use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// What a completion is of; below stands the place of the connection.
const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const CLOSE: u64 = 4 << 32;

/// Memory for messages in all.
const MEMORY_BYTES: usize = 16 << 20;

/// A piece that was received: in which buffer, from where in it, how much.
struct Piece {
    buffer: u16,
    from: usize,
    len: usize,
}

#[derive(Default)]
struct Connection {
    /// The first is being sent. Sends on one socket may not overtake each other, so there is one at a time.
    pieces: VecDeque<Piece>,
    is_receiving: bool,
    has_ended: bool,
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    listener: i32,
    connections: Vec<Connection>,
}

/// Serves until the driver has seen enough; `buffer` is how much one receive may find.
pub(crate) fn serve(arguments: &Arguments) -> Result<Said, String> {
    let limit = process::raise_descriptors();
    let listener = TcpListener::bind("0.0.0.0:0").map_err(failed("bind"))?;
    // SAFETY: numbers only; a longer backlog than std's.
    check("listen", unsafe { libc::listen(listener.as_raw_fd(), 4096) })?;
    let ring = ring(4096)?;
    let places = limit.min(16_384) as u32;
    ring.submitter().register_files_sparse(places).map_err(failed("the kernel takes no files"))?;
    let bytes = arguments.number("buffer")?;
    let buffers = Buffers::new(&ring, (MEMORY_BYTES / bytes).min(8192) as u16, bytes)?;
    let mut server = Server {
        ring,
        buffers,
        listener: listener.as_raw_fd(),
        connections: (0..places).map(|_| Connection::default()).collect(),
    };
    server.accept()?;
    serves(listener.local_addr().map_err(failed("a socket"))?.port());
    let mut batch: Vec<cqueue::Entry> = Vec::new();
    loop {
        server.ring.submit_and_wait(1).map_err(failed("io_uring_enter"))?;
        batch.extend(server.ring.completion());
        for done in batch.drain(..) {
            let (what, at) = (done.user_data() & !u64::from(u32::MAX), done.user_data() as usize);
            let at = at & u32::MAX as usize;
            match what {
                ACCEPT => server.accepted(&done)?,
                RECEIVE => server.received(at, &done)?,
                SEND => server.sent(at, done.result())?,
                _ => drop(completed("close", done.result())?),
            }
        }
    }
}

impl Server {
    fn push(&mut self, request: &Entry) -> Result<(), String> {
        push(&mut self.ring, request)
    }

    fn accept(&mut self) -> Result<(), String> {
        let accept = opcode::AcceptMulti::new(types::Fd(self.listener)).allocate_file_index(true);
        self.push(&accept.build().user_data(ACCEPT))
    }

    fn accepted(&mut self, done: &cqueue::Entry) -> Result<(), String> {
        if !cqueue::more(done.flags()) {
            self.accept()?;
        }
        let place = completed("accept", done.result())?;
        self.connections[place] = Connection::default();
        self.receive(place)
    }

    fn receive(&mut self, at: usize) -> Result<(), String> {
        self.connections[at].is_receiving = true;
        let receive = opcode::RecvMulti::new(types::Fixed(at as u32), GROUP);
        self.push(&receive.build().user_data(RECEIVE | at as u64))
    }

    fn received(&mut self, at: usize, done: &cqueue::Entry) -> Result<(), String> {
        let connection = &mut self.connections[at];
        connection.is_receiving = cqueue::more(done.flags());
        match (done.result(), cqueue::buffer_select(done.flags())) {
            (1.., Some(buffer)) => {
                let piece = Piece { buffer, from: 0, len: done.result() as usize };
                connection.pieces.push_back(piece);
                if connection.pieces.len() == 1 {
                    self.send(at)?;
                }
            }
            // All buffers are being sent; it goes on when one of its own comes back, or at once if it has none.
            (error, _) if error == -libc::ENOBUFS => {}
            _ => connection.has_ended = true,
        }
        self.go_on(at)
    }

    fn send(&mut self, at: usize) -> Result<(), String> {
        let Some(piece) = self.connections[at].pieces.front() else { return Ok(()) };
        let bytes = self.buffers.pointer(piece.buffer).wrapping_add(piece.from);
        let send = opcode::Send::new(types::Fixed(at as u32), bytes, piece.len as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL);
        self.push(&send.build().user_data(SEND | at as u64))
    }

    fn sent(&mut self, at: usize, result: i32) -> Result<(), String> {
        let connection = &mut self.connections[at];
        let Some(piece) = connection.pieces.front_mut() else {
            return Err("a send ended that had not begun".to_owned());
        };
        let count = usize::try_from(result).unwrap_or(0);
        if result > 0 && count < piece.len {
            (piece.from, piece.len) = (piece.from + count, piece.len - count);
            return self.send(at);
        }
        self.buffers.give_back(piece.buffer);
        connection.pieces.pop_front();
        if result <= 0 {
            connection.has_ended = true;
            for piece in connection.pieces.drain(..) {
                self.buffers.give_back(piece.buffer);
            }
            if connection.is_receiving {
                // The peer has gone, so that ends by itself.
                return Ok(());
            }
        }
        self.send(at)?;
        self.go_on(at)
    }

    /// Receives again if that has stopped, or closes at the end.
    fn go_on(&mut self, at: usize) -> Result<(), String> {
        let connection = &self.connections[at];
        if connection.is_receiving || !connection.pieces.is_empty() {
            return Ok(());
        }
        if !connection.has_ended {
            return self.receive(at);
        }
        let close = opcode::Close::new(types::Fixed(at as u32));
        self.push(&close.build().user_data(CLOSE))
    }
}
