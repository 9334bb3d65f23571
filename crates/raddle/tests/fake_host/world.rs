//! All sockets of the fake host, and what the program does with them.
//!
//! What that does to another socket is a packet, which arrives later, or at once if the way takes no time. Nothing here waits or wakes: who may
//! go on is collected, and woken when nobody looks at the world any more.

use super::Settings;
use super::address;
use super::datagrams::LONGEST;
use super::socket::{Id, Role, Socket, errno};
use super::wire::{Event, Packet, Wire};
use raddle::host::{Family, Kind, SocketOption, Way};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

pub(super) struct World {
    pub(super) now_ns: u64,
    pub(super) wire: Wire,
    pub(super) sockets: BTreeMap<Id, Socket>,
    /// Handles of the program's, and how many it may have.
    handles: usize,
    handles_max: usize,
    next_id: Id,
    next_port: u16,
    /// By this end, and the other.
    pub(super) streams: BTreeMap<(SocketAddr, SocketAddr), Id>,
    pub(super) woken: Vec<Waker>,
}

/// So many bytes go in one packet.
const SEGMENT: usize = 1460;
/// Ports that are given to who does not mind.
const FREE_PORTS: Range<u16> = 49152..65535;

// Sockets.
impl World {
    pub(super) fn new(settings: &Settings) -> World {
        World {
            now_ns: 0,
            wire: Wire::new(settings),
            sockets: BTreeMap::new(),
            handles: 0,
            handles_max: settings.sockets_max,
            next_id: 1,
            next_port: FREE_PORTS.start,
            streams: BTreeMap::new(),
            woken: Vec::new(),
        }
    }

    pub(super) fn socket(&mut self, family: Family, kind: Kind) -> io::Result<Id> {
        self.count_handle()?;
        Ok(self.add(Socket::new(kind, address::unspecified(family))))
    }

    fn count_handle(&mut self) -> io::Result<()> {
        if self.handles == self.handles_max {
            return Err(errno(libc::EMFILE));
        }
        self.handles += 1;
        Ok(())
    }

    pub(super) fn add(&mut self, socket: Socket) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.sockets.insert(id, socket);
        id
    }

    /// One whose handle is there.
    pub(super) fn at(&mut self, id: Id) -> &mut Socket {
        self.sockets.get_mut(&id).expect("a socket is there as long as its handle")
    }

    /// Those who no longer need to wait for it.
    pub(super) fn wake(&mut self, id: Id) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.take_woken(&mut self.woken);
        }
    }

    /// Whether one of the same kind, other than `id`, is in the way of it there.
    fn is_taken(&self, id: Id, address: SocketAddr) -> bool {
        let socket = &self.sockets[&id];
        self.sockets.iter().any(|(other_id, other)| {
            *other_id != id
                && other.has_datagrams() == socket.has_datagrams()
                && !matches!(other.role, Role::Stream(_))
                && other.local.port() == address.port()
                && address::overlap(other.local.ip(), address.ip())
                && socket.excludes(other)
        })
    }

    fn is_anyones(&self, port: u16) -> bool {
        self.sockets.values().any(|socket| socket.local.port() == port)
    }

    fn free_port(&mut self) -> io::Result<u16> {
        for _ in FREE_PORTS {
            let port = self.next_port;
            self.next_port = if port + 1 == FREE_PORTS.end { FREE_PORTS.start } else { port + 1 };
            if !self.is_anyones(port) {
                return Ok(port);
            }
        }
        Err(errno(libc::EADDRNOTAVAIL))
    }

    pub(super) fn bind(&mut self, id: Id, mut address: SocketAddr) -> io::Result<()> {
        let ip = address.ip();
        let socket = self.at(id);
        if socket.is_bound() || socket.local.is_ipv4() != address.is_ipv4() {
            return Err(errno(libc::EINVAL));
        }
        if !ip.is_unspecified() && !address::is_own(ip) {
            return Err(errno(libc::EADDRNOTAVAIL));
        }
        if address.port() == 0 {
            address.set_port(self.free_port()?);
        } else if self.is_taken(id, address) {
            return Err(errno(libc::EADDRINUSE));
        }
        self.at(id).local = address;
        Ok(())
    }

    /// Binds what sends before it is bound.
    fn ensure_bound(&mut self, id: Id) -> io::Result<()> {
        let local = self.at(id).local;
        if local.port() == 0 { self.bind(id, local) } else { Ok(()) }
    }

    /// A handle was dropped.
    pub(super) fn close(&mut self, id: Id) {
        self.handles -= 1;
        self.remove(id);
    }

    fn remove(&mut self, id: Id) {
        let socket = self.sockets.remove(&id).expect("it is closed once");
        let local = socket.local;
        match socket.role {
            Role::Listens { queue, .. } => queue.into_iter().for_each(|id| {
                self.at(id).options.linger = Some(Duration::ZERO);
                self.remove(id);
            }),
            Role::Connects { peer, .. } => {
                self.streams.remove(&(local, peer));
            }
            Role::Stream(stream) => {
                self.streams.remove(&(local, stream.peer));
                let is_torn = stream.has_unread() || socket.options.linger == Some(Duration::ZERO);
                if is_torn && !stream.is_over() {
                    self.post(local, stream.peer, Packet::Reset);
                } else if !stream.writes_are_shut && !stream.is_reset {
                    self.post(local, stream.peer, Packet::End);
                }
            }
            Role::Fresh | Role::Datagrams(_) => {}
        }
    }
}

// Connections.
impl World {
    pub(super) fn listen(&mut self, id: Id, backlog: u32) -> io::Result<()> {
        self.ensure_bound(id)?;
        let local = self.at(id).local;
        match &mut self.at(id).role {
            Role::Fresh => {}
            Role::Listens { backlog: present, .. } => {
                *present = backlog as usize;
                return Ok(());
            }
            _ => return Err(errno(libc::EINVAL)),
        }
        self.at(id).role = Role::Listens { backlog: backlog as usize, queue: VecDeque::new() };
        if self.is_taken(id, local) {
            self.at(id).role = Role::Fresh;
            return Err(errno(libc::EADDRINUSE));
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, id: Id) -> io::Result<(Id, SocketAddr)> {
        let Role::Listens { queue, .. } = &mut self.at(id).role else {
            return Err(errno(libc::EINVAL));
        };
        let accepted = *queue.front().ok_or(ErrorKind::WouldBlock)?;
        self.count_handle()?;
        if let Role::Listens { queue, .. } = &mut self.at(id).role {
            queue.pop_front();
        }
        match &self.at(accepted).role {
            Role::Stream(stream) => Ok((accepted, stream.peer)),
            role => unreachable!("{role:?} does not wait to be accepted"),
        }
    }

    /// Begins to connect, if that was not begun.
    pub(super) fn begin_to_connect(&mut self, id: Id, peer: SocketAddr) -> io::Result<()> {
        let socket = self.at(id);
        if let Some(error) = socket.take_error() {
            return Err(error);
        }
        if !matches!(socket.role, Role::Fresh | Role::Datagrams(_)) {
            return Ok(());
        }
        if socket.local.is_ipv4() != peer.is_ipv4() {
            return Err(errno(libc::EAFNOSUPPORT));
        }
        let peer = address::reached(peer);
        if !address::is_routed(peer.ip()) {
            return Err(errno(libc::ENETUNREACH));
        }
        self.ensure_bound(id)?;
        let socket = self.at(id);
        socket.settle_at(address::source_for(peer.ip()));
        match &mut socket.role {
            Role::Datagrams(datagrams) => datagrams.peer = Some(peer),
            role => {
                *role = Role::Connects { peer, attempt: 0 };
                let local = socket.local;
                if self.streams.insert((local, peer), id).is_some() {
                    unreachable!("a port was given to two at {local}");
                }
                self.ask_to_connect(id, peer, 0);
            }
        }
        Ok(())
    }

    pub(super) fn ask_to_connect(&mut self, id: Id, peer: SocketAddr, attempt: u32) {
        let room = self.at(id).options.bytes(SocketOption::ReceiveBuffer);
        let local = self.at(id).local;
        self.post(local, peer, Packet::Connect(room));
        let pause = Duration::from_secs(1 << attempt).as_nanos() as u64;
        self.wire.schedule(self.now_ns + pause, Event::Repeats(id));
    }

    /// What has come of it.
    pub(super) fn is_connected(&mut self, id: Id) -> io::Result<()> {
        let socket = self.at(id);
        if let Some(error) = socket.take_error() {
            return Err(error);
        }
        match socket.role {
            Role::Connects { .. } => Err(ErrorKind::WouldBlock.into()),
            Role::Stream(_) | Role::Datagrams(_) => Ok(()),
            Role::Listens { .. } => Err(errno(libc::EISCONN)),
            Role::Fresh => unreachable!("it has begun or failed"),
        }
    }

    pub(super) fn shutdown(&mut self, id: Id, how: Shutdown) -> io::Result<()> {
        let socket = self.at(id);
        let local = socket.local;
        match &mut socket.role {
            Role::Stream(stream) if !stream.is_over() => {
                let peer = stream.peer;
                if stream.shut(how) {
                    self.post(local, peer, Packet::End);
                }
                self.wake(id);
                Ok(())
            }
            _ => Err(errno(libc::ENOTCONN)),
        }
    }
}

// What goes through.
impl World {
    pub(super) fn recv(
        &mut self,
        id: Id,
        buffers: &mut [IoSliceMut<'_>],
        takes: bool,
    ) -> io::Result<(usize, Option<SocketAddr>)> {
        let socket = self.at(id);
        let local = socket.local;
        // What has come over a stream is read before its error is told.
        let has_unread = matches!(&socket.role, Role::Stream(stream) if stream.has_unread());
        let error = if has_unread { None } else { socket.take_error() };
        match &mut socket.role {
            Role::Stream(stream) => {
                let count = stream.read(buffers, takes);
                if count > 0 {
                    let peer = stream.peer;
                    if takes {
                        self.post(local, peer, Packet::Room(count));
                    }
                    return Ok((count, None));
                }
                let wants_nothing = buffers.iter().all(|buffer| buffer.is_empty());
                let is_at_end = stream.is_at_end() || wants_nothing;
                match error {
                    Some(error) => Err(error),
                    None if is_at_end => Ok((0, None)),
                    None => Err(ErrorKind::WouldBlock.into()),
                }
            }
            Role::Datagrams(datagrams) => {
                if let Some(error) = error {
                    return Err(error);
                }
                let (count, from) = datagrams.read(buffers, takes).ok_or(ErrorKind::WouldBlock)?;
                Ok((count, Some(from)))
            }
            _ => Err(errno(libc::ENOTCONN)),
        }
    }

    pub(super) fn send(
        &mut self,
        id: Id,
        buffers: &[IoSlice<'_>],
        to: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let socket = self.at(id);
        if let Some(error) = socket.take_error() {
            return Err(error);
        }
        match &mut socket.role {
            Role::Stream(stream) if stream.writes_are_shut || stream.is_reset => {
                Err(errno(libc::EPIPE))
            }
            Role::Stream(stream) => {
                if buffers.iter().all(|buffer| buffer.is_empty()) {
                    return Ok(0);
                }
                let bytes = stream.write(buffers);
                let (local, peer) = (socket.local, stream.peer);
                if bytes.is_empty() {
                    return Err(ErrorKind::WouldBlock.into());
                }
                for segment in bytes.chunks(SEGMENT) {
                    self.post(local, peer, Packet::Bytes(segment.to_vec()));
                }
                Ok(bytes.len())
            }
            Role::Datagrams(datagrams) => {
                let to = to.or(datagrams.peer).ok_or_else(|| errno(libc::EDESTADDRREQ))?;
                self.send_datagram(id, buffers, to)
            }
            _ => Err(errno(libc::EPIPE)),
        }
    }

    fn send_datagram(
        &mut self,
        id: Id,
        buffers: &[IoSlice<'_>],
        to: SocketAddr,
    ) -> io::Result<usize> {
        let bytes = buffers.iter().fold(Vec::new(), |mut bytes, buffer| {
            bytes.extend_from_slice(buffer);
            bytes
        });
        let (len, to) = (bytes.len(), address::reached(to));
        if self.at(id).local.is_ipv4() != to.is_ipv4() {
            return Err(errno(libc::EAFNOSUPPORT));
        }
        if len > LONGEST {
            return Err(errno(libc::EMSGSIZE));
        }
        if !address::is_routed(to.ip()) {
            return Err(errno(libc::ENETUNREACH));
        }
        self.ensure_bound(id)?;
        if !self.at(id).has_room_to_send() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut from = self.at(id).local;
        if from.ip().is_unspecified() {
            from.set_ip(address::source_for(to.ip()));
        }
        if let Role::Datagrams(datagrams) = &mut self.at(id).role {
            datagrams.on_their_way += len;
        }
        self.post(from, to, Packet::Datagram(bytes, id));
        Ok(len)
    }
}

// Who waits, and what for.
impl World {
    /// How many wakers wait.
    pub(super) fn wakers(&self) -> usize {
        self.sockets.values().map(Socket::wakers).sum()
    }

    pub(super) fn wake_when(&mut self, id: Id, way: Way, waker: &Waker) {
        self.at(id).wait(way, waker);
        self.wake(id);
    }

    pub(super) fn post(&mut self, from: SocketAddr, to: SocketAddr, packet: Packet) {
        self.wire.post(self.now_ns, from, to, packet);
    }
}
