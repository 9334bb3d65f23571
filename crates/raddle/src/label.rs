//! What a sleeping thread waits for: a word in its control block, for those who print lists of threads.

/// A kind of thing that threads wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label(u8);

/// What is said of a thread that waits for each, with [`Label`]'s number for the index.
pub(crate) const SAID: [&str; 16] = [
    "waiting",
    "parked",
    "sleeping",
    "waiting for a thread's end",
    "waiting for a mutex",
    "waiting for a reader-writer lock",
    "waiting on a condition variable",
    "waiting for a semaphore",
    "waiting at a barrier",
    "waiting for a first use to end",
    "sending to a channel",
    "receiving from a channel",
    "selecting among channels",
    "waiting on a futex",
    "waiting for a future",
    "waiting for I/O",
];

#[allow(dead_code, reason = "labels stand here before everything that blocks uses them")]
impl Label {
    /// Nobody said.
    pub(crate) const SOMETHING: Label = Label(0);
    pub(crate) const UNPARK: Label = Label(1);
    pub(crate) const TIME: Label = Label(2);
    pub(crate) const END: Label = Label(3);
    pub(crate) const MUTEX: Label = Label(4);
    pub(crate) const RW_LOCK: Label = Label(5);
    pub(crate) const CONDVAR: Label = Label(6);
    pub(crate) const SEMAPHORE: Label = Label(7);
    pub(crate) const BARRIER: Label = Label(8);
    pub(crate) const ONCE: Label = Label(9);
    pub(crate) const SEND: Label = Label(10);
    pub(crate) const RECEIVE: Label = Label(11);
    pub(crate) const SELECT: Label = Label(12);
    pub(crate) const FUTEX: Label = Label(13);
    pub(crate) const FUTURE: Label = Label(14);
    pub(crate) const IO: Label = Label(15);

    const SHIFT: u32 = 56;

    /// One word: addresses of user space have no more than 56 bits.
    #[inline]
    pub(crate) const fn at(self, address: usize) -> u64 {
        (self.0 as u64) << Label::SHIFT | (address as u64 & ((1 << Label::SHIFT) - 1))
    }

    /// What [`at`](Label::at) put together. An address of 0: none was said.
    pub(crate) fn split(word: u64) -> (Label, usize) {
        (Label((word >> Label::SHIFT) as u8), (word & ((1 << Label::SHIFT) - 1)) as usize)
    }

    /// In words.
    pub(crate) fn said(self) -> &'static str {
        SAID.get(usize::from(self.0)).copied().unwrap_or(SAID[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_its_word() {
        assert_eq!(Label::split(Label::IO.at(0x7fff_1234_5678)), (Label::IO, 0x7fff_1234_5678));
        assert_eq!(Label::split(0), (Label::SOMETHING, 0));
        assert_eq!(Label::IO.said(), "waiting for I/O");
    }
}
