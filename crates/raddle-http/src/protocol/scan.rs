//! Finds the end of a head, or of a trailer section, however its bytes arrive.
//!
//! Each byte is looked at once. What is found to be wrong depends on the bytes alone, never on how they were split: limits
//! are checked at the byte that exceeds them, lines when they are complete.

use super::fault::Fault;
use super::limits::Limits;
use crate::lex;
use memchr::memchr;

/// How far a section's lines were looked at. Offsets count from the section's first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scanner {
    scanned: usize,
    line: usize,
    /// Complete lines, without empty ones that precede a request line.
    lines: usize,
    /// Where the request line begins.
    start: usize,
    end: Option<usize>,
}

/// A complete head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where its first line begins: behind empty ones.
    pub(super) start: usize,
    /// Where it ends, with the empty line.
    pub(super) end: usize,
    /// How many field lines it has.
    pub(super) fields: usize,
}

impl Scanner {
    /// Goes on with a request's head, of which `bytes` are all that have arrived.
    #[inline]
    pub(super) fn head(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Found>, Fault> {
        self.scan(bytes, limits, limits.head_size, true)
    }

    /// Goes on with a trailer section.
    pub(super) fn trailers(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<Found>, Fault> {
        self.scan(bytes, limits, limits.trailer_size, false)
    }

    fn scan(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        size: usize,
        has_first_line: bool,
    ) -> Result<Option<Found>, Fault> {
        let fields = |lines: usize| lines.saturating_sub(usize::from(has_first_line));
        if let Some(end) = self.end {
            return Ok(Some(Found { start: self.start, end, fields: fields(self.lines) }));
        }
        loop {
            let is_first = has_first_line && self.lines == 0;
            if is_first {
                begins_well(&bytes[self.line..])?;
            }
            let newline = memchr(b'\n', &bytes[self.scanned..]).map(|at| self.scanned + at);
            let reached = newline.map_or(bytes.len(), |at| at + 1);
            let line_size = if is_first { limits.request_line() } else { usize::MAX };
            // Whichever limit is met first, counted in bytes.
            if reached > self.line.saturating_add(line_size).min(size) {
                let is_line = self.line.saturating_add(line_size) < size;
                return Err(if is_line { Fault::TargetTooLong } else { Fault::HeadTooLarge });
            }
            self.scanned = reached;
            let Some(newline) = newline else { return Ok(None) };
            let line = &bytes[self.line..newline];
            let [line @ .., b'\r'] = line else { return Err(Fault::BareLf) };
            self.line = reached;
            if line.is_empty() {
                if is_first {
                    self.start = reached;
                    continue;
                }
                self.end = Some(reached);
                let fields = fields(self.lines);
                return Ok(Some(Found { start: self.start, end: reached, fields }));
            }
            if !is_first && lex::is_space(line[0]) {
                return Err(Fault::ObsFold);
            }
            self.lines += 1;
            if fields(self.lines) > limits.fields.min(Limits::FIELDS_MAX) {
                return Err(Fault::TooManyFields);
            }
        }
    }
}

/// What doesn't begin like a method is refused at its first byte, as it may have no line at all: TLS, for example.
fn begins_well(line: &[u8]) -> Result<(), Fault> {
    match line {
        [] | [b'\r'] | [b'\r', b'\n', ..] => Ok(()),
        [b'\r', ..] => Err(Fault::BareCr),
        [b'\n', ..] => Err(Fault::BareLf),
        [first, ..] if lex::is_token_byte(*first) => Ok(()),
        _ => Err(Fault::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { target_size: 10, head_size: 80, fields: 3, ..Limits::default() }
    }

    /// Scans byte by byte, and in one go: both must agree.
    fn scan(text: &str) -> Result<Option<(usize, usize)>, Fault> {
        let bytes = text.as_bytes();
        let whole = Scanner::default().head(bytes, &limits());
        let mut scanner = Scanner::default();
        let mut result = Ok(None);
        for end in 0..=bytes.len() {
            result = scanner.head(&bytes[..end], &limits());
            if result != Ok(None) {
                break;
            }
        }
        assert_eq!(result, whole, "{text:?}");
        whole.map(|found| found.map(|found| (found.start, found.end)))
    }

    #[test]
    fn the_empty_line_ends_it() {
        assert_eq!(scan("GET / HTTP/1.1\r\n\r\nmore"), Ok(Some((0, 18))));
        assert_eq!(scan("\r\n\r\nG\r\nA: b\r\n\r\n"), Ok(Some((4, 15))));
        for part in ["", "\r", "\r\n", "G", "G\r\n", "G\r\n\r", "G\r\nA:b\r\n"] {
            assert_eq!(scan(part), Ok(None), "{part:?}");
        }
    }

    #[test]
    fn what_is_wrong_does_not_depend_on_splits() {
        assert_eq!(scan("\n"), Err(Fault::BareLf));
        assert_eq!(scan("\rG"), Err(Fault::BareCr));
        assert_eq!(scan("G\n"), Err(Fault::BareLf));
        assert_eq!(scan("\x16\x03\x01"), Err(Fault::NotHttp));
        assert_eq!(scan(" G"), Err(Fault::NotHttp));
        assert_eq!(scan("G\r\nA: b\r\n c\r\n\r\n"), Err(Fault::ObsFold));
        assert_eq!(scan("G\r\n\tc\r\n\r\n"), Err(Fault::ObsFold));
        assert_eq!(scan("G\r\nA:\r\nB:\r\nC:\r\n\r\n").map(|found| found.is_some()), Ok(true));
        assert_eq!(scan("G\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), Err(Fault::TooManyFields));
        let long = "G".repeat(44);
        assert_eq!(scan(&long), Ok(None));
        assert_eq!(scan(&format!("{long}G")), Err(Fault::TargetTooLong));
        assert_eq!(scan(&format!("{long}\r\n")), Err(Fault::TargetTooLong));
        let empty = "\r\n".repeat(30);
        assert_eq!(scan(&format!("{empty}{long}{long}")), Err(Fault::HeadTooLarge));
        assert_eq!(scan(&format!("G\r\nA: {}", "b".repeat(74))), Ok(None));
        assert_eq!(scan(&format!("G\r\nA: {}", "b".repeat(75))), Err(Fault::HeadTooLarge));
    }
}
