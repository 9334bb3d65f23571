//! Who is connected: so that a server which ends knows whom to tell, and when all have gone.

use super::loads::Loads;
use raddle::cancel::Token;
use raddle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Everybody, by places.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Mutex<Places>,
    changed: Condvar,
    is_draining: AtomicBool,
    loads: Loads,
}

#[derive(Debug, Default)]
struct Places {
    all: Vec<Option<Arc<Seat>>>,
    free: Vec<usize>,
    connections: usize,
    refused: usize,
    /// Everybody is cut off, who comes later as well.
    is_ended: bool,
}

/// One connection's means to be told.
#[derive(Debug)]
pub(super) struct Seat {
    /// Carried while it waits for a request's first byte: whoever cancels it loses nothing.
    pub(super) idle: Token,
    /// Carried always.
    pub(super) life: Token,
    kind: Kind,
    /// A connection's: the core among whose it counts.
    core: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connection,
    /// A connection that is only told that it is refused.
    Refused,
    /// It takes connections, and is none.
    Acceptor,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: usize,
    pub(super) seat: Arc<Seat>,
}

impl Crowd {
    /// Nobody, on so many cores.
    pub(super) fn new(cores: usize) -> Crowd {
        Crowd {
            places: Mutex::default(),
            changed: Condvar::default(),
            is_draining: AtomicBool::new(false),
            loads: Loads::new(cores),
        }
    }

    /// How many connections each core has.
    pub(super) fn loads(&self) -> &Loads {
        &self.loads
    }

    /// A connection comes, to be served on `core`, unless there are `most` already.
    pub(super) fn enter(self: &Arc<Self>, core: usize, most: usize) -> Option<Place> {
        self.seat(Kind::Connection, core, most)
    }

    /// A connection comes that is only to be told something, unless so many are told already.
    pub(super) fn enter_refused(self: &Arc<Self>, core: usize, most: usize) -> Option<Place> {
        self.seat(Kind::Refused, core, most)
    }

    /// Whoever takes connections has a place as well: as long as it is there, there may be more.
    pub(super) fn enter_acceptor(self: &Arc<Self>) -> Place {
        self.seat(Kind::Acceptor, 0, usize::MAX).expect("there is always room for them")
    }

    fn seat(self: &Arc<Self>, kind: Kind, core: usize, most: usize) -> Option<Place> {
        let (idle, life) = (Token::new(), Token::new());
        let seat = Arc::new(Seat { idle, life, kind, core: AtomicUsize::new(core) });
        let mut places = self.places();
        if let Some(count) = places.of(kind) {
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        let number = places.free.pop().unwrap_or(places.all.len());
        if number == places.all.len() {
            places.all.push(None);
        }
        places.all[number] = Some(seat.clone());
        let is_ended = places.is_ended;
        drop(places);
        // Asked when it is in its place: a drain that began before has not seen it there.
        if self.is_draining() {
            seat.idle.cancel();
        }
        if is_ended {
            seat.life.cancel();
        }
        if kind == Kind::Connection {
            self.loads.enter(core);
        }
        Some(Place { crowd: self.clone(), number, seat })
    }

    /// Whether responses are to say that they are the last.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Ends the connections that are idle now, and those that become idle.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        for seat in self.seats() {
            seat.idle.cancel();
        }
    }

    /// Cuts off everybody.
    pub(super) fn end(&self) {
        self.places().is_ended = true;
        for seat in self.seats() {
            seat.idle.cancel();
            seat.life.cancel();
        }
    }

    /// Waits until nobody is there, for `limit` at most if there is one; whether that is so.
    pub(super) fn wait(&self, limit: Option<Duration>) -> bool {
        let places = self.places();
        match limit {
            None => {
                let wait = self.changed.wait_while(places, |places| places.count() > 0);
                drop(wait.unwrap_or_else(PoisonError::into_inner));
                true
            }
            Some(limit) => {
                let wait =
                    self.changed.wait_timeout_while(places, limit, |places| places.count() > 0);
                wait.unwrap_or_else(PoisonError::into_inner).0.count() == 0
            }
        }
    }

    /// Waits until there are fewer connections than so many.
    pub(super) fn wait_for_room(&self, most: impl Fn() -> usize) {
        // Asked each time that somebody is to be accepted.
        if most() < usize::MAX {
            let is_full = |places: &mut Places| places.connections >= most();
            let wait = self.changed.wait_while(self.places(), is_full);
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// There may be more than before.
    pub(super) fn room_has_changed(&self) {
        // Whoever has looked, and does not wait yet, holds the lock.
        drop(self.places());
        self.changed.notify_all();
    }

    /// Everybody, acceptors included.
    pub(super) fn count(&self) -> usize {
        self.places().count()
    }

    pub(super) fn connections(&self) -> usize {
        self.places().connections
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.places().all.iter().flatten().cloned().collect()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn count(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// How many there are of a kind whose number is limited.
    fn of(&mut self, kind: Kind) -> Option<&mut usize> {
        match kind {
            Kind::Connection => Some(&mut self.connections),
            Kind::Refused => Some(&mut self.refused),
            Kind::Acceptor => None,
        }
    }
}

impl Place {
    pub(super) fn is_draining(&self) -> bool {
        self.crowd.is_draining()
    }

    /// The core among whose it counts.
    pub(super) fn core(&self) -> usize {
        self.seat.core.load(Ordering::Relaxed)
    }

    /// The connection's thread runs there: the scheduler may have taken it to another core than the one among whose it counts.
    pub(super) fn runs_on(&self, core: usize) {
        let before = self.seat.core.load(Ordering::Relaxed);
        if before != core && core < self.crowd.loads.cores() {
            self.seat.core.store(core, Ordering::Relaxed);
            self.crowd.loads.leave(before);
            self.crowd.loads.enter(core);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.crowd.places();
        let gone = places.all[self.number].take();
        places.free.push(self.number);
        places.of(self.seat.kind).into_iter().for_each(|count| *count -= 1);
        // Under the lock: who finds that nobody is left finds so on each core.
        if self.seat.kind == Kind::Connection {
            self.crowd.loads.leave(self.seat.core.load(Ordering::Relaxed));
        }
        drop(places);
        drop(gone);
        self.crowd.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_there_and_whoever_comes_is_told_of_the_end() {
        let crowd = Arc::new(Crowd::new(1));
        let enter = || crowd.enter(0, 9).expect("there is room");
        let places = [enter(), enter()];
        assert!(!crowd.wait(Some(Duration::ZERO)) && crowd.count() == 2);
        crowd.drain();
        assert!(places.iter().all(|place| place.seat.idle.is_cancelled()));
        assert!(places.iter().all(|place| !place.seat.life.is_cancelled()));
        // Who comes now is served if its request is there already.
        let late = enter();
        assert!(late.is_draining() && late.seat.idle.is_cancelled());
        assert!(!late.seat.life.is_cancelled());
        crowd.end();
        assert!(late.seat.life.is_cancelled() && enter().seat.life.is_cancelled());
        drop((places, late));
        assert!(crowd.wait(None));
    }

    #[test]
    fn each_kind_has_room_for_itself() {
        let crowd = Arc::new(Crowd::new(1));
        let acceptor = crowd.enter_acceptor();
        let (one, told) = (crowd.enter(0, 1), crowd.enter_refused(0, 1));
        assert!(one.is_some() && told.is_some());
        assert!(crowd.enter(0, 1).is_none() && crowd.enter_refused(0, 1).is_none());
        assert_eq!((crowd.connections(), crowd.count()), (1, 3));
        drop(one);
        assert!(crowd.enter(0, 1).is_some());
        drop((told, acceptor));
        assert_eq!((crowd.connections(), crowd.count()), (0, 0));
    }

    #[test]
    fn a_connection_counts_where_it_runs() {
        let crowd = Arc::new(Crowd::new(2));
        let counts = || [0, 1].map(|core| crowd.loads().of(core));
        let places = [0, 0, 1].map(|core| crowd.enter(core, 9).expect("there is room"));
        assert_eq!(counts(), [2, 1]);
        places[0].runs_on(1);
        places[0].runs_on(1);
        assert_eq!(counts(), [1, 2]);
        places[0].runs_on(2);
        assert_eq!(counts(), [1, 2], "there is no such core");
        drop(places);
        assert_eq!(counts(), [0, 0]);
    }
}
