//! Select: several operations are waited for, and exactly one happens.
//!
//! What a channel does for it stands in `claim`; here is the way of the thread that selects. Which of several operations that can
//! be done is taken is left to chance, so that none starves, unless the caller wants the first.
//!
//! The operations stand in an array that does not move while it is waited: each has its node there. The `select!` macro has it on
//! the stack, a [`Select`] in its vector, so neither allocates for a message.

use super::claim::{Attempt, Claim, Commitment, Enlisting, Operation};
use super::error::{RecvError, SelectTimeoutError, SendError, TrySelectError};
use super::receiver::Receiver;
use super::sender::Sender;
use super::wait::{Ended, MOST_ARMS, Node};
use crate::cancel;
use crate::machine::ThreadRef;
use crate::signals;
use crate::time::{Duration, Instant};
use raddle_core::random::Random;
use std::cell::RefCell;
use std::fmt;
use std::mem::forget;
use std::sync::atomic::{AtomicU64, Ordering};

/// One operation of a select.
#[doc(hidden)]
pub struct Arm<'a> {
    operation: &'a dyn Operation,
    node: Node,
    index: usize,
}

impl fmt::Debug for Arm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arm({})", self.index)
    }
}

impl<'a> Arm<'a> {
    /// Receiving from `receiver`.
    pub fn recv<T>(receiver: &'a Receiver<T>, index: usize) -> Arm<'a> {
        Arm { operation: receiver, node: Node::of_select(), index }
    }

    /// Sending to `sender`.
    pub fn send<T>(sender: &'a Sender<T>, index: usize) -> Arm<'a> {
        Arm { operation: sender, node: Node::of_select(), index }
    }
}

/// How long to wait.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Not at all.
    Now,
    /// Until then; `None` for ever.
    Deadline(Option<Instant>),
}

impl Until {
    /// `timeout` from now.
    pub fn within(timeout: Duration) -> Until {
        Until::Deadline(Instant::after(timeout))
    }
}

/// An operation that was selected and is to be completed: with [`send`](SelectedOperation::send) or
/// [`recv`](SelectedOperation::recv), whichever it is, soon, as somebody may wait for it.
///
/// Dropped without that, it panics.
#[must_use = "a selected operation is to be completed"]
pub struct SelectedOperation<'a> {
    operation: &'a dyn Operation,
    claim: Claim,
    index: usize,
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.index).finish_non_exhaustive()
    }
}

impl SelectedOperation<'_> {
    /// Which operation it is: what [`Select::send`] or [`Select::recv`] returned when it was added.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a send.
    ///
    /// # Errors
    ///
    /// The message, if all receivers are gone.
    ///
    /// # Panics
    ///
    /// If `sender` is not the one that was added.
    pub fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        self.check(sender);
        let claim = self.claim;
        forget(self);
        sender.complete(claim, message)
    }

    /// Completes a receive.
    ///
    /// # Errors
    ///
    /// If there is no message, and all senders are gone.
    ///
    /// # Panics
    ///
    /// If `receiver` is not the one that was added.
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        self.check(receiver);
        let claim = self.claim;
        forget(self);
        receiver.complete(claim)
    }

    fn check(&self, end: &dyn Operation) {
        let is_same = std::ptr::addr_eq(self.operation, end);
        assert!(
            is_same,
            "a selected operation is completed with the sender or receiver that was added"
        );
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        if let Claim::Promise(promise) = self.claim {
            self.operation.abandon(promise);
        }
        if !std::thread::panicking() {
            panic!("a selected operation was dropped without being completed");
        }
    }
}

/// Waits until one of `arms` can be done, and claims it.
#[doc(hidden)]
pub fn run<'a>(
    arms: &mut [Arm<'a>],
    until: Until,
    is_biased: bool,
) -> Option<SelectedOperation<'a>> {
    if !is_biased {
        shuffle(arms);
    }
    let claimed = |at: usize, claim| {
        let Arm { operation, index, .. } = arms[at];
        Some(SelectedOperation { operation, claim, index })
    };
    if let Some((at, claim)) = claim_any(arms) {
        return claimed(at, claim);
    }
    let Until::Deadline(deadline) = until else { return None };
    loop {
        // A channel of the clock's is due when the select is to look again.
        let own = deadline.map(Instant::as_ns);
        let of_arms = arms.iter().filter_map(|arm| arm.operation.deadline_ns());
        let first = of_arms.chain(own).min();
        if let Some((at, claim)) = wait_for_any(arms, first) {
            return claimed(at, claim);
        }
        if let Some((at, claim)) = claim_any(arms) {
            return claimed(at, claim);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
    }
}

/// Claims the first that can be, without waiting.
fn claim_any(arms: &[Arm<'_>]) -> Option<(usize, Claim)> {
    arms.iter().enumerate().find_map(|(at, arm)| match arm.operation.claim(None) {
        Attempt::Claimed(claim) => Some((at, claim)),
        Attempt::Waits | Attempt::Over => None,
    })
}

/// Sleeps until an operation can be claimed or `deadline_ns` comes. `None` also if the caller is to look again.
fn wait_for_any(arms: &[Arm<'_>], deadline_ns: Option<u64>) -> Option<(usize, Claim)> {
    let mut commitment = Commitment::begin();
    let mut found = None;
    let mut enlisted = 0;
    for (at, arm) in arms.iter().enumerate() {
        // There are not so many arms that the number does not fit.
        arm.node.prepare(commitment.sleep(), at as u16);
        let select = Enlisting { node: &arm.node, commitment: &mut commitment };
        match arm.operation.claim(Some(select)) {
            Attempt::Waits => enlisted += 1,
            Attempt::Claimed(claim) => {
                found = Some((at, claim));
                break;
            }
            Attempt::Over => break,
        }
    }
    let ended = commitment.park(deadline_ns).map_or(Ended::Other, Ended::of);
    let chosen = match ended {
        Ended::Done(at) => {
            let at = usize::from(at);
            Some((at, Claim::Promise(arms[at].node.meeting.get())))
        }
        Ended::Gone(at) => Some((usize::from(at), Claim::Gone)),
        _ => found,
    };
    for (at, arm) in arms[..enlisted].iter().enumerate() {
        // Whoever chose has unlinked that one.
        if chosen.is_none_or(|(chosen, _)| chosen != at) {
            arm.operation.withdraw(&arm.node);
        }
    }
    if ended == Ended::Cancelled && chosen.is_none() && !std::thread::panicking() {
        cancel::unwind();
    }
    if ended == Ended::Signalled && chosen.is_none() {
        signals::deliver();
    }
    chosen
}

/// Puts the arms in any order.
fn shuffle(arms: &mut [Arm<'_>]) {
    thread_local! {
        static RANDOM: RefCell<Random> = RefCell::new(seeded());
    }
    /// In a simulation the thread's number, so that the same run has the same choices.
    fn seeded() -> Random {
        static THREADS: AtomicU64 = AtomicU64::new(0);
        let number = ThreadRef::running().map_or(0, |thread| thread.block().number.get());
        Random::from_seed(match number {
            0 => THREADS.fetch_add(1, Ordering::Relaxed),
            number => number,
        })
    }
    // In a thread's last destructors there is no chance left: then the order is the caller's.
    let _ = RANDOM.try_with(|random| {
        let mut random = random.borrow_mut();
        for at in (1..arms.len()).rev() {
            arms.swap(at, random.below(at as u64 + 1) as usize);
        }
    });
}

/// A list of operations, of which one is to happen.
///
/// For operations that are known when the program is written, [`select!`](crate::select) is shorter.
///
/// ```
/// use raddle::sync::channel::{self, Select};
/// let channels: Vec<_> = (0..3).map(|_| channel::unbounded()).collect();
/// channels[1].0.send("hello").unwrap();
///
/// let mut select = Select::new();
/// for (_, receiver) in &channels {
///     select.recv(receiver);
/// }
/// let selected = select.select();
/// assert_eq!(selected.index(), 1);
/// assert_eq!(selected.recv(&channels[1].1), Ok("hello"));
/// ```
#[derive(Debug)]
pub struct Select<'a> {
    arms: Vec<Arm<'a>>,
    next_index: usize,
    is_biased: bool,
}

impl<'a> Select<'a> {
    /// No operations yet. Of several that can be done, any is taken.
    pub fn new() -> Select<'a> {
        Select { arms: Vec::new(), next_index: 0, is_biased: false }
    }

    /// No operations yet. Of several that can be done, the one that was added first is taken.
    pub fn new_biased() -> Select<'a> {
        Select { is_biased: true, ..Select::new() }
    }

    /// Adds sending. Says which operation that is.
    ///
    /// # Panics
    ///
    /// If there are 32,000 operations already.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(|index| Arm::send(sender, index))
    }

    /// Adds receiving. Says which operation that is.
    ///
    /// # Panics
    ///
    /// If there are 32,000 operations already.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(|index| Arm::recv(receiver, index))
    }

    fn add(&mut self, arm: impl FnOnce(usize) -> Arm<'a>) -> usize {
        assert!(self.arms.len() < MOST_ARMS, "a select has at most {MOST_ARMS} operations");
        let index = self.next_index;
        self.arms.push(arm(index));
        self.next_index += 1;
        index
    }

    /// Takes an operation out, for instance when its channel is disconnected: it could be done at once, for ever.
    ///
    /// # Panics
    ///
    /// If there is no such operation, or it was taken out before.
    pub fn remove(&mut self, index: usize) {
        let at = self.arms.iter().position(|arm| arm.index == index);
        let at = at.unwrap_or_else(|| panic!("there is no operation {index} in this select"));
        self.arms.remove(at);
    }

    /// Waits until one of the operations can be done: then that one is to be completed.
    ///
    /// # Panics
    ///
    /// If there are no operations.
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.arms.is_empty(), "no operations have been added to the select");
        self.run(Until::Deadline(None)).expect("a select without a deadline ends with an operation")
    }

    /// One of the operations that can be done now.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.run(Until::Now).ok_or(TrySelectError)
    }

    /// As [`select`](Select::select), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// If none could be done in time.
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(Until::within(timeout)).ok_or(SelectTimeoutError)
    }

    /// As [`select`](Select::select), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// If none could be done in time.
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(Until::Deadline(Some(deadline))).ok_or(SelectTimeoutError)
    }

    fn run(&mut self, until: Until) -> Option<SelectedOperation<'a>> {
        if self.is_biased {
            // A run without bias may have put them in another order; a biased select never had one.
            debug_assert!(self.arms.is_sorted_by_key(|arm| arm.index));
        }
        run(&mut self.arms, until, self.is_biased)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}
