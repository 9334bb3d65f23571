//! Lists of workers and of what becomes one: parked spares, the stock of recruits, those that were sent to their end. What a worker is
//! `machine` says; here it is a record that is never freed and has a link, as it is in one list at a time.

#![allow(unsafe_code, reason = "links to records that are never freed")]

use raddle_context::Prepared;
use raddle_core::pool::STOCK;
use std::cell::Cell;
use std::ptr;

/// What stands in a list.
pub(crate) trait Listed: Sync + 'static {
    /// The next in the list that this one is in, whose lock guards it.
    fn link(&self) -> &Cell<*const Self>;
}

/// Links from one to the next; the last that came is the first.
#[derive(Debug)]
struct List<W> {
    first: *const W,
}

// SAFETY: what it leads to is never freed, and shared by design.
unsafe impl<W: Listed> Send for List<W> {}

impl<W: Listed> List<W> {
    fn push(&mut self, worker: &'static W) {
        worker.link().set(self.first);
        self.first = worker;
    }

    /// Takes the first out of which `take` makes something.
    fn take<T>(&mut self, mut take: impl FnMut(&'static W) -> Option<T>) -> Option<T> {
        let mut before: Option<&W> = None;
        let mut at = self.first;
        loop {
            // SAFETY: by `push`, one that is never freed.
            let worker: &'static W = unsafe { at.as_ref() }?;
            let next = worker.link().get();
            if let Some(taken) = take(worker) {
                match before {
                    Some(before) => before.link().set(next),
                    None => self.first = next,
                }
                return Some(taken);
            }
            (before, at) = (Some(worker), next);
        }
    }
}

/// Workers that are parked, ready to take a core.
#[derive(Debug)]
pub(crate) struct Spares<W> {
    list: List<W>,
    parked: u32,
    /// The least that were parked at once since somebody asked.
    fewest: u32,
    /// Being made: they will park.
    pub(crate) coming: u32,
    /// One fills the stock of recruits, and will park when libc has let it.
    pub(crate) is_filling: bool,
}

impl<W: Listed> Spares<W> {
    pub(crate) const NONE: Self = Spares {
        list: List { first: ptr::null() },
        parked: 0,
        fewest: 0,
        coming: 0,
        is_filling: false,
    };

    pub(crate) fn push(&mut self, spare: &'static W) {
        self.list.push(spare);
        self.parked += 1;
    }

    /// The one that parked last, for the caller alone.
    pub(crate) fn pop(&mut self) -> Option<&'static W> {
        let spare = self.list.take(Some)?;
        self.parked -= 1;
        self.fewest = self.fewest.min(self.parked);
        Some(spare)
    }

    /// The one that would be taken next.
    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<&'static W> {
        // SAFETY: by `push`, one that is never freed.
        unsafe { self.list.first.as_ref() }
    }

    pub(crate) fn parked(&self) -> u32 {
        self.parked
    }

    /// The least that were parked at any time since this was last asked.
    pub(crate) fn fewest_since(&mut self) -> u32 {
        std::mem::replace(&mut self.fewest, self.parked)
    }
}

/// What a new worker needs, made beforehand: a worker must come when libc's locks are held by threads that nobody runs.
#[derive(Debug)]
pub(crate) struct Recruit<W: 'static> {
    pub(crate) body: Prepared,
    /// Its record, in which nothing is said yet.
    pub(crate) worker: &'static W,
}

/// The stock of recruits, and workers that were sent to their end, of whom recruits are made.
pub(crate) struct Recruits<W: 'static> {
    /// One place more than is filled, for one that comes back: the kernel has refused to make a thread of it.
    ready: [Option<Recruit<W>>; STOCK + 1],
    /// Their kernel threads may not be gone yet.
    ended: List<W>,
}

impl<W: Listed> Recruits<W> {
    pub(crate) const NONE: Self =
        Recruits { ready: [const { None }; STOCK + 1], ended: List { first: ptr::null() } };

    pub(crate) fn count(&self) -> usize {
        self.ready.iter().filter(|place| place.is_some()).count()
    }

    /// # Panics
    ///
    /// If there are [`STOCK`] and one more.
    pub(crate) fn put(&mut self, recruit: Recruit<W>) {
        let free = self.ready.iter_mut().find(|place| place.is_none());
        *free.expect("one at a time fills the stock, and one comes back") = Some(recruit);
    }

    pub(crate) fn take(&mut self) -> Option<Recruit<W>> {
        self.ready.iter_mut().find_map(Option::take)
    }

    /// Takes in one that was told to end, and will have ended some time.
    pub(crate) fn put_ended(&mut self, worker: &'static W) {
        self.ended.push(worker);
    }

    /// The first of those of which `reclaim` has something, and that.
    pub(crate) fn take_ended<T>(
        &mut self,
        mut reclaim: impl FnMut(&'static W) -> Option<T>,
    ) -> Option<(&'static W, T)> {
        self.ended.take(|worker| reclaim(worker).map(|it| (worker, it)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Node {
        number: u32,
        link: Cell<*const Node>,
    }

    // SAFETY: these tests have one thread.
    unsafe impl Sync for Node {}

    impl Listed for Node {
        fn link(&self) -> &Cell<*const Node> {
            &self.link
        }
    }

    fn node(number: u32) -> &'static Node {
        Box::leak(Box::new(Node { number, link: Cell::new(ptr::null()) }))
    }

    #[test]
    fn the_last_spare_goes_first_and_the_fewest_are_remembered() {
        let mut spares = Spares::NONE;
        (0..3).for_each(|number| spares.push(node(number)));
        assert_eq!((spares.parked(), spares.fewest_since(), spares.fewest_since()), (3, 0, 3));
        assert_eq!(spares.pop().map(|spare| spare.number), Some(2));
        assert_eq!(spares.pop().map(|spare| spare.number), Some(1));
        spares.push(node(7));
        assert_eq!((spares.fewest_since(), spares.fewest_since()), (1, 2));
        assert_eq!(spares.first().map(|spare| spare.number), Some(7));
        assert_eq!(std::iter::from_fn(|| spares.pop()).count(), 2);
        assert_eq!((spares.parked(), spares.fewest_since()), (0, 0));
    }

    #[test]
    fn who_has_not_ended_yet_is_passed_over() {
        let mut recruits = Recruits::<Node>::NONE;
        (0..5).for_each(|number| recruits.put_ended(node(number)));
        let mut take = |wanted: u32| {
            let taken = recruits.take_ended(|node| (node.number == wanted).then_some(wanted + 10));
            taken.map(|(node, what)| (node.number, what))
        };
        for wanted in [2, 4, 0, 1] {
            assert_eq!(take(wanted), Some((wanted, wanted + 10)));
            assert_eq!(take(wanted), None);
        }
        assert_eq!(take(3), Some((3, 13)));
        assert!(recruits.take_ended(Some).is_none());
    }
}
