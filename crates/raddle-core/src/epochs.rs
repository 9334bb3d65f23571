//! Which of the items that were queued before some moment are not over yet: for those who wait for them, however many come later.
//!
//! Items belong to *epochs*. Whoever wants to wait for all that was queued so far closes the present epoch and waits until it and those
//! before it are over. A count for each epoch is all that is kept, so nothing is allocated, whatever the number of items and of those who
//! wait; who waits together shares an epoch if nothing was queued in between.
//!
//! ```text
//!   epoch    4        5        6 (present)
//!   items    2        0        7            done: 4; one who closed 4 waits for 5, one who closed 5 for 6
//! ```
//!
//! Linux's workqueues do the same with fifteen *colors*, and let one who waits be the head of others; here, if there are too many epochs,
//! whoever comes waits for the first of them before it closes its own.
//!
//! Rejected: a marker in the list of items (they end in any order, so the list would have to hold those that run, and an item that is
//! queued again while it runs stands there twice); a mark in each item (to wait would take as long as there are items).

/// How many epochs there can be at a time.
pub const EPOCHS: u64 = 16;

/// Counts of items by epoch. Under a lock.
///
/// ```
/// use raddle_core::epochs::{Epochs, Until};
/// let mut epochs = Epochs::new();
/// let (first, second) = (epochs.begin(), epochs.begin());
/// let Until::Done(wanted) = epochs.close() else { panic!("two are under way") };
/// let third = epochs.begin();
/// assert!(!epochs.end(second) && epochs.done() < wanted);
/// assert!(epochs.end(first) && epochs.done() >= wanted, "the third does not matter");
/// assert!(!epochs.end(third));
/// ```
#[derive(Clone, Debug)]
pub struct Epochs {
    /// The first that is not over, or the present one.
    first: u64,
    present: u64,
    /// Items of each, by the epoch's number modulo [`EPOCHS`].
    items: [u32; EPOCHS as usize],
}

/// What one who wants to wait for all items so far has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing has been waited for yet"]
pub enum Until {
    /// Nothing: there are none.
    Now,
    /// Until [`Epochs::done`] is that much.
    Done(u64),
    /// The same, and then it must ask again: there are too many epochs.
    Again(u64),
}

impl Epochs {
    /// No items.
    pub const fn new() -> Epochs {
        Epochs { first: 0, present: 0, items: [0; EPOCHS as usize] }
    }

    /// An item is queued: the epoch that it belongs to.
    #[inline]
    pub fn begin(&mut self) -> u64 {
        *self.items_of(self.present) += 1;
        self.present
    }

    /// An item of that epoch is over. Whether [`done`](Epochs::done) has grown.
    ///
    /// # Panics
    ///
    /// If the epoch has none.
    #[inline]
    pub fn end(&mut self, epoch: u64) -> bool {
        let items = self.items_of(epoch);
        assert!(*items > 0, "Epochs::end: no item of epoch {epoch} is under way");
        *items -= 1;
        let before = self.first;
        while self.first < self.present && *self.items_of(self.first) == 0 {
            self.first += 1;
        }
        self.first > before
    }

    /// All epochs before this one are over.
    #[inline]
    pub const fn done(&self) -> u64 {
        self.first
    }

    /// Items that are queued from now on belong to another epoch than those before. What one has to wait for who wants these to be over.
    pub fn close(&mut self) -> Until {
        if *self.items_of(self.present) == 0 {
            return if self.first == self.present { Until::Now } else { Until::Done(self.present) };
        }
        if self.present - self.first == EPOCHS - 1 {
            return Until::Again(self.first + 1);
        }
        self.present += 1;
        Until::Done(self.present)
    }

    #[inline]
    fn items_of(&mut self, epoch: u64) -> &mut u32 {
        &mut self.items[(epoch % EPOCHS) as usize]
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Begin,
        End(usize),
        Close,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Begin),
            3 => (0usize..64).prop_map(Step::End),
            2 => Just(Step::Close),
        ]
    }

    proptest! {
        /// Whoever waits is done when the last of those is over that were under way when it began to, no sooner and no later; one who
        /// has to ask again is let go no later than that.
        #[test]
        fn whoever_waits_is_done_with_the_last_that_it_waits_for(steps in proptest::collection::vec(step(), 1..300)) {
            let mut epochs = Epochs::new();
            let mut under_way: Vec<(u64, usize)> = Vec::new();
            let mut waiting: Vec<(Until, Vec<usize>)> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Begin => under_way.push((epochs.begin(), number)),
                    Step::End(at) if !under_way.is_empty() => {
                        let (epoch, _) = under_way.remove(at % under_way.len());
                        let before = epochs.done();
                        prop_assert_eq!(epochs.end(epoch), epochs.done() > before);
                    }
                    Step::End(_) => {}
                    Step::Close => {
                        let items = under_way.iter().map(|(_, number)| *number).collect();
                        waiting.push((epochs.close(), items));
                    }
                }
                for (until, items) in &waiting {
                    let is_over = !items.iter().any(|item| under_way.iter().any(|(_, one)| one == item));
                    match until {
                        Until::Now => prop_assert!(is_over),
                        Until::Done(wanted) => prop_assert_eq!(epochs.done() >= *wanted, is_over),
                        Until::Again(wanted) => prop_assert!(epochs.done() >= *wanted || !is_over),
                    }
                }
            }
        }
    }

    #[test]
    fn who_comes_when_there_are_too_many_epochs_waits_for_the_first() {
        let mut epochs = Epochs::new();
        let items: Vec<u64> = (1..EPOCHS)
            .map(|number| {
                let epoch = epochs.begin();
                assert_eq!(epochs.close(), Until::Done(number));
                epoch
            })
            .collect();
        let last = epochs.begin();
        assert_eq!(epochs.close(), Until::Again(1));
        assert!(epochs.end(items[0]));
        assert_eq!(epochs.close(), Until::Done(EPOCHS));
        items[1..].iter().for_each(|&epoch| assert!(epochs.end(epoch)));
        assert!(epochs.end(last));
        assert_eq!(epochs.close(), Until::Now);
    }

    #[test]
    #[should_panic(expected = "no item of epoch 0")]
    fn nobody_ends_twice() {
        let mut epochs = Epochs::new();
        let epoch = epochs.begin();
        let _ = epochs.end(epoch);
        let _ = epochs.end(epoch);
    }
}
