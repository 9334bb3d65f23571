//! Signals by their numbers, and sets of them.

use std::fmt;
use std::io;

/// A signal between raddle's threads: a number from 1 to 64.
///
/// The numbers are those of the C library, so that code that speaks of `SIGUSR1` can say so ([`USR1`](Signal::USR1), or
/// `Signal::try_from(libc::SIGUSR1)`). But they mean nothing by themselves here: no number ends a thread or can't be masked. They
/// are not the kernel's signals, and a process that is sent one of those sees nothing of it here.
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
    /// The number of `SIGUSR1`: for programs to use as they like.
    pub const USR1: Signal = Signal(libc::SIGUSR1 as u8);
    /// The number of `SIGUSR2`: for programs to use as they like.
    pub const USR2: Signal = Signal(libc::SIGUSR2 as u8);
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
