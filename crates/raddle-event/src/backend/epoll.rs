//! The epoll backend: operations are tried at once, and again when the kernel says that their descriptor is ready.

#![allow(unsafe_code, reason = "system calls")]

use super::common::{Failed, TRIAL, timespec};
use super::epoll_set::{EpollSet, WAKE};
use crate::core::{Core, Outcome};
use crate::sys;
use crate::wake::Wake;
use libc::{c_int, epoll_event};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// So many events are fetched in one call.
const BATCH: usize = 256;

pub(crate) struct Epoll {
    set: EpollSet,
    buffer: Box<[epoll_event; BATCH]>,
    /// The kernel has `epoll_pwait2` (5.11): time-outs in nanoseconds, not milliseconds.
    is_fine: bool,
}

impl Epoll {
    pub(super) fn open(wake: &Wake) -> Result<Epoll, Failed> {
        let set = EpollSet::new().map_err(Failed::at("epoll_create1"))?;
        let buffer = Box::new([epoll_event { events: 0, u64: 0 }; BATCH]);
        let mut epoll = Epoll { set, buffer, is_fine: true };
        if epoll.fetch(Some(Duration::ZERO)).is_err() {
            epoll.is_fine = false;
            epoll.fetch(Some(Duration::ZERO)).map_err(Failed::at("epoll_wait"))?;
        }
        watch_wake(&epoll.set, wake).map_err(Failed::of_wake("epoll_ctl on the wake channel"))?;
        wake.signal();
        let count =
            epoll.fetch(Some(TRIAL)).map_err(Failed::of_wake("epoll_wait for the wake channel"))?;
        if count == 0 || epoll.buffer[0].u64 != WAKE {
            let silent = io::Error::from(io::ErrorKind::TimedOut);
            return Err(Failed::of_wake("waiting for the wake channel")(silent));
        }
        wake.drain();
        Ok(epoll)
    }

    /// How many events the kernel has put into the buffer. `None` waits for ever.
    fn fetch(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let (set, buffer) = (self.set.fd.as_raw_fd(), self.buffer.as_mut_ptr());
        let result = if self.is_fine {
            let time = timeout.map(timespec);
            let time = time.as_ref().map_or(std::ptr::null(), |time| time as *const libc::timespec);
            // SAFETY: writes no more events than there is room for, reads a time that is there, or none; no signal mask.
            unsafe {
                libc::syscall(libc::SYS_epoll_pwait2, set, buffer, BATCH, time, 0usize, 8usize)
                    as c_int
            }
        } else {
            // Up: never early.
            let ms = timeout.map_or(-1, |time| {
                c_int::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
            });
            // SAFETY: as above.
            unsafe { libc::epoll_wait(set, buffer, BATCH as c_int, ms) }
        };
        match sys::check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            result => result.map(|count| count as usize),
        }
    }

    pub(super) fn register(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        self.set.register(core, index)
    }

    pub(super) fn modify(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        self.set.modify(core, index)
    }

    pub(super) fn unregister(&mut self, core: &mut Core, fd: i32) {
        self.set.unregister(core, fd);
    }

    pub(super) fn start(&mut self, core: &mut Core, index: u32) {
        core.make_ready_to_try(index);
        if core.attempt(index, 0) == Outcome::Waits {
            self.wait_ready(core, index);
        }
    }

    pub(super) fn wait_ready(&mut self, core: &mut Core, index: u32) {
        self.set.wait_on(core, index);
    }

    /// What the kernel was told stays: it reports once more at most.
    pub(super) fn cancel(&mut self, core: &mut Core, index: u32) {
        core.cancel_waiting(index);
    }

    pub(super) fn flush(&mut self, _: &mut Core) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn harvest(&mut self, core: &mut Core) -> io::Result<()> {
        self.enter(core, Some(Duration::ZERO))
    }

    pub(super) fn enter(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        let count = self.fetch(timeout)?;
        for at in 0..count {
            let event = self.buffer[at];
            if event.u64 == WAKE {
                if core.wake.fills() {
                    core.wake.drain();
                }
                continue;
            }
            self.set.dispatch(core, event);
        }
        if self.set.has_orphans {
            let wake = core.wake.clone();
            self.set.rebuild(core, |set| watch_wake(set, &wake))?;
        }
        Ok(())
    }
}

/// On edges, so that an eventfd need never be read.
fn watch_wake(set: &EpollSet, wake: &Wake) -> io::Result<()> {
    let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
    sys::epoll_ctl(&set.fd, libc::EPOLL_CTL_ADD, wake.end().as_raw_fd(), events, WAKE)
}
