//! One generator and the server, once; and what a generator has shown in all its rounds.

use super::cases::{Case, Scale};
use super::server::Responder;
use crate::generators::{Client, Generator};
use crate::neighbours::{Neighbours, TOLERATED};
use crate::report::{Record, Unit};
use raddle_bench::process;
use raddle_bench::watched::Watched;
use std::time::Instant;

/// A generator, and what was seen of it.
pub(super) struct Contender<'c> {
    client: &'c Client,
    rounds: Vec<Round>,
    /// Rounds that others have disturbed, each time.
    disturbed: usize,
    /// Why there are not more rounds.
    failure: Option<String>,
}

struct Round {
    /// Processor time for each request, in nanoseconds.
    cpu_ns: f64,
    rate: f64,
    /// Shares of their processors.
    client_busy: f64,
    server_busy: f64,
}

impl<'c> Contender<'c> {
    pub(super) fn new(client: &'c Client, case: &Case) -> Contender<'c> {
        let failure = client.generator.lacks(case.shape).map(str::to_owned);
        Contender { client, rounds: Vec::new(), disturbed: 0, failure }
    }

    pub(super) fn name(&self) -> &'static str {
        self.client.generator.name()
    }

    /// One round, unless one has failed already; again as long as others disturb it.
    pub(super) fn measure(&mut self, case: &Case, scale: Scale, responder: &Responder) {
        const TIMES: usize = 4;
        for turn in 1..=TIMES {
            if self.failure.is_some() {
                return;
            }
            match self.ask(case, scale, responder) {
                Err(why) => self.failure = Some(why),
                Ok((_, others)) if others > TOLERATED && turn < TIMES => {}
                Ok((round, others)) => {
                    self.disturbed += usize::from(others > TOLERATED);
                    self.rounds.push(round);
                    return;
                }
            }
        }
    }

    /// A round, and the share of the processors that others have taken; 0 where that is not known.
    ///
    /// The generator's start is a part of its time: some milliseconds of seconds.
    fn ask(
        &self,
        case: &Case,
        scale: Scale,
        responder: &Responder,
    ) -> Result<(Round, f64), String> {
        let server = responder.start("", 0)?;
        // Without it the first has the server's cold caches.
        self.client.run(&case.job(server.port, 1))?;
        let watched = Watched::new(server.id() as usize, false)?;
        let neighbours =
            Neighbours::before([responder.processor, self.client.processor], server.id());
        let (began, server_ns) = (Instant::now(), watched.cpu_ns()?);
        let before = process::cpu_time_of_children();
        let summary = self.client.run(&case.job(server.port, scale.measured_s))?;
        let elapsed = began.elapsed().as_secs_f64();
        let cpu = (process::cpu_time_of_children() - before).as_secs_f64();
        let server_s = (watched.cpu_ns()? - server_ns) as f64 / 1e9;
        let others = neighbours.and_then(|neighbours| neighbours.share()).unwrap_or(0.0);
        let round = Round {
            cpu_ns: cpu * 1e9 / summary.answers,
            rate: summary.rate,
            client_busy: cpu / elapsed,
            server_busy: server_s / elapsed,
        };
        Ok((round, others))
    }

    /// In which rounds the server set the rate, others had their part, or there was none.
    fn remark(&self) -> Option<String> {
        const SATURATED: f64 = 0.9;
        let rounds = self.rounds.len();
        let count = |is: &dyn Fn(bool, bool) -> bool| {
            let busy = |busy| busy > SATURATED;
            let each = self.rounds.iter();
            each.filter(|one| is(busy(one.client_busy), busy(one.server_busy))).count()
        };
        let of = |count: usize, what: &str| match count {
            0 => None,
            _ if count == rounds => Some(what.to_owned()),
            _ => Some(format!("{what} in {count} of {rounds} rounds")),
        };
        let remarks = [
            of(count(&|client, server| client && server), "both saturated"),
            of(count(&|client, server| server && !client), "only the server was saturated"),
            of(self.disturbed, "disturbed by others"),
            self.failure.clone(),
        ];
        let remarks: Vec<String> = remarks.into_iter().flatten().collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

/// Each generator's figures, compared with raddle's.
pub(super) fn records(contenders: &[Contender<'_>], case: &Case) -> Vec<Record> {
    type Of = fn(&Round) -> f64;
    let figures: [(&'static str, Of, Unit); 2] = [
        ("load_cpu", |round| round.cpu_ns, Unit::Ns),
        ("load_rate", |round| round.rate, Unit::OpsPerSecond),
    ];
    let base = contenders.iter().find(|one| one.client.generator == Generator::Raddle);
    let each = |of: Of, one: &Contender<'_>| -> Vec<Option<f64>> {
        one.rounds.iter().map(|round| Some(of(round))).collect()
    };
    let mut records = Vec::new();
    for (bench, of, unit) in figures {
        let base = base.map(|base| each(of, base)).unwrap_or_default();
        for one in contenders {
            let rounds = each(of, one);
            let record = Record::of_rounds(bench, case.name, one.name(), &rounds, unit)
                .with_remark(one.remark());
            let peer = one.client.generator;
            if peer == Generator::Raddle {
                records.push(record);
                continue;
            }
            let record = record.compared_by_round(&base, &rounds);
            records.push(match case.bar(bench, peer) {
                Some(bar) if !rounds.is_empty() => record.held_against(bar),
                _ => record,
            });
        }
    }
    records
}
