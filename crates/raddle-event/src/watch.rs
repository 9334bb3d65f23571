//! What else a queue can watch, each through a descriptor that the kernel makes for it: signals, children, files.

#![allow(unsafe_code, reason = "system calls")]

use crate::event::{Change, Events, Exit, Signal, What};
use crate::names::Watch;
use crate::sys;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The descriptors behind watches, by slot.
#[derive(Default)]
pub(crate) struct Watches {
    descriptors: Vec<Option<OwnedFd>>,
    pub(crate) files: Option<Files>,
}

impl Watches {
    pub(crate) fn insert(&mut self, index: u32, fd: OwnedFd) {
        let index = index as usize;
        if self.descriptors.len() <= index {
            self.descriptors.resize_with(index + 1, || None);
        }
        self.descriptors[index] = Some(fd);
    }

    pub(crate) fn get(&self, index: u32) -> Option<&OwnedFd> {
        self.descriptors.get(index as usize)?.as_ref()
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<OwnedFd> {
        self.descriptors.get_mut(index as usize)?.take()
    }

    /// Begins to watch a file for a slot; the descriptor for files must be there.
    pub(crate) fn add_file(&mut self, path: &CString, mask: u32, index: u32) -> io::Result<()> {
        let Some(files) = &mut self.files else { return Err(io::ErrorKind::Unsupported.into()) };
        match &self.descriptors[files.index as usize] {
            Some(fd) => files.add(fd, path, mask, index),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Ends the watch of a slot's file.
    pub(crate) fn forget_file(&mut self, index: u32) {
        if let Some(files) = &mut self.files
            && let Some(fd) = &self.descriptors[files.index as usize]
        {
            files.remove(fd, index);
        }
    }
}

/// A descriptor for signals, which are blocked in the calling thread so that they stay for it.
pub(crate) fn signals(numbers: &[i32]) -> io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` writes all of it.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for number in numbers {
        // SAFETY: the set is ours.
        sys::check(unsafe { libc::sigaddset(&mut set, *number) })?;
    }
    let fd = sys::signalfd(&set)?;
    // SAFETY: the set is ours; the mask that was there before is not asked for.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    Ok(fd)
}

/// The next signal, if one is there.
pub(crate) fn next_signal(fd: &OwnedFd) -> Option<Signal> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut bytes = [0; SIZE];
    if !sys::read(fd, &mut bytes).is_ok_and(|count| count == SIZE) {
        return None;
    }
    // SAFETY: the kernel has written one; all its fields are integers.
    let info: libc::signalfd_siginfo = unsafe { std::mem::transmute(bytes) };
    Some(Signal {
        number: info.ssi_signo as i32,
        pid: info.ssi_pid,
        code: info.ssi_code,
        value: info.ssi_int,
    })
}

/// How the child behind a descriptor has ended; `None` if it hasn't. It is left to be waited for.
pub(crate) fn exit(fd: &OwnedFd) -> Option<Exit> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: writes one `siginfo_t`.
    let result = unsafe {
        libc::waitid(libc::P_PIDFD, fd.as_raw_fd() as libc::id_t, info.as_mut_ptr(), options)
    };
    if result < 0 {
        // Somebody has waited for it already, or it is not a child of ours: it has ended, more is not known.
        return Some(Exit { code: None, signal: None });
    }
    // SAFETY: zeroed or written by the kernel; `waitid` fills the fields of SIGCHLD.
    let (pid, status, code) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_status(), info.si_code)
    };
    let exit = match code {
        libc::CLD_EXITED => Exit { code: Some(status), signal: None },
        _ => Exit { code: None, signal: Some(status) },
    };
    (pid != 0).then_some(exit)
}

/// Watched files: one inotify descriptor for all.
pub(crate) struct Files {
    /// Of the slot that is registered for the descriptor.
    pub(crate) index: u32,
    /// The kernel's numbers of watches, which it does not use twice.
    watches: BTreeMap<i32, u32>,
    /// The kernel has lost changes, and watches from this number on have not heard of it yet.
    lost_from: Option<i32>,
    /// What was read and not reported yet.
    bytes: Vec<u8>,
    at: usize,
}

impl Files {
    pub(crate) fn new(index: u32) -> Files {
        Files { index, watches: BTreeMap::new(), lost_from: None, bytes: Vec::new(), at: 0 }
    }

    /// Begins to watch a path for a slot. `AlreadyExists` if this queue watches that file already.
    fn add(&mut self, fd: &OwnedFd, path: &CString, mask: u32, index: u32) -> io::Result<()> {
        let mask = mask | libc::IN_MASK_CREATE;
        // SAFETY: reads a path with a zero at its end.
        let number = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
        self.watches.insert(sys::check(number)?, index);
        Ok(())
    }

    fn remove(&mut self, fd: &OwnedFd, index: u32) {
        let number = self.watches.iter().find(|(_, of)| **of == index).map(|(number, _)| *number);
        if let Some(number) = number {
            self.watches.remove(&number);
            // SAFETY: no memory is involved. It fails if the file is gone, which is as well.
            unsafe { libc::inotify_rm_watch(fd.as_raw_fd(), number) };
        }
    }

    /// The next change: of which slot, and whether that watch has ended with it. `None` if nothing more is there.
    fn next(&mut self, fd: &OwnedFd) -> Option<(Option<u32>, u32, u32, std::ops::Range<usize>)> {
        const HEAD: usize = 16;
        if self.at == self.bytes.len() {
            self.bytes.resize(4096, 0);
            let count = sys::read(fd, &mut self.bytes).unwrap_or(0);
            self.bytes.truncate(count);
            self.at = 0;
        }
        let head = self.bytes.get(self.at..self.at + HEAD)?;
        let word =
            |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (number, mask, cookie, len) = (word(0) as i32, word(4), word(8), word(12) as usize);
        let start = self.at + HEAD;
        let name = self.bytes.get(start..start + len)?;
        let name_len = name.iter().position(|byte| *byte == 0).unwrap_or(len);
        self.at = start + len;
        let index = self.watches.get(&number).copied();
        if mask & libc::IN_IGNORED != 0 {
            self.watches.remove(&number);
        }
        Some((index, mask, cookie, start..start + name_len))
    }

    /// The next watch that may have lost changes, and has not heard of it.
    fn next_loser(&mut self) -> Option<u32> {
        let next = self.watches.range(self.lost_from?..).next();
        let next = next.map(|(number, index)| (*number, *index));
        self.lost_from = next.and_then(|(number, _)| number.checked_add(1));
        next.map(|(_, index)| index)
    }

    /// Reports changes as far as there is room; true if there may be more. `key` gives a slot's key and name, `ended` hears of
    /// watches that are over.
    pub(crate) fn report(
        &mut self,
        fd: &OwnedFd,
        events: &mut Events,
        key: impl Fn(u32) -> (u64, Watch),
        mut ended: impl FnMut(u32),
    ) -> bool {
        while !events.is_full() {
            if let Some(index) = self.next_loser() {
                let (key, watch) = key(index);
                let (mask, cookie, name) = (libc::IN_Q_OVERFLOW, 0, (0, 0));
                events.push(key, What::Changed(Change { watch, mask, cookie, name }));
                continue;
            }
            let Some((index, mask, cookie, name)) = self.next(fd) else { return false };
            if mask & libc::IN_Q_OVERFLOW != 0 {
                // Nobody knows whose: all are told, in as many batches as that takes.
                self.lost_from = Some(0);
                continue;
            }
            let Some(index) = index else { continue };
            let (key, watch) = key(index);
            let name = events.push_name(&self.bytes[name]);
            events.push(key, What::Changed(Change { watch, mask, cookie, name }));
            if mask & libc::IN_IGNORED != 0 {
                ended(index);
            }
        }
        true
    }
}
