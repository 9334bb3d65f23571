//! Makes records of all rounds of a case.

use super::cases::{Case, Figure};
use super::peer::Peer;
use super::round::{Contender, value};
use crate::pairs::Estimate;
use crate::report::Record;

/// Of each peer the flavor that had most messages a second, or took least memory.
pub(super) fn best_flavors(contenders: Vec<Contender<'_>>) -> Vec<Contender<'_>> {
    let merit = |contender: &Contender<'_>| match median(&numbers(contender, "rate")) {
        Some(rate) => rate,
        None => median(&numbers(contender, "idle_bytes")).map_or(f64::NEG_INFINITY, |bytes| -bytes),
    };
    let mut best: Vec<Contender<'_>> = Vec::new();
    for contender in contenders {
        match best.iter_mut().find(|one| one.peer == contender.peer) {
            None => best.push(contender),
            Some(one) if merit(&contender) > merit(one) => *one = contender,
            Some(_) => {}
        }
    }
    best
}

/// A figure of each contender, compared with raddle's.
pub(super) fn of(contenders: &[Contender<'_>], case: Case, figure: &Figure) -> Vec<Record> {
    let base = contenders.iter().find(|one| one.peer == Peer::Raddle);
    let base = base.map(|base| numbers(base, figure.said)).unwrap_or_default();
    let one = |contender: &Contender<'_>| {
        let (bench, peer, unit) = (figure.bench, contender.peer.name(), figure.unit);
        let mut remarks: Vec<String> = contender.flavor.map(str::to_owned).into_iter().collect();
        let numbers = numbers(contender, figure.said);
        if figure.said != "syscalls" && figure.said != "idle_bytes" {
            remarks.extend(saturation(contender));
        }
        if let Some(Err(why)) = &contender.calls
            && figure.said == "syscalls"
        {
            remarks.push(why.clone());
        }
        remarks.extend(contender.failure.clone());
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let record =
            Record::of_rounds(bench, case.name(), peer, &numbers, unit).with_remark(remark);
        match contender.peer {
            Peer::Raddle => record,
            _ => record.compared_by_round(&base, &numbers),
        }
    };
    contenders.iter().map(one).collect()
}

/// Of which rounds the client's core was the limit.
fn saturation(contender: &Contender<'_>) -> Vec<String> {
    let of = |count: usize, what: &str| match count {
        0 => None,
        count if count == contender.rounds.len() => Some(what.to_owned()),
        count => Some(format!("{what} in {count} of {} rounds", contender.rounds.len())),
    };
    let uncounted = "only the client was saturated: does not count";
    [
        of(contender.both_saturated, "both saturated"),
        of(contender.uncounted, uncounted),
        of(contender.disturbed, "disturbed by others"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One number for each round, if that has one.
fn numbers(contender: &Contender<'_>, figure: &str) -> Vec<Option<f64>> {
    if figure == "syscalls" {
        let calls = contender.calls.as_ref().and_then(|calls| calls.as_ref().ok());
        return calls.map(|calls| Some(*calls)).into_iter().collect();
    }
    let number = |said: &Option<_>| said.as_ref().and_then(|said| value(said, figure));
    contender.rounds.iter().map(number).collect()
}

fn median(numbers: &[Option<f64>]) -> Option<f64> {
    let samples: Vec<f64> = numbers.iter().copied().flatten().collect();
    (!samples.is_empty()).then(|| Estimate::of(&samples).median)
}

#[cfg(test)]
mod tests {
    use super::super::peer::{self, Found};
    use super::*;
    use raddle_bench::subject::Said;

    fn contender<'f>(found: &'f Found, busy: &[(f64, f64)]) -> Vec<Contender<'f>> {
        let mut all: Vec<Contender<'f>> = Contender::all(found).collect();
        for (at, contender) in all.iter_mut().enumerate() {
            for (turn, (client, server)) in busy.iter().enumerate() {
                let rate = 100.0 * (at + 1) as f64 + turn as f64;
                let figures = [("rate", rate), ("client_busy", *client), ("server_busy", *server)];
                contender.take(Said::figures(figures));
            }
        }
        all
    }

    fn json(contenders: Vec<Contender<'_>>) -> Vec<serde_json::Value> {
        let case = Case::Pingpong64;
        let best = best_flavors(contenders);
        let records = of(&best, case, &case.figures()[0]);
        records.iter().map(|record| serde_json::to_value(record).expect("JSON")).collect()
    }

    #[test]
    fn rounds_in_which_only_the_client_was_saturated_do_not_count() {
        let found = peer::found_for_tests(Peer::Raddle);
        let all = json(contender(&found, &[(0.5, 0.99), (0.95, 0.99), (0.95, 0.5)]));
        assert_eq!((&all[0]["value"], &all[0]["samples"]), (&100.5.into(), &2.into()));
        let remark = all[0]["remark"].as_str().expect("there is something to say");
        assert_eq!(
            remark,
            "both saturated in 1 of 3 rounds; only the client was saturated: does not count in 1 of 3 rounds"
        );
        let all = json(contender(&found, &[(0.95, 0.5)]));
        assert_eq!(all[0]["value"], serde_json::Value::Null);
        assert_eq!(all[0]["remark"], "only the client was saturated: does not count");
    }

    #[test]
    fn the_better_flavor_is_compared_with_raddle_round_by_round() {
        let (raddle, tokio) =
            (peer::found_for_tests(Peer::Raddle), peer::found_for_tests(Peer::Tokio));
        let busy = [(0.5, 0.99), (0.5, 0.99)];
        let mut contenders = contender(&raddle, &busy);
        contenders.extend(contender(&tokio, &busy));
        let all = json(contenders);
        assert_eq!(all.len(), 2);
        assert_eq!((&all[1]["peer"], &all[1]["remark"]), (&"tokio".into(), &"multi_thread".into()));
        let ratio = all[1]["ratio_low"].as_f64().expect("two pairs");
        assert!((ratio - 201.0 / 101.0).abs() < 1e-3, "{ratio}");
    }
}
