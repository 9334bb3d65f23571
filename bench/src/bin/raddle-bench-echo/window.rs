//! When the client measures, and what it says of it: nothing while the server warms up, then everything for a while.

use super::histogram::Histogram;
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::{Watched, now_ns, own_cpu_ns};

/// What the clocks and counters said at a moment.
struct Moment {
    at_ns: u64,
    own_cpu_ns: u64,
    server_cpu_ns: u64,
    calls: Option<u64>,
}

/// The time in which messages count.
pub(crate) struct Window {
    server: Watched,
    begins_ns: u64,
    length_ns: u64,
    begun: Option<Moment>,
    latencies: Histogram,
    /// Of a hundred parts of its core the client uses so many at most; none if it need not care.
    duty: Option<u64>,
}

impl Window {
    /// One that begins after `warm` milliseconds and lasts `ms`; `pid` is the server's.
    pub(crate) fn new(arguments: &Arguments) -> Result<Window, String> {
        let counts = !arguments.text("count").is_empty();
        let server = Watched::new(arguments.number("pid")?, counts)?;
        let warm_ns = arguments.ms("warm")?.as_nanos() as u64;
        Ok(Window {
            server,
            begins_ns: now_ns()? + warm_ns,
            length_ns: arguments.ms("ms")?.as_nanos() as u64,
            begun: None,
            latencies: Histogram::new(),
            duty: arguments.number("duty").ok().map(|percent| percent as u64),
        })
    }

    /// A message has come back.
    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        self.latencies.record(ns);
    }

    /// Between two rounds, at `now`: what there is to say if the time is over.
    pub(crate) fn round(&mut self, now: u64) -> Result<Option<Said>, String> {
        match &self.begun {
            None if now >= self.begins_ns => {
                self.begun = Some(self.moment()?);
                self.latencies.clear();
                Ok(None)
            }
            Some(begun) if now - begun.at_ns >= self.length_ns => self.said(begun).map(Some),
            _ => Ok(None),
        }
    }

    /// For how long the client should do nothing, so that it keeps some of its core idle.
    pub(crate) fn pause_ns(&self, now: u64) -> Result<u64, String> {
        let (Some(duty), Some(begun)) = (self.duty, &self.begun) else { return Ok(0) };
        let used = own_cpu_ns()? - begun.own_cpu_ns;
        Ok((used * 100 / duty).saturating_sub(now - begun.at_ns))
    }

    fn moment(&self) -> Result<Moment, String> {
        Ok(Moment {
            at_ns: now_ns()?,
            own_cpu_ns: own_cpu_ns()?,
            server_cpu_ns: self.server.cpu_ns()?,
            calls: self.server.calls()?,
        })
    }

    fn said(&self, begun: &Moment) -> Result<Said, String> {
        let end = self.moment()?;
        let ns = (end.at_ns - begun.at_ns) as f64;
        let messages = self.latencies.total() as f64;
        if messages == 0.0 {
            return Err("no message came back".to_owned());
        }
        let server_ns = (end.server_cpu_ns - begun.server_cpu_ns) as f64;
        let mut said = Said::figures([
            ("rate", messages * 1e9 / ns),
            ("p50", self.latencies.percentile(50) as f64 / 1e3),
            ("p99", self.latencies.percentile(99) as f64 / 1e3),
            ("cpu", server_ns / messages),
            ("server_busy", server_ns / ns),
            ("client_busy", (end.own_cpu_ns - begun.own_cpu_ns) as f64 / ns),
        ]);
        if let (Some(before), Some(after)) = (begun.calls, end.calls) {
            let calls = (after - before) as f64 / messages;
            said.figures.insert("syscalls".to_owned(), vec![calls]);
        }
        Ok(said)
    }
}
