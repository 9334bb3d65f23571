//! What is known of a signal that has come.

#![allow(unsafe_code, reason = "the kernel's union")]

use crate::signals::Signal;

/// A signal that has come, and who has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    signal: Signal,
    code: i32,
    pid: u32,
    uid: u32,
    value: i32,
}

/// An [`Info`] as words, for a pipe.
pub(super) type Words = [u32; 5];

impl Info {
    /// One of which no more is known.
    pub(super) fn plain(signal: Signal) -> Info {
        Info { signal, code: libc::SI_KERNEL, pid: 0, uid: 0, value: 0 }
    }

    /// What a handler was told. `None` for what is no signal.
    ///
    /// # Safety
    ///
    /// It is the kernel's, as a handler gets it.
    pub(super) unsafe fn of_handler(info: *const libc::siginfo_t) -> Option<Info> {
        // SAFETY: the caller's.
        let info = unsafe { &*info };
        let signal = Signal::new(info.si_signo)?;
        let (has_sender, has_value) = match info.si_code {
            libc::SI_QUEUE | libc::SI_MESGQ => (true, true),
            libc::SI_TIMER => (false, true),
            code => {
                (code == libc::SI_USER || code == libc::SI_TKILL || signal == Signal::CHLD, false)
            }
        };
        // SAFETY: the fields that this kind of signal has; all of them are integers, or taken for one.
        let (pid, uid, value) = unsafe {
            let (pid, uid) = if has_sender { (info.si_pid(), info.si_uid()) } else { (0, 0) };
            let value = if has_value { info.si_value().sival_ptr.addr() as i32 } else { 0 };
            (pid as u32, uid, value)
        };
        Some(Info { signal, code: info.si_code, pid, uid, value })
    }

    pub(super) fn to_words(self) -> Words {
        [self.signal.number() as u32, self.code as u32, self.pid, self.uid, self.value as u32]
    }

    pub(super) fn from_words([number, code, pid, uid, value]: Words) -> Option<Info> {
        let signal = Signal::new(number as i32)?;
        Some(Info { signal, code: code as i32, pid, uid, value: value as i32 })
    }

    /// Which one.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Who has sent it: a process's id; of `SIGCHLD`, the child's. `None` if the kernel has sent it for another reason, or from outside of
    /// this namespace of ids, or if that is not known because very many came at once.
    pub fn pid(&self) -> Option<u32> {
        (self.pid != 0).then_some(self.pid)
    }

    /// The user of that process, if there was one.
    pub fn uid(&self) -> Option<u32> {
        self.pid().map(|_| self.uid)
    }

    /// Why: `libc::SI_USER`, `libc::SI_QUEUE`, `libc::CLD_EXITED` and so on, see `sigaction(2)`.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The number that came with it, from `sigqueue(3)`, a timer or a message queue; otherwise 0.
    pub fn value(&self) -> i32 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_a_pipe_comes_out_the_same() {
        let info = Info { signal: Signal::WINCH, code: -6, pid: 7, uid: u32::MAX, value: -9 };
        assert_eq!(Info::from_words(info.to_words()), Some(info));
        assert_eq!(Info::from_words([0; 5]), None);
        assert_eq!((info.pid(), info.uid(), info.value()), (Some(7), Some(u32::MAX), -9));
        let plain = Info::plain(Signal::TERM);
        assert_eq!((plain.pid(), plain.uid()), (None, None));
    }
}
