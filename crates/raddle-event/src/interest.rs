//! What can be asked of a descriptor, and what is answered.

use std::fmt;
use std::ops::BitOr;

/// What to be told of a descriptor.
///
/// ```
/// use raddle_event::Interest;
///
/// let both = Interest::READ | Interest::WRITE;
/// assert!(both.reads() && both.writes() && !Interest::READ.writes());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

impl Interest {
    /// That a read would not wait: there is data, an end, an error, or a connection to accept.
    pub const READ: Interest = Interest(1);
    /// That a write would not wait: there is room, an error, or a connection has been made.
    pub const WRITE: Interest = Interest(2);

    /// Whether [`READ`](Interest::READ) is in it.
    pub const fn reads(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether [`WRITE`](Interest::WRITE) is in it.
    pub const fn writes(self) -> bool {
        self.0 & 2 != 0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u8) -> Interest {
        Interest(bits & 3)
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match (self.reads(), self.writes()) {
            (true, true) => "READ | WRITE",
            (true, false) => "READ",
            (false, true) => "WRITE",
            (false, false) => "NOTHING",
        })
    }
}

/// How often a registered descriptor is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In every batch, as long as it is ready.
    Level,
    /// When it becomes ready, at least once for each arrival after a call has said `EWOULDBLOCK`; perhaps more often, never
    /// less. Read and write until they say so.
    Edge,
    /// Once; then not before [`modify`](crate::Queue::modify).
    OneShot,
}

/// What a registered descriptor is ready for. Only what was asked for, except for errors and hang-ups, which come always.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness(pub(crate) u8);

impl Readiness {
    pub(crate) const READABLE: u8 = 1;
    pub(crate) const WRITABLE: u8 = 2;
    pub(crate) const HANGUP: u8 = 4;
    pub(crate) const ERROR: u8 = 8;

    /// A read would not wait.
    pub fn is_readable(self) -> bool {
        self.0 & Self::READABLE != 0
    }

    /// A write would not wait.
    pub fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE != 0
    }

    /// The other side is gone altogether: both directions of a socket are shut, or a pipe has lost its other end.
    pub fn is_hangup(self) -> bool {
        self.0 & Self::HANGUP != 0
    }

    /// There is an error to be fetched (`SO_ERROR`), or a pipe has no reader.
    pub fn is_error(self) -> bool {
        self.0 & Self::ERROR != 0
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_hangup(), "HANGUP"),
            (self.is_error(), "ERROR"),
        ];
        let mut names = all.into_iter().filter_map(|(is_so, name)| is_so.then_some(name));
        to.write_str(names.next().unwrap_or("NOTHING"))?;
        names.try_for_each(|name| write!(to, " | {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_shown_by_names() {
        let shown = |bits| format!("{:?}", Readiness(bits));
        assert_eq!(shown(Readiness::READABLE), "READABLE");
        assert_eq!(shown(15), "READABLE | WRITABLE | HANGUP | ERROR");
        assert_eq!(shown(0), "NOTHING");
    }
}
