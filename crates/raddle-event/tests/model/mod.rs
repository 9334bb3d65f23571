//! Random sequences of operations against a model of what a queue must and must not report. The input is bytes, so that
//! proptest (`random.rs`) and a fuzzer (`fuzz/`) drive the same model.

#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use raddle_event::{
    BackendKind, Config, Events, Interest, Mode, Op, Operation, Queue, Registration, Timer, What,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const PLACES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket that the queue knows, the other end, and what the model knows of both.
struct Place {
    peer: UnixStream,
    socket: UnixStream,
    /// Written and not read.
    pending: usize,
    registered: Option<Registered>,
    /// What every byte that arrives here is.
    tag: u8,
}

struct Registered {
    registration: Registration,
    key: u64,
    mode: Mode,
    reads: bool,
    /// A one-shot that was reported.
    is_spent: bool,
    /// Something is to be read, and a report of it is due.
    is_owed: bool,
}

struct Flying {
    operation: Operation,
    place: usize,
    buffer: Box<[u8; 16]>,
    is_cancelled: bool,
}

struct World {
    queue: Queue,
    events: Events,
    places: Vec<Place>,
    flying: BTreeMap<u64, Flying>,
    timers: BTreeMap<u64, (Timer, Instant)>,
    wakes: u32,
    next_key: u64,
    next_tag: u8,
}

/// Plays what the bytes say, on one backend. Panics where the queue breaks its contract.
pub fn play(backend: BackendKind, script: &[u8]) {
    let config = Config { backend: Some(backend), ring_entries: 4, ..Config::default() };
    let queue = Queue::new(&config).expect("it worked before");
    let mut world = World {
        queue,
        events: Events::with_capacity(64),
        places: Vec::new(),
        flying: BTreeMap::new(),
        timers: BTreeMap::new(),
        wakes: 0,
        next_key: 1,
        next_tag: 1,
    };
    for _ in 0..PLACES {
        let place = world.place();
        world.places.push(place);
    }
    for step in script.chunks_exact(2) {
        world.step(step[0], step[1]);
    }
    world.settle();
}

impl World {
    fn place(&mut self) -> Place {
        let (peer, socket) = UnixStream::pair().expect("socketpair");
        peer.set_nonblocking(true).expect("fcntl");
        socket.set_nonblocking(true).expect("fcntl");
        self.next_tag = self.next_tag.wrapping_add(1).max(1);
        Place { peer, socket, pending: 0, registered: None, tag: self.next_tag }
    }

    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    fn step(&mut self, what: u8, how: u8) {
        let at = usize::from(how) % PLACES;
        let mode = [Mode::Level, Mode::Edge, Mode::OneShot][usize::from(how / 8) % 3];
        let interest = [Interest::READ, Interest::WRITE, Interest::READ | Interest::WRITE]
            [usize::from(how / 32) % 3];
        match what % 16 {
            0..=2 => self.write(at, 1 + usize::from(how / 64)),
            3 => self.drain(at),
            4 | 5 => self.register(at, interest, mode),
            6 => self.modify(at, interest, mode),
            7 => {
                if let Some(registered) = self.places[at].registered.take() {
                    assert!(self.queue.remove(registered.registration));
                    assert!(!self.queue.remove(registered.registration));
                }
            }
            8 | 9 => self.receive(at),
            10 => self.cancel(how),
            11 => self.replace(at, how & 128 != 0),
            12 => {
                let key = self.key();
                let at = Instant::now() + Duration::from_micros(u64::from(how));
                self.timers.insert(key, (self.queue.timer_at(key, at), at));
            }
            13 if how & 1 == 0 => {
                if let Some((_, (timer, _))) = self.timers.pop_first() {
                    assert!(self.queue.cancel_timer(timer));
                }
            }
            13 => {
                self.queue.waker().wake();
                self.wakes = 1;
            }
            14 if how & 1 == 0 => self.queue.flush().expect("flush"),
            14 => {
                self.queue.harvest(&mut self.events).expect("harvest");
                self.check();
            }
            _ => self.wait(Duration::ZERO),
        }
    }

    fn write(&mut self, at: usize, count: usize) {
        let place = &mut self.places[at];
        if place.peer.write(&vec![place.tag; count]).is_ok_and(|written| written == count) {
            place.pending += count;
            if let Some(registered) = &mut place.registered {
                registered.is_owed = registered.reads && !registered.is_spent;
            }
        }
    }

    fn drain(&mut self, at: usize) {
        let mut buffer = [0; 256];
        let place = &mut self.places[at];
        while let Ok(count) = place.socket.read(&mut buffer) {
            assert!(count > 0 && count <= place.pending);
            place.pending -= count;
            assert!(buffer[..count].iter().all(|byte| *byte == place.tag));
        }
        self.taken(at);
    }

    /// Something was read: what is not there need not be reported.
    fn taken(&mut self, at: usize) {
        let place = &mut self.places[at];
        if place.pending == 0
            && let Some(registered) = &mut place.registered
        {
            registered.is_owed = false;
        }
    }

    fn register(&mut self, at: usize, interest: Interest, mode: Mode) {
        let key = self.key();
        let place = &mut self.places[at];
        let registration =
            self.queue.register(&place.socket, key, interest, mode).expect("register");
        if let Some(before) = place.registered.take() {
            assert!(!self.queue.remove(before.registration), "replaced");
        }
        let reads = interest.reads();
        let is_owed = reads && place.pending > 0;
        place.registered =
            Some(Registered { registration, key, mode, reads, is_spent: false, is_owed });
    }

    fn modify(&mut self, at: usize, interest: Interest, mode: Mode) {
        let place = &mut self.places[at];
        let Some(registered) = &mut place.registered else { return };
        self.queue.modify(registered.registration, interest, mode).expect("modify");
        (registered.mode, registered.reads, registered.is_spent) = (mode, interest.reads(), false);
        registered.is_owed = registered.reads && place.pending > 0;
    }

    fn receive(&mut self, at: usize) {
        let key = self.key();
        let mut buffer = Box::new([0; 16]);
        let op = Op::Recv {
            socket: self.places[at].socket.as_raw_fd(),
            buffer: buffer.as_mut_ptr(),
            len: buffer.len(),
            flags: 0,
            is_drained: self.places[at].pending == 0,
        };
        // SAFETY: the buffer is kept until the operation has ended; sockets with operations are not closed by hand.
        let operation = unsafe { self.queue.submit(key, op) }.expect("submit");
        self.flying.insert(key, Flying { operation, place: at, buffer, is_cancelled: false });
    }

    fn cancel(&mut self, how: u8) {
        let nth = usize::from(how / 2) % self.flying.len().max(1);
        let Some((&key, _)) = self.flying.iter().nth(nth) else { return };
        if how & 1 == 0 {
            let flying = self.flying.get_mut(&key).expect("it is there");
            if self.queue.cancel(flying.operation) {
                flying.is_cancelled = true;
            }
            return;
        }
        let flying = self.flying.remove(&key).expect("it is there");
        let result = self.queue.cancel_and_wait(flying.operation).expect("not delivered yet");
        assert!(self.queue.cancel_and_wait(flying.operation).is_none());
        self.ended(&Flying { is_cancelled: true, ..flying }, result);
    }

    fn ended(&mut self, flying: &Flying, result: std::io::Result<usize>) {
        let place = &mut self.places[flying.place];
        match result {
            Ok(count) => {
                assert!(count > 0 && count <= place.pending, "{count} of {}", place.pending);
                assert!(flying.buffer[..count].iter().all(|byte| *byte == place.tag));
                place.pending -= count;
            }
            Err(error) => {
                assert!(flying.is_cancelled, "{error}");
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
                assert_eq!(*flying.buffer, [0; 16]);
            }
        }
        self.taken(flying.place);
    }

    /// The number comes to name another file: behind the queue's back, or closed through it.
    fn replace(&mut self, at: usize, through_queue: bool) {
        let is_used = self.flying.values().any(|flying| flying.place == at);
        if is_used && !through_queue {
            return;
        }
        // What was found before and not delivered could come after.
        self.wait(Duration::ZERO);
        let new = self.place();
        if !through_queue {
            let (old, new_fd) = (self.places[at].socket.as_raw_fd(), new.socket.as_raw_fd());
            // SAFETY: both are open; nothing is in flight on the old one.
            let result = unsafe { libc::dup2(new_fd, old) };
            assert!(result >= 0);
            let place = &mut self.places[at];
            (place.peer, place.tag) = (new.peer, new.tag);
            (place.pending, place.registered) = (0, None);
            return;
        }
        let old = std::mem::replace(&mut self.places[at], new);
        for flying in self.flying.values_mut().filter(|flying| flying.place == at) {
            flying.is_cancelled = true;
        }
        // SAFETY: no memory is involved.
        let closing = unsafe { self.queue.submit(0, Op::Close { file: old.socket.into_raw_fd() }) };
        let closing = closing.expect("submit");
        // What was in flight ends before the place is another's for the model.
        let new = std::mem::replace(&mut self.places[at].pending, old.pending);
        let tag = std::mem::replace(&mut self.places[at].tag, old.tag);
        let buffer = Box::new([0; 16]);
        self.flying.insert(
            0,
            Flying { operation: closing, place: usize::MAX, buffer, is_cancelled: false },
        );
        let start = Instant::now();
        while self.flying.values().any(|flying| flying.place == at || flying.place == usize::MAX) {
            assert!(start.elapsed() < PATIENCE, "closing does not end");
            self.wait(Duration::from_millis(100));
        }
        (self.places[at].pending, self.places[at].tag) = (new, tag);
    }

    fn wait(&mut self, timeout: Duration) {
        self.queue.wait(&mut self.events, Some(timeout)).expect("wait");
        self.check();
    }

    fn check(&mut self) {
        let events: Vec<_> = self.events.iter().copied().collect();
        for event in events {
            match event.what {
                What::Ready(ready) => {
                    let is_it = |one: &&mut Registered| one.key == event.key;
                    let mut all =
                        self.places.iter_mut().filter_map(|place| place.registered.as_mut());
                    let registered = all.find(is_it).unwrap_or_else(|| panic!("stale: {event:?}"));
                    assert!(!registered.is_spent, "a one-shot, twice: {event:?}");
                    registered.is_spent = registered.mode == Mode::OneShot;
                    registered.is_owed &= !ready.is_readable() && !registered.is_spent;
                }
                What::Done(done) => {
                    let flying = self.flying.remove(&event.key).expect("in flight");
                    assert_eq!(flying.operation, done.operation);
                    if flying.place == usize::MAX {
                        assert_eq!(done.result().expect("close"), 0);
                    } else {
                        self.ended(&flying, done.result());
                    }
                }
                What::Expired(timer, times) => {
                    let (known, at) = self.timers.remove(&event.key).expect("armed");
                    assert_eq!((timer, times), (known, 1));
                    assert!(Instant::now() >= at, "early");
                }
                What::Woken => self.wakes = self.wakes.checked_sub(1).expect("somebody woke it"),
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    /// Everything that is due must come.
    fn settle(&mut self) {
        let start = Instant::now();
        loop {
            let is_owed = |place: &Place| place.registered.as_ref().is_some_and(|one| one.is_owed);
            let can_receive = self
                .flying
                .values()
                .any(|flying| self.places[flying.place].pending > 0 || flying.is_cancelled);
            let is_due = self.places.iter().any(is_owed)
                || can_receive
                || !self.timers.is_empty()
                || self.wakes > 0;
            if !is_due {
                break;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "what is due does not come: owed {:?}, receives {can_receive}, timers {}, wakes {}",
                self.places.iter().map(is_owed).collect::<Vec<_>>(),
                self.timers.len(),
                self.wakes
            );
            self.wait(Duration::from_millis(10));
        }
        assert_eq!(self.queue.in_flight(), self.flying.len());
    }
}
