//! What a select asks of a channel: to *claim* an operation first, and to complete it later.
//!
//! A select learns which operation it was, and only then does its caller say what is to be sent, or take what was received. So
//! a claim does not move a message. It sets one aside: a channel with a buffer counts how many messages are promised to
//! receivers and how many free places to senders, and no others see those. Which message it will be is decided when the
//! operation is completed: so messages leave in the order of their coming, and claims need no places of their own.
//!
//! ```text
//!   try each ── one can be claimed ─────────────────────────────────────────────▶ claimed
//!      │ none
//!      ▼
//!   begin a sleep; enlist with each ── one can be claimed: retract the sleep ───▶ claimed; withdraw from the others
//!      │ none                          │ somebody has ended it: that decides
//!      ▼                               ▼
//!   park ─────────────── another claims one for us, and says which by the reason ▶ claimed; withdraw from the others
//! ```
//!
//! *Retract before you claim*: a select that finds an operation to be had may have been chosen by somebody at another channel a moment
//! ago. Its own state word decides, under the lock of the channel where it claims. Two selects that meet each other
//! both retract and may both fail; they then begin anew, and only one that nobody else has taken can fail so.

use super::wait::Node;
use crate::label::Label;
use crate::park::Wait;
use crate::sleeper::{Reason, Sleep};

/// An operation that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A message, or a place for one, is set aside. The number says which, where that matters.
    Promise(u64),
    /// The other side is gone.
    Gone,
    /// A clock's channel: the moment itself, in nanoseconds.
    Moment(u64),
}

/// What has come of an attempt to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Claimed(Claim),
    /// There is nothing to be had. The node is linked, if there was one.
    Waits,
    /// The select's sleep is over: by somebody else, who decides, or because of one that then could not be had.
    Over,
}

/// A select's way to its one operation.
pub(super) struct Commitment {
    wait: Option<Wait>,
    sleep: Sleep,
    reason: Option<Reason>,
}

impl Commitment {
    pub(super) fn begin() -> Commitment {
        let wait = Wait::begin(Label::SELECT.at(0));
        let sleep = wait.sleep();
        Commitment { wait: Some(wait), sleep, reason: None }
    }

    pub(super) fn sleep(&self) -> Sleep {
        self.sleep
    }

    /// Whether somebody may still choose for this select.
    pub(super) fn is_open(&self) -> bool {
        self.wait.is_some()
    }

    /// From here on nobody can choose for this select. False if somebody has.
    pub(super) fn commit(&mut self) -> bool {
        if let Some(wait) = self.wait.take() {
            self.reason = wait.retract();
        }
        self.reason.is_none()
    }

    /// Sleeps, unless that is over already. Why it ended; `None` if it was retracted.
    pub(super) fn park(mut self, deadline_ns: Option<u64>) -> Option<Reason> {
        match self.wait.take() {
            Some(wait) => Some(wait.park(deadline_ns)),
            None => self.reason,
        }
    }
}

/// A select that would wait: its node for this channel, and its way to the one operation.
pub(super) struct Enlisting<'a> {
    pub(super) node: &'a Node,
    pub(super) commitment: &'a mut Commitment,
}

/// Asks whether the select is still free to claim. One that doesn't wait yet is.
pub(super) fn commits(select: &mut Option<Enlisting<'_>>) -> bool {
    select.as_mut().is_none_or(|select| select.commitment.commit())
}

/// One end of a channel, as a select sees it.
pub(super) trait Operation {
    /// Claims the operation if it can be done now; else links the select's node, if there is one.
    fn claim(&self, select: Option<Enlisting<'_>>) -> Attempt;

    /// Unlinks a node, unless that has been done.
    fn withdraw(&self, node: &Node);

    /// Takes a promise back that will not be kept.
    fn abandon(&self, promise: u64);

    /// When it can be claimed, if that is a matter of time.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }
}
