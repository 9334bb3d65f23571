//! A server in plain blocking calls: whoever carries a connection waits in its reads and writes. What that is, a thread or a work
//! item, is the carrier's business.

use super::crowd::Crowd;
use super::delivery;
use super::pressure::{self, Next, Pressure};
use super::stats::{Meter, Stats};
use crate::drain::Notice;
use raddle::cancel::{self, Cancelled, Token};
use raddle::net::{TcpListener, TcpStream};
use raddle::thread::{self, Builder};
use raddle::time;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// Twice on the stack of a connection whose messages are small, so that one that is idle takes no more than its thread does.
const SMALL_BYTES: usize = 512;
/// Twice for a connection that has more to say.
const LARGE_BYTES: usize = 64 * 1024;
/// So many small messages in a row, and the large buffers go.
const PATIENCE: u32 = 64;

/// What connections run on.
pub(super) trait Carrier: Send + 'static {
    /// Has `serve` called, some time, by somebody who may wait in it.
    fn begin(&self, serve: impl FnOnce() + Send + 'static) -> io::Result<()>;
}

/// The server, while it runs.
pub(super) struct Blocking {
    accepting: Token,
    crowd: Arc<Crowd<Arc<TcpStream>>>,
}

/// What each thread needs.
struct Server {
    stats: Arc<Stats>,
    notice: Arc<Notice>,
    crowd: Arc<Crowd<Arc<TcpStream>>>,
}

impl Blocking {
    /// Begins to serve: a thread accepts, and `carrier` has the connections.
    pub(super) fn start(
        listener: TcpListener,
        carrier: impl Carrier,
        stats: &Arc<Stats>,
        notice: &Arc<Notice>,
        pressure: Arc<Pressure>,
    ) -> io::Result<Blocking> {
        let blocking = Blocking { accepting: Token::new(), crowd: Arc::new(Crowd::new()) };
        let server = Arc::new(Server {
            stats: stats.clone(),
            notice: notice.clone(),
            crowd: blocking.crowd.clone(),
        });
        let accepting = blocking.accepting.clone();
        // As long as that lives, there may be more.
        let place = Server::enter(&server, None);
        Builder::new().name("acceptor".into()).spawn(move || {
            match accept(&listener, &carrier, &accepting, &server, &pressure) {
                Ok(Cancelled) => take_the_rest(&listener, &carrier, &server),
                Err(error) => server.notice.fail(error),
            }
            drop(listener);
            server.crowd.close();
            drop(place);
        })?;
        Ok(blocking)
    }

    /// Nobody is accepted any more, and whoever has nothing under way ends.
    pub(super) fn stop(&self) {
        self.accepting.cancel();
    }

    /// Whether all have ended.
    pub(super) fn is_done(&self) -> bool {
        self.crowd.is_empty()
    }
}

/// Takes connections until it is told to stop.
fn accept(
    listener: &TcpListener,
    carrier: &impl Carrier,
    accepting: &Token,
    server: &Arc<Server>,
    pressure: &Pressure,
) -> io::Result<Cancelled> {
    loop {
        let next = || {
            // Clients that connect faster than they are taken keep nobody from stopping.
            cancel::checkpoint();
            listener.accept()
        };
        let error = match accepting.carry(next) {
            Err(Cancelled) => return Ok(Cancelled),
            Ok(Ok((stream, _))) => match take(server, carrier, stream) {
                Ok(()) => {
                    pressure.relieved();
                    continue;
                }
                Err(error) => {
                    pressure.met(&error, server.open())?;
                    thread::sleep(pressure::PAUSE);
                    continue;
                }
            },
            Ok(Err(error)) => error,
        };
        match pressure::after(&error) {
            Next::Again | Next::Wait => {}
            Next::Pause => {
                pressure.met(&error, server.open())?;
                thread::sleep(pressure::PAUSE);
            }
            Next::Fail => return Err(error),
        }
    }
}

/// Takes those who had connected before the end, as far as there is room.
fn take_the_rest(listener: &TcpListener, carrier: &impl Carrier, server: &Arc<Server>) {
    const AT_ONCE: Duration = Duration::from_micros(1);
    for _ in 0..TcpListener::longest_queue() {
        let Ok(Ok((stream, _))) = time::timeout(AT_ONCE, || listener.accept()) else { return };
        if take(server, carrier, stream).is_err() {
            return;
        }
    }
}

/// Gives a connection to the carrier.
fn take(server: &Arc<Server>, carrier: &impl Carrier, stream: TcpStream) -> io::Result<()> {
    let stream = Arc::new(stream);
    let place = Server::enter(server, Some(stream.clone()));
    let meter = server.stats.meter();
    carrier.begin(move || {
        meter.opened();
        // An error is the connection's end: its client has gone.
        _ = place.server.echo(&stream, &meter);
        meter.closed();
        drop(meter);
        drop(stream);
        drop(place);
    })
}

/// Somebody's place in the crowd, until it is dropped.
struct Place {
    server: Arc<Server>,
    number: usize,
}

impl Server {
    fn enter(server: &Arc<Server>, stream: Option<Arc<TcpStream>>) -> Place {
        Place { number: server.crowd.enter(stream), server: server.clone() }
    }

    /// How many connections there are, for the one who accepts and has a place, too.
    fn open(&self) -> u64 {
        self.crowd.count() as u64 - 1
    }

    /// Sends back what comes, until nothing more comes.
    fn echo(&self, stream: &TcpStream, meter: &Meter) -> io::Result<()> {
        let mut buffers = Buffers::new();
        let mut count = { stream }.read(buffers.empty())?;
        loop {
            if count == 0 {
                // The client's end, or ours: of ours see `delivery`.
                if !self.notice.is_stopping() || delivery::is_complete(stream) {
                    return Ok(());
                }
                thread::sleep(delivery::PAUSE);
                count = { stream }.read(buffers.empty())?;
                continue;
            }
            let (mut message, empty) = buffers.turn(count);
            let begun = meter.begin();
            if begun.is_some() {
                { stream }.write_all(message)?;
                meter.echoed(count, begun);
                count = { stream }.read(empty)?;
            } else {
                meter.echoed(count, None);
                count = stream.exchange(&mut message, empty)?;
            }
        }
    }
}

/// Where a connection's messages are: one is sent from one half, the next one is read into the other.
struct Buffers {
    small: [u8; 2 * SMALL_BYTES],
    large: Option<Box<[u8]>>,
    is_second_empty: bool,
    small_in_a_row: u32,
}

impl Buffers {
    fn new() -> Buffers {
        Buffers {
            small: [0; 2 * SMALL_BYTES],
            large: None,
            is_second_empty: false,
            small_in_a_row: 0,
        }
    }

    /// What is read into next.
    fn empty(&mut self) -> &mut [u8] {
        let is_second = self.is_second_empty;
        halves(self.large.as_deref_mut().unwrap_or(&mut self.small), !is_second).1
    }

    /// So many bytes were read into [`empty`](Self::empty): these, and what is read into next, as large as the last messages want it.
    fn turn(&mut self, count: usize) -> (&[u8], &mut [u8]) {
        let is_second = self.is_second_empty;
        self.is_second_empty = !is_second;
        self.small_in_a_row =
            if count < SMALL_BYTES { self.small_in_a_row.saturating_add(1) } else { 0 };
        match &mut self.large {
            None if count < SMALL_BYTES => {}
            None => {
                let large = self.large.insert(vec![0; 2 * LARGE_BYTES].into());
                return (
                    &halves(&mut self.small, is_second).0[..count],
                    halves(large, is_second).1,
                );
            }
            Some(large) if self.small_in_a_row == PATIENCE => {
                let message = &halves(large, is_second).0[..count];
                halves(&mut self.small, is_second).0[..count].copy_from_slice(message);
                self.large = None;
            }
            Some(_) => {}
        }
        let (full, empty) = halves(self.large.as_deref_mut().unwrap_or(&mut self.small), is_second);
        (&full[..count], empty)
    }
}

/// Both halves, that one first.
fn halves(both: &mut [u8], is_second_first: bool) -> (&mut [u8], &mut [u8]) {
    let (first, second) = both.split_at_mut(both.len() / 2);
    if is_second_first { (second, first) } else { (first, second) }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.server.crowd.leave(self.number) {
            self.server.notice.done();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_whole_whatever_buffers_they_come_and_go_with() {
        let sizes =
            [1, 511, 512, 9, LARGE_BYTES, 512].into_iter().chain([3; 2 * PATIENCE as usize]);
        let mut buffers = Buffers::new();
        let mut room = Vec::new();
        let mut next = buffers.empty().len();
        let mut fills = 0u8;
        for size in sizes {
            let count = size.min(next);
            fills = fills.wrapping_add(1);
            buffers.empty()[..count].fill(fills);
            let (message, empty) = buffers.turn(count);
            empty.fill(0);
            assert_eq!(message, vec![fills; count]);
            next = empty.len();
            room.push(next);
        }
        assert_eq!(room[..3], [SMALL_BYTES, SMALL_BYTES, LARGE_BYTES]);
        let small_again = room.iter().rposition(|&room| room == LARGE_BYTES);
        assert_eq!(small_again, Some(6 + PATIENCE as usize - 2), "{room:?}");
    }
}
