//! What of an open file was found in memory a moment ago, by whoever has sent it: one that many ask for is looked at once for all of them.

use crate::sys::clock;
use raddle_event::cached;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was found in memory stays there for so long: it is the latest that was used.
pub(super) const TRUST_NS: u64 = 2_000_000;
/// Of so much the end is looked at, as long as nothing is missing.
pub(super) const PIECE: u64 = 256 * 1024;
/// Longer beginnings are not remembered: to count their pages would take longer than to look at what is sent.
const LEN_MAX: u64 = 16 << 20;

/// How long the file's beginning is that was found in memory, and until when that is believed. Two who look at a time may leave what one of them
/// has found with the other's time, which is nearly the same.
#[derive(Debug, Default)]
pub(super) struct Warm {
    len: AtomicU64,
    until_ns: AtomicU64,
}

impl Warm {
    /// Whether a moment ago the file was in memory up to `end`, and so has as many bytes.
    pub(super) fn is_known_to(&self, end: u64) -> bool {
        end <= self.len.load(Ordering::Relaxed)
            && clock::now_ns() < self.until_ns.load(Ordering::Relaxed)
    }

    /// Whether the file is in memory up to `end`. If not, or if it is longer than this remembers, more is to be looked at.
    pub(super) fn reaches(&self, file: BorrowedFd<'_>, end: u64) -> bool {
        if end > LEN_MAX {
            return false;
        }
        let (len, now_ns) = (self.len.load(Ordering::Relaxed), clock::now_ns());
        if end <= len && now_ns < self.until_ns.load(Ordering::Relaxed) {
            return true;
        }
        let whole = end.max(len);
        let reaches = cached(file, 0..whole, len, PIECE).arrived == whole;
        self.len.store(if reaches { whole } else { 0 }, Ordering::Relaxed);
        self.until_ns.store(now_ns + TRUST_NS, Ordering::Relaxed);
        reaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn what_was_found_is_believed_for_a_moment_and_then_looked_at_again() {
        let path = std::env::temp_dir().join(format!("raddle-warm-{}", std::process::id()));
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        let file = File::open(&path).unwrap();
        let (warm, part) = (Warm::default(), 1 << 19);
        assert!(warm.reaches(file.as_fd(), part), "it was just written");
        assert_eq!(warm.len.load(Ordering::Relaxed), part);
        assert!(!warm.reaches(file.as_fd(), LEN_MAX + 1));
        // A file's end is where nothing is in memory, either.
        fs::write(&path, []).unwrap();
        warm.until_ns.store(u64::MAX, Ordering::Relaxed);
        assert!(warm.reaches(file.as_fd(), part), "it is believed");
        warm.until_ns.store(0, Ordering::Relaxed);
        assert!(!warm.reaches(file.as_fd(), part), "nothing is there any more");
        assert_eq!(warm.len.load(Ordering::Relaxed), 0);
        fs::remove_file(path).unwrap();
    }
}
