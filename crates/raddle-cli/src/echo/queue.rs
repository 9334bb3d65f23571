//! `--on queue`: a loop for each core, on a bare event queue. No connection has a thread, or a buffer as long as its client reads.

use super::delivery;
use super::pressure::{self, Next, Pressure};
use super::stats::{Meter, Stats};
use crate::drain::Notice;
use crate::listen;
use raddle_event::{Config, Events, Interest, Mode, Queue, Registration, Waker, What};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

/// Read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Reads of one connection before others have their turn.
const READS: usize = 16;

const LISTENER: u64 = u64::MAX - 1;
const RESUME: u64 = u64::MAX - 2;

/// So many connections are taken before others are served, however fast clients connect; the listener is level-triggered.
const AT_ONCE: usize = 64;
const LOOK: u64 = u64::MAX - 3;

/// The loops that run.
pub(super) struct Loops {
    wakers: Vec<Waker>,
    running: Arc<AtomicUsize>,
    /// What the queues stand on, in words.
    pub(super) stands_on: String,
}

impl Loops {
    /// Begins to serve: one loop for each listener.
    pub(super) fn start(
        listeners: Vec<TcpListener>,
        mode: Mode,
        stats: &Arc<Stats>,
        notice: &Arc<Notice>,
        pressure: &Arc<Pressure>,
    ) -> io::Result<Loops> {
        let running = Arc::new(AtomicUsize::new(listeners.len()));
        let mut loops = Loops { wakers: Vec::new(), running, stands_on: String::new() };
        for (at, listener) in listeners.into_iter().enumerate() {
            let mut one = Loop {
                queue: Queue::new(&Config::default())?,
                mode,
                listener: Some(listener),
                registration: None,
                connections: Connections::default(),
                looks_later: false,
                meter: stats.meter(),
                buffer: vec![0; BUFFER_BYTES].into(),
                notice: notice.clone(),
                pressure: pressure.clone(),
            };
            one.listen()?;
            loops.wakers.push(one.queue.waker());
            loops.stands_on = one.queue.report().backend.to_string();
            let running = loops.running.clone();
            thread::Builder::new().name(format!("echo-queue-{at}")).spawn(move || {
                let notice = one.notice.clone();
                if let Err(error) = one.run() {
                    notice.fail(error);
                }
                running.fetch_sub(1, SeqCst);
                notice.done();
            })?;
        }
        Ok(loops)
    }

    /// Has the loops see that it is time to stop.
    pub(super) fn stop(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Whether all have ended.
    pub(super) fn is_done(&self) -> bool {
        self.running.load(SeqCst) == 0
    }
}

/// What one core does.
struct Loop {
    queue: Queue,
    mode: Mode,
    listener: Option<TcpListener>,
    /// Of the listener; none while there is no room for more connections.
    registration: Option<Registration>,
    connections: Connections,
    /// At the end: there is a timer for another look at all of them.
    looks_later: bool,
    meter: Meter,
    buffer: Box<[u8]>,
    notice: Arc<Notice>,
    pressure: Arc<Pressure>,
}

/// Connections by key. A key is used again, but not while its registration lives, so an event always means the present owner.
#[derive(Default)]
struct Connections {
    all: Vec<Option<Connection>>,
    free: Vec<usize>,
}

struct Connection {
    stream: TcpStream,
    registration: Registration,
    /// Of a message that could not be sent at once. While there is one nothing is read.
    rest: Option<Box<Rest>>,
}

/// What the kernel had no room for.
struct Rest {
    message: Vec<u8>,
    sent: usize,
    begun: Option<Instant>,
}

/// What becomes of a connection that was looked at.
#[derive(PartialEq, Eq)]
enum Step {
    /// It is waited for, to read.
    Reads,
    /// It is waited for, to write.
    Writes,
    /// It may have more, but others come first.
    Yields,
    Ends,
}

impl Loop {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut is_stopping = false;
        while !is_stopping || self.connections.count() > 0 {
            self.queue.wait(&mut events, None)?;
            for event in &events {
                match event.what {
                    What::Ready(_) if event.key == LISTENER => self.accept(AT_ONCE)?,
                    What::Ready(_) => self.serve(event.key as usize, is_stopping)?,
                    What::Expired(..) if event.key == RESUME => self.listen()?,
                    What::Expired(..) if event.key == LOOK => self.look()?,
                    _ => {}
                }
            }
            if !is_stopping && self.notice.is_stopping() {
                is_stopping = true;
                self.stop()?;
            }
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        if let Some(listener) = &self.listener {
            let wanted = (LISTENER, Interest::READ, Mode::Level);
            self.registration = Some(self.queue.register(listener, wanted.0, wanted.1, wanted.2)?);
        }
        Ok(())
    }

    /// Takes so many of those who wait, as far as there is room.
    fn accept(&mut self, at_most: usize) -> io::Result<()> {
        for _ in 0..at_most {
            let Some(listener) = &self.listener else { break };
            let error = match listen::accept(listener).and_then(|stream| self.add(stream)) {
                Ok(()) => {
                    self.pressure.relieved();
                    continue;
                }
                Err(error) => error,
            };
            match pressure::after(&error) {
                Next::Again => {}
                Next::Wait => break,
                Next::Pause => {
                    self.pressure.met(&error, self.meter.all_open())?;
                    // Level-triggered, it would be reported again and again.
                    if let Some(registration) = self.registration.take() {
                        self.queue.remove(registration);
                    }
                    self.queue.timer_after(RESUME, pressure::PAUSE);
                    break;
                }
                Next::Fail => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        let key = self.connections.vacant();
        let registration = self.queue.register(&stream, key as u64, Interest::READ, self.mode)?;
        let connection = Connection { stream, registration, rest: None };
        self.connections.all[key] = Some(connection);
        self.connections.free.pop();
        self.meter.opened();
        Ok(())
    }

    /// Does what can be done for one connection without waiting.
    fn serve(&mut self, key: usize, is_stopping: bool) -> io::Result<()> {
        let Some(connection) = self.connections.all[key].as_mut() else { return Ok(()) };
        let (waited_to_write, registration) = (connection.rest.is_some(), connection.registration);
        // An edge comes again only after a call has said that it would wait.
        let to_the_end = self.mode == Mode::Edge || is_stopping;
        let step = connection.serve(&mut self.buffer, &self.meter, to_the_end);
        if is_stopping && matches!(step, Step::Reads | Step::Yields) {
            // Nothing more has arrived, and all that had is sent back.
            if step == Step::Reads && delivery::is_complete(&connection.stream) {
                return self.end(key);
            }
            // Perhaps nothing more comes that would be reported.
            self.look_later();
        }
        let interest = match step {
            Step::Ends => return self.end(key),
            Step::Reads if waited_to_write => Interest::READ,
            // Told anew, an edge that is still there is reported again.
            Step::Yields => Interest::READ,
            Step::Writes if !waited_to_write => Interest::WRITE,
            Step::Reads | Step::Writes => return Ok(()),
        };
        self.queue.modify(registration, interest, self.mode)
    }

    fn end(&mut self, key: usize) -> io::Result<()> {
        if let Some(connection) = self.connections.all[key].take() {
            self.queue.remove(connection.registration);
            self.connections.free.push(key);
            self.meter.closed();
        }
        Ok(())
    }

    /// Takes those who have connected before, and nobody after; then ends whoever has nothing under way.
    fn stop(&mut self) -> io::Result<()> {
        self.accept(raddle::net::TcpListener::longest_queue())?;
        if let Some(registration) = self.registration.take() {
            self.queue.remove(registration);
        }
        self.listener = None;
        self.look()
    }

    /// At the end: goes through all connections.
    fn look(&mut self) -> io::Result<()> {
        self.looks_later = false;
        (0..self.connections.all.len()).try_for_each(|key| self.serve(key, true))
    }

    fn look_later(&mut self) {
        if !std::mem::replace(&mut self.looks_later, true) {
            self.queue.timer_after(LOOK, delivery::PAUSE);
        }
    }
}

impl Connections {
    /// A key that is free; it stays so until it is taken from `free`.
    fn vacant(&mut self) -> usize {
        if self.free.is_empty() {
            self.free.push(self.all.len());
            self.all.push(None);
        }
        self.free[self.free.len() - 1]
    }

    fn count(&self) -> usize {
        self.all.len() - self.free.len()
    }
}

impl Connection {
    fn serve(&mut self, buffer: &mut [u8], meter: &Meter, to_the_end: bool) -> Step {
        self.try_serve(buffer, meter, to_the_end).unwrap_or(Step::Ends)
    }

    /// An error is the connection's end: its client has gone.
    fn try_serve(
        &mut self,
        buffer: &mut [u8],
        meter: &Meter,
        to_the_end: bool,
    ) -> io::Result<Step> {
        if let Some(rest) = &mut self.rest {
            rest.sent += send(&self.stream, &rest.message[rest.sent..])?;
            if rest.sent < rest.message.len() {
                return Ok(Step::Writes);
            }
            meter.echoed(rest.sent, rest.begun);
            self.rest = None;
        }
        for _ in 0..if to_the_end { READS } else { 1 } {
            let Some(count) = receive(&self.stream, buffer)? else { return Ok(Step::Reads) };
            if count == 0 {
                return Ok(Step::Ends);
            }
            let begun = meter.begin();
            let sent = send(&self.stream, &buffer[..count])?;
            if sent < count {
                let message = buffer[..count].to_vec();
                self.rest = Some(Box::new(Rest { message, sent, begun }));
                return Ok(Step::Writes);
            }
            meter.echoed(count, begun);
        }
        Ok(if to_the_end { Step::Yields } else { Step::Reads })
    }
}

/// `None` if nothing has come.
fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(buffer) {
            Ok(count) => return Ok(Some(count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(None),
                ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

/// How much the kernel took: all, or so much that it said it would wait.
fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => break,
                ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(sent)
}
