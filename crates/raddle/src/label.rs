//! What a sleeping thread waits for: a word in its control block, for those who print lists of threads.

/// A kind of thing that threads wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label(u8);

/// What is said of a thread that waits for each, with [`Label`]'s number for the index.
pub(crate) const SAID: [&str; 29] = [
    "waiting",
    "parked",
    "sleeping",
    "waiting for a thread's end",
    "waiting for the end of a scope's threads",
    "waiting for a mutex",
    "waiting for a reader-writer lock, to read",
    "waiting for a reader-writer lock, to write",
    "waiting on a condition variable",
    "waiting for a semaphore",
    "waiting at a barrier",
    "waiting for a first use to end",
    "sending to a channel",
    "receiving from a channel",
    "selecting among channels",
    "waiting on a futex",
    "waiting for a future",
    "waiting for work",
    "waiting for work items to be over",
    "reading",
    "writing",
    "accepting a connection",
    "connecting",
    "waiting for a descriptor",
    "waiting for a disk",
    "opening a file",
    "sending a file",
    "waiting for a child process",
    "waiting for a signal",
];

impl Label {
    pub(crate) const PARK: Label = Label(1);
    pub(crate) const TIME: Label = Label(2);
    /// With the thread's id in place of an address.
    pub(crate) const JOIN: Label = Label(3);
    pub(crate) const SCOPE: Label = Label(4);
    pub(crate) const MUTEX: Label = Label(5);
    pub(crate) const READ: Label = Label(6);
    pub(crate) const WRITE: Label = Label(7);
    pub(crate) const CONDVAR: Label = Label(8);
    pub(crate) const SEMAPHORE: Label = Label(9);
    pub(crate) const BARRIER: Label = Label(10);
    pub(crate) const ONCE: Label = Label(11);
    pub(crate) const SEND: Label = Label(12);
    pub(crate) const RECEIVE: Label = Label(13);
    pub(crate) const SELECT: Label = Label(14);
    pub(crate) const FUTEX: Label = Label(15);
    pub(crate) const FUTURE: Label = Label(16);
    /// A workqueue's worker that is idle.
    pub(crate) const WORK: Label = Label(17);
    pub(crate) const FLUSH: Label = Label(18);
    // From here on with a descriptor in place of an address.
    pub(crate) const INPUT: Label = Label(19);
    pub(crate) const OUTPUT: Label = Label(20);
    pub(crate) const ACCEPT: Label = Label(21);
    pub(crate) const CONNECT: Label = Label(22);
    pub(crate) const POLL: Label = Label(23);
    pub(crate) const DISK: Label = Label(24);
    pub(crate) const OPEN: Label = Label(25);
    pub(crate) const SEND_FILE: Label = Label(26);
    pub(crate) const CHILD: Label = Label(27);
    pub(crate) const SIGNAL: Label = Label(28);

    const SHIFT: u32 = 56;
    const PLACE: u64 = (1 << Label::SHIFT) - 1;

    /// This, and where it is: addresses of user space have no more than 56 bits. 0: that is not known, or says nothing.
    #[inline]
    pub(crate) const fn at(self, address: usize) -> WaitsFor {
        WaitsFor((self.0 as u64) << Label::SHIFT | (address as u64 & Label::PLACE))
    }

    /// This, on a descriptor.
    #[inline]
    pub(crate) const fn on(self, descriptor: i32) -> WaitsFor {
        self.at(descriptor as usize)
    }

    /// Whether it is a descriptor that stands in place of an address.
    pub(crate) fn is_on_descriptor(self) -> bool {
        self.0 >= Label::INPUT.0
    }

    /// In words.
    pub(crate) fn said(self) -> &'static str {
        SAID.get(usize::from(self.0)).copied().unwrap_or(SAID[0])
    }

    /// For debuggers, who know labels by their numbers.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// What [`number`](Label::number) gave.
    pub(crate) const fn of_number(number: u32) -> Label {
        Label(number as u8)
    }
}

/// What a thread waits for, and where that is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitsFor(pub(crate) u64);

impl WaitsFor {
    /// What [`at`](Label::at) put together.
    pub(crate) fn parts(self) -> (Label, usize) {
        (Label((self.0 >> Label::SHIFT) as u8), (self.0 & Label::PLACE) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_its_word() {
        let both = Label::FUTURE.at(0x7fff_1234_5678);
        assert_eq!(both.parts(), (Label::FUTURE, 0x7fff_1234_5678));
        assert_eq!(WaitsFor(0).parts().0.said(), "waiting");
        assert_eq!(Label::FUTURE.said(), "waiting for a future");
        assert_eq!(Label::SIGNAL.number() + 1, SAID.len());
    }
}
