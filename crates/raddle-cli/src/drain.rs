//! A server's end: signals, the ticks of its lines, and the time that it has to finish what has begun.
//!
//! The main thread waits here, on a queue of its own, while others serve. A server that has lines to print has a timer in it, every
//! server the two signals, and the server's threads wake it when they have no more connections, or have failed.

use raddle_event::{Config, Events, Queue, Waker, What};
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const SIGNALS: u64 = 0;
const TICK: u64 = 1;
const DEADLINE: u64 = 2;
const OTHERS: u64 = 3;

/// Where the main thread waits.
pub(crate) struct Control {
    queue: Queue,
    events: Events,
    notice: Arc<Notice>,
    others: Others,
}

/// Signals that end nothing, and what is done when they come.
type Others = Vec<(i32, Box<dyn FnMut()>)>;

/// Does what is to be done; false for a signal that is to end the server.
fn act(others: &mut Others, number: i32) -> bool {
    let mut is_other = false;
    for (_, act) in others.iter_mut().filter(|(signal, _)| *signal == number) {
        is_other = true;
        act();
    }
    is_other
}

/// What the main thread and those who serve tell each other.
pub(crate) struct Notice {
    waker: Waker,
    is_stopping: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Notice {
    /// Whether nothing is to be accepted any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(SeqCst)
    }

    /// The main thread looks again whether all is done.
    pub(crate) fn done(&self) {
        self.waker.wake();
    }

    /// The server can't go on.
    pub(crate) fn fail(&self, error: io::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.get_or_insert(error);
        drop(failure);
        self.waker.wake();
    }

    fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// All that had begun is finished.
    All,
    /// The time was over before.
    Late,
    /// A second signal came: this one.
    Again(i32),
}

impl Control {
    /// Takes SIGTERM and SIGINT, by blocking them: so this comes before any thread is made.
    pub(crate) fn new() -> io::Result<Control> {
        let mut queue = Queue::new(&Config::default())?;
        queue.signals(SIGNALS, &[libc::SIGTERM, libc::SIGINT])?;
        let notice = Arc::new(Notice {
            waker: queue.waker(),
            is_stopping: AtomicBool::new(false),
            failure: Mutex::new(None),
        });
        Ok(Control { queue, events: Events::with_capacity(8), notice, others: Vec::new() })
    }

    /// Takes one more signal, which ends nothing; at the same time as [`new`](Control::new). What it does is said by [`on`](Control::on).
    pub(crate) fn also(&mut self, signal: i32) -> io::Result<()> {
        self.others.push((signal, Box::new(|| {})));
        self.queue.signals(OTHERS, &[signal]).map(drop)
    }

    /// Calls `act` whenever that signal comes.
    pub(crate) fn on(&mut self, signal: i32, act: impl FnMut() + 'static) {
        self.others.push((signal, Box::new(act)));
    }

    pub(crate) fn notice(&self) -> &Arc<Notice> {
        &self.notice
    }

    /// Waits for a signal, and calls `tick` once a second if there is one.
    pub(crate) fn until_signal(&mut self, tick: Option<impl FnMut()>) -> io::Result<()> {
        const SECOND: Duration = Duration::from_secs(1);
        let ticker =
            tick.map(|tick| (tick, self.queue.timer_every(TICK, Instant::now() + SECOND, SECOND)));
        let (mut tick, timer) = ticker.unzip();
        let mut has_come = false;
        while !has_come {
            self.queue.wait(&mut self.events, None)?;
            if let Some(error) = self.notice.failure() {
                return Err(error);
            }
            for event in &self.events {
                match event.what {
                    What::Signal(signal) => has_come |= !act(&mut self.others, signal.number),
                    What::Expired(..) => tick.iter_mut().for_each(|tick| tick()),
                    _ => {}
                }
            }
        }
        if let Some(timer) = timer {
            self.queue.cancel_timer(timer);
        }
        self.notice.is_stopping.store(true, SeqCst);
        Ok(())
    }

    /// Waits until `is_done`, for `limit` at most. Those who serve say when it is time to ask.
    pub(crate) fn drain(
        &mut self,
        limit: Duration,
        is_done: impl Fn() -> bool,
    ) -> io::Result<Drained> {
        self.queue.timer_after(DEADLINE, limit);
        while !is_done() {
            self.queue.wait(&mut self.events, None)?;
            for event in &self.events {
                match event.what {
                    What::Signal(signal) if act(&mut self.others, signal.number) => {}
                    What::Signal(signal) => return Ok(Drained::Again(signal.number)),
                    What::Expired(..) if event.key == DEADLINE => return Ok(Drained::Late),
                    _ => {}
                }
            }
            if let Some(error) = self.notice.failure() {
                return Err(error);
            }
        }
        Ok(Drained::All)
    }
}
