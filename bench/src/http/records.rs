//! Makes records of all rounds of a case.

use super::cases::{Case, Figure};
use super::peer::Peer;
use super::round::{Contender, value};
use crate::report::Record;

/// A figure of each contender, compared with raddle's.
pub(super) fn of(contenders: &[Contender<'_>], case: &Case, figure: &Figure) -> Vec<Record> {
    let base = contenders.iter().find(|one| one.peer == Peer::Raddle);
    let base = base.map(|base| numbers(base, figure.said)).unwrap_or_default();
    let one = |contender: &Contender<'_>| {
        let (bench, peer, unit) = (figure.bench, contender.peer.name(), figure.unit);
        let numbers = numbers(contender, figure.said);
        let remarks = remarks(contender, figure.said);
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let record = Record::of_rounds(bench, case.name, peer, &numbers, unit).with_remark(remark);
        match contender.peer {
            Peer::Raddle => record,
            _ => record.compared_by_round(&base, &numbers),
        }
    };
    contenders.iter().map(one).collect()
}

/// Whether a figure is from the run that counts, which is one.
fn is_counted(figure: &str) -> bool {
    matches!(figure, "syscalls" | "rss")
}

/// One number for each round, if that has one.
fn numbers(contender: &Contender<'_>, figure: &str) -> Vec<Option<f64>> {
    if is_counted(figure) {
        let counted = contender.counted.as_ref().and_then(|counted| counted.as_ref().ok());
        return counted.map(|said| value(said, figure)).into_iter().collect();
    }
    contender.rounds.iter().map(|said| value(said, figure)).collect()
}

/// What else there is to know of that figure.
fn remarks(contender: &Contender<'_>, figure: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    match &contender.counted {
        _ if !is_counted(figure) => remarks.extend(limits(contender)),
        Some(Err(why)) => remarks.push(why.clone()),
        Some(Ok(said)) if figure == "syscalls" => remarks.extend(said.remark.clone()),
        _ => {}
    }
    remarks.extend(contender.failure.clone());
    remarks
}

/// In which rounds it was not the server that set the rate, and in which others had their part.
fn limits(contender: &Contender<'_>) -> Vec<String> {
    /// Of one that has a tenth of its core idle this is not exceeded.
    const SATURATED: f64 = 0.9;
    let rounds = contender.rounds.len();
    let count = |is: &dyn Fn(bool, bool) -> bool| {
        let busy = |said, who| value(said, who).is_some_and(|busy| busy > SATURATED);
        let each = contender.rounds.iter();
        each.filter(|said| is(busy(said, "client_busy"), busy(said, "server_busy"))).count()
    };
    let of = |count: usize, what: &str| match count {
        0 => None,
        _ if count == rounds => Some(what.to_owned()),
        _ => Some(format!("{what} in {count} of {rounds} rounds")),
    };
    [
        of(count(&|client, server| client && server), "both saturated"),
        of(count(&|client, server| client && !server), "only the client was saturated"),
        of(contender.disturbed, "disturbed by others"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::cases::{ALL, Asked, FIGURES};
    use super::super::peer::found_for_tests;
    use super::*;
    use raddle_bench::subject::Said;

    /// One whose rounds had that CPU time, and were so busy.
    fn contender(peer: Peer, rounds: &[(f64, f64, f64)]) -> Contender<'static> {
        let found = Box::leak(Box::new(found_for_tests(peer)));
        let mut contender = Contender::new(found, &ALL[0]);
        contender.rounds = rounds
            .iter()
            .map(|&(cpu, client, server)| {
                Said::figures([("cpu", cpu), ("client_busy", client), ("server_busy", server)])
            })
            .collect();
        contender
    }

    fn json(contenders: &[Contender<'_>], figure: &str) -> Vec<serde_json::Value> {
        let figure = FIGURES.iter().find(|one| one.said == figure).expect("a figure");
        let records = of(contenders, &ALL[0], figure);
        records.iter().map(|record| serde_json::to_value(record).expect("JSON")).collect()
    }

    #[test]
    fn servers_are_compared_round_by_round() {
        let raddle = contender(Peer::Raddle, &[(10.0, 0.5, 0.5), (20.0, 0.5, 0.5)]);
        let nginx = contender(Peer::Nginx, &[(15.0, 0.5, 0.5), (30.0, 0.5, 0.5)]);
        let json = json(&[raddle, nginx], "cpu");
        assert_eq!(
            (&json[0]["bench"], &json[0]["case"]),
            (&"http_cpu".into(), &ALL[0].name.into())
        );
        assert_eq!((&json[0]["value"], &json[0]["unit"]), (&15.0.into(), &"ns".into()));
        assert!(json[0]["ratio"].is_null() && json[0]["remark"].is_null(), "{json:?}");
        assert_eq!((&json[1]["ratio_low"], &json[1]["ratio_high"]), (&1.5.into(), &1.5.into()));
    }

    #[test]
    fn who_set_the_rate_is_said() {
        let rounds = [(1.0, 0.99, 0.5), (1.0, 0.99, 0.99), (1.0, 0.5, 0.99)];
        let mut one = contender(Peer::Go, &rounds);
        one.disturbed = 3;
        assert_eq!(
            json(&[one], "cpu")[0]["remark"],
            "both saturated in 1 of 3 rounds; only the client was saturated in 1 of 3 rounds; disturbed by others"
        );
    }

    #[test]
    fn what_is_not_known_says_why() {
        let mut one = contender(Peer::Nginx, &[(1.0, 0.5, 0.5)]);
        one.counted = Some(Err("no counter".to_owned()));
        let failed = json(&[one], "syscalls");
        assert_eq!((&failed[0]["value"], &failed[0]["remark"]), (&().into(), &"no counter".into()));

        let mut one = contender(Peer::Nginx, &[]);
        let said =
            Said { remark: Some("forbidden".to_owned()), ..Said::figures([("rss", 4096.0)]) };
        one.counted = Some(Ok(said));
        let counted = [one];
        assert_eq!(json(&counted, "syscalls")[0]["remark"], "forbidden");
        let rss = json(&counted, "rss");
        assert_eq!((&rss[0]["value"], &rss[0]["remark"]), (&4096.0.into(), &().into()));
    }

    #[test]
    fn what_a_server_can_not_do_is_said_in_place_of_figures() {
        let found = found_for_tests(Peer::MayMinihttp);
        let churn = ALL.iter().find(|case| case.asked == Asked::Churn).expect("a case");
        let records = of(&[Contender::new(&found, churn)], churn, &FIGURES[0]);
        let json = serde_json::to_value(&records[0]).expect("JSON");
        assert!(json["value"].is_null(), "{json}");
        let remark = json["remark"].as_str().expect("a reason");
        assert!(remark.starts_with("it closes no connection"), "{remark}");
    }
}
