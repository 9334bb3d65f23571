//! The connections that have somebody of their own who waits in a read: each can be told that nothing more will come.

use raddle::net::TcpStream;
use raddle::sync::{Mutex, MutexGuard, PoisonError};
use std::net::Shutdown;
use std::sync::Arc;

/// Something whose readers can be told that this was all.
pub(super) trait Source {
    /// Reads find what has arrived already, and then the end.
    fn end_input(&self);
}

impl Source for Arc<TcpStream> {
    fn end_input(&self) {
        // It fails if the other side has gone, and then reads end as well.
        _ = self.shutdown(Shutdown::Read);
    }
}

/// Everybody who is there, by places.
pub(super) struct Crowd<S>(Mutex<Places<S>>);

struct Places<S> {
    all: Vec<Option<S>>,
    free: Vec<usize>,
    /// Who comes now is told at once.
    is_closed: bool,
}

impl<S: Source> Crowd<S> {
    pub(super) fn new() -> Crowd<S> {
        Crowd(Mutex::new(Places { all: Vec::new(), free: Vec::new(), is_closed: false }))
    }

    /// Somebody comes, perhaps with something to read from; in which place.
    pub(super) fn enter(&self, source: Option<S>) -> usize {
        let mut places = self.places();
        if places.is_closed
            && let Some(source) = &source
        {
            source.end_input();
        }
        let place = places.free.pop().unwrap_or(places.all.len());
        if place == places.all.len() {
            places.all.push(source);
        } else {
            places.all[place] = source;
        }
        place
    }

    /// Whoever has that place goes. Whether nobody is left, and nobody will come.
    pub(super) fn leave(&self, place: usize) -> bool {
        let mut places = self.places();
        let gone = places.all[place].take();
        places.free.push(place);
        let is_over = places.is_closed && places.is_empty();
        drop(places);
        // Closing a socket is a system call, for which nobody should wait.
        drop(gone);
        is_over
    }

    /// Everybody finds the end of what has arrived, and so does who comes later.
    pub(super) fn close(&self) {
        let mut places = self.places();
        places.is_closed = true;
        places.all.iter().flatten().for_each(Source::end_input);
    }

    /// How many are there.
    pub(super) fn count(&self) -> usize {
        self.places().count()
    }

    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    fn places(&self) -> MutexGuard<'_, Places<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Places<S> {
    fn count(&self) -> usize {
        self.all.len() - self.free.len()
    }

    fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    impl Source for Rc<Cell<bool>> {
        fn end_input(&self) {
            self.set(true);
        }
    }

    #[test]
    fn whoever_is_there_and_whoever_comes_is_told_of_the_end() {
        let crowd = Crowd::new();
        let sources: [Rc<Cell<bool>>; 3] = Default::default();
        let places = [0, 1].map(|at| crowd.enter(Some(sources[at].clone())));
        assert!(!crowd.leave(places[0]), "somebody may come");
        crowd.close();
        assert_eq!([0, 1].map(|at| sources[at].get()), [false, true]);
        let last = crowd.enter(Some(sources[2].clone()));
        assert_eq!((last, sources[2].get()), (places[0], true));
        assert!(!crowd.leave(places[1]) && !crowd.is_empty());
        assert_eq!(crowd.count(), 1);
        assert!(crowd.leave(last) && crowd.is_empty());
    }
}
