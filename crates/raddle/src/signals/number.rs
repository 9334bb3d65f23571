//! Signals by their numbers, and sets of them.

use std::fmt;
use std::io;

/// A signal's number, from 1 to 64, as the C library has them: [`TERM`](Signal::TERM), or `Signal::try_from(libc::SIGTERM)`.
///
/// In [`signal`](crate::signal) it is one of the kernel's, which are sent to processes. In [`thread::signal`](crate::thread::signal) it is one that
/// passes between raddle's threads, and means nothing by itself: no number ends a thread or can't be masked.
///
/// ```
/// use raddle::thread::signal::Signal;
/// const REFRESH: Signal = Signal::new(34).unwrap();
/// assert_eq!(REFRESH.number(), 34);
/// assert!(Signal::new(0).is_none() && Signal::new(65).is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

impl Signal {
    /// `SIGHUP`: the terminal is gone; to many services, to read their settings again.
    pub const HUP: Signal = Signal(libc::SIGHUP as u8);
    /// `SIGINT`: Ctrl-C.
    pub const INT: Signal = Signal(libc::SIGINT as u8);
    /// `SIGQUIT`: the terminal's key for it. Lists raddle's threads, unless somebody else takes it.
    pub const QUIT: Signal = Signal(libc::SIGQUIT as u8);
    /// `SIGUSR1`: for programs to use as they like.
    pub const USR1: Signal = Signal(libc::SIGUSR1 as u8);
    /// `SIGUSR2`: for programs to use as they like.
    pub const USR2: Signal = Signal(libc::SIGUSR2 as u8);
    /// `SIGPIPE`: written to where nobody reads. Rust's programs ignore it, and get an error.
    pub const PIPE: Signal = Signal(libc::SIGPIPE as u8);
    /// `SIGALRM`: a timer of `alarm(2)`.
    pub const ALRM: Signal = Signal(libc::SIGALRM as u8);
    /// `SIGTERM`: to end in order.
    pub const TERM: Signal = Signal(libc::SIGTERM as u8);
    /// `SIGCHLD`: a child has ended or was stopped.
    pub const CHLD: Signal = Signal(libc::SIGCHLD as u8);
    /// `SIGCONT`: to go on after a stop.
    pub const CONT: Signal = Signal(libc::SIGCONT as u8);
    /// `SIGTSTP`: Ctrl-Z.
    pub const TSTP: Signal = Signal(libc::SIGTSTP as u8);
    /// `SIGWINCH`: the terminal has another size.
    pub const WINCH: Signal = Signal(libc::SIGWINCH as u8);
    /// The largest number.
    pub const MAX: i32 = 64;

    /// The signal with this number; `None` if it is not from 1 to 64.
    pub const fn new(number: i32) -> Option<Signal> {
        if number >= 1 && number <= Signal::MAX { Some(Signal(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    pub(crate) const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// The lowest of the signals that `bits` stand for.
    pub(super) fn lowest(bits: u64) -> Option<Signal> {
        (bits != 0).then(|| Signal(bits.trailing_zeros() as u8 + 1))
    }
}

impl TryFrom<i32> for Signal {
    type Error = io::Error;

    /// # Errors
    ///
    /// `InvalidInput` if the number is not from 1 to 64.
    fn try_from(number: i32) -> io::Result<Signal> {
        Signal::new(number).ok_or_else(|| {
            let what =
                format!("{number} is no signal: they are numbered from 1 to {}", Signal::MAX);
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.0)
    }
}

/// Signals, each in it or not.
///
/// ```
/// use raddle::thread::signal::{Signal, SignalSet};
/// let set = SignalSet::from(Signal::USR1).with(Signal::USR2);
/// assert!(set.contains(Signal::USR1));
/// assert_eq!(set.without(Signal::USR2), Signal::USR1.into());
/// assert_eq!(SignalSet::ALL.iter().count(), 64);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// All signals.
    pub const ALL: SignalSet = SignalSet(u64::MAX);

    /// The set as bits: bit `n - 1` stands for number `n`, as in the kernel's `sigset_t`.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set that [`bits`](SignalSet::bits) gave.
    pub const fn from_bits(bits: u64) -> SignalSet {
        SignalSet(bits)
    }

    /// This set and `signal`.
    #[must_use]
    pub const fn with(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 | signal.bit())
    }

    /// This set but for `signal`.
    #[must_use]
    pub const fn without(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 & !signal.bit())
    }

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.bit() != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signals in it, from the lowest number on.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let first = Signal::lowest(left)?;
            left &= !first.bit();
            Some(first)
        })
    }
}

impl From<Signal> for SignalSet {
    fn from(signal: Signal) -> SignalSet {
        SignalSet(signal.bit())
    }
}

impl<const N: usize> From<[Signal; N]> for SignalSet {
    fn from(signals: [Signal; N]) -> SignalSet {
        signals.into_iter().collect()
    }
}

impl<const N: usize> From<&[Signal; N]> for SignalSet {
    fn from(signals: &[Signal; N]) -> SignalSet {
        (*signals).into()
    }
}

impl From<&[Signal]> for SignalSet {
    fn from(signals: &[Signal]) -> SignalSet {
        signals.iter().copied().collect()
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> SignalSet {
        signals.into_iter().fold(SignalSet::EMPTY, SignalSet::with)
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Signal::number)).finish()
    }
}
