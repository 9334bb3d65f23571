//! One who visits: a scenario's requests, in blocking calls, with what the answers have said and pauses between.
//!
//! Beside `client`, which sends the same bytes again and again and is made for that: here each request may be another one.

use crate::failure::{Failure, Step};
use crate::mix::Mix;
use crate::pause::Pause;
use crate::recorder::{Answered, Lane};
use crate::scenario::{Request, Scenario};
use crate::shared::Shared;
use crate::stream::{self, Stream};
use crate::take::{Seen, Values};
use crate::target::Target;
use raddle_core::random::Random;
use raddle_http::protocol::{Limits, ResponseDecoder, ResponsePiece};
use std::io::{self, Read, Write};

const BUFFER: usize = 64 << 10;

/// More content than that is not looked through.
const BODY_MAX: usize = 1 << 20;

pub(crate) struct Visitor<'a> {
    shared: &'a Shared,
    scenario: &'a Scenario,
    lane: &'a Lane,
    mix: Mix,
    random: Random,
    values: Values,
    stream: Option<Stream>,
    decoder: ResponseDecoder,
    buffer: Box<[u8]>,
    seen: Seen,
    /// The request that has no answer yet: when it was due, and whether it counts.
    current: Option<(u64, bool)>,
    /// What has come of its answer.
    bytes: u64,
    /// The last look at the clock.
    now: u64,
    /// When what was read last had come.
    came: u64,
    pause: Pause,
}

impl<'a> Visitor<'a> {
    pub(crate) fn new(shared: &'a Shared, scenario: &'a Scenario, number: usize) -> Visitor<'a> {
        // Each draws for itself, and all from one number.
        let seed = shared.plan.seed.wrapping_add((number as u64) << 32);
        Visitor {
            shared,
            scenario,
            lane: shared.lane(number),
            mix: Mix::new(scenario.flows.iter().map(|flow| flow.weight), seed),
            random: Random::from_seed(!seed),
            values: Values::default(),
            stream: None,
            decoder: ResponseDecoder::new(&Limits::default()),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            seen: Seen::default(),
            current: None,
            bytes: 0,
            now: 0,
            came: 0,
            pause: Pause::default(),
        }
    }

    /// Until nothing may begin any more.
    pub(crate) fn run(&mut self) {
        self.now = self.shared.clock();
        let scenario = self.scenario;
        while let Some(first) = self.arrive() {
            let flow = self.mix.draw();
            if self.visit(scenario, flow, first).is_none() {
                return;
            }
        }
    }

    /// It was cut short: what has no answer is counted.
    pub(crate) fn abandon(&mut self) {
        let Some((due, true)) = self.current else { return };
        let now = self.shared.clock();
        let mut figures = self.lane.lock();
        figures.unfinished += 1;
        figures.unfinished_age = figures.unfinished_age.max(now.saturating_sub(due));
        figures.unfinished_bytes += self.bytes;
    }

    /// The next visit's first request: when it is due, and whether it counts.
    fn arrive(&mut self) -> Option<(u64, bool)> {
        if !self.shared.is_open() {
            return Some((self.now, self.shared.begin(self.now)?));
        }
        let due = self.shared.next_due()?;
        let counts = self.shared.begin(due)?;
        self.now = self.shared.clock();
        if due > self.now {
            self.now = self.shared.wait_until(due, self.now)?;
            if counts {
                self.lane.lock().oversleep.add(self.now - due);
            }
        }
        Some((due, counts))
    }

    /// One flow from its beginning, until something in it fails; `None` if nothing may begin any more.
    fn visit(&mut self, scenario: &Scenario, flow: usize, first: (u64, bool)) -> Option<()> {
        self.values.begin(&scenario.variables);
        let (mut due, mut counts) = first;
        let first_step = scenario.first_step(flow);
        for (step, request) in (first_step..).zip(&scenario.flows[flow].requests) {
            if step > first_step {
                due = self.now;
                counts = self.shared.begin(due)?;
            }
            self.current = Some((due, counts));
            let done = self.request(request, step, due, counts);
            self.current = None;
            if let Err(failure) = done {
                self.fail(failure, counts);
                return Some(());
            }
            self.think(request)?;
        }
        Some(())
    }

    /// The pause behind a request.
    fn think(&mut self, request: &Request) -> Option<()> {
        let (least, most) = request.think;
        let spread = (most.saturating_sub(least).as_nanos() as u64).saturating_add(1);
        let ns = least.as_nanos() as u64 + self.random.below(spread);
        if ns > 0 {
            // Who is still thinking at the end asks nothing any more.
            let until = self.now.saturating_add(ns).min(self.shared.end_ns);
            self.now = self.shared.wait_until(until, self.now)?;
        }
        Some(())
    }

    /// Asks, and takes what is to be taken from the answer. `step` is which of all steps it is.
    fn request(
        &mut self,
        request: &Request,
        step: usize,
        due: u64,
        counts: bool,
    ) -> Result<(), Failure> {
        let target = self.scenario.target(request, &self.values).map_err(Failure::scenario)?;
        let answered = self.ask(&target, request, due)?;
        let asked = || format!("{} {}", target.method, target.name);
        if !request.allows(answered.status) {
            let what = format!("{} was answered with {}", asked(), answered.status);
            return Err(Failure::scenario(what));
        }
        for take in &request.takes {
            take.take(&self.seen, &mut self.values)
                .map_err(|why| Failure::scenario(format!("{}: {why}", asked())))?;
        }
        if counts {
            let mut figures = self.lane.lock();
            figures.answered(&answered, self.shared.is_open());
            figures.step(step).add(answered.latency());
        }
        Ok(())
    }

    /// On the connection that there is. Who has thought for long may find it closed: what does no harm twice is then asked on a new one.
    fn ask(&mut self, target: &Target, request: &Request, due: u64) -> Result<Answered, Failure> {
        let is_used = self.stream.is_some();
        match self.exchange(target, request, due) {
            Err(failure) if is_used && self.may_ask_again(target, &failure) => {
                self.stream = None;
                self.exchange(target, request, due)
            }
            other => other,
        }
    }

    fn may_ask_again(&self, target: &Target, failure: &Failure) -> bool {
        let is_gone = matches!(failure.step, Step::Send | Step::Receive | Step::Closed);
        is_gone && self.bytes == 0 && target.method.is_idempotent()
    }

    fn exchange(
        &mut self,
        target: &Target,
        request: &Request,
        due: u64,
    ) -> Result<Answered, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        self.decoder.begin(target.method);
        self.bytes = 0;
        self.seen.head.clear();
        self.seen.body.clear();
        let sent = self.now;
        stream.write_all(&target.bytes).map_err(|error| Failure::of(Step::Send, &error))?;
        let (first_byte, stays) = self.receive(&mut stream, !request.takes.is_empty(), sent)?;
        self.stream = stays.then_some(stream);
        Ok(Answered {
            due,
            sent,
            first_byte,
            last_byte: self.came.max(sent),
            read: self.now,
            status: self.decoder.status().code(),
            bytes: self.bytes,
            is_late: self.came > self.shared.end_ns,
            was_sent_late: sent > self.shared.end_ns,
        })
    }

    fn open(&mut self) -> Result<Stream, Failure> {
        let opened = stream::open(&self.shared.places[0], self.shared.manner)?;
        self.pause = Pause::default();
        self.now = self.shared.ns_at(opened.at);
        if self.now >= self.shared.begin_ns {
            self.lane.lock().opened(&opened);
        }
        Ok(opened.stream)
    }

    /// Reads an answer to its end: when its first byte came, and whether the connection can be used on.
    fn receive(
        &mut self,
        stream: &mut Stream,
        keeps: bool,
        sent: u64,
    ) -> Result<(u64, bool), Failure> {
        let patience = self.shared.plan.patience.as_nanos() as u64;
        let (mut first_byte, mut end) = (None, 0);
        loop {
            let read = stream.read(&mut self.buffer[end..]);
            (self.now, self.came) = self.shared.arrival(stream.came());
            let count = match read {
                Ok(count) => count,
                // TLS says so when it ends without a word.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(Failure::of(Step::Receive, &error)),
            };
            if count == 0 {
                let ended = self.decoder.end_of_input();
                return match (ended, first_byte) {
                    (Ok(()), Some(first)) => Ok((first, false)),
                    (_, first) => Err(Failure::closed(first.is_some())),
                };
            }
            let first = *first_byte.get_or_insert(self.came);
            end += count;
            let (taken, is_over) = self.take(end, keeps)?;
            if is_over && taken < end {
                return Err(Failure::unasked());
            }
            if is_over {
                let stays = self.decoder.is_persistent() && !self.scenario.closes;
                return Ok((first, stays));
            }
            self.buffer.copy_within(taken..end, 0);
            end -= taken;
            if self.now.saturating_sub(sent) > patience {
                return Err(Failure::timeout(Step::Receive));
            }
        }
    }

    /// Takes what has been read, up to `end`: how much that was, and whether it was the last of the answer.
    fn take(&mut self, end: usize, keeps: bool) -> Result<(usize, bool), Failure> {
        let mut start = 0;
        loop {
            let input = &self.buffer[start..end];
            let (count, piece) = self.decoder.advance(input).map_err(Failure::protocol)?;
            match piece {
                ResponsePiece::NeedsInput => {
                    self.bytes += count as u64;
                    return Ok((start + count, false));
                }
                ResponsePiece::End => {
                    self.bytes += count as u64;
                    return Ok((start + count, true));
                }
                ResponsePiece::Head(range) if keeps => {
                    self.seen.head.extend_from_slice(&input[range]);
                }
                ResponsePiece::Data(range) if keeps => {
                    if self.seen.body.len() + range.len() > BODY_MAX {
                        let what =
                            "an answer from which something is to be taken has more than 1 MiB";
                        return Err(Failure::scenario(what.to_owned()));
                    }
                    self.seen.body.extend_from_slice(&input[range]);
                }
                ResponsePiece::Head(_) | ResponsePiece::Interim(_) | ResponsePiece::Data(_) => {}
            }
            self.bytes += count as u64;
            start += count;
        }
    }

    fn fail(&mut self, failure: Failure, counts: bool) {
        self.stream = None;
        let is_connect = failure.step == Step::Connect;
        if counts {
            self.lane.lock().failed(failure);
        }
        if is_connect && !self.shared.is_open() {
            self.pause.wait();
        }
        self.now = self.shared.clock();
    }
}
