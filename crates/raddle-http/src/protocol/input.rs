//! The bytes that have arrived and were not taken yet.

/// A buffer that is filled behind and emptied in front.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// It was full, so that there may have been more: it is to be larger when nothing stands in it.
    is_tight: bool,
}

/// What an empty buffer begins with: room for most heads, of a size that malloc has at hand for each thread.
const SIZE_MIN: usize = 1 << 10;
/// What it becomes for a client that sends much. Only a head that is longer makes it larger than that.
const SIZE_AMPLE: usize = 16 << 10;

impl Input {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room behind what is there; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if std::mem::take(&mut self.is_tight) && self.bytes.len() < SIZE_AMPLE {
                self.bytes = vec![0; SIZE_AMPLE];
            }
        }
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let size = (self.bytes.len() * 2).max(SIZE_MIN);
                self.bytes.resize(size, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes of the room were written.
    pub(super) fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more than the room was filled");
        self.end += count;
        self.is_tight |= self.end == self.bytes.len();
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "more than there is was consumed");
        self.start += count;
    }

    /// Gives the memory back, if nothing stands in it.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Input::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_much_gets_room_and_who_sends_little_takes_none() {
        let mut input = Input::default();
        for _ in 0..9 {
            input.push(&[b'x'; SIZE_MIN - 1]);
            input.consume(SIZE_MIN - 1);
            assert_eq!(input.space().len(), SIZE_MIN);
        }
        input.push(&[b'x'; SIZE_MIN]);
        input.consume(1);
        assert_eq!(input.unread().len(), SIZE_MIN - 1, "nothing is lost");
        input.consume(SIZE_MIN - 1);
        assert_eq!(input.space().len(), SIZE_AMPLE);
        input.release();
        assert_eq!(input.space().len(), SIZE_MIN);
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut input = Input::default();
        let (mut put, mut taken) = (0_u32, 0_u32);
        for round in 0..3_000 {
            for _ in 0..round % 97 {
                input.push(&put.to_le_bytes());
                put += 1;
            }
            for _ in 0..(round % 89).min((put - taken) as usize) {
                assert_eq!(input.unread()[..4], taken.to_le_bytes());
                input.consume(4);
                taken += 1;
            }
        }
        assert_eq!(input.unread().len(), (put - taken) as usize * 4);
        assert!(taken > 0 && put > taken);
        let length = input.unread().len();
        input.consume(length);
        input.release();
        assert!(!input.space().is_empty());
    }
}
