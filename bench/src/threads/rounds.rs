//! Runs a group's programs in turns, and makes records of what they say.

use super::cases::{Figure, Group};
use super::peer::Peer;
use crate::child;
use crate::pairs::Estimate;
use crate::report::{Record, Unit, progress};
use raddle_bench::subject::Said;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program with its settings, and what it has said in each round.
struct Contender<'p> {
    peer: Peer,
    flavor: Option<&'static str>,
    program: &'p Path,
    rounds: Vec<Said>,
    /// Why there are not more rounds.
    failure: Option<String>,
}

/// The records of all of the group's figures.
pub(crate) fn measure(group: &Group, programs: &[(Peer, PathBuf)]) -> io::Result<Vec<Record>> {
    let mut contenders = Vec::new();
    for (peer, program) in programs.iter().filter(|(peer, _)| group.peers.contains(peer)) {
        contenders.extend(peer.flavors(group.cores).iter().map(|&flavor| Contender {
            peer: *peer,
            flavor,
            program,
            rounds: Vec::new(),
            failure: None,
        }));
    }
    for round in 1..=group.rounds {
        for contender in contenders.iter_mut().filter(|one| one.failure.is_none()) {
            let (bench, case) = (group.figures[0].bench, group.figures[0].case);
            let whose = contender.peer.name();
            progress(&format!("{bench} {case}: {whose}, round {round} of {}", group.rounds));
            contender.run(group)?;
        }
    }
    let best = best_flavors(contenders, group);
    Ok(group.figures.iter().flat_map(|figure| records(&best, group, figure)).collect())
}

impl Contender<'_> {
    fn run(&mut self, group: &Group) -> io::Result<()> {
        let cores = group.cores.to_string();
        let mut command = Command::new(self.program);
        command.arg(group.case).args(group.words(self.peer));
        command.args(self.flavor.map(|flavor| format!("flavor={flavor}")));
        // What is not set stays as the user has it: another event queue, for instance.
        command.env("RADDLE_CORES", &cores).env("GOMAXPROCS", &cores);
        command.envs(group.slice.map(|slice| ("RADDLE_SLICE", slice)));
        command.envs(group.timer_slack.map(|slack| ("RADDLE_TIMER_SLACK", slack)));
        let said = child::run(&mut command, group.limit, group.watch)?;
        match said.remark {
            // It would only say so again, and take its time.
            Some(why) => self.failure = Some(why),
            None => self.rounds.push(said),
        }
        Ok(())
    }

    /// Samples of all rounds, without what is no number.
    fn samples(&self, figure: &Figure) -> Vec<f64> {
        let all = self.rounds.iter().filter_map(|said| said.figures.get(figure.said)).flatten();
        all.copied().filter(|sample| sample.is_finite()).collect()
    }

    /// One number for each round that has one.
    fn medians(&self, figure: &Figure) -> Vec<Option<f64>> {
        let median = |said: &Said| {
            let samples = said.figures.get(figure.said).filter(|samples| !samples.is_empty())?;
            Some(Estimate::of(samples).median)
        };
        self.rounds.iter().map(median).collect()
    }
}

/// Of each peer the flavor that is fastest by the first figure.
fn best_flavors<'p>(contenders: Vec<Contender<'p>>, group: &Group) -> Vec<Contender<'p>> {
    let value = |contender: &Contender<'_>| match contender.samples(&group.figures[0]) {
        samples if samples.is_empty() => f64::INFINITY,
        samples => Estimate::of(&samples).median,
    };
    let mut best: Vec<Contender<'p>> = Vec::new();
    for contender in contenders {
        match best.iter_mut().find(|one| one.peer == contender.peer) {
            None => best.push(contender),
            Some(one) if value(&contender) < value(one) => *one = contender,
            Some(_) => {}
        }
    }
    best
}

fn records(contenders: &[Contender<'_>], group: &Group, figure: &Figure) -> Vec<Record> {
    let base = contenders.iter().find(|one| one.peer == Peer::Raddle);
    let base = base.map(|base| base.medians(figure)).unwrap_or_default();
    let one = |contender: &Contender<'_>| {
        let remarks = [
            group.remark(contender.peer),
            contender.flavor.map(str::to_owned),
            contender.failure.clone(),
        ];
        let remarks: Vec<String> = remarks.into_iter().flatten().collect();
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let samples = contender.samples(figure);
        let name = contender.peer.name();
        if samples.is_empty() {
            let remark = remark.or_else(|| Some("too few events to tell".to_owned()));
            return Record::missing(figure.bench, figure.case, name, figure.unit)
                .with_remark(remark);
        }
        let estimate = Estimate::of(&samples);
        let mut record =
            Record::counted(figure.bench, figure.case, name, estimate.median, figure.unit)
                .of_samples(samples.len())
                .with_remark(remark);
        if samples.len() > 1 {
            record = record.between(estimate);
        }
        // Of numbers around zero a ratio says nothing.
        if contender.peer != Peer::Raddle && figure.unit != Unit::Percent {
            record = record.compared_by_round(&base, &contender.medians(figure));
        }
        record
    };
    contenders.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cases::{Case, Scale, groups};
    use super::*;

    fn contender(peer: Peer, flavor: Option<&'static str>, ns: &[f64]) -> Contender<'static> {
        Contender {
            peer,
            flavor,
            program: Path::new("none"),
            rounds: ns.iter().map(|&ns| Said::figures([("ns", ns)])).collect(),
            failure: None,
        }
    }

    fn json(contenders: Vec<Contender<'_>>) -> Vec<serde_json::Value> {
        let scale =
            Scale { is_quick: true, rounds: 3, threads: 10, turns_held: 1, memory: u64::MAX };
        let group = &groups(Case::YieldPair, &scale)[0];
        let best = best_flavors(contenders, group);
        let records = records(&best, group, &group.figures[0]);
        let json = |record| serde_json::to_value(record).expect("a record is JSON");
        records.iter().map(json).collect()
    }

    #[test]
    fn peers_are_compared_round_by_round_and_the_best_flavor_counts() {
        let json = json(vec![
            contender(Peer::Raddle, None, &[10.0, 20.0, 30.0]),
            contender(Peer::Tokio, Some("current_thread"), &[30.0, 60.0, 90.0]),
            contender(Peer::Tokio, Some("multi_thread"), &[40.0, 80.0, 120.0]),
        ]);
        assert_eq!(json.len(), 2);
        assert_eq!(json[0]["value"], 20.0);
        assert_eq!(json[0]["samples"], 3);
        assert_eq!(json[1]["remark"], "current_thread");
        assert_eq!((&json[1]["ratio_low"], &json[1]["ratio_high"]), (&3.0.into(), &3.0.into()));
    }

    #[test]
    fn who_says_nothing_is_reported_with_the_reason() {
        let mut silent = contender(Peer::May, None, &[]);
        silent.failure = Some("no result within 20 s".to_owned());
        let json = json(vec![contender(Peer::Raddle, None, &[10.0]), silent]);
        assert_eq!(json[1]["value"], serde_json::Value::Null);
        assert_eq!(json[1]["remark"], "no result within 20 s");
    }
}
