//! The queue: what its owner calls.

#![allow(unsafe_code, reason = "one unsafe method, whose contract is handed on")]

use crate::backend::Backend;
use crate::core::{Core, EDGE, LEVEL, ONE_SHOT, Outcome};
use crate::event::{Completion, Events, What, to_result};
use crate::interest::{Interest, Mode, Readiness};
use crate::keep::Owned;
use crate::names::{Operation, Registration};
use crate::op::{Code, Op, RawOp};
use crate::report::Report;
use crate::slots::{Kind, NONE, Place};
use crate::wake::Waker;
use crate::wake_word::{HELPER, USER};
use crate::watch::{self, Watches};
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The key of [`What::Woken`].
pub const WAKE_KEY: u64 = u64::MAX;

/// Some kernels refuse times that do not fit; a year is longer than anybody waits, and then it waits again.
const PATIENCE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// One event queue. The [crate] tells how to use it.
///
/// Belongs to one owner at a time, who may be on another kernel thread each time. A forked child must leave it alone, and not drop it: it
/// shares the ring and the epoll set with its parent.
pub struct Queue {
    pub(crate) backend: Backend,
    pub(crate) core: Core,
    pub(crate) watches: Watches,
    pub(crate) owned: Owned,
    pub(crate) report: Report,
    /// A wake that was seen and not reported yet.
    pub(crate) is_woken: bool,
    /// Who is reported first: a wake, timers and the rest take turns, so that a batch of one starves none of them.
    pub(crate) turn: u8,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Queue>();
    // Moved again and again where nothing is optimized, on stacks of threads that are small.
    assert!(size_of::<Queue>() <= 1024);
};

impl Queue {
    /// What the queue stands on, and what was tried before.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Something with which other threads wake this queue.
    pub fn waker(&self) -> Waker {
        Waker(self.core.wake.clone())
    }

    // Readiness.

    /// Reports from now on when `fd` is ready: a socket, a pipe, a terminal, another pollable descriptor.
    ///
    /// A descriptor has one registration: registering it again ends the one before, without an event. End it with
    /// [`remove`](Queue::remove) before the descriptor is closed, or let [`Op::Close`] do both. Otherwise: the number's next
    /// owner is never reported under the old key (with `poll`, unless both are anonymous files such as eventfds), and as long as the *file* is
    /// open under another number its events may go on to arrive.
    ///
    /// # Errors
    ///
    /// `EPERM` for a file on a disk, which is always ready. `ENOBUFS` with a million slots in use. Else as `epoll_ctl(2)`.
    ///
    /// ```
    /// use raddle_event::{Config, Events, Interest, Mode, Queue, What};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Config::default())?;
    /// let mut events = Events::with_capacity(64);
    /// let (mut here, there) = UnixStream::pair()?;
    /// let registration = queue.register(&there, 1, Interest::READ, Mode::Level)?;
    /// here.write_all(b"hello")?;
    /// queue.wait(&mut events, None)?;
    /// for event in &events {
    ///     assert_eq!(event.key, 1);
    ///     assert!(matches!(event.what, What::Ready(ready) if ready.is_readable()));
    /// }
    /// queue.remove(registration);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register(
        &mut self,
        fd: impl AsFd,
        key: u64,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<Registration> {
        let index =
            self.register_as(Kind::Registration, fd.as_fd().as_raw_fd(), key, interest, mode)?;
        Ok(Registration(self.core.slots.name(index)))
    }

    /// A registration, the caller's or of a watch.
    pub(crate) fn register_as(
        &mut self,
        kind: Kind,
        fd: i32,
        key: u64,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<u32> {
        self.core.descriptors.get(fd)?;
        let index = self.core.slots.take(kind, key)?;
        self.core.retire(fd);
        let slot = &mut self.core.slots[index];
        (slot.fd, slot.interest, slot.mode) = (fd, interest.bits(), mode_number(mode));
        if let Err(error) = self.backend.register(&mut self.core, index) {
            self.core.drop_slot(index);
            return Err(error);
        }
        Ok(index)
    }

    /// Changes what a registration reports. A one-shot that was spent, and an edge, begin anew: what is ready now is reported.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it has ended: by [`remove`](Queue::remove), or because its descriptor was closed.
    pub fn modify(
        &mut self,
        registration: Registration,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        let index = self.find(registration.0, Kind::Registration);
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        let slot = &mut self.core.slots[index];
        (slot.interest, slot.mode) = (interest.bits(), mode_number(mode));
        // What was found before and not delivered is found again, or has passed.
        slot.ready = 0;
        self.backend.modify(&mut self.core, index)
    }

    /// Ends a registration: nothing is reported of it from here on, not even what was found already. False if it had ended.
    pub fn remove(&mut self, registration: Registration) -> bool {
        let Some(index) = self.find(registration.0, Kind::Registration) else { return false };
        self.end_registration(self.core.slots[index].fd);
        true
    }

    pub(crate) fn end_registration(&mut self, fd: i32) {
        self.core.retire(fd);
        self.backend.unregister(&mut self.core, fd);
    }

    pub(crate) fn find(&self, name: u64, kind: Kind) -> Option<u32> {
        self.core.slots.find(name).filter(|index| self.core.slots[*index].kind == kind)
    }

    // Operations.

    /// Begins an operation, which ends with [`What::Done`] under `key`: always, once, not before the next
    /// [`wait`](Queue::wait) or [`harvest`](Queue::harvest).
    ///
    /// Two operations in flight are independent: which is done first is not said, except that of those that wait on the same
    /// descriptor to read, or to write, with epoll and poll the first comes first. [`SendFile`](Op::SendFile) works in pieces, some of them a
    /// helper's: whatever else is sent on its socket before it is done may come between any two.
    ///
    /// io_uring gives it to the kernel with the next [`wait`](Queue::wait) or [`flush`](Queue::flush); the others try it here.
    /// They put descriptors of `Accept` and `Connect` into non-blocking mode, and `SendFile` does so everywhere.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` with a million slots in use. Whatever is wrong with the operation is its result.
    ///
    /// # Safety
    ///
    /// All memory that `op` points to, directly or through a `msghdr` or `iovec`, must stay valid for what the operation does with it, and
    /// untouched by others (written: by anybody; read: by writers), until its `What::Done` was delivered, or
    /// [`cancel_and_wait`](Queue::cancel_and_wait) has returned, or the queue has been dropped. From then on it is
    /// touched no more, whatever the result. It may be used from any kernel thread, so also a stack will do whose owner is parked. The
    /// descriptor must stay open as long, unless it is closed by [`Op::Close`].
    ///
    /// ```
    /// use raddle_event::{Config, Events, Op, Queue, What};
    /// use std::{io::Write, os::{fd::AsRawFd, unix::net::UnixStream}};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (mut here, there) = UnixStream::pair()?;
    /// let mut buffer = [0; 16];
    /// let mut queue = Queue::new(&Config::default())?;
    /// let mut events = Events::with_capacity(64);
    /// let op = Op::Recv {
    ///     socket: there.as_raw_fd(),
    ///     buffer: buffer.as_mut_ptr(),
    ///     len: buffer.len(),
    ///     flags: 0,
    ///     is_drained: false,
    /// };
    /// // SAFETY: the buffer and the socket outlive the operation, which has ended when this function goes on.
    /// unsafe { queue.submit(1, op)? };
    /// here.write_all(b"hello")?;
    /// queue.wait(&mut events, None)?;
    /// for event in &events {
    ///     let What::Done(completion) = event.what else { continue };
    ///     assert_eq!(&buffer[..completion.result()?], b"hello");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub unsafe fn submit(&mut self, key: u64, op: Op) -> io::Result<Operation> {
        let index = self.core.slots.take_for(Kind::Operation, key, RawOp::from(op))?;
        Ok(self.start(index))
    }

    /// Begins what is in a slot.
    #[inline]
    pub(crate) fn start(&mut self, index: u32) -> Operation {
        let name = self.core.slots.name(index);
        if self.core.slots[index].op.code == Code::Close {
            self.start_close(index);
        } else {
            self.core.begin(index);
            self.backend.start(&mut self.core, index);
        }
        Operation(name)
    }

    fn start_close(&mut self, index: u32) {
        self.clear(self.core.slots[index].op.fd);
        self.core.begin(index);
        if !self.core.hold(index) {
            self.backend.start(&mut self.core, index);
        }
    }

    /// Ends everything on a descriptor that is about to be closed.
    fn clear(&mut self, fd: i32) {
        let Ok(place) = self.core.descriptors.get(fd) else { return };
        if place.registration != NONE {
            self.end_registration(fd);
        }
        if self.core.descriptors.operations(fd) == 0 {
            return;
        }
        // Rare: whoever closes has mostly stopped using.
        for index in self.core.slots.indices() {
            let slot = &self.core.slots[index];
            if slot.kind == Kind::Operation && slot.op.uses(fd) {
                self.cancel_slot(index);
            }
        }
    }

    fn cancel_slot(&mut self, index: u32) {
        let slot = &mut self.core.slots[index];
        if slot.place != Place::Rest && !slot.is_cancelled {
            slot.is_cancelled = true;
            self.backend.cancel(&mut self.core, index);
        }
    }

    /// Asks that an operation end. Its [`What::Done`] comes in any case, soon: with `ECANCELED`, or with its result if that was sooner.
    /// Only then is its memory free.
    ///
    /// False if it has ended already: its event was delivered, or will be with the next batch.
    pub fn cancel(&mut self, operation: Operation) -> bool {
        let Some(index) = self.find(operation.0, Kind::Operation) else { return false };
        let is_in_flight = self.core.slots[index].place != Place::Rest;
        self.cancel_slot(index);
        is_in_flight
    }

    /// Ends an operation now, and returns its result; no event comes. When this returns its memory is touched no more.
    ///
    /// Waits for what can't be stopped halfway: a disk's answer. `None` if its event was delivered before.
    pub fn cancel_and_wait(&mut self, operation: Operation) -> Option<io::Result<usize>> {
        let index = self.find(operation.0, Kind::Operation)?;
        self.cancel_slot(index);
        while self.core.slots[index].place != Place::Rest {
            self.pump();
        }
        let result = self.core.slots[index].result;
        self.owned.take(index);
        self.core.drop_slot(index);
        Some(to_result(result))
    }

    /// Lets operations in flight go on, and reports nothing.
    fn pump(&mut self) {
        let has_reports = self.core.has_reports();
        let dozes = !has_reports && self.core.wake.word.doze();
        let timeout = if dozes { None } else { Some(Duration::ZERO) };
        if let Err(error) = self.backend.enter(&mut self.core, timeout) {
            // The kernel may write into memory that we have said it will not, and we can't find out when it has stopped.
            // `eprintln!` panics where nobody reads, and whoever unwinds frees that memory.
            let _ = writeln!(
                io::stderr(),
                "raddle-event: fatal: operations in flight can't be ended: {error}"
            );
            std::process::abort();
        }
        self.take_rings();
        if has_reports {
            // These can't be delivered here, so the kernel must not be waited in.
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Looks who has rung, and fetches what helpers have done.
    fn take_rings(&mut self) {
        let rings = self.core.wake.word.take();
        self.is_woken |= rings & USER != 0;
        if rings & HELPER == 0 {
            return;
        }
        while let Some(job) = self.core.helpers.take_done() {
            let index = job.index;
            if self.core.take_back(job) == Outcome::Waits {
                self.backend.wait_ready(&mut self.core, index);
            }
        }
        let backend = &mut self.backend;
        self.core.release(|core, index| backend.start(core, index));
    }

    /// How many operations are in flight.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let queue = raddle_event::Queue::new(&Default::default())?;
    /// assert_eq!(queue.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(&self) -> usize {
        self.core.in_flight as usize
    }

    /// How many registrations, operations and watches there are: of operations those that are in flight, and those that have ended and were
    /// not reported yet.
    ///
    /// ```
    /// use raddle_event::{Op, Queue};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Default::default())?;
    /// assert_eq!(queue.live(), 0);
    /// // SAFETY: it points to nothing.
    /// unsafe { queue.submit(7, Op::Close { file: -1 }) }?;
    /// // It fails, and that is still to be reported.
    /// assert_eq!(queue.live(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn live(&self) -> usize {
        self.core.slots.live as usize
    }

    /// Whether nothing is to be expected of operations: none is in flight, and all that have ended were delivered.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let queue = raddle_event::Queue::new(&Default::default())?;
    /// assert!(queue.is_quiet());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_quiet(&self) -> bool {
        self.core.in_flight == 0 && !self.core.has_reports()
    }

    /// Starts the helper threads for disk operations now. Otherwise they start when first needed, by whoever submits: who must not
    /// allocate or make threads then calls this before.
    ///
    /// # Errors
    ///
    /// A thread could not be made.
    pub fn start_helpers(&mut self) -> io::Result<()> {
        self.core.helpers.start()
    }

    // The way in and out.

    /// Gives to the kernel what was submitted and stands in memory still; without waiting, and without a call if there is nothing.
    ///
    /// # Errors
    ///
    /// As `io_uring_enter(2)`; what passes by itself is not reported.
    pub fn flush(&mut self) -> io::Result<()> {
        self.backend.flush(&mut self.core)
    }

    /// Takes what has happened, without waiting; how many events there are. With io_uring this looks at memory only, unless the kernel says
    /// there that it has more. What was submitted, or reported as ready, since the last [`wait`](Queue::wait) or
    /// [`flush`](Queue::flush) needs one of these before more is heard of it.
    ///
    /// # Errors
    ///
    /// As [`wait`](Queue::wait).
    pub fn harvest(&mut self, events: &mut Events) -> io::Result<usize> {
        events.clear();
        self.backend.harvest(&mut self.core)?;
        self.fill(events);
        Ok(events.len())
    }

    /// Waits until something has happened, at most for `timeout`; how many events there are, 0 after a time-out. Begins what was
    /// submitted. At most one round in the kernel if something is there already.
    ///
    /// Signal handlers that run meanwhile don't end it.
    ///
    /// # Errors
    ///
    /// What the kernel says and does not mend itself. No event is lost by it.
    pub fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        events.clear();
        // What lies beyond the clock's end is never.
        let mut left = timeout;
        let deadline = match timeout {
            None | Some(Duration::ZERO) => None,
            Some(timeout) => Instant::now().checked_add(timeout),
        };
        loop {
            let mut patience = match (left, self.core.timers.next()) {
                (Some(left), Some(timer)) => Some(left.min(timer)),
                (left, timer) => left.or(timer),
            };
            patience = patience.map(|patience| patience.min(PATIENCE_MAX));
            // Not the end of the wait: what was found may have been removed since.
            if self.core.has_reports() || self.is_woken {
                patience = Some(Duration::ZERO);
            }
            if patience != Some(Duration::ZERO) && !self.core.wake.word.doze() {
                patience = Some(Duration::ZERO);
            }
            let result = self.backend.enter(&mut self.core, patience);
            self.fill(events);
            if !events.is_empty() {
                return Ok(events.len());
            }
            result?;
            if left == Some(Duration::ZERO) {
                return Ok(0);
            }
            if let Some(deadline) = deadline {
                left = Some(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Puts what there is into the batch, as far as it has room.
    fn fill(&mut self, events: &mut Events) {
        self.take_rings();
        self.turn = (self.turn + 1) % 3;
        for who in self.turn..self.turn + 3 {
            match who % 3 {
                0 if self.is_woken && !events.is_full() => {
                    self.is_woken = false;
                    events.push(WAKE_KEY, What::Woken);
                }
                0 => {}
                1 => self.core.timers.expire(events),
                _ => self.fill_reports(events),
            }
        }
    }

    fn fill_reports(&mut self, events: &mut Events) {
        while !events.is_full() {
            let Some(index) = self.core.next_report() else { return };
            self.deliver(index, events);
        }
    }

    fn deliver(&mut self, index: u32, events: &mut Events) {
        let slot = &mut self.core.slots[index];
        let (key, ready) = (slot.key, std::mem::take(&mut slot.ready));
        match slot.kind {
            Kind::Registration if ready != 0 => events.push(key, What::Ready(Readiness(ready))),
            Kind::Operation => {
                let (operation, result) =
                    (Operation(self.core.slots.name(index)), slot_result(self, index));
                if let Some(buffer) = self.owned.finish(index, result) {
                    events.push_buffer(operation, buffer);
                }
                events.push(key, What::Done(Completion { operation, result }));
                self.core.slots.free(index);
            }
            Kind::Signals => {
                while !events.is_full()
                    && let Some(signal) = self.watches.get(index).and_then(watch::next_signal)
                {
                    events.push(key, What::Signal(signal));
                }
            }
            Kind::Child => {
                if let Some(exit) = self.watches.get(index).and_then(watch::exit) {
                    events.push(key, What::Exited(exit));
                    self.end_watch(index);
                }
            }
            Kind::Files => self.deliver_changes(index, events),
            Kind::Registration | Kind::File | Kind::Free => {}
        }
    }
}

fn slot_result(queue: &Queue, index: u32) -> i64 {
    queue.core.slots[index].result
}

fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Level => LEVEL,
        Mode::Edge => EDGE,
        Mode::OneShot => ONE_SHOT,
    }
}

impl Drop for Queue {
    /// Ends all operations in flight, and waits until the kernel and the helpers have let go of their memory. Closes descriptors that
    /// operations have made and nobody has been told of.
    fn drop(&mut self) {
        for index in self.core.slots.indices() {
            if self.core.slots[index].kind == Kind::Operation {
                self.cancel_slot(index);
            }
        }
        while self.core.in_flight > 0 {
            self.pump();
        }
        for index in self.core.slots.indices() {
            let slot = &self.core.slots[index];
            let is_untold = slot.kind == Kind::Operation && !slot.is_dropped && slot.result >= 0;
            if is_untold && matches!(slot.op.code, Code::Accept | Code::Open) {
                // SAFETY: the kernel has made it for this operation, whose end was not delivered: nobody else knows of it.
                drop(unsafe { OwnedFd::from_raw_fd(slot.result as i32) });
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Queue")
            .field("backend", &self.report.backend)
            .field("wake", &self.report.wake)
            .field("in_flight", &self.core.in_flight)
            .finish_non_exhaustive()
    }
}
