//! Waiting for signals.

#![allow(unsafe_code, reason = "an operation that points to nothing")]

use super::ear::Ear;
use super::handler::{HEARING, Hearing};
use super::info::Info;
use crate::carry;
use crate::host;
use crate::label::Label;
use crate::operation;
use crate::sched::start;
use crate::settings;
use crate::signals::{Signal, SignalSet};
use raddle_event::{Interest, Op};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Signals that are kept for whoever waits here, from its making until it is dropped.
///
/// Any number of threads may wait, raddle's or others; one of them gets each signal.
///
/// ```
/// use raddle::signal::{Signal, Signals};
/// use raddle::{thread, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// let signals = Signals::new([Signal::USR1, Signal::USR2])?;
/// // One that comes before anybody waits is not lost.
/// raddle::process::Command::new("kill").args(["-USR1", &std::process::id().to_string()]).status()?;
/// let waiter = thread::spawn(move || signals.wait());
/// assert_eq!(waiter.join().unwrap()?.signal(), Signal::USR1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signals {
    signals: SignalSet,
    ear: &'static Ear,
    /// Of the process that it was made in.
    hearing: &'static Hearing,
}

impl Signals {
    /// Takes these signals. What comes from here on is kept.
    ///
    /// Starts the runtime if that has not started.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for no signals at all, and for those that [can't be waited for](super); from `pipe2(2)`, `sigaction(2)` and the runtime's start.
    /// `Unsupported` on a simulated host.
    pub fn new(signals: impl Into<SignalSet>) -> io::Result<Signals> {
        host::check_live()?;
        let signals = signals.into();
        check(signals)?;
        // Whoever is cancelled while it waits for a lock would leave a half of it.
        let _shield = carry::raise_shield();
        let hearing = HEARING.get_or_make(Hearing::new);
        let ear = hearing.ears.take()?;
        ear.listen(signals);
        if let Err(error) = hearing.attend(signals) {
            ear.leave();
            return Err(error);
        }
        Ok(Signals { signals, ear, hearing })
    }

    /// Which they are.
    pub fn signals(&self) -> SignalSet {
        self.signals
    }

    /// Waits for one of them, and takes it. The calling thread parks.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a forked child; from the event queue.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits. No signal is lost by that.
    #[track_caller]
    pub fn wait(&self) -> io::Result<Info> {
        loop {
            if let Some(info) = self.try_wait()? {
                return Ok(info);
            }
            let file = self.ear.as_fd().as_raw_fd();
            let op = Op::Poll { file, interest: Interest::READ };
            // SAFETY: it points to nothing; the descriptor is never closed.
            unsafe { operation::perform(op, Label::SIGNAL.on(file), None) }?;
        }
    }

    /// Takes one that has come; `None` if there is none. Does not wait.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a forked child.
    pub fn try_wait(&self) -> io::Result<Option<Info>> {
        if !self.is_of_this_process() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "these signals are those of the process that has forked; make a Signals of this one's",
            ));
        }
        self.ear.read()
    }

    fn is_of_this_process(&self) -> bool {
        HEARING.get().is_some_and(|own| std::ptr::eq(own, self.hearing))
    }
}

/// What [`io::poll`](crate::io::poll) can wait for, among other sources: readable when a signal has come. Then [`try_wait`](Signals::try_wait) takes
/// it, unless another thread has.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if self.is_of_this_process() {
            let _shield = carry::raise_shield();
            self.hearing.let_go(self.signals);
            self.ear.leave();
        }
    }
}

/// Waits for one of these signals. The calling thread parks.
///
/// They are taken for the time of this wait only: what comes before or after it does what it always did. Whoever waits more than once keeps a [`Signals`].
///
/// # Errors
///
/// As [`Signals::new`] and [`Signals::wait`].
///
/// # Panics
///
/// Unwinds if the calling thread is cancelled while it waits.
///
/// ```no_run
/// use raddle::signal::{self, Signal};
/// let came = signal::wait([Signal::TERM, Signal::INT])?;
/// println!("{} has sent {:?}", came.pid().unwrap_or(0), came.signal());
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn wait(signals: impl Into<SignalSet>) -> io::Result<Info> {
    Signals::new(signals)?.wait()
}

/// Refuses what can't be waited for.
fn check(signals: SignalSet) -> io::Result<()> {
    let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if signals.is_empty() {
        return invalid("no signals were given: nothing would end the wait".to_owned());
    }
    let has = |number| Signal::new(number).is_some_and(|signal| signals.contains(signal));
    let no_handler = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
    if let Some(number) = no_handler.into_iter().find(|number| has(*number)) {
        return invalid(format!(
            "signal {number} can't be waited for: the kernel or libc keeps it for itself"
        ));
    }
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    if let Some(number) = faults.into_iter().find(|number| has(*number)) {
        return invalid(format!(
            "signal {number} can't be waited for: it says that the program can't go on"
        ));
    }
    let runtime = start::get_or_start(settings::from_environment)?;
    if has(runtime.settings.signal) {
        let number = runtime.settings.signal;
        return invalid(format!(
            "signal {number} can't be waited for: it preempts raddle's threads; RADDLE_SIGNAL gives them another"
        ));
    }
    Ok(())
}
