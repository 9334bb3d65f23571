//! What packets do where they arrive.

use super::address;
use super::socket::{Id, Role, Socket};
use super::stream::Stream;
use super::wire::{Event, Packet};
use super::world::World;
use raddle::host::SocketOption;
use std::net::SocketAddr;

/// After so many attempts to connect nobody answers.
const ATTEMPTS: u32 = 7;

impl World {
    /// Lets happen what is due by now.
    pub(super) fn deliver(&mut self) {
        while let Some(event) = self.wire.take_due(self.now_ns) {
            match event {
                Event::Arrives { from, to, packet } => self.arrive(from, to, packet),
                Event::Repeats(id) => self.repeat(id),
                Event::Rings(waker) => self.woken.push(waker),
            }
        }
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, packet: Packet) {
        match packet {
            Packet::Connect(room) => self.connection_comes(from, to, room),
            Packet::Datagram(bytes, sender) => self.datagram_comes(from, to, bytes, sender),
            Packet::Unreachable => self.none_was_there(from, to),
            packet => match self.streams.get(&(to, from)).copied() {
                Some(id) => {
                    self.stream_goes_on(id, packet);
                    self.wake(id);
                }
                None if matches!(packet, Packet::Bytes(_) | Packet::Accept(_)) => {
                    self.post(to, from, Packet::Reset);
                }
                None => {}
            },
        }
    }

    fn connection_comes(&mut self, from: SocketAddr, to: SocketAddr, room: usize) {
        if !address::is_own(to.ip()) || self.streams.contains_key(&(to, from)) {
            return;
        }
        let covers = |socket: &Socket| {
            let local = socket.local;
            socket.listens() && local.port() == to.port() && address::covers(local.ip(), to.ip())
        };
        let all: Vec<Id> =
            self.sockets.iter().filter(|(_, it)| covers(it)).map(|(id, _)| *id).collect();
        if all.is_empty() {
            self.post(to, from, Packet::Reset);
            return;
        }
        // Of several that share a port, one.
        let listener = all[self.wire.random.below(all.len() as u64) as usize];
        let options = self.at(listener).options.clone();
        let own_room = options.bytes(SocketOption::ReceiveBuffer);
        let stream = Stream::new(from, room + options.bytes(SocketOption::SendBuffer));
        let has_room = |socket: &Socket| {
            // One more, as with the kernel.
            matches!(&socket.role, Role::Listens { backlog, queue } if queue.len() <= *backlog)
        };
        if !has_room(self.at(listener)) {
            // Who is not answered asks again.
            return;
        }
        let id = self.add(Socket::with(Role::Stream(stream), to, options));
        if let Role::Listens { queue, .. } = &mut self.at(listener).role {
            queue.push_back(id);
        }
        self.streams.insert((to, from), id);
        self.post(to, from, Packet::Accept(own_room));
        self.wake(listener);
    }

    fn stream_goes_on(&mut self, id: Id, packet: Packet) {
        let socket = self.at(id);
        let own_room = socket.options.bytes(SocketOption::SendBuffer);
        match (&mut socket.role, packet) {
            (Role::Connects { peer, .. }, Packet::Accept(room)) => {
                socket.role = Role::Stream(Stream::new(*peer, room + own_room));
            }
            (Role::Connects { .. }, Packet::Reset) => self.give_up(id, libc::ECONNREFUSED),
            (Role::Stream(stream), Packet::Bytes(bytes)) => stream.put(&bytes),
            (Role::Stream(stream), Packet::Room(room)) => stream.room += room,
            (Role::Stream(stream), Packet::End) => stream.has_end = true,
            (Role::Stream(stream), Packet::Reset) if !stream.is_over() => {
                stream.is_reset = true;
                let number = if stream.has_end { libc::EPIPE } else { libc::ECONNRESET };
                socket.fail(number);
            }
            _ => {}
        }
    }

    /// Nobody has answered who wants to connect.
    fn repeat(&mut self, id: Id) {
        let Some(Socket { role: Role::Connects { peer, attempt }, .. }) = self.sockets.get_mut(&id)
        else {
            return;
        };
        *attempt += 1;
        let (peer, attempt) = (*peer, *attempt);
        if attempt < ATTEMPTS {
            self.ask_to_connect(id, peer, attempt);
        } else {
            self.give_up(id, libc::ETIMEDOUT);
            self.wake(id);
        }
    }

    fn give_up(&mut self, id: Id, number: i32) {
        let socket = self.at(id);
        socket.fail(number);
        let local = socket.local;
        if let Role::Connects { peer, .. } = std::mem::replace(&mut socket.role, Role::Fresh) {
            self.streams.remove(&(local, peer));
        }
    }

    fn datagram_comes(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, sender: Id) {
        if let Some(Socket { role: Role::Datagrams(datagrams), .. }) = self.sockets.get_mut(&sender)
        {
            datagrams.on_their_way -= bytes.len();
            self.wake(sender);
        }
        let hears = |socket: &Socket| {
            let local = socket.local;
            matches!(&socket.role, Role::Datagrams(datagrams) if datagrams.hears(from))
                && local.port() == to.port()
                && address::covers(local.ip(), to.ip())
        };
        let found = self.sockets.iter().find(|(_, socket)| hears(socket)).map(|(id, _)| *id);
        let Some(id) = found else {
            if address::is_own(to.ip()) {
                self.post(to, from, Packet::Unreachable);
            }
            return;
        };
        let most = self.at(id).options.bytes(SocketOption::ReceiveBuffer);
        if let Role::Datagrams(datagrams) = &mut self.at(id).role {
            datagrams.put(from, bytes, most);
        }
        self.wake(id);
    }

    /// A datagram has found nobody at `from`. Who is connected to there hears of it.
    fn none_was_there(&mut self, from: SocketAddr, to: SocketAddr) {
        let sent = |socket: &&mut Socket| {
            matches!(&socket.role, Role::Datagrams(datagrams) if datagrams.peer == Some(from))
                && socket.local == to
        };
        if let Some(socket) = self.sockets.values_mut().find(sent) {
            socket.fail(libc::ECONNREFUSED);
            socket.take_woken(&mut self.woken);
        }
    }
}
