//! Two runs beside each other: what differs, and how sure that is.
//!
//! Requests of one run are not independent: a slow moment makes many slow. So what is compared are the figures of intervals, a second each, which nearly are:
//! the difference of their means, with Welch's interval.

use crate::confidence::difference;
use crate::report::{Report, Slice};
use crate::words;
use std::fmt::Write;

/// A figure: its name, where it is found, and how it is written.
type Figure = (&'static str, fn(&Slice) -> f64, fn(f64) -> String);

/// The runs' figures, their difference, and its bounds with 95 % confidence, as a table.
pub fn compare(before: &Report, after: &Report) -> String {
    let figures: [Figure; 6] = [
        ("answers/s", Slice::rate, |rate| words::number(rate.round() as u64)),
        ("mean", |one| one.mean_ns, words::time),
        ("50 %", |one| one.p50_ns as f64, words::time),
        ("90 %", |one| one.p90_ns as f64, words::time),
        ("99 %", |one| one.p99_ns as f64, words::time),
        ("99.9 %", |one| one.p999_ns as f64, words::time),
    ];
    let mut text = format!(
        "{:12}{:>12}{:>12}{:>11}   {}\n",
        "", "before", "after", "change", "with 95 % confidence"
    );
    for (name, of, word) in figures {
        let (one, other) = (values(before, of), values(after, of));
        let (from, to) = (mean(&one), mean(&other));
        let percent = |change: f64| if from > 0.0 { 100.0 * change / from } else { 0.0 };
        let change = percent(to - from);
        let sure = match difference(&one, &other) {
            None => "unknown: a run has fewer than two whole intervals".to_owned(),
            Some((_, low, high)) => {
                let verdict = if low > 0.0 || high < 0.0 { "" } else { ", which may be nothing" };
                format!("{:+.1} % to {:+.1} %{verdict}", percent(low), percent(high))
            }
        };
        // Writing to memory does not fail.
        _ = writeln!(text, "{name:12}{:>12}{:>12}{change:>+9.1} %   {sure}", word(from), word(to));
    }
    for (name, one, other) in [
        ("failed", before.failed, after.failed),
        ("unfinished", before.unfinished, after.unfinished),
    ] {
        if one + other > 0 {
            _ = writeln!(text, "{name:12}{:>12}{:>12}", words::number(one), words::number(other));
        }
    }
    let differs = |what: &str, is_same: bool| {
        if is_same { String::new() } else { format!("note: the runs differ in {what}\n") }
    };
    let (one, other) = (&before.run, &after.run);
    text += &differs(
        "what they asked for",
        (&one.targets, &one.method) == (&other.targets, &other.method),
    );
    text += &differs(
        "their connections",
        (one.connections, one.depth, one.keeps) == (other.connections, other.depth, other.keeps),
    );
    text += &differs(
        "how requests arrive",
        (&one.arrivals, one.wanted_rate) == (&other.arrivals, other.wanted_rate),
    );
    text
}

/// Of all intervals but one that was cut short: it would count as much as a whole one.
fn values(report: &Report, of: fn(&Slice) -> f64) -> Vec<f64> {
    let longest = report.intervals.iter().map(|one| one.took_s).fold(0.0, f64::max);
    let whole = report.intervals.iter().filter(|one| one.took_s > longest * 0.9);
    whole.map(of).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}
