//! Responses to bytes: what is small is gathered, what is large goes past the buffer, files go from the kernel to the kernel.

use super::link::{Link, OUTPUT_MAX, send_within};
use super::times::is_timeout;
use crate::headers::Headers;
use crate::protocol::Unfinished;
use crate::response::{Body, Response};
use crate::transport::Transport;
use raddle::fs::{self, File};
use std::io::{self, BufWriter, IntoInnerError, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes up to that are copied behind their head; more go out as they are, with one call for both.
const COPIED_MAX: usize = 16 << 10;

/// So much of what is large goes out in one wait: at first, and once the client takes it. Each wait has a limit of its own, so a client that
/// stops reading is found out after five minutes, or a quarter of an hour, however much it has taken before. Longer steps find it
/// out later; shorter ones are more calls for those who read.
const STEP_MIN: u64 = 256 << 10;
const STEP_MAX: u64 = 1 << 20;

/// How much is next, when so much has been taken.
fn step(taken: u64) -> u64 {
    taken.clamp(STEP_MIN, STEP_MAX)
}

/// What a reader fills at once.
const PIECE: usize = 16 << 10;

/// Sends a response: its fields, for the next one's memory, and how many bytes of content were sent.
///
/// After an error the connection is of no use.
pub(super) fn send<S: Transport + ?Sized>(
    link: &mut Link<'_, S>,
    response: Response,
    date: &[u8; 29],
) -> (Headers, u64, io::Result<()>) {
    let (status, headers, body) = response.into_parts();
    link.protocol.respond(status, &headers, body.length(), date);
    let mut sender = Sender { link, sent: 0 };
    let result = sender.all(body);
    if result.as_ref().is_err_and(|error| !is_timeout(error)) {
        // If it was the content's maker that failed, what was said before is still to be heard.
        _ = sender.link.flush();
    }
    (headers, sender.sent, result)
}

struct Sender<'l, 'a, S: ?Sized> {
    link: &'l mut Link<'a, S>,
    /// Bytes of content.
    sent: u64,
}

impl<S: Transport + ?Sized> Sender<'_, '_, S> {
    fn all(&mut self, body: Body) -> io::Result<()> {
        // A handler's work is spared where nobody gets it.
        if self.link.protocol.wants_content() {
            self.body(body)?;
        }
        self.link.protocol.finish(None).map_err(|Unfinished| too_short())?;
        let protocol = &self.link.protocol;
        let is_enough = protocol.output().len() >= OUTPUT_MAX || protocol.has_gathered();
        if is_enough { self.link.flush() } else { Ok(()) }
    }

    fn body(&mut self, body: Body) -> io::Result<()> {
        match body {
            Body::Empty => Ok(()),
            Body::Static(bytes) => self.bytes(bytes),
            Body::Bytes(bytes) => self.bytes(&bytes),
            Body::Shared(bytes) => self.bytes(&bytes),
            Body::File { file, range } => self.file(&file, range),
            Body::Parts(parts) => parts.into_iter().try_for_each(|part| self.body(part)),
            Body::Reader { mut reader, length } => {
                self.copy(&mut reader.by_ref().take(length.unwrap_or(u64::MAX)))
            }
            Body::Writer(write) => {
                // What is written piece by piece is one chunk.
                let mut gathered = BufWriter::with_capacity(PIECE, self);
                write(&mut gathered)?;
                gathered.into_inner().map(drop).map_err(IntoInnerError::into_error)
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_large = bytes.len() > COPIED_MAX;
        let apart = if is_large { self.link.protocol.send_apart(bytes.len() as u64) } else { 0 };
        if apart > 0 {
            return self.memory(&bytes[..apart as usize]);
        }
        self.put(bytes);
        self.flush_if_full()
    }

    /// Bytes that are in memory, past the buffer.
    fn memory(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut taken = 0;
        while taken < bytes.len() {
            let end = bytes.len().min(taken + step(taken as u64) as usize);
            self.link.flush_with(&bytes[taken..end])?;
            self.sent += (end - taken) as u64;
            taken = end;
        }
        Ok(())
    }

    /// Adds to the output.
    fn put(&mut self, bytes: &[u8]) {
        self.sent += self.link.protocol.write(bytes) as u64;
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.link.protocol.output().len() < OUTPUT_MAX { Ok(()) } else { self.link.flush() }
    }

    /// A file's bytes, past the buffer if their number was announced; in chunks they must be copied.
    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        let apart = self.link.protocol.send_apart(length);
        if apart == 0 {
            return self.copy(&mut FilePart { file, range });
        }
        let (mut at, end) = (range.start, range.start + apart);
        while at < end {
            let part = at..end.min(at + step(at - range.start));
            let count = part.end - part.start;
            let head = self.link.protocol.output();
            let whole = head.len() as u64 + count;
            let limit = self.link.times.for_bytes(whole);
            let stream = &mut *self.link.stream;
            let sent = send_within(limit, || fs::send_file(head, file, part, stream))?;
            self.link.protocol.sent(head.len());
            // The file is shorter than it was.
            if sent != whole {
                return Err(too_short());
            }
            self.sent += count;
            at += count;
        }
        Ok(())
    }

    fn copy(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let count = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.put(&piece[..count]);
            // Who gives little at a time may give the rest later.
            if count < piece.len() { self.link.flush() } else { self.flush_if_full() }?;
        }
    }
}

/// For a [`Body::Writer`]: what it writes is sent when it says so, or when it is much.
impl<S: Transport + ?Sized> Write for Sender<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.put(bytes);
            self.flush_if_full()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.flush()
    }
}

/// The client sees it by the connection's end.
fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, Unfinished)
}

/// A part of a file, without its position.
struct FilePart<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for FilePart<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let most = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut to[..most], self.range.start)?;
        self.range.start += count as u64;
        Ok(count)
    }
}
