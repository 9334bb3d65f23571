//! Whether as much is sent as was to be: the rate at which requests went out within the time, beside the one that was asked for, up to four fifths
//! of what can be had. Answers within the time are fewer: what is asked in its last moment is answered after it.

use super::server::Responder;
use crate::generators::{Client, Generator, Job, Shape, Summary};
use crate::neighbours::{Neighbours, TOLERATED};
use crate::report::{Bar, Record, Unit, progress};

const CONNECTIONS: usize = 200;

/// Parts of the limit, of a hundred.
const PARTS: [(&str, f64); 4] =
    [("rate_20", 20.0), ("rate_40", 40.0), ("rate_60", 60.0), ("rate_80", 80.0)];

/// Percent by which a rate may be off.
const OFF_MAX: f64 = 0.1;

/// Many more than there can be: what comes of it is the limit.
const TOO_MANY: f64 = 10e6;

/// In each round the limit, then each part of it.
pub(super) fn measure(
    clients: &[Client],
    rounds: usize,
    seconds: u64,
    responder: &Responder,
) -> Vec<Record> {
    let raddle = clients.iter().find(|one| one.generator == Generator::Raddle);
    let Some(raddle) = raddle else { return Vec::new() };
    let mut limits = Vec::new();
    let mut off: [Vec<Option<f64>>; PARTS.len()] = Default::default();
    let mut remark = None;
    for turn in 1..=rounds {
        progress(&format!("offered: round {turn} of {rounds}"));
        let mut ask = |wanted| match ask(raddle, wanted, seconds, responder) {
            Ok((summary, others)) => {
                if others > TOLERATED {
                    remark = Some("disturbed by others".to_owned());
                }
                Some(summary)
            }
            Err(why) => {
                remark = Some(why);
                None
            }
        };
        let limit = ask(TOO_MANY).map(|summary| summary.rate);
        limits.push(limit);
        for ((_, part), off) in PARTS.iter().zip(&mut off) {
            let wanted = limit.map(|limit| (limit * part / 100.0).round());
            off.push(wanted.and_then(|wanted| {
                Some(100.0 * (ask(wanted)?.sent_rate? - wanted).abs() / wanted)
            }));
        }
    }
    let limit = Record::of_rounds("load_limit", "open_200", "raddle", &limits, Unit::OpsPerSecond);
    let parts = PARTS.iter().zip(&off).map(|((case, _), off)| {
        let record = Record::of_rounds("load_offered", case, "raddle", off, Unit::Percent);
        record.with_remark(remark.clone()).held_against(Bar::AtMost(OFF_MAX))
    });
    [limit.with_remark(remark.clone())].into_iter().chain(parts).collect()
}

/// What has come of so many requests a second; and the share of the processors that others had.
fn ask(
    raddle: &Client,
    wanted: f64,
    seconds: u64,
    responder: &Responder,
) -> Result<(Summary, f64), String> {
    let server = responder.start("", 0)?;
    let shape = Shape::Kept;
    let job = Job { port: server.port, path: "/", connections: CONNECTIONS, shape, seconds };
    let neighbours = Neighbours::before([responder.processor, raddle.processor], server.id());
    let summary = raddle.result(raddle.open_loop(&job, wanted).output())?;
    let others = neighbours.and_then(|neighbours| neighbours.share()).unwrap_or(0.0);
    Ok((summary, others))
}
