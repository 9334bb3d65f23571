//! Taking connections: each gets a thread, or is refused.

use super::clients::{TooMany, Visitor};
use super::connection::{self, Refusal};
use super::crowd::{Crowd, Place};
use super::current::{Current, Serving};
use super::dispatch::{Dispatch, OverCapacity};
use super::times::is_timeout;
use crate::tls::TlsStream;
use raddle::cancel::{self, Cancelled, Token};
use raddle::io::{Interest, poll};
use raddle::net::{TcpListener, TcpStream};
use raddle::thread::{self, Builder};
use raddle::time;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A wait that only takes what is there already.
const AT_ONCE: Duration = Duration::from_micros(1);

/// So many refused connections are told why at a time; others are closed at once.
const TOLD_MAX: usize = 128;

/// Who is refused for want of descriptors is told so in this way.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// What those who take connections have in common.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) current: Arc<Current>,
    pub(super) crowd: Arc<Crowd>,
    pub(super) accepting: Token,
    pub(super) dispatch: Dispatch,
    pub(super) over_capacity: OverCapacity,
}

/// One who takes connections.
pub(super) struct Acceptor {
    pub(super) entrance: Entrance,
    pub(super) listener: TcpListener,
    /// The core that it stands for.
    pub(super) core: usize,
}

impl Entrance {
    /// So many connections there may be.
    fn most(&self) -> usize {
        self.current.connections_max()
    }
}

impl Acceptor {
    /// Takes connections until nothing is to be accepted any more, and then those that had connected before.
    ///
    /// A listener that is closed takes its queue along, and others that share its port get nothing of that: so each acceptor empties its own. Clients
    /// that go on to connect, faster than they are taken, keep nobody from stopping: it is looked for before each one, and no more are taken
    /// afterwards than a queue holds.
    pub(super) fn run(self) {
        const PAUSE: Duration = Duration::from_millis(50);
        let mut reserve = Reserve::new(self.entrance.over_capacity);
        loop {
            let next = || {
                cancel::checkpoint();
                self.next()
            };
            match self.entrance.accepting.carry(next) {
                Err(Cancelled) => break,
                Ok(Ok((stream, peer))) => self.admit(stream, peer),
                Ok(Err(error)) if is_passing(&error) => {}
                Ok(Err(error)) if lacks_descriptors(&error) => {
                    match self.entrance.accepting.carry(|| self.next_by_reserve(&mut reserve)) {
                        Err(Cancelled) => break,
                        Ok(Some((stream, peer))) => self.admit(stream, peer),
                        Ok(None) => {}
                    }
                }
                Ok(Err(error)) => {
                    let at = self.listener.local_addr();
                    let at = at.map_or("a listener".to_owned(), |at| at.to_string());
                    log::warn!("{at} accepts nobody: {error}; tries again");
                    if self.entrance.accepting.carry(|| thread::sleep(PAUSE)).is_err() {
                        break;
                    }
                }
            }
        }
        for _ in 0..TcpListener::longest_queue() {
            if !self.may_take() {
                break;
            }
            let Ok(Ok((stream, peer))) = time::timeout(AT_ONCE, || self.listener.accept()) else {
                break;
            };
            self.admit(stream, peer);
        }
    }

    /// The next connection. A server that resists takes none as long as there is no room for it.
    fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self.entrance.over_capacity {
            OverCapacity::Resist => {
                self.entrance.crowd.wait_for_room(|| self.entrance.most());
                self.listener.accept_patiently()
            }
            OverCapacity::Drop | OverCapacity::Busy => self.listener.accept(),
        }
    }

    /// Whether one that waits may be taken out of the queue.
    fn may_take(&self) -> bool {
        self.entrance.over_capacity != OverCapacity::Resist
            || self.entrance.crowd.connections() < self.entrance.most()
    }

    /// One has come.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let entrance = &self.entrance;
        let visitor = match &entrance.current.service().clients {
            None => None,
            Some(clients) => match clients.enter(peer.ip()) {
                Ok(visitor) => visitor,
                Err(TooMany) => return self.refuse((stream, peer), Refusal::Client),
            },
        };
        let core = self.place();
        loop {
            if let Some(place) = entrance.crowd.enter(core, entrance.most()) {
                return self.begin((stream, peer), place, visitor, None);
            }
            if entrance.over_capacity != OverCapacity::Resist {
                return self.refuse((stream, peer), Refusal::Full);
            }
            // Another acceptor was faster. This one waits for the next room, and serves at the end whom it has taken.
            let wait = || entrance.crowd.wait_for_room(|| entrance.most());
            if entrance.accepting.carry(wait).is_err()
                && let Some(place) = entrance.crowd.enter(core, usize::MAX)
            {
                return self.begin((stream, peer), place, visitor, None);
            }
        }
    }

    /// The core that the next connection goes to.
    fn place(&self) -> usize {
        let loads = self.entrance.crowd.loads();
        match self.entrance.dispatch {
            Dispatch::ReusePort => self.core,
            Dispatch::Fair => loads.fewest(thread::core().unwrap_or(self.core)),
            Dispatch::Balanced => loads.passed_on(self.core),
        }
    }

    /// Tells a client that it is refused, if that is wanted and not too many are told just now; else its connection is closed.
    fn refuse(&self, (stream, peer): (TcpStream, SocketAddr), refusal: Refusal) {
        if self.entrance.over_capacity == OverCapacity::Busy
            && let Some(place) = self.entrance.crowd.enter_refused(self.core, TOLD_MAX)
        {
            self.begin((stream, peer), place, None, Some(refusal));
        }
    }

    /// There are no descriptors: the next connection gets the one in reserve, for as long as it takes to be refused. It is
    /// returned if there are others by then: a connection like any other.
    ///
    /// Without a descriptor accept(2) does not even look whether anybody is there; so that is waited for first, and the reserve is missing for
    /// a moment only.
    fn next_by_reserve(&self, reserve: &mut Reserve) -> Option<(TcpStream, SocketAddr)> {
        let is_there = poll(&[(&self.listener, Interest::READ)], None).is_ok();
        let accepted = if is_there && reserve.give_up() {
            // Another one may accept from the same listener.
            time::timeout(AT_ONCE, || self.listener.accept()).ok()?
        } else {
            // Somebody else was faster than the last try to have it back.
            self.listener.accept_patiently()
        };
        let has_others = reserve.take_back();
        let (stream, peer) = accepted.ok()?;
        if has_others {
            return Some((stream, peer));
        }
        self.refuse_at_once(stream);
        reserve.take_back();
        None
    }

    fn refuse_at_once(&self, mut stream: TcpStream) {
        let is_told = self.entrance.over_capacity == OverCapacity::Busy
            && self.entrance.current.service().tls.is_none();
        if is_told && stream.set_nonblocking(true).is_ok() {
            _ = stream.write(BUSY);
            // What has come and was not read would have the answer thrown away at the other side.
            _ = stream.read(&mut [0; 4 << 10]);
        }
    }

    fn begin(
        &self,
        (mut stream, peer): (TcpStream, SocketAddr),
        place: Place,
        visitor: Option<Visitor>,
        refusal: Option<Refusal>,
    ) {
        let current = self.entrance.current.clone();
        let life = place.seat.life.clone();
        let begun = Builder::new().on_core(place.core()).spawn(move || {
            let guest =
                connection::Guest { peer: Some(peer), place: Some(&place), visitor, refusal };
            let service = Serving::of(&current);
            // As it begins it speaks to the end.
            let tls = service.tls.clone();
            let served = life.carry(|| match &tls {
                None => connection::serve(service, &mut stream, &guest),
                Some(tls) => {
                    connection::serve(service, &mut TlsStream::new(tls, &mut stream), &guest)
                }
            });
            match served {
                Ok(Err(error)) if is_timeout(&error) => {
                    log::debug!("{peer}: too slow");
                    // By a reset: what it has not taken would be the kernel's to keep for minutes.
                    _ = stream.set_linger(Some(Duration::ZERO));
                }
                Ok(Err(error)) => log::debug!("{peer}: {error}"),
                Ok(Ok(())) | Err(Cancelled) => {}
            }
            drop(stream);
            drop(guest);
            // Whoever waits for the end finds nobody using the service any more.
            drop((tls, current));
            drop(place);
        });
        if let Err(error) = begun {
            log::warn!("no thread for a connection: {error}");
        }
    }
}

/// Errors of a connection that ended before it was taken: accept(2).
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted
    )
}

fn lacks_descriptors(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// A descriptor that a server keeps, if it does not resist, so that it can take a connection when it has no others: or else that could not even be
/// closed, and its client would wait.
struct Reserve(Option<File>);

impl Reserve {
    fn new(over_capacity: OverCapacity) -> Reserve {
        let mut reserve = Reserve(None);
        if over_capacity != OverCapacity::Resist {
            reserve.take_back();
        }
        reserve
    }

    /// Whether there was one.
    fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Whether there is one again.
    fn take_back(&mut self) -> bool {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
        self.0.is_some()
    }
}
