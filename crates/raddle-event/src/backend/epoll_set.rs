//! An epoll set: registrations, and those who wait on the same descriptors. The epoll backend is little more than
//! this; the io_uring backend keeps its registrations in one, and waits on it in the ring.
//!
//! A descriptor stands in the set once, for its registration and for whoever waits on it:
//!
//! | registration | nobody waits | somebody waits |
//! |---|---|---|
//! | none, or a one-shot that is spent | not armed | what they wait for, once (`EPOLLONESHOT`) |
//! | level | its interest | its interest and theirs |
//! | edge | its interest, `EPOLLET` | its interest and theirs, `EPOLLET` |
//! | one-shot | its interest, once | its interest and theirs, once |
//!
//! *Stale events.* epoll knows files, not numbers. Closing the last descriptor of a file takes it out of the set, and the
//! number then names nothing here, or another file that was added anew. Two things must be told apart:
//!
//! - The number was closed and names another file now. Then a change (`EPOLL_CTL_MOD`) fails with `ENOENT`, and the old
//!   registration ends; it is never carried over to the new file, because nothing is added on its behalf.
//! - The number was closed, but the *file* is open elsewhere (`dup`, a forked child). It stays in the set, can't be taken out by anybody, and
//!   goes on to report. Each adding has a number of its own, which comes back with the events: such orphans are known
//!   by it and dropped. A level-triggered orphan would report for ever, so the set is then made anew from those that are
//!   still members.

use crate::core::{Core, EDGE, LEVEL, ONE_SHOT};
use crate::interest::Interest;
use crate::perform::poll_bits;
use crate::slots::NONE;
use crate::sys;
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, epoll_event};
use std::io;
use std::os::fd::OwnedFd;

const ONCE: u32 = libc::EPOLLONESHOT as u32;
const ON_EDGE: u32 = libc::EPOLLET as u32;

/// What stands for the wake channel. As a descriptor it would be -1.
pub(super) const WAKE: u64 = u64::MAX;

pub(super) struct EpollSet {
    pub(super) fd: OwnedFd,
    /// An orphan has been seen.
    pub(super) has_orphans: bool,
}

impl EpollSet {
    pub(super) fn new() -> io::Result<EpollSet> {
        Ok(EpollSet { fd: sys::epoll_create()?, has_orphans: false })
    }

    /// Takes a slot's registration in.
    pub(super) fn register(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let fd = core.slots[index].fd;
        core.descriptors.at(fd).registration = index + 1;
        let want = wanted(core, fd);
        let is_member = core.descriptors.at(fd).place != 0;
        let result = match is_member {
            // Somebody waits on it, or the last registration was not removed: perhaps of another file.
            true => self.change(core, fd, want).or_else(|_| self.add(core, fd, want)),
            false => self.add(core, fd, want),
        };
        if result.is_err() {
            core.descriptors.at(fd).registration = NONE;
        }
        result
    }

    /// Follows a registration's new interest. `ENOENT` if its descriptor was closed behind our back: it has ended.
    pub(super) fn modify(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let fd = core.slots[index].fd;
        let want = wanted(core, fd);
        // Also if nothing has changed: an edge or a one-shot begins anew.
        self.change(core, fd, want).map_err(|_| {
            core.retire(fd);
            io::Error::from_raw_os_error(libc::ENOENT)
        })
    }

    /// A registration is gone.
    pub(super) fn unregister(&mut self, core: &mut Core, fd: i32) {
        let want = wanted(core, fd);
        let place = core.descriptors.at(fd);
        if place.place == 0 {
            return;
        }
        if want != 0 && self.change(core, fd, want).is_ok() {
            return;
        }
        // It fails if the descriptor was closed. If the file lives on elsewhere, its events come with the old number.
        let _ = sys::epoll_ctl(&self.fd, EPOLL_CTL_DEL, fd, 0, 0);
        let place = core.descriptors.at(fd);
        (place.place, place.armed) = (0, 0);
        place.seq = place.seq.wrapping_add(1);
        if want != 0 {
            self.rearm(core, fd);
        }
    }

    /// Makes an operation wait on its descriptor.
    pub(super) fn wait_on(&mut self, core: &mut Core, index: u32) {
        let fd = core.slots[index].op.fd;
        let Ok(place) = core.descriptors.get(fd) else {
            return core.complete(index, -i64::from(libc::EBADF));
        };
        let (others, registration) = (place.waited_for(), place.registration);
        core.descriptors.enqueue(&mut core.slots, index);
        // Others who wait have kept it open, and armed. What was armed for anybody else may be of a file that is gone.
        let is_armed = core.descriptors.at(fd).armed == wanted(core, fd);
        if !(is_armed && others != 0 && registration == NONE) {
            self.rearm(core, fd);
        }
    }

    /// Tells the kernel what is wanted of a descriptor now; whoever waits hears it if that is impossible.
    fn rearm(&mut self, core: &mut Core, fd: i32) {
        let want = wanted(core, fd);
        if core.descriptors.at(fd).place != 0 {
            if self.change(core, fd, want).is_ok() {
                return;
            }
            // Not the file that was registered.
            core.retire(fd);
        }
        let want = wanted(core, fd);
        if want == 0 {
            return;
        }
        if let Err(error) = self.add(core, fd, want) {
            match error.raw_os_error() {
                Some(libc::EPERM) => core.help_lanes(fd),
                number => core.fail_lanes(fd, -i64::from(number.unwrap_or(libc::EIO))),
            }
        }
    }

    fn add(&mut self, core: &mut Core, fd: i32, want: u32) -> io::Result<()> {
        let place = core.descriptors.at(fd);
        place.seq = place.seq.wrapping_add(1);
        sys::epoll_ctl(&self.fd, EPOLL_CTL_ADD, fd, want, data(place.seq, fd))?;
        (place.place, place.armed) = (1, want);
        Ok(())
    }

    /// Fails if the number does not name a member of the set, which it then isn't any more for us either.
    fn change(&mut self, core: &mut Core, fd: i32, want: u32) -> io::Result<()> {
        let place = core.descriptors.at(fd);
        let result = match place.place {
            0 => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            _ => sys::epoll_ctl(&self.fd, EPOLL_CTL_MOD, fd, silenced(want), data(place.seq, fd)),
        };
        if result.is_err() {
            (place.place, place.armed) = (0, 0);
        } else {
            place.armed = want;
        }
        result
    }

    /// Takes one event from the kernel to whom it concerns.
    pub(super) fn dispatch(&mut self, core: &mut Core, event: epoll_event) {
        let (bits, data) = (event.events, event.u64);
        let (fd, seq) = (data as u32 as i32, (data >> 32) as u32);
        let place = core.descriptors.at(fd);
        if place.seq != seq || place.place == 0 {
            self.has_orphans = true;
            return;
        }
        if place.armed & ONCE != 0 {
            place.armed = 0;
        }
        if let Some(index) = place.registration.checked_sub(1) {
            core.registration_ready(index, bits);
        }
        core.serve_lanes(fd, bits);
        if wanted(core, fd) != core.descriptors.at(fd).armed {
            self.rearm(core, fd);
        }
    }

    /// Makes the set anew without the orphans, from those that are still members; `begin` puts in what is not the set's own. If
    /// that fails the old one stays, and the next round tries again.
    pub(super) fn rebuild(
        &mut self,
        core: &mut Core,
        begin: impl FnOnce(&EpollSet) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut new = EpollSet::new()?;
        begin(&new)?;
        for fd in 0..core.descriptors.end as i32 {
            let place = *core.descriptors.at(fd);
            if place.place == 0 {
                continue;
            }
            // A change that changes nothing tells members from others.
            if self.change(core, fd, place.armed).is_err() {
                core.retire(fd);
                core.fail_lanes(fd, -i64::from(libc::EBADF));
                continue;
            }
            core.descriptors.at(fd).place = 0;
            if place.armed != 0 {
                if let Err(error) = new.add(core, fd, place.armed) {
                    core.descriptors.at(fd).place = place.place;
                    return Err(error);
                }
            } else {
                core.descriptors.at(fd).armed = 0;
            }
        }
        *self = new;
        Ok(())
    }
}

fn data(seq: u32, fd: i32) -> u64 {
    u64::from(seq) << 32 | u64::from(fd as u32)
}

/// A member that nothing is wanted of must be told so with `EPOLLONESHOT`, else it reports hang-ups.
fn silenced(want: u32) -> u32 {
    if want == 0 { ONCE } else { want }
}

/// What is to be known of a descriptor, with its flags: the table at the top.
fn wanted(core: &mut Core, fd: i32) -> u32 {
    let place = core.descriptors.at(fd);
    let waited_for = place.waited_for();
    let (interest, mode) = match place.registration.checked_sub(1) {
        Some(index) => (core.slots[index].interest, core.slots[index].mode),
        None => (0, LEVEL),
    };
    let bits = poll_bits(Interest::of_bits(interest | waited_for));
    let flags = match mode {
        _ if bits == 0 => 0,
        _ if interest == 0 => ONCE,
        EDGE => ON_EDGE,
        ONE_SHOT => ONCE,
        _ => 0,
    };
    bits | flags
}
