//! Packets on their way, and whatever else happens at a time of its own.

use super::Settings;
use super::socket::Id;
use raddle_core::random::Random;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::task::Waker;

/// A packet that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub at_ns: u64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub what: &'static str,
    /// Of bytes.
    pub len: usize,
}

#[derive(Debug)]
pub(super) enum Packet {
    /// Of someone who has so much room for bytes.
    Connect(usize),
    /// Likewise.
    Accept(usize),
    Bytes(Vec<u8>),
    /// So much was read.
    Room(usize),
    End,
    Reset,
    Datagram(Vec<u8>, Id),
    /// Nobody takes datagrams there.
    Unreachable,
}

#[derive(Debug)]
pub(super) enum Event {
    Arrives {
        from: SocketAddr,
        to: SocketAddr,
        packet: Packet,
    },
    /// Nobody has answered.
    Repeats(Id),
    Rings(Waker),
}

pub(super) struct Wire {
    pub(super) random: Random,
    latency_ns: Range<u64>,
    /// By when, and in which order.
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    /// When the last packet from one to another arrives: the next one does not before.
    last_arrival: BTreeMap<(SocketAddr, SocketAddr), u64>,
    seen: Vec<Seen>,
}

impl Wire {
    pub(super) fn new(settings: &Settings) -> Wire {
        let Range { start, end } = settings.latency;
        Wire {
            // Not the numbers that choose threads.
            random: Random::from_seed(!settings.seed),
            latency_ns: start.as_nanos() as u64..end.as_nanos() as u64,
            events: BTreeMap::new(),
            next_event: 0,
            last_arrival: BTreeMap::new(),
            seen: Vec::new(),
        }
    }

    pub(super) fn schedule(&mut self, at_ns: u64, event: Event) {
        self.events.insert((at_ns, self.next_event), event);
        self.next_event += 1;
    }

    /// How long the next packet takes.
    pub(super) fn latency_ns(&mut self) -> u64 {
        let Range { start, end } = self.latency_ns;
        if end > start { start + self.random.below(end - start) } else { start }
    }

    pub(super) fn post(&mut self, now_ns: u64, from: SocketAddr, to: SocketAddr, packet: Packet) {
        let arrives = now_ns + self.latency_ns();
        let last = self.last_arrival.entry((from, to)).or_default();
        *last = arrives.max(*last);
        let at_ns = *last;
        self.schedule(at_ns, Event::Arrives { from, to, packet });
    }

    /// When something happens by itself.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.events.keys().next().map(|(at_ns, _)| *at_ns)
    }

    /// The first of what is due by now.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<Event> {
        let due = self.events.first_entry().filter(|first| first.key().0 <= now_ns)?.remove();
        if let Event::Arrives { from, to, packet } = &due {
            let (what, len) = packet.described();
            self.seen.push(Seen { at_ns: now_ns, from: *from, to: *to, what, len });
        }
        Some(due)
    }

    pub(super) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }
}

impl Packet {
    fn described(&self) -> (&'static str, usize) {
        match self {
            Packet::Connect(_) => ("connect", 0),
            Packet::Accept(_) => ("accept", 0),
            Packet::Bytes(bytes) => ("bytes", bytes.len()),
            Packet::Room(room) => ("room", *room),
            Packet::End => ("end", 0),
            Packet::Reset => ("reset", 0),
            Packet::Datagram(bytes, _) => ("datagram", bytes.len()),
            Packet::Unreachable => ("unreachable", 0),
        }
    }
}
