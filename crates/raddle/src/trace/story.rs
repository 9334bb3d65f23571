//! From events to a story: who ran where from when to when, and what each thread did in between.
//!
//! An event says what changed; a viewer draws what lasted. So this replays the events in the order of time, with what is known
//! of each core and each thread, and says a piece whenever something is over:
//!
//! ```text
//!   events    dispatched A        A sleeps  dispatched B          A woken by B     B preempted  dispatched A
//!   core 0    |=== A ===================||=== B ====================================||=== A ===
//!   thread A  |=== running ======|------- sleeping ---------------|..... ready .....|=== running
//!   thread B                      ...ready...|=== running ==========================|... ready
//! ```
//!
//! A thread that leaves its core without a word is ready: yields need no event of their own. Where the rings have lost their
//! oldest events a thread or a core turns up in the middle of something; it is known from its first event on. A story never
//! contradicts itself: a thread that is dispatched on one core while another still has it (clocks, lost events) leaves that one first.

use super::event::{Ended, Event, Waker};
use super::why::Why;
use crate::label::Label;
use raddle_core::ring::Record;
use std::collections::HashMap;

/// A line in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Track {
    Core(u32),
    Thread(u64),
    /// A kernel thread that is no worker's.
    KernelThread(u64),
}

/// What lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// On a core's track: this thread ran, on this worker.
    Of {
        thread: u64,
        worker: u32,
        then: Then,
    },
    Running {
        core: u32,
        worker: u32,
        then: Then,
    },
    Ready {
        core: u32,
        waker: Waker,
    },
    /// The last is empty if it still sleeps.
    Sleeping {
        why: Why,
        woken: Option<(Waker, Ended)>,
    },
    /// In the kernel, on a worker whose core was given to another.
    Blocked {
        worker: u32,
    },
    /// A kernel thread woke a thread: as short as may be, so that an arrow can start there.
    Waking {
        thread: u64,
    },
}

/// Why a thread stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GaveWay,
    Preempted,
    Slept,
    Ended,
    Blocked,
    /// The events end here, or some are missing.
    Unknown,
}

/// What happened in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Preempted {
        thread: u64,
        used_up: bool,
    },
    /// It was to give way, but nobody goes before it.
    PreemptedInVain {
        thread: u64,
    },
    Stole {
        first: u64,
        victim: u16,
        count: u16,
    },
    HandedOver {
        thread: u64,
        from: u32,
        to: u32,
    },
    Signalled {
        worker: u32,
    },
    PutOff,
    /// On the thread's track.
    Operated {
        what: Label,
        descriptor: u32,
        result: i32,
    },
}

/// A piece of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Span {
        track: Track,
        from: u64,
        to: u64,
        span: Span,
    },
    Mark {
        track: Track,
        at: u64,
        mark: Mark,
    },
    /// An arrow with this number starts here, in what lasts on that track.
    ArrowStart {
        track: Track,
        at: u64,
        number: u64,
    },
    ArrowEnd {
        track: Track,
        at: u64,
        number: u64,
    },
    /// So many threads are ready on a core.
    Waiting {
        core: u32,
        at: u64,
        threads: u32,
    },
}

/// What a thread does, and since when.
#[derive(Clone, Copy)]
struct Doing {
    since: u64,
    what: Now,
    /// An arrow that ends where the thread runs next, or began to run.
    arrow: Option<u64>,
}

#[derive(Clone, Copy)]
enum Now {
    Running { core: u32, worker: u32 },
    Ready { core: u32, waker: Waker },
    Sleeping { why: Why },
    Blocked { worker: u32 },
}

/// Who runs on a core.
#[derive(Clone, Copy)]
struct Runner {
    thread: u64,
    worker: u32,
    since: u64,
    /// What was said of why it will leave.
    then: Option<Then>,
    used_up: bool,
}

/// The teller: what is known at one moment.
pub(super) struct Story<'a> {
    tell: &'a mut dyn FnMut(Piece),
    now: u64,
    threads: HashMap<u64, Doing>,
    runners: HashMap<u32, Runner>,
    waiting: HashMap<u32, u32>,
    arrows: u64,
}

impl<'a> Story<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(Piece)) -> Story<'a> {
        Story {
            tell,
            now: 0,
            threads: HashMap::new(),
            runners: HashMap::new(),
            waiting: HashMap::new(),
            arrows: 0,
        }
    }

    /// The next event. Times never go back: an earlier one counts as now.
    pub(super) fn event(&mut self, record: &Record) {
        let Some(event) = Event::of(record) else { return };
        self.now = self.now.max(record.time_ns);
        let (core, thread) = (record.core, record.thread);
        match event {
            Event::Dispatched { worker, waiting } => {
                self.dispatched(core, thread, worker);
                self.waiting(core, waiting);
            }
            Event::Idle { waiting } => {
                self.vacate(core);
                self.waiting(core, waiting);
            }
            Event::Sleeps(why) => {
                self.stops(core, thread, Then::Slept);
                self.does(thread, Now::Sleeping { why }, None);
            }
            Event::Woken { waker, ended, waiting } => {
                self.finish(thread, Then::Unknown, Some((waker, ended)));
                // A deadline has no waker: whoever looked at the clock.
                let waker = if ended == Ended::TimedOut { Waker::Unknown } else { waker };
                self.ready(core, thread, waker, waiting);
            }
            Event::Begun { creator, waiting } => {
                self.finish(thread, Then::Unknown, None);
                self.ready(core, thread, creator, waiting);
            }
            Event::Preempted { used_up } => {
                if let Some(runner) = self.runner(core, thread) {
                    runner.then = Some(Then::Preempted);
                    runner.used_up = used_up;
                }
            }
            Event::Ends => self.stops(core, thread, Then::Ended),
            Event::Evicted => {
                self.finish(thread, Then::Unknown, None);
                self.does(thread, Now::Ready { core, waker: Waker::Unknown }, None);
            }
            Event::Stolen { victim, count, left } => {
                self.mark(core, Mark::Stole { first: thread, victim, count });
                self.waiting(u32::from(victim), left);
            }
            Event::HandedOver { from, to } => {
                self.stops(core, thread, Then::Blocked);
                self.vacate(core);
                self.does(thread, Now::Blocked { worker: from }, None);
                self.mark(core, Mark::HandedOver { thread, from, to });
            }
            Event::Signalled { worker } => self.mark(core, Mark::Signalled { worker }),
            Event::PutOff => self.mark(core, Mark::PutOff),
            Event::Operated { what, descriptor, result } => {
                let mark = Mark::Operated { what, descriptor, result };
                self.say(Piece::Mark { track: Track::Thread(thread), at: self.now, mark });
            }
        }
    }

    /// No more events until `end`: what lasts is said as far as it goes.
    pub(super) fn end(mut self, end: u64) {
        self.now = self.now.max(end);
        let cores: Vec<u32> = self.runners.keys().copied().collect();
        for core in cores {
            if let Some(runner) = self.runners.remove(&core) {
                self.say_runner(core, runner, Then::Unknown);
            }
        }
        let threads: Vec<u64> = self.threads.keys().copied().collect();
        for thread in threads {
            self.finish(thread, Then::Unknown, None);
        }
    }

    fn dispatched(&mut self, core: u32, thread: u64, worker: u32) {
        if let Some(runner) = self.runner(core, thread) {
            // It goes on: with another slice, or as the first of the queue that it was put into.
            if runner.then.take() == Some(Then::Preempted) {
                self.mark(core, Mark::PreemptedInVain { thread });
            }
            return;
        }
        self.vacate(core);
        let doing = self.threads.get(&thread).copied();
        let arrow = match doing {
            Some(Doing { what: Now::Running { core: other, .. }, .. }) => {
                self.vacate(other);
                None
            }
            Some(Doing { what: Now::Ready { .. }, arrow, .. }) => arrow,
            _ => None,
        };
        self.finish(thread, Then::Unknown, None);
        self.does(thread, Now::Running { core, worker }, arrow);
        self.runners
            .insert(core, Runner { thread, worker, since: self.now, then: None, used_up: false });
    }

    /// `thread`, if it runs on `core`.
    fn runner(&mut self, core: u32, thread: u64) -> Option<&mut Runner> {
        let runs = matches!(
            self.threads.get(&thread),
            Some(Doing { what: Now::Running { core: here, .. }, .. }) if *here == core
        );
        self.runners.get_mut(&core).filter(|runner| runs && runner.thread == thread)
    }

    /// The thread runs no longer, though it may still have the core for a moment.
    fn stops(&mut self, core: u32, thread: u64, then: Then) {
        if let Some(runner) = self.runners.get_mut(&core).filter(|runner| runner.thread == thread) {
            runner.then = Some(then);
        }
        self.finish(thread, then, None);
    }

    /// Whoever runs on `core` leaves it. If that one has not said what it does next, it is ready.
    fn vacate(&mut self, core: u32) {
        let Some(runner) = self.runners.remove(&core) else { return };
        let then = runner.then.unwrap_or(Then::GaveWay);
        self.say_runner(core, runner, then);
        if then == Then::Preempted {
            let mark = Mark::Preempted { thread: runner.thread, used_up: runner.used_up };
            self.mark(core, mark);
        }
        let still_runs = matches!(
            self.threads.get(&runner.thread),
            Some(Doing { what: Now::Running { core: here, .. }, .. }) if *here == core
        );
        if still_runs {
            self.finish(runner.thread, then, None);
            self.does(runner.thread, Now::Ready { core, waker: Waker::Unknown }, None);
        }
    }

    fn ready(&mut self, core: u32, thread: u64, waker: Waker, waiting: u32) {
        let arrow = self.arrow_from(waker, thread);
        self.does(thread, Now::Ready { core, waker }, arrow);
        self.waiting(core, waiting);
    }

    /// An arrow from who wakes, if it has something to start in.
    fn arrow_from(&mut self, waker: Waker, thread: u64) -> Option<u64> {
        let track = match waker {
            Waker::Thread(id) => match self.threads.get(&id)?.what {
                Now::Running { .. } => Track::Thread(id),
                _ => return None,
            },
            Waker::KernelThread(id) => {
                let (track, at) = (Track::KernelThread(id), self.now);
                self.say(Piece::Span {
                    track,
                    from: at,
                    to: at + 1,
                    span: Span::Waking { thread },
                });
                track
            }
            Waker::Unknown => return None,
        };
        self.arrows += 1;
        self.say(Piece::ArrowStart { track, at: self.now, number: self.arrows });
        Some(self.arrows)
    }

    /// What a thread did until now is over.
    fn finish(&mut self, thread: u64, then: Then, woken: Option<(Waker, Ended)>) {
        let Some(doing) = self.threads.remove(&thread) else { return };
        let span = match doing.what {
            Now::Running { core, worker } => Span::Running { core, worker, then },
            Now::Ready { core, waker } => Span::Ready { core, waker },
            Now::Sleeping { why } => Span::Sleeping { why, woken },
            Now::Blocked { worker } => Span::Blocked { worker },
        };
        let track = Track::Thread(thread);
        self.say(Piece::Span { track, from: doing.since, to: self.now, span });
        // After the span, as a reader looks for what lasts at that moment.
        if let (Some(number), Span::Running { .. }) = (doing.arrow, span) {
            self.say(Piece::ArrowEnd { track, at: doing.since, number });
        }
    }

    fn does(&mut self, thread: u64, what: Now, arrow: Option<u64>) {
        self.threads.insert(thread, Doing { since: self.now, what, arrow });
    }

    fn say_runner(&mut self, core: u32, runner: Runner, then: Then) {
        let span = Span::Of { thread: runner.thread, worker: runner.worker, then };
        self.say(Piece::Span { track: Track::Core(core), from: runner.since, to: self.now, span });
    }

    fn mark(&mut self, core: u32, mark: Mark) {
        self.say(Piece::Mark { track: Track::Core(core), at: self.now, mark });
    }

    fn waiting(&mut self, core: u32, threads: u32) {
        if self.waiting.insert(core, threads) != Some(threads) {
            self.say(Piece::Waiting { core, at: self.now, threads });
        }
    }

    fn say(&mut self, piece: Piece) {
        (self.tell)(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raddle_core::random::Random;
    use std::collections::BTreeMap;
    use std::panic::Location;

    /// Any events in any order, as when most of them are lost: what lasts on one track still follows one another, and each
    /// dispatch is on two tracks or none.
    #[test]
    fn no_story_contradicts_itself() {
        for seed in 0..500 {
            let mut random = Random::from_seed(seed);
            let mut below = |bound| random.below(bound);
            let mut pieces = Vec::new();
            let mut tell = |piece| pieces.push(piece);
            let mut story = Story::new(&mut tell);
            let mut time = 1000u64;
            for _ in 0..200 {
                let waker =
                    [Waker::Unknown, Waker::Thread(1 + below(5)), Waker::KernelThread(below(3))];
                let (waker, waiting) = (waker[below(3) as usize], below(3) as u32);
                let event = match below(10) {
                    0..3 => Event::Dispatched { worker: 7, waiting },
                    3 => Event::Idle { waiting },
                    4 => Event::Sleeps(Why::new(Label::TIME, Location::caller())),
                    5 => Event::Woken { waker, ended: Ended::Ready, waiting },
                    6 => Event::Begun { creator: waker, waiting },
                    7 => Event::Preempted { used_up: true },
                    8 => match below(3) {
                        0 => Event::Ends,
                        1 => Event::Evicted,
                        _ => Event::Operated { what: Label::INPUT, descriptor: 4, result: 64 },
                    },
                    _ => Event::HandedOver { from: 7, to: 8 },
                };
                // Now and then a clock goes back.
                time = (time + below(20)).saturating_sub(if below(8) == 0 { 5 } else { 0 });
                story.event(&event.record(time, below(3) as u32, 1 + below(5)));
            }
            story.end(time + 1);
            check(&pieces, seed);
        }
    }

    fn check(pieces: &[Piece], seed: u64) {
        let mut tracks: BTreeMap<Track, Vec<(u64, u64)>> = BTreeMap::new();
        let (mut on_cores, mut on_threads) = (Vec::new(), Vec::new());
        for piece in pieces {
            let Piece::Span { track, from, to, span } = *piece else { continue };
            tracks.entry(track).or_default().push((from, to));
            match (track, span) {
                (Track::Core(core), Span::Of { thread, .. }) => on_cores.push((from, core, thread)),
                (Track::Thread(thread), Span::Running { core, .. }) => {
                    on_threads.push((from, core, thread));
                }
                _ => {}
            }
        }
        tracks.retain(|track, _| !matches!(track, Track::KernelThread(_)));
        for (track, spans) in &mut tracks {
            spans.sort_unstable();
            let follow = |pair: &[(u64, u64)]| pair[0].1 <= pair[1].0;
            assert!(spans.windows(2).all(follow), "seed {seed}: {track:?} {spans:?}");
        }
        on_cores.sort_unstable();
        on_threads.sort_unstable();
        assert_eq!(on_cores, on_threads, "seed {seed}");
    }
}
