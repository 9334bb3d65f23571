//! How right the figures are: beside the record of a server that answers after known delays.
//!
//! A latency is to be the server's time and what it took to wake up to send, which `raddle load` measures: percentiles of the sum of both, of any of the one
//! with any of the other. (Not the sum of two percentiles: where three of a thousand requests are late on either side, six of a thousand are late.)
//! When an answer has come is the kernel's word, so waking up for it is in neither. With `--precise` no core sleeps, and there is next to nothing to add.
//!
//! The machine has a part in it, that takes a processor away for milliseconds now and then: that is what the control is off, a generator by
//! hand whose thread never sleeps (`ask` of `raddle-bench-echo`), and does not measure what it is late.
//!
//! Those that ask in a closed loop have a record of their own making: they are held against what those would wait for who come whatever the server does.

use super::server::{Done, Responder};
use crate::generators::{Client, Generator, Job, Shape};
use crate::neighbours::{Neighbours, TOLERATED};
use crate::report::{Bar, Record, Unit, progress};
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests a second, on so many connections as come in a stall and some more.
const RATE: f64 = 2000.0;
const CONNECTIONS: usize = 1_200;

/// A delay by its name, the case, and for how long.
pub(super) struct Known {
    delay: &'static str,
    pub(super) case: &'static str,
    seconds: u64,
}

/// Of twelve seconds, one and a half are stalled: of the percentiles that are looked at, 90 and those above.
pub(super) const ALL: [Known; 3] = [
    Known { delay: "fixed", case: "fixed_5ms", seconds: 4 },
    Known { delay: "bimodal", case: "bimodal", seconds: 4 },
    Known { delay: "stall", case: "stall_500ms", seconds: 12 },
];

/// Percent that it may be off.
const OFF_MAX: f64 = 1.0;

/// Who asks in an open loop, as the JSON calls it, and how.
const WAYS: [(&str, Way); 3] = [
    ("raddle", Way::Raddle(&[])),
    ("raddle_precise", Way::Raddle(&["--precise"])),
    ("control", Way::Control),
];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// `raddle load` with these options.
    Raddle(&'static [&'static str]),
    Control,
}

/// All connections are there by then.
const WARM_UP_S: u64 = 2;

/// What a round has shown: by percentile what the server did, that and waking up, and what was measured, in nanoseconds; and in words, what else is known.
struct Seen(Vec<(f64, Times)>, Option<String>);

#[derive(Clone, Copy)]
struct Times {
    server: f64,
    expected: f64,
    measured: f64,
}

impl Times {
    /// By how much it is off, of a hundred of the server's time.
    fn off(self) -> f64 {
        100.0 * (self.measured - self.expected).abs() / self.server
    }
}

/// The time that `percent` of all sums are not above, of any of `sorted` with any of `steps`, which are times and how many there are of each.
fn percentile_of_sums(sorted: &[f64], steps: &[(f64, f64)], percent: f64) -> f64 {
    let count: f64 = steps.iter().map(|step| step.1).sum();
    let wanted = percent / 100.0 * (1.0 - 1e-12) * count * sorted.len() as f64;
    let up_to = |limit: f64| -> f64 {
        let of_step = |&(time, count): &(f64, f64)| {
            count * sorted.partition_point(|one| *one <= limit - time) as f64
        };
        steps.iter().map(of_step).sum()
    };
    let last = |times: &mut dyn Iterator<Item = f64>| times.fold(0.0, f64::max);
    let (mut low, mut high) =
        (0.0, last(&mut sorted.iter().copied()) + last(&mut steps.iter().map(|step| step.0)));
    // To a nanosecond.
    while high - low > 1.0 {
        let middle = f64::midpoint(low, high);
        if up_to(middle) >= wanted {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

impl Seen {
    /// The percentile that is most off.
    fn worst(&self) -> Option<(f64, Times)> {
        self.0.iter().copied().max_by(|one, other| one.1.off().total_cmp(&other.1.off()))
    }

    fn at(&self, percent: f64) -> Option<Times> {
        self.0.iter().find(|one| one.0 == percent).map(|one| one.1)
    }
}

/// One delay, `rounds` times; where the server stalls, those beside it that ask in a closed loop.
pub(super) fn measure(
    known: &Known,
    clients: &[Client],
    rounds: usize,
    responder: &Responder,
) -> Vec<Record> {
    let client = |generator| clients.iter().find(|one| one.generator == generator);
    let Some(raddle) = client(Generator::Raddle) else { return Vec::new() };
    let wrk = client(Generator::Wrk).map(|wrk| ("wrk", wrk));
    let closed = [Some(("raddle_closed", raddle)), wrk].into_iter().flatten();
    let mut closed: Vec<_> = closed
        .filter(|_| known.delay == "stall")
        .map(|(peer, client)| (peer, client, Rounds::default()))
        .collect();
    let mut own: Vec<_> = WAYS.map(|(peer, how)| (peer, how, Rounds::default())).into();
    for turn in 1..=rounds {
        progress(&format!("{}: round {turn} of {rounds}", known.case));
        let mut truth = None;
        for (_, way, rounds) in &mut own {
            let seen = undisturbed(raddle, known, *way, responder);
            truth = seen.as_ref().ok().and_then(|(seen, _)| seen.at(99.0)).or(truth);
            rounds.take(seen.map(|(seen, others)| own_figures(&seen, others)));
        }
        for (_, client, rounds) in &mut closed {
            rounds.take(match truth {
                Some(truth) => ask_closed(client, known, truth.server, responder),
                None => Err("there is nothing to hold it against".to_owned()),
            });
        }
    }
    let own = own.into_iter().map(|(peer, way, rounds)| {
        let record = rounds.record("load_accuracy", known.case, peer);
        if way == Way::Control { record } else { record.held_against(Bar::AtMost(OFF_MAX)) }
    });
    let closed = closed.into_iter();
    let closed = closed.map(|(peer, _, rounds)| rounds.record("load_accuracy", known.case, peer));
    own.chain(closed).collect()
}

/// A round, and again as long as others disturb it; with the share that they had of the processors.
fn undisturbed(
    raddle: &Client,
    known: &Known,
    way: Way,
    responder: &Responder,
) -> Result<(Seen, f64), String> {
    const AGAIN_AT_MOST: usize = 1;
    let mut left = AGAIN_AT_MOST;
    loop {
        let (seen, others) = ask(raddle, known, way, responder)?;
        if others <= TOLERATED || left == 0 {
            return Ok((seen, others));
        }
        left -= 1;
    }
}

/// Percent that it was off, and words for it.
type Figures = (f64, String);

#[derive(Default)]
struct Rounds {
    off: Vec<Option<f64>>,
    remark: Option<String>,
}

impl Rounds {
    /// The last remark stays.
    fn take(&mut self, round: Result<Figures, String>) {
        let (off, remark) = match round {
            Ok((off, remark)) => (Some(off), remark),
            Err(why) => (None, why),
        };
        self.off.push(off);
        self.remark = Some(remark);
    }

    fn record(self, bench: &'static str, case: &'static str, peer: &'static str) -> Record {
        Record::of_rounds(bench, case, peer, &self.off, Unit::Percent).with_remark(self.remark)
    }
}

fn own_figures(seen: &Seen, others: f64) -> Figures {
    let Some((percent, times)) = seen.worst() else { return (0.0, "no percentiles".to_owned()) };
    let ms = |ns: f64| ns / 1e6;
    let disturbed = if others > TOLERATED { "; disturbed by others" } else { "" };
    let more = seen.1.as_deref().unwrap_or_default();
    let remark = format!(
        "at most at the percentile {percent}: {:.3} ms, the server's record {:.3} ms, with waking up {:.3} ms{more}{disturbed}",
        ms(times.measured),
        ms(times.server),
        ms(times.expected),
    );
    (times.off(), remark)
}

/// An open loop, once.
fn ask(
    raddle: &Client,
    known: &Known,
    way: Way,
    responder: &Responder,
) -> Result<(Seen, f64), String> {
    let server = responder.start(known.delay, WARM_UP_S)?;
    let (shape, seconds) = (Shape::Kept, known.seconds);
    let job = Job { port: server.port, path: "/", connections: CONNECTIONS, shape, seconds };
    let neighbours = Neighbours::before([responder.processor, raddle.processor], server.id());
    let share = || neighbours.and_then(|neighbours| neighbours.share()).unwrap_or(0.0);
    let Way::Raddle(options) = way else {
        let control = responder.ask(&job, RATE, WARM_UP_S, raddle.processor)?;
        let others = share();
        return Ok((seen_by_control(&control, &server.done()?)?, others));
    };
    let mut command = raddle.open_loop(&job, RATE);
    command.arg("--warm-up").arg(format!("{WARM_UP_S}s")).args(options);
    let output = command.output().map_err(|error| format!("raddle load: {error}"))?;
    let others = share();
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(said.trim()).map_err(|_| {
        format!("raddle load failed: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok((seen(&report, &server.done()?)?, others))
}

/// Both records must be of the same requests.
fn compare_counts(answers: f64, done: &Done) -> Result<(), String> {
    /// The two see the end of the warm-up some milliseconds apart: when the first was due, and when it came.
    const EDGE: f64 = 0.01;
    let asked = done.percentiles.get("count").copied().unwrap_or(0.0);
    match (answers - asked).abs() > EDGE * answers {
        true => Err(format!("{answers} answers were counted, the server's record has {asked}")),
        false => Ok(()),
    }
}

/// Puts the server's record beside the control's, which sends in time or has lost its processor.
fn seen_by_control(control: &BTreeMap<String, f64>, done: &Done) -> Result<Seen, String> {
    let of = |name: &str| control.get(name).copied();
    compare_counts(of("count").unwrap_or(0.0), done)?;
    let each = done.percentiles.iter().filter_map(|(name, server)| {
        let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
        Some((percent, Times { server: *server, expected: *server, measured: of(name)? }))
    });
    let ms = |name: &str| of(name).unwrap_or(0.0) / 1e6;
    let remark = format!(
        "; its processor was somebody else's for {:.1} ms in all and {:.1} at once; of 1,000 answers one was read {:.2} ms late and later",
        ms("leapt"),
        ms("leap"),
        ms("late99.9"),
    );
    Ok(Seen(each.collect(), Some(remark)))
}

/// Puts both records beside each other.
fn seen(report: &Value, done: &Done) -> Result<Seen, String> {
    compare_counts(report["answers"].as_f64().unwrap_or(0.0), done)?;
    let measured = |percent: f64| {
        let found = report["latency"]["percentiles"].as_array()?;
        found.iter().find(|one| one["percent"].as_f64() == Some(percent))?["ns"].as_f64()
    };
    let steps = report["oversleep"]["steps"].as_array().ok_or("no times of waking up")?;
    let step = |one: &Value| Some((one[0].as_f64()?, one[1].as_f64()?));
    let mut woke: Vec<(f64, f64)> = steps.iter().filter_map(step).collect();
    let woken: f64 = woke.iter().map(|step| step.1).sum();
    // The others' time had come before there was anybody for them.
    woke.push((0.0, (done.all.len() as f64 - woken).max(0.0)));
    let each = done.percentiles.iter().filter_map(|(name, server)| {
        let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
        let expected = percentile_of_sums(&done.all, &woke, percent);
        Some((percent, Times { server: *server, expected, measured: measured(percent)? }))
    });
    Ok(Seen(each.collect(), None))
}

/// Who asks on 64 connections when it has its answers: its 99th percentile, beside that of those who come whatever happens.
fn ask_closed(
    client: &Client,
    known: &Known,
    truth_ns: f64,
    responder: &Responder,
) -> Result<Figures, String> {
    let server = responder.start(known.delay, 0)?;
    let (shape, seconds) = (Shape::Kept, known.seconds);
    let job = Job { port: server.port, path: "/", connections: 64, shape, seconds };
    let summary = client.run(&job)?;
    let found = summary.p99_us.ok_or("there is no 99th percentile")?;
    let (truth, found) = (truth_ns / 1e6, found / 1e3);
    let correction = match client.generator {
        Generator::Wrk => ", after it has added what it takes to have missed",
        _ => "",
    };
    let remark = format!(
        "the 99th percentile is {found:.2} ms{correction}; of those who come by the clock it is {truth:.0} ms"
    );
    Ok((100.0 * (truth - found).abs() / truth, remark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn done(p99: f64) -> Done {
        let percentiles = [("count".to_owned(), 3.0), ("p99".to_owned(), p99)].into();
        Done { percentiles, all: vec![p99; 3] }
    }

    fn report(latency: f64, woke: f64) -> Value {
        let percentiles = json!({"percentiles": [{"percent": 99.0, "ns": latency}]});
        json!({"answers": 3, "latency": percentiles, "oversleep": {"steps": [[woke, 3]]}})
    }

    #[test]
    fn waking_up_explains_as_much_as_it_took() {
        let off = |measured, woke| {
            let seen = seen(&report(measured, woke), &done(5e6)).expect("both have three");
            (seen.worst().expect("one percentile").1.off() * 100.0).round() / 100.0
        };
        assert_eq!(off(5.1e6, 0.1e6), 0.0);
        assert_eq!(off(5.2e6, 0.1e6), 2.0);
        assert_eq!(off(4.9e6, 0.0), 2.0, "too early is never explained");
        assert_eq!(off(4.9e6, 0.1e6), 4.0);
    }

    #[test]
    fn sums_are_of_any_with_any() {
        // Each of the one late once in a hundred, each of the other as well: two of a hundred sums, but for one in ten thousand that is late twice.
        let server: Vec<f64> = (0..100).map(|n| if n == 99 { 9e6 } else { 1e6 }).collect();
        let woke = [(0.0, 99.0), (4e6, 1.0)];
        let of = |percent| (percentile_of_sums(&server, &woke, percent) / 1e6).round();
        assert_eq!(of(50.0), 1.0);
        assert_eq!(of(98.0), 1.0);
        assert_eq!(of(98.5), 5.0);
        assert_eq!(of(99.5), 9.0);
        assert_eq!(of(99.999), 13.0);
        // Of one that never wakes up late it is its own.
        assert_eq!((percentile_of_sums(&server, &[(0.0, 5.0)], 99.0) / 1e6).round(), 1.0);
    }

    #[test]
    fn a_record_of_other_requests_is_none() {
        let mut other = report(5e6, 0.0);
        other["answers"] = 40.into();
        assert!(seen(&other, &done(5e6)).is_err_and(|why| why.starts_with("40 answers")));
    }
}
