//! The io_uring backend: operations go to the kernel in batches, with the same system call that waits for their ends.
//!
//! *Registrations* stand in an epoll set, on which the ring waits as on any other descriptor: as the set becomes ready, its
//! events are fetched with one more call. Rejected: a poll request in the ring for each. It holds the file open, so that closing a
//! registered socket would not end its connection; level-triggering would arm it anew by number, which may name
//! another file by then; and its edges differ from epoll's.
//!
//! *Who completes.* The kernel finishes most requests in the kernel thread that submitted them. A queue changes kernel
//! threads, so nothing here may depend on one: no `SINGLE_ISSUER`, no `DEFER_TASKRUN`. `COOP_TASKRUN` is set: a completion does not
//! interrupt its submitter, but waits until that enters the kernel, for anything, or for its next tick. A loop that waits here
//! saves an interrupt between processors for each event. A thread that computes delays what it has submitted by a tick, at most;
//! `Config::interrupts` chooses otherwise.
//!
//! *A submitter that ends* leaves requests behind that the kernel gives up with `ECANCELED`, at once or when their
//! turn comes. Nobody has asked for that, so they are submitted again, by whoever has the queue then; they have done nothing yet.
//!
//! *A drained socket* is tried all the same: until the kernel hears of a receive its data may have come. Rejected:
//! `IORING_RECVSEND_POLL_FIRST`, which then polls, and receives by another way round (7 % of a small message's time on a busy server).
//!
//! One result can't be told from that: a timerfd's own `ECANCELED`, which says that the clock was set. It is reported, and so is the other
//! one of a timerfd.
//!
//! *A kernel that takes nothing more*, for want of memory, gets what it has refused with the next rounds, which pause instead of waiting.
//!
//! *`EAGAIN`* comes for descriptors in non-blocking mode from some kernels. The operation then waits by a poll request.

#![allow(
    unsafe_code,
    reason = "gives the kernel addresses, which an operation's submitter has promised"
)]

mod request;

use self::request::{
    CANCEL, NOTHING, OPCODES, SET, WAKE, entry, is_own_answer, recv, send, wake_request,
};
use super::common::{Failed, TRIAL};
use super::epoll_set::EpollSet;
use crate::config::Config;
use crate::core::{Core, Outcome, cancelled};
use crate::fixed::{self, FixedFiles};
use crate::interest::Interest;
use crate::op::Code;
use crate::perform::poll_bits;
use crate::slots::{NONE, Place};
use crate::sys;
use crate::wake::Wake;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};
use libc::epoll_event;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// So many events of the set are fetched in one call.
const BATCH: usize = 256;

/// So long a round pauses when the kernel has refused something.
const PAUSE: Duration = Duration::from_millis(1);

/// A cancellation that does not find its request is made again so many times. It can miss one that the kernel is
/// moving from one place to another.
const MISSES_MAX: u8 = 16;

pub(crate) struct Uring {
    ring: IoUring,
    set: EpollSet,
    events: Box<[epoll_event; BATCH]>,
    /// There was a registration.
    uses_set: bool,
    /// A poll request for the set is in the ring.
    is_set_armed: bool,
    /// The set has events.
    is_set_ready: bool,
    is_wake_armed: bool,
    /// The wake channel was heard in this round. Nobody signals twice, so this round must not sleep.
    is_rung: bool,
    /// A cancellation has missed.
    has_missed: bool,
    /// The kernel has taken nothing in this round, for the moment.
    is_refused: bool,
    /// How many places there are for files at hand.
    places: usize,
    /// Operations that must be submitted again, linked through `lane_next`.
    again: u32,
}

impl Uring {
    pub(super) fn open(config: &Config, wake: &Wake) -> Result<Uring, Failed> {
        let ring = build(config).map_err(Failed::at("io_uring_setup"))?;
        let params = ring.params();
        let lacks =
            |step| Failed { step, error: io::ErrorKind::Unsupported.into(), is_wake: false };
        if !params.is_feature_nodrop() || !params.is_feature_ext_arg() {
            return Err(lacks("features NODROP and EXT_ARG of io_uring (Linux 5.11)"));
        }
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).map_err(Failed::at("IORING_REGISTER_PROBE"))?;
        if !OPCODES.iter().all(|code| probe.is_supported(*code)) {
            return Err(lacks("an operation of io_uring that raddle-event uses"));
        }
        let set = EpollSet::new().map_err(Failed::at("epoll_create1"))?;
        let mut uring = Uring {
            ring,
            set,
            events: Box::new([epoll_event { events: 0, u64: 0 }; BATCH]),
            uses_set: false,
            is_set_armed: false,
            is_set_ready: false,
            is_wake_armed: false,
            is_rung: false,
            has_missed: false,
            is_refused: false,
            places: 0,
            again: NONE,
        };
        uring
            .push(&opcode::Nop::new().build().user_data(NOTHING))
            .map_err(Failed::at("io_uring_enter"))?;
        let nop = uring.first(Failed::at("io_uring_enter"))?;
        if nop.user_data() != NOTHING || nop.result() != 0 {
            return Err(lacks("a round trip through the ring"));
        }
        let wait = |ring: &mut IoUring| {
            let has_come = submit(ring, 1, Some(TRIAL)).is_ok();
            has_come && ring.completion().next().is_some()
        };
        uring.places = fixed::open(&mut uring.ring, NOTHING, wait);
        // Of many shots: since Linux 5.13.
        uring.push(&wake_request(wake)).map_err(Failed::at("io_uring_enter"))?;
        uring.is_wake_armed = true;
        wake.signal();
        let heard = uring.first(Failed::of_wake("a poll request for the wake channel"))?;
        if heard.result() < 0 {
            let error = io::Error::from_raw_os_error(-heard.result());
            return Err(Failed::of_wake("a poll request for the wake channel")(error));
        }
        if !cqueue::more(heard.flags()) {
            return Err(lacks("poll requests that go on (Linux 5.13)"));
        }
        wake.drain();
        Ok(uring)
    }

    /// The first completion of a trial.
    fn first(&mut self, failed: impl FnOnce(io::Error) -> Failed) -> Result<cqueue::Entry, Failed> {
        let result = self.submit(1, Some(TRIAL));
        match (result, self.ring.completion().next()) {
            (Ok(()), Some(entry)) => Ok(entry),
            (Err(error), _) => Err(failed(error)),
            (Ok(()), None) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }

    pub(crate) fn fixed_files(&self) -> io::Result<FixedFiles> {
        if self.places == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: the ring has its descriptor open as long as it is there.
        let ring = unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) };
        FixedFiles::of(ring, self.places)
    }

    // The way in.

    /// Puts a request into the ring's memory; the kernel hears of it with the next call, which comes now if it is full. `WouldBlock` if
    /// the kernel then takes nothing: it has no memory just now, or completions are to be taken first.
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        if self.has_put(entry) {
            return Ok(());
        }
        match self.ring.submit() {
            Err(error) if !is_passing(&error) => Err(error),
            _ if self.has_put(entry) => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Puts a request into the ring's memory; false if it is full.
    ///
    /// Inlined, an entry is made where it stays: one that is made elsewhere, in parts, and then copied, keeps the processor waiting.
    #[inline(always)]
    fn has_put(&mut self, entry: &Entry) -> bool {
        // SAFETY: what the entry points to is ours, or its operation's submitter has promised that it lives until the operation is reported,
        // which is not before the kernel has completed the request.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// As [`submit`], and what passes is no error: the caller looks at what there is, and comes again.
    fn submit(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        match submit(&self.ring, want, timeout) {
            // ETIME: the time is over.
            Err(error) if error.raw_os_error() != Some(libc::ETIME) && !is_passing(&error) => {
                Err(error)
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                self.is_refused = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts a request into the ring, taking completions out of it as long as the kernel wants that first. False if the kernel takes
    /// nothing all the same: to be tried again in the next round.
    #[must_use = "it may not be in the ring"]
    fn insist(&mut self, core: &mut Core, entry: &Entry) -> io::Result<bool> {
        loop {
            match self.push(entry) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if self.ring.completion().is_empty() => {
                    self.is_refused = true;
                    return Ok(false);
                }
                Err(_) => self.collect(core),
            }
        }
    }

    /// Gives an operation to the ring, as itself or as a poll that comes before it.
    #[inline(never)]
    fn launch(&mut self, core: &mut Core, index: u32, place: Place) {
        let name = core.slots.name(index);
        let slot = &mut core.slots[index];
        slot.place = place;
        let entry = match place {
            Place::RingPoll => {
                let interest = slot.op.direction().unwrap_or(Interest::READ);
                opcode::PollAdd::new(Fd(slot.op.fd), poll_bits(interest)).build()
            }
            _ if slot.op.is_fixed => entry(&slot.op).flags(Flags::FIXED_FILE),
            _ => entry(&slot.op),
        };
        match self.insist(core, &entry.user_data(name)) {
            Ok(true) => {}
            Ok(false) => {
                core.slots[index].polls_next = place == Place::RingPoll;
                self.put_again(core, index);
            }
            Err(error) => {
                core.slots[index].place = Place::Rest;
                core.complete(index, -i64::from(error.raw_os_error().unwrap_or(libc::EIO)));
            }
        }
    }

    /// As [`launch`](Self::launch), by the short way that most operations go: false if it is none of those, or the ring is full.
    #[inline]
    fn has_launched(&mut self, core: &mut Core, index: u32) -> bool {
        let name = core.slots.name(index);
        let slot = &mut core.slots[index];
        let has_put = match slot.op.code {
            Code::Recv => self.has_put(&recv(&slot.op, name)),
            Code::Send => self.has_put(&send(&slot.op, name)),
            _ => return false,
        };
        if has_put {
            slot.place = Place::Ring;
        }
        has_put
    }

    /// Everything that has to be in the ring before the kernel is entered.
    fn prepare(&mut self, core: &mut Core) -> io::Result<()> {
        self.is_refused = false;
        // What is put there from here on is for the next round.
        let mut again = std::mem::replace(&mut self.again, NONE);
        while let Some(index) = again.checked_sub(1) {
            let slot = &mut core.slots[index];
            again = slot.lane_next;
            (slot.lane_next, slot.place) = (NONE, Place::Rest);
            if slot.is_cancelled {
                let sent = slot.result;
                core.complete(index, cancelled(sent));
            } else if self.is_refused {
                self.put_again(core, index);
            } else {
                let polls = slot.polls_next || slot.is_begun || slot.op.code == Code::SendFile;
                slot.polls_next = false;
                self.launch(core, index, if polls { Place::RingPoll } else { Place::Ring });
            }
        }
        if self.has_missed {
            self.has_missed = false;
            for index in core.slots.indices() {
                let slot = &core.slots[index];
                let is_there = matches!(slot.place, Place::Ring | Place::RingPoll);
                if is_there && slot.is_cancelled && slot.misses > 0 {
                    self.push_cancel(core, index)?;
                }
            }
        }
        if !self.is_wake_armed {
            let request = wake_request(&core.wake);
            self.is_wake_armed = self.insist(core, &request)?;
        }
        if self.uses_set && !self.is_set_armed && !self.is_set_ready {
            let poll = opcode::PollAdd::new(Fd(self.set.fd.as_raw_fd()), libc::POLLIN as u32);
            self.is_set_armed = self.insist(core, &poll.build().user_data(SET))?;
        }
        Ok(())
    }

    /// Asks the kernel to give up a slot's request, now or in the next round.
    fn push_cancel(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let name = core.slots.name(index);
        let cancel = opcode::AsyncCancel::new(name).build();
        if !self.insist(core, &cancel.user_data(name | CANCEL))? {
            let slot = &mut core.slots[index];
            slot.misses = slot.misses.max(1);
            self.has_missed = true;
        }
        Ok(())
    }

    // The way out.

    /// Takes all completions out of the ring. Puts nothing in, so that it can be called while something is put in.
    fn collect(&mut self, core: &mut Core) {
        loop {
            let next = self.ring.completion().next();
            let Some(entry) = next else { return };
            let (data, result) = (entry.user_data(), entry.result());
            match data & (CANCEL | WAKE | SET | NOTHING) {
                0 => self.finish(core, data, i64::from(result)),
                WAKE => {
                    self.is_rung = true;
                    self.is_wake_armed = cqueue::more(entry.flags());
                    if core.wake.fills() {
                        core.wake.drain();
                    }
                }
                SET => {
                    self.is_set_armed = false;
                    self.is_set_ready = true;
                }
                CANCEL if result < 0 => self.miss(core, data & !CANCEL),
                _ => {}
            }
        }
    }

    /// A request for an operation has been completed.
    fn finish(&mut self, core: &mut Core, name: u64, result: i64) {
        let Some(index) = core.slots.find(name) else {
            debug_assert!(false, "an operation's slot lives until its request is completed");
            return;
        };
        let slot = &mut core.slots[index];
        let is_poll = slot.place == Place::RingPoll;
        debug_assert!(is_poll || slot.place == Place::Ring);
        slot.place = Place::Rest;
        if result >= 0 && !is_poll {
            return core.complete(index, result);
        }
        let is = |error: i32| result == -i64::from(error);
        if slot.op.code == Code::Close && is(libc::EINTR) {
            // Linux has closed it all the same, and the number may be somebody else's by now.
            return core.complete(index, 0);
        }
        let is_given_up = is(libc::ECANCELED) || is(libc::EINTR);
        if slot.is_cancelled && (is_poll || is_given_up || is(libc::EAGAIN)) {
            let sent = slot.result;
            return core.complete(index, cancelled(sent));
        }
        if is_given_up && !is_poll && is(libc::ECANCELED) && is_own_answer(&slot.op) {
            return core.complete(index, result);
        }
        if is_given_up {
            // Nobody has asked for that: its submitter has ended, or a signal came.
            slot.is_repeated = true;
            slot.polls_next = is_poll;
            return self.put_again(core, index);
        }
        if slot.op.is_fixed && !is_poll && is(libc::EBADF) {
            // Somebody has just taken it out of the table: it is as any other.
            slot.op.is_fixed = false;
            return self.put_again(core, index);
        }
        let code = slot.op.code;
        if is_poll {
            if result < 0 {
                return core.complete(index, result);
            }
            if slot.is_begun || code == Code::SendFile {
                if core.attempt(index, result as u32) == Outcome::Waits {
                    self.put_again(core, index);
                }
                return;
            }
            return self.put_again(core, index);
        }
        if code == Code::Connect {
            if is(libc::EINPROGRESS) || is(libc::EALREADY) && slot.is_repeated {
                slot.is_begun = true;
                return self.put_again(core, index);
            }
            let result = if is(libc::EISCONN) && slot.is_repeated { 0 } else { result };
            return core.complete(index, result);
        }
        if is(libc::EAGAIN) && slot.op.direction().is_some() {
            slot.polls_next = true;
            return self.put_again(core, index);
        }
        core.complete(index, result);
    }

    fn put_again(&mut self, core: &mut Core, index: u32) {
        let slot = &mut core.slots[index];
        slot.place = Place::Again;
        slot.lane_next = self.again;
        self.again = index + 1;
    }

    /// A cancellation has not found its request, or found it at work.
    fn miss(&mut self, core: &mut Core, name: u64) {
        let Some(index) = core.slots.find(name) else { return };
        let slot = &mut core.slots[index];
        if matches!(slot.place, Place::Ring | Place::RingPoll) && slot.misses < MISSES_MAX {
            slot.misses += 1;
            self.has_missed = true;
        }
    }

    /// Fetches the set's events, if it has some.
    fn fetch(&mut self, core: &mut Core) -> io::Result<()> {
        if !self.is_set_ready {
            return Ok(());
        }
        self.is_set_ready = false;
        let set = self.set.fd.as_raw_fd();
        // SAFETY: writes no more events than there is room for.
        let count = unsafe { libc::epoll_wait(set, self.events.as_mut_ptr(), BATCH as i32, 0) };
        for at in 0..sys::check(count)? as usize {
            let event = self.events[at];
            self.set.dispatch(core, event);
        }
        if self.set.has_orphans {
            // A request for the old set would hold it. It has none: one has just been completed.
            self.set.rebuild(core, |_| Ok(()))?;
        }
        Ok(())
    }

    // What all backends have.

    pub(super) fn register(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        self.uses_set = true;
        self.set.register(core, index)
    }

    pub(super) fn modify(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        self.set.modify(core, index)
    }

    pub(super) fn unregister(&mut self, core: &mut Core, fd: i32) {
        self.set.unregister(core, fd);
    }

    #[inline]
    pub(super) fn start(&mut self, core: &mut Core, index: u32) {
        if !self.has_launched(core, index) {
            self.start_otherwise(core, index);
        }
    }

    fn start_otherwise(&mut self, core: &mut Core, index: u32) {
        if !matches!(core.slots[index].op.code, Code::SendFile | Code::Call) {
            return self.launch(core, index, Place::Ring);
        }
        // The ring has nothing but splice for the one, which takes a pipe and a kernel thread for each piece, and nothing for the other.
        core.make_ready_to_try(index);
        if core.attempt(index, 0) == Outcome::Waits {
            self.wait_ready(core, index);
        }
    }

    pub(super) fn wait_ready(&mut self, core: &mut Core, index: u32) {
        self.launch(core, index, Place::RingPoll);
    }

    pub(super) fn cancel(&mut self, core: &mut Core, index: u32) {
        if matches!(core.slots[index].place, Place::Ring | Place::RingPoll) {
            core.slots[index].misses = 0;
            if self.push_cancel(core, index).is_err() {
                core.slots[index].misses = 1;
                self.has_missed = true;
            }
        } else {
            core.cancel_waiting(index);
        }
    }

    pub(super) fn flush(&mut self, core: &mut Core) -> io::Result<()> {
        self.prepare(core)?;
        if !self.ring.submission().is_empty() {
            self.submit(0, None)?;
        }
        Ok(())
    }

    /// Whether the kernel has something for us that it puts into the ring only in a system call.
    fn is_called(&mut self) -> bool {
        let submission = self.ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    pub(super) fn harvest(&mut self, core: &mut Core) -> io::Result<()> {
        self.collect(core);
        if self.is_called() {
            self.submit(0, None)?;
            self.collect(core);
        }
        self.fetch(core)
    }

    pub(super) fn enter(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        self.is_rung = false;
        self.collect(core);
        self.prepare(core)?;
        // The caller has looked at the reports and at the wake word; what was found here is new.
        let is_quiet = !self.is_rung && !self.is_set_ready && !core.has_reports();
        // Completions that made room for a request while the ring was full may have left work behind.
        let is_prepared = self.again == NONE && !self.has_missed && !self.is_refused;
        let would_wait = timeout != Some(Duration::ZERO) && is_quiet;
        if would_wait && is_prepared {
            self.submit(1, timeout)?;
        } else if !self.ring.submission().is_empty() || self.is_called() {
            self.submit(0, None)?;
        }
        self.collect(core);
        if self.is_refused && would_wait && !core.has_reports() {
            std::thread::sleep(timeout.map_or(PAUSE, |timeout| timeout.min(PAUSE)));
        }
        self.fetch(core)
    }
}

/// With what the kernel knows of the flags that make it cheaper.
fn build(config: &Config) -> io::Result<IoUring> {
    let entries = config.ring_entries.clamp(2, 32_768);
    let builder = |level: u32| {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(entries * 4);
        // A mapping, too, keeps a ring open, and what stands in its table.
        builder.dontfork();
        if level >= 1 {
            // 5.18: an invalid request does not keep the ones behind it from being submitted.
            builder.setup_submit_all();
        }
        if level >= 2 && !config.interrupts {
            // 5.19.
            builder.setup_coop_taskrun().setup_taskrun_flag();
        }
        builder.build(entries)
    };
    let is_unknown = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
    builder(2)
        .or_else(|error| if is_unknown(&error) { builder(1) } else { Err(error) })
        .or_else(|error| if is_unknown(&error) { builder(0) } else { Err(error) })
}

/// One system call: gives what is in the ring, and waits for so many completions or a time-out.
fn submit(ring: &IoUring, want: usize, timeout: Option<Duration>) -> io::Result<usize> {
    match timeout {
        Some(timeout) if want > 0 => {
            let time = Timespec::from(timeout);
            ring.submitter().submit_with_args(want, &SubmitArgs::new().timespec(&time))
        }
        _ => ring.submitter().submit_and_wait(want),
    }
}

/// Errors of a submission that pass: interrupted, or no memory or room just now.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

#[cfg(all(test, not(loom)))]
mod tests;
