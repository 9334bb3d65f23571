//! What all backends share: slots, descriptors, what is to be reported, and the common way of an operation.
//!
//! Whatever happens is written into its slot and the slot is linked into one list, the *reports*, from which batches are
//! filled. So a batch may be as small as its owner likes, two readinesses of one descriptor become one event, and what is
//! removed before it was delivered is simply not delivered.

#![allow(
    unsafe_code,
    reason = "tries operations, whose submitter has promised that their memory is there"
)]

use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::helpers::{Helpers, Job};
use crate::interest::Readiness;
use crate::op::Code;
use crate::perform::{self, Attempt};
use crate::slots::{Lane, NONE, Place, Slots};
use crate::sys;
use crate::timers::Timers;
use crate::wake::Wake;
use crate::wake_word::HELPER;
use std::io;
use std::sync::Arc;

pub(crate) struct Core {
    pub(crate) slots: Slots,
    pub(crate) descriptors: Descriptors,
    /// Apart: it is large, and a queue is made on whatever stack.
    pub(crate) timers: Box<Timers>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) helpers: Helpers,
    /// Operations that have not come to an end.
    pub(crate) in_flight: u32,
    /// Closes that are held, linked through `lane_next`.
    held: u32,
    /// The reports, by index plus one.
    first: u32,
    last: u32,
}

impl Core {
    pub(crate) fn new(wake: Arc<Wake>, config: &Config) -> io::Result<Core> {
        Ok(Core {
            slots: Slots::new()?,
            descriptors: Descriptors::new()?,
            timers: Box::new(Timers::new()),
            helpers: Helpers::new(wake.clone(), config.helpers_max)?,
            wake,
            in_flight: 0,
            held: NONE,
            first: NONE,
            last: NONE,
        })
    }

    // Reports.

    pub(crate) fn has_reports(&self) -> bool {
        self.first != NONE
    }

    /// Puts a slot at the end of the reports, once.
    #[inline]
    pub(crate) fn report(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        if slot.is_reported {
            return;
        }
        (slot.is_reported, slot.next) = (true, NONE);
        match self.last {
            NONE => self.first = index + 1,
            last => self.slots[last - 1].next = index + 1,
        }
        self.last = index + 1;
    }

    /// The next slot that has something to report. Those that were dropped meanwhile are freed on the way.
    #[inline]
    pub(crate) fn next_report(&mut self) -> Option<u32> {
        loop {
            let index = self.first.checked_sub(1)?;
            let slot = &mut self.slots[index];
            self.first = slot.next;
            if self.first == NONE {
                self.last = NONE;
            }
            (slot.is_reported, slot.next) = (false, NONE);
            if !slot.is_dropped {
                return Some(index);
            }
            if slot.place == Place::Rest {
                self.slots.free(index);
            }
        }
    }

    /// Ends a slot's use, now or as soon as nothing refers to it any more.
    pub(crate) fn drop_slot(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        slot.is_dropped = true;
        if !slot.is_reported && slot.place == Place::Rest {
            self.slots.free(index);
        }
    }

    /// A descriptor is ready: its registration hears what it asked for.
    pub(crate) fn registration_ready(&mut self, index: u32, bits: u32) {
        let slot = &mut self.slots[index];
        let has = |mask: i16| bits & mask as u32 != 0;
        let interest = slot.interest;
        let mut ready = 0;
        if interest & 1 != 0 && has(libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR)
        {
            ready |= Readiness::READABLE;
        }
        if interest & 2 != 0 && has(libc::POLLOUT | libc::POLLHUP | libc::POLLERR) {
            ready |= Readiness::WRITABLE;
        }
        if interest != 0 && has(libc::POLLHUP) {
            ready |= Readiness::HANGUP;
        }
        if interest != 0 && has(libc::POLLERR) {
            ready |= Readiness::ERROR;
        }
        if ready != 0 {
            slot.ready |= ready;
            if slot.mode == ONE_SHOT {
                slot.interest = 0;
            }
            self.report(index);
        }
    }

    /// A registration ends without anybody having asked: its descriptor has come to name something else.
    pub(crate) fn retire(&mut self, fd: i32) {
        let place = self.descriptors.at(fd);
        if let Some(index) = place.registration.checked_sub(1) {
            place.registration = NONE;
            self.drop_slot(index);
        }
    }

    // Operations.

    /// An operation begins. The backend must put it somewhere.
    #[inline]
    pub(crate) fn begin(&mut self, index: u32) {
        self.in_flight += 1;
        self.count(index, 1);
    }

    /// An operation more, or less, uses its descriptors.
    #[inline]
    fn count(&mut self, index: u32, change: i32) {
        let op = &self.slots[index].op;
        let (fd, source) = (op.fd, op.source());
        self.descriptors.count(fd, change);
        if let Some(source) = source {
            self.descriptors.count(source, change);
        }
    }

    /// An operation has ended, and stands nowhere any more.
    #[inline]
    pub(crate) fn complete(&mut self, index: u32, result: i64) {
        self.in_flight -= 1;
        let slot = &mut self.slots[index];
        debug_assert!(slot.place == Place::Rest);
        slot.result = result;
        self.count(index, -1);
        self.report(index);
    }

    /// Tries an operation that stands nowhere: it ends, or goes to a helper, or is left and must be made to wait.
    #[must_use = "it may have to wait"]
    pub(crate) fn attempt(&mut self, index: u32, ready: u32) -> Outcome {
        // SAFETY: an operation in flight; `Queue::submit`'s contract holds until it is reported.
        match unsafe { perform::attempt(&mut self.slots[index], ready) } {
            Attempt::Done(result) => {
                self.complete(index, result);
                Outcome::Settled
            }
            Attempt::Disk => {
                self.give_to_helper(index);
                Outcome::Settled
            }
            Attempt::Wait => Outcome::Waits,
        }
    }

    pub(crate) fn give_to_helper(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        slot.place = Place::Helper;
        let (op, sent) = (slot.op, slot.result);
        // SAFETY: an operation in flight; `Queue::submit`'s contract holds until it is reported, which is after it came back.
        unsafe { self.helpers.give(index, op, sent) };
    }

    /// What a helper has done comes back. An operation that must now wait is left to the caller.
    #[must_use = "it may have to wait"]
    pub(crate) fn take_back(&mut self, job: Job) -> Outcome {
        let slot = &mut self.slots[job.index];
        debug_assert!(slot.place == Place::Helper);
        slot.place = Place::Rest;
        if !job.waits {
            self.complete(job.index, job.result);
            return Outcome::Settled;
        }
        (slot.op, slot.result) = (job.op, job.result);
        if slot.is_cancelled {
            let sent = slot.result;
            self.complete(job.index, cancelled(sent));
            return Outcome::Settled;
        }
        Outcome::Waits
    }

    /// Cancels an operation that waits in a lane or with a helper. False if a helper is at it: it will end by itself.
    pub(crate) fn cancel_waiting(&mut self, index: u32) -> bool {
        let slot = &mut self.slots[index];
        match slot.place {
            Place::Waits => self.descriptors.dequeue(&mut self.slots, index),
            Place::Helper if self.helpers.take_back(index) => {
                slot.place = Place::Rest;
                if self.held != NONE {
                    // No helper will say so.
                    self.wake.ring(HELPER);
                }
            }
            _ => return false,
        }
        let sent = self.slots[index].result;
        self.complete(index, cancelled(sent));
        true
    }

    /// Holds a close that has begun, as long as helpers use its number: closed, it could name another file in the middle of their
    /// work. False if none does.
    pub(crate) fn hold(&mut self, index: u32) -> bool {
        let fd = self.slots[index].op.fd;
        let is_alone = self.descriptors.operations(fd) <= 1;
        if is_alone || self.helpers.in_flight == 0 {
            return false;
        }
        let is_helped = self.slots.indices().any(|index| {
            let slot = &self.slots[index];
            slot.place == Place::Helper && slot.op.uses(fd)
        });
        if is_helped {
            let slot = &mut self.slots[index];
            (slot.place, slot.lane_next) = (Place::Held, self.held);
            self.held = index + 1;
        }
        is_helped
    }

    /// The closes that were held: each ends if it was cancelled, else `again` is called for it.
    pub(crate) fn release(&mut self, mut again: impl FnMut(&mut Core, u32)) {
        let mut next = std::mem::replace(&mut self.held, NONE);
        while let Some(index) = next.checked_sub(1) {
            let slot = &mut self.slots[index];
            next = std::mem::replace(&mut slot.lane_next, NONE);
            slot.place = Place::Rest;
            if slot.is_cancelled {
                self.complete(index, cancelled(0));
            } else if !self.hold(index) {
                again(self, index);
            }
        }
    }

    /// Lets those who wait on a descriptor try again, now that the kernel has said `bits` of it.
    pub(crate) fn serve_lanes(&mut self, fd: i32, bits: u32) {
        let any = perform::always() | libc::POLLNVAL as u32;
        for (lane, mask) in [
            (Lane::Readers, (libc::POLLIN | libc::POLLRDHUP) as u32),
            (Lane::Writers, libc::POLLOUT as u32),
            (Lane::Either, u32::MAX),
        ] {
            if bits & (mask | any) == 0 {
                continue;
            }
            while let Some(index) = self.descriptors.first(fd, lane) {
                self.descriptors.dequeue(&mut self.slots, index);
                if self.attempt(index, bits) == Outcome::Waits {
                    self.descriptors.enqueue_first(&mut self.slots, index);
                    break;
                }
            }
        }
    }

    /// Ends all who wait on a descriptor, with an error.
    pub(crate) fn fail_lanes(&mut self, fd: i32, error: i64) {
        for lane in [Lane::Readers, Lane::Writers, Lane::Either] {
            while let Some(index) = self.descriptors.first(fd, lane) {
                self.descriptors.dequeue(&mut self.slots, index);
                self.complete(index, error);
            }
        }
    }

    /// Those who wait on a descriptor that has no readiness: it is ready always, and its calls may wait.
    pub(crate) fn help_lanes(&mut self, fd: i32) {
        for lane in [Lane::Readers, Lane::Writers, Lane::Either] {
            while let Some(index) = self.descriptors.first(fd, lane) {
                self.descriptors.dequeue(&mut self.slots, index);
                let always = (libc::POLLIN | libc::POLLOUT) as u32;
                if self.slots[index].op.code != Code::Poll {
                    self.give_to_helper(index);
                } else if self.attempt(index, always) == Outcome::Waits {
                    self.complete(index, -i64::from(libc::EPERM));
                }
            }
        }
    }

    /// Makes sure that an operation tried by hand can't make its caller wait where the system call has no flag for it.
    pub(crate) fn make_ready_to_try(&mut self, index: u32) {
        let op = &self.slots[index].op;
        if matches!(op.code, Code::Accept | Code::Connect | Code::SendFile) {
            // If that fails so does the call, which says it better.
            let _ = sys::set_nonblocking(op.fd);
        }
    }
}

/// Modes as slots keep them.
pub(crate) const LEVEL: u8 = 0;
pub(crate) const EDGE: u8 = 1;
pub(crate) const ONE_SHOT: u8 = 2;

/// What has become of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has ended, or is with a helper.
    Settled,
    /// It stands nowhere and must be made to wait for readiness.
    Waits,
}

/// The result of an operation that was cancelled after so many bytes.
pub(crate) fn cancelled(sent: i64) -> i64 {
    if sent > 0 { sent } else { -i64::from(libc::ECANCELED) }
}
