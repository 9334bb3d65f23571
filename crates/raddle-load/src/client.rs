//! One client: its requests, one after the other, in blocking calls.
//!
//! A request on a connection that is kept allocates nothing, is sent from the bytes that were made before the run, and takes one look at the clock
//! in a closed loop: an answer's end is the moment at which the next request begins.

use crate::failure::{Failure, Step};
use crate::mix::Mix;
use crate::pause::Pause;
use crate::recorder::{Answered, Lane};
use crate::shared::Shared;
use crate::stream::{self, Stream};
use raddle_http::protocol::{Limits, ResponseDecoder, ResponsePiece};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::SystemTime;

/// Larger than any head, so that one always fits. Only what is filled takes memory.
const BUFFER: usize = 64 << 10;

pub(crate) struct Client<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    mix: Mix,
    /// To each place, opened when there is something to send.
    streams: Vec<Option<Stream>>,
    decoder: ResponseDecoder,
    buffer: Box<[u8]>,
    /// What was read and not taken.
    start: usize,
    end: usize,
    /// Requests without an answer, in the order in which they are sent.
    waiting: VecDeque<Waiting>,
    /// So many of them, the last ones, have not been sent.
    unsent: usize,
    /// The next one, which leads elsewhere.
    held: Option<Waiting>,
    /// When the first byte of the first answer was there.
    first_byte: Option<u64>,
    /// Bytes of the first answer.
    bytes: u64,
    /// Several requests that go out together.
    wave: Vec<u8>,
    /// The last look at the clock.
    now: u64,
    /// When what was read last had come.
    came: u64,
    pause: Pause,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    target: usize,
    due: u64,
    sent: u64,
    counts: bool,
}

impl<'a> Client<'a> {
    pub(crate) fn new(shared: &'a Shared, number: usize) -> Client<'a> {
        let plan = &shared.plan;
        Client {
            shared,
            lane: shared.lane(number),
            // Each draws for itself, and all from one number.
            mix: Mix::new(
                plan.targets.iter().map(|target| target.weight),
                plan.seed.wrapping_add((number as u64) << 32),
            ),
            streams: shared.places.iter().map(|_| None).collect(),
            decoder: ResponseDecoder::new(&Limits::default()),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            waiting: VecDeque::with_capacity(plan.depth),
            unsent: 0,
            held: None,
            first_byte: None,
            bytes: 0,
            wave: Vec::new(),
            now: 0,
            came: 0,
            pause: Pause::default(),
        }
    }

    /// Until nothing may begin any more.
    pub(crate) fn run(&mut self) {
        self.now = self.shared.clock();
        loop {
            while self.waiting.len() < self.shared.plan.depth {
                let Some(next) = self.held.take().or_else(|| self.next()) else { break };
                let place = |one: &Waiting| self.shared.place_of[one.target];
                if self.waiting.front().is_some_and(|first| place(first) != place(&next)) {
                    self.held = Some(next);
                    break;
                }
                self.waiting.push_back(next);
                self.unsent += 1;
            }
            let Some(first) = self.waiting.front() else { return };
            let place = self.shared.place_of[first.target];
            if let Err(failure) = self.go_on(place) {
                self.fail(place, failure);
            }
        }
    }

    /// It was cut short: what has no answer is counted.
    pub(crate) fn abandon(&mut self) {
        let now = self.shared.clock();
        let mut figures = self.lane.lock();
        for one in self.waiting.iter().filter(|one| one.counts) {
            figures.unfinished += 1;
            figures.unfinished_age = figures.unfinished_age.max(now.saturating_sub(one.due));
        }
        if self.waiting.front().is_some_and(|first| first.counts) {
            figures.unfinished_bytes += self.bytes;
        }
    }

    /// The next request, when it is time for it.
    #[inline]
    fn next(&mut self) -> Option<Waiting> {
        if !self.shared.is_open() {
            let counts = self.shared.begin(self.now)?;
            return Some(Waiting { target: self.mix.draw(), due: self.now, sent: 0, counts });
        }
        let due = self.shared.next_due()?;
        let counts = self.shared.begin(due)?;
        if due > self.now {
            self.now = self.shared.clock();
        }
        if due > self.now {
            self.now = self.shared.wait_until(due, self.now)?;
            if counts {
                self.lane.lock().oversleep.add(self.now - due);
            }
        }
        Some(Waiting { target: self.mix.draw(), due, sent: 0, counts })
    }

    /// Sends what is to be sent, reads once, and takes the answers that are complete.
    #[inline]
    fn go_on(&mut self, place: usize) -> Result<(), Failure> {
        let mut stream = match self.streams[place].take() {
            Some(stream) => stream,
            None => self.open(place)?,
        };
        let read = if self.unsent > 0 {
            self.exchange(&mut stream)?
        } else {
            stream.read(&mut self.buffer[self.end..])
        };
        if self.receive(read, stream.came())? {
            self.streams[place] = Some(stream);
        } else {
            // What was sent behind the last answer is sent anew: it was not read.
            self.unsent = self.waiting.len();
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }

    fn open(&mut self, place: usize) -> Result<Stream, Failure> {
        let opened = stream::open(&self.shared.places[place], self.shared.manner)?;
        self.pause = Pause::default();
        self.now = self.shared.ns_at(opened.at);
        if self.now >= self.shared.begin_ns {
            self.lane.lock().opened(&opened);
        }
        Ok(opened.stream)
    }

    #[inline]
    fn exchange(&mut self, stream: &mut Stream) -> Result<io::Result<usize>, Failure> {
        let first = self.waiting.len() - self.unsent;
        if first == 0 {
            self.begin_answer();
        }
        for one in self.waiting.range_mut(first..) {
            one.sent = self.now;
        }
        let targets = &self.shared.plan.targets;
        let mut bytes = if self.unsent == 1 {
            &targets[self.waiting[first].target].bytes[..]
        } else {
            self.wave.clear();
            let unsent = self.waiting.range(first..);
            unsent.for_each(|one| self.wave.extend_from_slice(&targets[one.target].bytes));
            &self.wave[..]
        };
        self.unsent = 0;
        match stream.exchange(&mut bytes, &mut self.buffer[self.end..]) {
            Err(error) if !bytes.is_empty() => Err(Failure::of(Step::Send, &error)),
            read => Ok(read),
        }
    }

    /// What is read next answers the first that waits.
    #[inline]
    fn begin_answer(&mut self) {
        if let Some(first) = self.waiting.front() {
            self.decoder.begin(self.shared.plan.targets[first.target].method);
        }
        (self.first_byte, self.bytes) = (None, 0);
    }

    /// Takes what was read, and `came` then if the kernel has said so. Whether the connection can be used on.
    #[inline]
    fn receive(
        &mut self,
        read: io::Result<usize>,
        came: Option<SystemTime>,
    ) -> Result<bool, Failure> {
        (self.now, self.came) = self.shared.arrival(came);
        match read {
            Ok(0) => self.at_end(),
            // TLS says so when it ends without a word.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.at_end(),
            Ok(count) => {
                self.end += count;
                self.take_answers()
            }
            Err(error) => Err(Failure::of(Step::Receive, &error)),
        }
    }

    /// The server has closed the connection: that may be an answer's end.
    fn at_end(&mut self) -> Result<bool, Failure> {
        let has_begun = self.first_byte.is_some();
        match self.decoder.end_of_input() {
            Ok(()) if has_begun => {
                self.answered();
                Ok(false)
            }
            _ => Err(Failure::closed(has_begun)),
        }
    }

    /// Takes what has been read. Whether the connection can be used on.
    #[inline]
    fn take_answers(&mut self) -> Result<bool, Failure> {
        self.first_byte.get_or_insert(self.came);
        loop {
            let input = &self.buffer[self.start..self.end];
            let (count, piece) = self.decoder.advance(input).map_err(Failure::protocol)?;
            self.start += count;
            self.bytes += count as u64;
            match piece {
                ResponsePiece::NeedsInput => break,
                ResponsePiece::End => {
                    let stays = self.decoder.is_persistent() && self.shared.plan.keeps;
                    self.answered();
                    if !stays {
                        return Ok(false);
                    }
                    if self.waiting.len() == self.unsent {
                        return match self.start == self.end {
                            true => {
                                (self.start, self.end) = (0, 0);
                                Ok(true)
                            }
                            false => Err(Failure::unasked()),
                        };
                    }
                    if self.start < self.end {
                        self.first_byte = Some(self.came);
                    }
                }
                ResponsePiece::Head(_) | ResponsePiece::Interim(_) | ResponsePiece::Data(_) => {}
            }
        }
        // A part of a head is all that can be left.
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > BUFFER / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // An answer that drips in: each read has its limit, and the whole.
        let patience = self.shared.plan.patience.as_nanos() as u64;
        match self.waiting.front() {
            Some(first) if self.now.saturating_sub(first.sent) > patience => {
                Err(Failure::timeout(Step::Receive))
            }
            _ => Ok(true),
        }
    }

    /// The first that waits has its answer.
    #[inline]
    fn answered(&mut self) {
        let Some(one) = self.waiting.pop_front() else { return };
        if one.counts {
            let answered = Answered {
                due: one.due,
                sent: one.sent,
                first_byte: self.first_byte.unwrap_or(self.came),
                last_byte: self.came.max(one.sent),
                read: self.now,
                status: self.decoder.status().code(),
                bytes: self.bytes,
                is_late: self.came > self.shared.end_ns,
                was_sent_late: one.sent > self.shared.end_ns,
            };
            self.lane.lock().answered(&answered, self.shared.is_open());
        }
        self.begin_answer();
    }

    /// All that wait have failed, for the connection that they are on has. What is wrong behind the last answer counts as well.
    fn fail(&mut self, place: usize, failure: Failure) {
        self.streams[place] = None;
        (self.start, self.end, self.unsent) = (0, 0, 0);
        let is_connect = failure.step == Step::Connect;
        let failed = match self.waiting.len() {
            0 => usize::from(self.now >= self.shared.begin_ns),
            _ => self.waiting.drain(..).filter(|one| one.counts).count(),
        };
        if failed > 0 {
            let mut figures = self.lane.lock();
            (0..failed).for_each(|_| figures.failed(failure.clone()));
        }
        if is_connect && !self.shared.is_open() {
            self.pause.wait();
        }
        self.now = self.shared.clock();
    }
}
