//! Who is connected: so that a server which ends knows whom to tell, and when all have gone.

use raddle::cancel::Token;
use raddle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Everybody, by places.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    places: Mutex<Places>,
    changed: Condvar,
    is_draining: AtomicBool,
}

#[derive(Debug, Default)]
struct Places {
    all: Vec<Option<Arc<Seat>>>,
    free: Vec<usize>,
    /// Everybody is cut off, who comes later as well.
    is_ended: bool,
}

/// One connection's means to be told.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Carried while it waits for a request's first byte: whoever cancels it loses nothing.
    pub(super) idle: Token,
    /// Carried always.
    pub(super) life: Token,
    /// It takes connections, and is none.
    is_acceptor: bool,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: usize,
    pub(super) seat: Arc<Seat>,
}

impl Crowd {
    /// A connection comes.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        self.seat(Seat::default())
    }

    /// Whoever takes connections has a place as well: as long as it is there, there may be more.
    pub(super) fn enter_acceptor(self: &Arc<Self>) -> Place {
        self.seat(Seat { is_acceptor: true, ..Seat::default() })
    }

    fn seat(self: &Arc<Self>, seat: Seat) -> Place {
        let seat = Arc::new(seat);
        let mut places = self.places();
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
        Place { crowd: self.clone(), number, seat }
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

    /// Waits until there are fewer than so many, which is asked again whenever something has changed.
    pub(super) fn wait_for_room(&self, most: impl Fn() -> usize) {
        let wait = self.changed.wait_while(self.places(), |places| places.count() >= most());
        drop(wait.unwrap_or_else(PoisonError::into_inner));
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
        self.places().all.iter().flatten().filter(|seat| !seat.is_acceptor).count()
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
}

impl Place {
    pub(super) fn is_draining(&self) -> bool {
        self.crowd.is_draining()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.crowd.places();
        let gone = places.all[self.number].take();
        places.free.push(self.number);
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
        let crowd = Arc::new(Crowd::default());
        let places = [crowd.enter(), crowd.enter()];
        assert!(!crowd.wait(Some(Duration::ZERO)) && crowd.count() == 2);
        crowd.drain();
        assert!(places.iter().all(|place| place.seat.idle.is_cancelled()));
        assert!(places.iter().all(|place| !place.seat.life.is_cancelled()));
        // Who comes now is served if its request is there already.
        let late = crowd.enter();
        assert!(late.is_draining() && late.seat.idle.is_cancelled());
        assert!(!late.seat.life.is_cancelled());
        crowd.end();
        assert!(late.seat.life.is_cancelled() && crowd.enter().seat.life.is_cancelled());
        drop((places, late));
        assert!(crowd.wait(None));
    }
}
