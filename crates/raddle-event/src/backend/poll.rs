//! The poll backend: as epoll's, but each pass looks at every descriptor, and what epoll has modes for is done by hand.
//!
//! *One-shot*: a registration that has been reported has no interest until it is modified.
//!
//! *Edge*: reading is reported in every pass while there is something to read, which costs a caller that reads until
//! `EWOULDBLOCK` nothing and loses nothing. A descriptor that can be written, or that was hung up, would be reported for ever; it is
//! reported once, then *muted*, and heard again after a pause: a millisecond while things happen, doubled up to 64 while
//! nothing does. Whether the caller was told `EWOULDBLOCK` meanwhile, and so waits for a new edge, can't be known here.
//!
//! *Stale events*: poll knows numbers, not files. A registration remembers which file it was made for (device and number), and an
//! event of another ends it. Descriptors of anonymous files (eventfd, timerfd, signalfd, inotify, epoll) all look the
//! same: closed behind the queue's back, replaced by another of them under the same number and not registered anew, they
//! are confused. Whatever is removed first, closed through the queue or registered anew never is.

#![allow(unsafe_code, reason = "system calls")]

use super::common::{Failed, TRIAL, timespec};
use crate::core::{Core, EDGE, LEVEL, Outcome};
use crate::interest::Interest;
use crate::perform::{always, poll_bits};
use crate::slots::NONE;
use crate::sys;
use crate::table::Table;
use crate::wake::Wake;
use libc::pollfd;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(64);

pub(crate) struct Poll {
    /// The wake channel, then whoever is looked at.
    entries: Table<pollfd>,
    len: usize,
    /// Descriptors with something muted.
    muted: usize,
    unmute_at: Instant,
    pause: Duration,
}

impl Poll {
    pub(super) fn open(wake: &Wake) -> Result<Poll, Failed> {
        let entries = Table::new(sys::descriptors_max() + 1).map_err(Failed::at("mmap"))?;
        let unmute_at = Instant::now();
        let mut poll = Poll { entries, len: 1, muted: 0, unmute_at, pause: PAUSE };
        poll.entries[0] = pollfd { fd: -1, events: libc::POLLIN, revents: 0 };
        poll.look(Some(Duration::ZERO)).map_err(Failed::at("ppoll"))?;
        poll.entries[0].fd = wake.end().as_raw_fd();
        wake.signal();
        let found = poll.look(Some(TRIAL)).map_err(Failed::of_wake("ppoll on the wake channel"))?;
        if found == 0 || poll.entries[0].revents & libc::POLLIN == 0 {
            let silent = io::Error::from(io::ErrorKind::TimedOut);
            return Err(Failed::of_wake("waiting for the wake channel")(silent));
        }
        wake.drain();
        Ok(poll)
    }

    /// How many entries have something to say.
    fn look(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let time = timeout.map(timespec);
        let time = time.as_ref().map_or(std::ptr::null(), |time| time as *const libc::timespec);
        // SAFETY: the first `len` entries are ours to write; the time is there, or none; no signal mask.
        let result = unsafe {
            libc::ppoll(self.entries.as_mut_ptr(), self.len as libc::nfds_t, time, std::ptr::null())
        };
        match sys::check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.entries[..self.len].iter_mut().for_each(|entry| entry.revents = 0);
                Ok(0)
            }
            result => result.map(|count| count as usize),
        }
    }

    pub(super) fn register(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let fd = core.slots[index].fd;
        let (kind, device, number) = sys::identity(fd)?;
        // As epoll says it: readiness means nothing there.
        if matches!(kind, libc::S_IFREG | libc::S_IFDIR) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        self.unmute(core, fd);
        let place = core.descriptors.at(fd);
        (place.registration, place.identity) = (index + 1, (device, number));
        self.settle(core, fd);
        Ok(())
    }

    pub(super) fn modify(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let fd = core.slots[index].fd;
        if !self.is_same_file(core, fd) {
            core.retire(fd);
            self.settle(core, fd);
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        self.unmute(core, fd);
        self.settle(core, fd);
        Ok(())
    }

    pub(super) fn unregister(&mut self, core: &mut Core, fd: i32) {
        self.unmute(core, fd);
        self.settle(core, fd);
    }

    pub(super) fn start(&mut self, core: &mut Core, index: u32) {
        core.make_ready_to_try(index);
        if core.attempt(index, 0) == Outcome::Waits {
            self.wait_ready(core, index);
        }
    }

    pub(super) fn wait_ready(&mut self, core: &mut Core, index: u32) {
        let fd = core.slots[index].op.fd;
        if core.descriptors.get(fd).is_err() {
            return core.complete(index, -i64::from(libc::EBADF));
        }
        core.descriptors.enqueue(&mut core.slots, index);
        self.settle(core, fd);
    }

    pub(super) fn cancel(&mut self, core: &mut Core, index: u32) {
        let fd = core.slots[index].op.fd;
        if core.cancel_waiting(index) && core.descriptors.get(fd).is_ok() {
            self.settle(core, fd);
        }
    }

    pub(super) fn flush(&mut self, _: &mut Core) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn harvest(&mut self, core: &mut Core) -> io::Result<()> {
        self.enter(core, Some(Duration::ZERO))
    }

    pub(super) fn enter(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        let mut timeout = timeout;
        // Also for who never sleeps: a loop that always has something to do.
        if self.muted > 0 {
            let left = self.unmute_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.unmute_all(core);
            } else {
                timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
            }
        }
        let mut left = self.look(timeout)?;
        if left > 0 && self.entries[0].revents != 0 {
            left -= 1;
            core.wake.drain();
        }
        // Backwards: who leaves is replaced by the last, which has been seen.
        let mut at = self.len;
        while left > 0 && at > 1 {
            at -= 1;
            let (fd, bits) = (self.entries[at].fd, self.entries[at].revents as u16);
            if bits != 0 {
                left -= 1;
                self.entries[at].revents = 0;
                self.dispatch(core, fd, u32::from(bits));
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, core: &mut Core, fd: i32, bits: u32) {
        if let Some(index) = core.descriptors.at(fd).registration.checked_sub(1) {
            if self.is_same_file(core, fd) {
                let heard = bits & !core.descriptors.at(fd).muted;
                core.registration_ready(index, heard);
                if core.slots[index].mode == EDGE && heard != 0 {
                    self.mute(core, fd, heard);
                }
            } else {
                core.retire(fd);
            }
        }
        if bits & libc::POLLNVAL as u32 != 0 {
            core.retire(fd);
            core.fail_lanes(fd, -i64::from(libc::EBADF));
        } else {
            core.serve_lanes(fd, bits);
        }
        self.settle(core, fd);
    }

    fn is_same_file(&self, core: &mut Core, fd: i32) -> bool {
        let known = core.descriptors.at(fd).identity;
        sys::identity(fd).is_ok_and(|(_, device, number)| (device, number) == known)
    }

    /// After an edge was reported.
    fn mute(&mut self, core: &mut Core, fd: i32, heard: u32) {
        let gone = heard & (always() | libc::POLLRDHUP as u32) != 0;
        let muted = if gone { u32::MAX } else { heard & libc::POLLOUT as u32 };
        let place = core.descriptors.at(fd);
        if heard & libc::POLLIN as u32 != 0 && !gone {
            self.pause = PAUSE;
        }
        if muted == 0 {
            return;
        }
        if place.muted == 0 {
            if self.muted == 0 {
                self.unmute_at = Instant::now() + self.pause;
            }
            self.muted += 1;
        }
        place.muted |= muted;
    }

    fn unmute(&mut self, core: &mut Core, fd: i32) {
        let place = core.descriptors.at(fd);
        if place.muted != 0 {
            place.muted = 0;
            self.muted -= 1;
        }
    }

    fn unmute_all(&mut self, core: &mut Core) {
        for at in 1..self.len {
            let fd = self.entries[at].fd;
            // Of one that was silenced altogether the number is kept inverted.
            let fd = if fd < 0 { !fd } else { fd };
            self.unmute(core, fd);
            self.settle_in_place(core, fd);
        }
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Puts what is wanted of a descriptor into its entry; makes or takes away the entry.
    fn settle(&mut self, core: &mut Core, fd: i32) {
        let place = core.descriptors.at(fd);
        if place.registration == NONE && place.waited_for() == 0 {
            let Some(at) = place.place.checked_sub(1) else { return };
            place.place = 0;
            self.unmute(core, fd);
            self.len -= 1;
            let (at, last) = (at as usize, self.len);
            if at != last {
                self.entries[at] = self.entries[last];
                let moved = self.entries[at].fd;
                core.descriptors.at(if moved < 0 { !moved } else { moved }).place = at as u32 + 1;
            }
            return;
        }
        if place.place == 0 {
            self.entries[self.len] = pollfd { fd, events: 0, revents: 0 };
            self.len += 1;
            place.place = self.len as u32;
        }
        self.settle_in_place(core, fd);
    }

    fn settle_in_place(&mut self, core: &mut Core, fd: i32) {
        let place = core.descriptors.at(fd);
        let (at, muted, waited_for) = (place.place as usize - 1, place.muted, place.waited_for());
        let (interest, _) = match place.registration.checked_sub(1) {
            Some(index) => (core.slots[index].interest, core.slots[index].mode),
            None => (0, LEVEL),
        };
        let bits = poll_bits(Interest::of_bits(interest)) & !muted
            | poll_bits(Interest::of_bits(waited_for));
        let entry = &mut self.entries[at];
        entry.events = bits as i16;
        // Hang-ups are reported unasked: who asks for nothing isn't looked at.
        entry.fd = if bits == 0 { !fd } else { fd };
    }
}
