//! A run: its clients, and whoever looks at them once in an interval.
//!
//! ```text
//!   caller   probe each place ─▶ start clients ─▶ at each interval: lanes' figures ─▶ Interval, shown and kept ─▶ end: Outcome
//!   clients  ask, and write down, until time or requests are used up; then say that they have ended
//! ```

use crate::client::Client;
use crate::failure::{Failure, Step};
use crate::machine::Machine;
use crate::outcome::{End, Interval, Outcome};
use crate::place::{At, Place};
use crate::plan::Plan;
use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::shared::Shared;
use crate::stream::{self, Manner};
use crate::visitor::Visitor;
use raddle::cancel::Token;
use raddle::sync::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use raddle::thread;
use raddle::time::{Duration, sleep_until};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A run that has not begun.
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

/// Ends a run early.
#[derive(Clone, Debug)]
pub struct Stopper(Sender<Message>);

impl Stopper {
    /// From now on nothing begins, and what waits is given up. What was measured is kept.
    pub fn stop(&self) {
        // Who has ended by itself hears nothing.
        _ = self.0.send(Message::Stop);
    }
}

#[derive(Debug)]
enum Message {
    /// A client has ended.
    Ended,
    Stop,
}

/// Why a run could not begin.
#[derive(Debug)]
pub enum CannotBegin {
    /// A place could not be reached.
    Unreachable(String, Failure),
    /// There are not enough threads.
    Threads(std::io::Error),
}

impl fmt::Display for CannotBegin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotBegin::Unreachable(place, failure) => write!(f, "{place}: {failure}"),
            CannotBegin::Threads(error) => write!(f, "no thread for each connection: {error}"),
        }
    }
}

impl Error for CannotBegin {}

/// Whoever gets nowhere for so long has no server any more.
const SILENCE: Duration = Duration::from_secs(3);

/// At such a distance a thread of a closed loop sees how late it wakes up.
const CANARY: Duration = Duration::from_millis(10);

impl Run {
    /// One by this plan.
    ///
    /// # Panics
    ///
    /// If the plan has no targets, all have a weight of zero, or it has neither connections nor a depth; or with several requests on a connection in an
    /// open loop or a scenario: a thread that waits for its time can't read.
    pub fn new(plan: Plan) -> Run {
        let asks = plan.scenario.is_some() || plan.targets.iter().any(|target| target.weight > 0);
        assert!(asks, "nothing is asked for");
        assert!(plan.connections > 0 && plan.depth > 0, "nobody asks");
        assert!(
            plan.depth == 1 || (plan.pace.is_none() && plan.scenario.is_none()),
            "an open loop and a scenario have one request on a connection"
        );
        let (sender, receiver) = unbounded();
        Run { plan, sender, receiver }
    }

    /// What ends it early.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Begins, and waits for the end; `show` is called with each interval.
    ///
    /// Each place is connected to once beforehand, and that connection closed.
    ///
    /// # Errors
    ///
    /// If a place can't be reached at the beginning, or there are no threads. What happens later is in the [`Outcome`].
    ///
    /// ```
    /// use raddle_http::{Response, server::Server};
    /// use raddle_load::{Ask, Detour, Place, Plan, Run, Target, Url};
    /// use std::sync::Arc;
    ///
    /// let server = Server::new().otherwise(|_| Response::text("hello")).bind("127.0.0.1:0")?;
    /// let url: Url = format!("http://{}/", server.local_addr()).parse()?;
    /// let place = Arc::new(Place::of(&url, &Detour::default(), None)?);
    /// let mut plan = Plan::new(vec![Target::new(&url, place, &Ask::default())]);
    /// (plan.requests, plan.time) = (Some(100), None);
    /// let outcome = Run::new(plan).run(|interval| println!("{:.0}/s", interval.rate()))?;
    /// assert_eq!(outcome.figures.answers(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(self, mut show: impl FnMut(&Interval)) -> Result<Outcome, CannotBegin> {
        let (places, place_of) = probe(&self.plan)?;
        let shared = Shared::new(self.plan, places, place_of);
        let token = Token::new();
        let watch = Watch::new(&shared);
        let mut clients = start(&shared, &token, &self.sender)?;
        drop(self.sender);
        let is_done = watch.until_end(&shared, &token, &self.receiver, &mut clients, &mut show);
        token.cancel();
        Ok(is_done)
    }
}

/// Each place once, with the address that takes connections; and which of them each target's is.
fn probe(plan: &Plan) -> Result<(Vec<Place>, Vec<usize>), CannotBegin> {
    let mut places: Vec<Place> = Vec::new();
    let mut found: Vec<*const Place> = Vec::new();
    let mut place_of = Vec::new();
    let targets = plan.targets.iter().map(|target| (&target.place, target.name.clone()));
    let visited = plan.scenario.iter().map(|visits| (&visits.place, visits.base.to_string()));
    for (place, name) in targets.chain(visited) {
        let own = Arc::as_ptr(place);
        if let Some(at) = found.iter().position(|one| *one == own) {
            place_of.push(at);
            continue;
        }
        let mut place = Place::clone(place);
        let opened = stream::open(&place, Manner::of(plan)).map_err(|failure| {
            // Where that is, if the URL does not say so.
            let at =
                if name.contains(&place.name) { String::new() } else { format!(" at {place}") };
            CannotBegin::Unreachable(name + &at, failure)
        })?;
        if let Some(peer) = opened.stream.peer() {
            place.at = At::Addresses(vec![peer]);
        }
        place_of.push(places.len());
        found.push(own);
        places.push(place);
    }
    Ok((places, place_of))
}

/// Starts all clients; how many that are.
fn start(
    shared: &Arc<Shared>,
    token: &Token,
    sender: &Sender<Message>,
) -> Result<usize, CannotBegin> {
    for number in 0..shared.plan.connections {
        let (shared_, token_, sender_) = (shared.clone(), token.clone(), sender.clone());
        let client = move || {
            match &shared_.plan.scenario {
                Some(scenario) => {
                    let mut visitor = Visitor::new(&shared_, scenario, number);
                    if token_.carry(|| visitor.run()).is_err() {
                        visitor.abandon();
                    }
                }
                None => {
                    let mut client = Client::new(&shared_, number);
                    if token_.carry(|| client.run()).is_err() {
                        client.abandon();
                    }
                }
            }
            // Whoever waits for it may have gone.
            _ = sender_.send(Message::Ended);
        };
        let started = thread::Builder::new().name(format!("client {number}")).spawn(client);
        if let Err(error) = started {
            shared.stop();
            token.cancel();
            return Err(CannotBegin::Threads(error));
        }
    }
    if !shared.plan.spin.is_zero() {
        for _ in 0..shared.plan.cores {
            let token = token.clone();
            // One that sleeps wakes up later, and that is seen.
            _ = thread::Builder::new().name("awake".into()).spawn(move || stay_awake(&token));
        }
    }
    if !shared.is_open() {
        let (shared, token) = (shared.clone(), token.clone());
        // Without it the warning has less to go by, that is all.
        _ = thread::Builder::new().name("canary".into()).spawn(move || {
            _ = token.carry(|| wake_now_and_then(&shared));
        });
    }
    Ok(shared.plan.connections)
}

/// Keeps a core from sleeping, so that whoever waits for an answer there need not be woken by the kernel. Until it is cancelled.
fn stay_awake(token: &Token) {
    while !token.is_cancelled() {
        thread::yield_now();
    }
}

/// Sees how late it wakes up, as clients do then. Until it is cancelled.
fn wake_now_and_then(shared: &Shared) {
    let mut due = shared.begin_ns;
    while let Some(moment) = shared.moment(due) {
        sleep_until(moment);
        let late = shared.clock().saturating_sub(due);
        shared.lanes[0].lock().oversleep.add(late);
        // Those that were slept over are not made up for.
        let step = CANARY.as_nanos() as u64;
        due += step * (late / step + 1);
    }
}

/// Who looks at the clients.
struct Watch {
    total: Recorder,
    intervals: Vec<Interval>,
    spare: Box<Recorder>,
    current: Recorder,
    /// Where the present interval began.
    since: u64,
    at_begin: Machine,
    silent_since: Option<u64>,
}

impl Watch {
    fn new(shared: &Shared) -> Watch {
        Watch {
            total: Recorder::default(),
            intervals: Vec::new(),
            spare: Box::default(),
            current: Recorder::default(),
            since: shared.begin_ns,
            at_begin: Machine::now(),
            silent_since: None,
        }
    }

    fn until_end(
        mut self,
        shared: &Shared,
        token: &Token,
        receiver: &Receiver<Message>,
        clients: &mut usize,
        show: &mut impl FnMut(&Interval),
    ) -> Outcome {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (step, grace) = (ns(shared.plan.interval).max(1), ns(shared.plan.grace).max(1));
        let mut end = End::Done;
        let mut has_begun = shared.begin_ns == 0;
        let mut at_end = None;
        // When the present interval ends; behind the end of time, when patience does.
        let mut tick = if has_begun { step.min(shared.end_ns) } else { shared.begin_ns };
        while *clients > 0 {
            let now = shared.clock();
            match receiver.recv_timeout(Duration::from_nanos(tick.saturating_sub(now))) {
                Ok(Message::Ended) => *clients -= 1,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    end = End::Stopped;
                    shared.stop();
                    token.cancel();
                }
                Err(RecvTimeoutError::Timeout) if !has_begun => {
                    has_begun = true;
                    self.at_begin = Machine::now();
                    tick = shared.begin_ns.saturating_add(step).min(shared.end_ns);
                }
                Err(RecvTimeoutError::Timeout) if tick > shared.end_ns => {
                    token.cancel();
                    tick = u64::MAX;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.collect(shared, tick, show);
                    if let Some(failure) = self.silence(shared.clock()) {
                        end = End::Gone(failure);
                        shared.stop();
                        token.cancel();
                    }
                    if tick == shared.end_ns {
                        at_end = Some(Machine::now());
                        tick = tick.saturating_add(grace);
                    } else {
                        // One that was slept over is a part of the next.
                        let behind = shared.clock().saturating_sub(tick) / step;
                        tick = tick.saturating_add(step * (behind + 1)).min(shared.end_ns);
                    }
                }
            }
        }
        // Clients whose next request is due after the end are done before it.
        let is_over = end == End::Done && !shared.is_used_up();
        let now = if is_over { shared.end_ns } else { shared.clock().min(shared.end_ns) };
        let took = Duration::from_nanos(now.saturating_sub(shared.begin_ns));
        self.collect(shared, now, show);
        let machine = at_end.unwrap_or_else(Machine::now) - self.at_begin;
        Outcome {
            figures: self.total,
            intervals: self.intervals,
            steps: shared.plan.scenario.as_ref().map(Scenario::steps).unwrap_or_default(),
            took,
            cpu: machine.cpu,
            waited: machine.waited,
            cores: shared.plan.cores,
            stays_awake: !shared.plan.spin.is_zero(),
            is_open: shared.is_open(),
            wanted_rate: shared.plan.pace.map(|pace| pace.rate),
            end,
        }
    }

    /// Takes the lanes' figures. They are an interval if it has a length.
    fn collect(&mut self, shared: &Shared, until: u64, show: &mut impl FnMut(&Interval)) {
        self.current = Recorder::default();
        for lane in &shared.lanes {
            lane.exchange(&mut self.spare);
            self.current.merge(&self.spare);
        }
        self.total.merge(&self.current);
        if until > self.since {
            let took = Duration::from_nanos(until - self.since);
            let at = Duration::from_nanos(until.saturating_sub(shared.begin_ns));
            let interval = Interval::of(&self.current, at, took);
            show(&interval);
            self.intervals.push(interval);
            self.since = until;
        }
    }

    /// Why nothing has come for long, if only attempts to connect have.
    fn silence(&mut self, now: u64) -> Option<Failure> {
        let is_connect = |(failure, _): &(&Failure, &u64)| failure.step == Step::Connect;
        let refused = self.current.failures.iter().filter(is_connect).max_by_key(|one| *one.1);
        let is_silent = self.current.answers() == 0;
        match (is_silent, refused, self.silent_since) {
            (false, ..) => self.silent_since = None,
            (true, Some(_), None) => self.silent_since = Some(now),
            (true, Some((failure, _)), Some(since)) if now - since >= SILENCE.as_nanos() as u64 => {
                return Some(failure.clone());
            }
            _ => {}
        }
        None
    }
}
