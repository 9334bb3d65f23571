//! What a benchmark says: one record for each case and peer, as a table or as lines of JSON.

use crate::pairs::Estimate;
use serde::{Serialize, Serializer};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// What is to be said before anything else of how it was measured.
pub(crate) fn first_notes() -> Vec<String> {
    let warning = "Built without optimization: the numbers mean nothing. Use --release.";
    if cfg!(debug_assertions) { vec![warning.to_owned()] } else { Vec::new() }
}

/// What a value is counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Ns,
    Us,
    Ms,
    Seconds,
    Percent,
    Count,
    OpsPerSecond,
    Bytes,
    Mappings,
    /// System calls, which may be less than one each.
    Calls,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::Seconds => "seconds",
            Unit::Percent => "percent",
            Unit::Count => "count",
            Unit::OpsPerSecond => "ops/s",
            Unit::Bytes => "bytes",
            Unit::Mappings => "mappings",
            Unit::Calls => "calls",
        }
    }

    /// Whether values are whole by nature.
    fn is_whole(self) -> bool {
        matches!(self, Unit::Count | Unit::Bytes | Unit::Mappings)
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// What is asked of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// The value is no more than that.
    AtMost(f64),
    /// The peer's value as a multiple of raddle's is no more than that.
    RatioAtMost(f64),
    /// And that it is no less.
    RatioAtLeast(f64),
}

impl Bar {
    /// Where nothing is known, nothing is met.
    fn is_met_by(self, record: &Record) -> bool {
        match self {
            Bar::AtMost(most) => record.value.is_some_and(|value| value <= most),
            Bar::RatioAtMost(most) => record.ratio.is_some_and(|ratio| ratio <= most),
            Bar::RatioAtLeast(least) => record.ratio.is_some_and(|ratio| ratio >= least),
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::AtMost(most) => write!(f, "at most {most}"),
            Bar::RatioAtMost(most) => write!(f, "peer/raddle at most {most}"),
            Bar::RatioAtLeast(least) => write!(f, "peer/raddle at least {least}"),
        }
    }
}

/// One result. As JSON its fields have this order; what is not known is left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) bench: &'static str,
    pub(crate) case: &'static str,
    pub(crate) peer: &'static str,
    /// `null` if there is none; the remark then says why.
    pub(crate) value: Option<f64>,
    pub(crate) unit: Unit,
    /// Between what the value lies with 95 % confidence; of fewer than six samples, their range.
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    /// How many samples the value is the median of.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<usize>,
    /// The peer's value as a multiple of raddle's, and between what it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_high: Option<f64>,
    /// Whether it meets what is asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<bool>,
    /// What else there is to know: why there is no value, or what was done differently.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    /// By how much the peer's value exceeds raddle's; for readers only.
    #[serde(skip)]
    difference: Option<Estimate>,
}

impl Record {
    /// No value.
    pub(crate) fn missing(
        bench: &'static str,
        case: &'static str,
        peer: &'static str,
        unit: Unit,
    ) -> Record {
        Record {
            bench,
            case,
            peer,
            value: None,
            unit,
            low: None,
            high: None,
            samples: None,
            ratio: None,
            ratio_low: None,
            ratio_high: None,
            passes: None,
            remark: None,
            difference: None,
        }
    }

    /// A value that was counted.
    pub(crate) fn counted(
        bench: &'static str,
        case: &'static str,
        peer: &'static str,
        value: f64,
        unit: Unit,
    ) -> Record {
        Record { value: Some(rounded(value)), ..Record::missing(bench, case, peer, unit) }
    }

    /// A time that was measured in blocks.
    pub(crate) fn timed(
        bench: &'static str,
        case: &'static str,
        peer: &'static str,
        ns: Estimate,
    ) -> Record {
        Record::counted(bench, case, peer, ns.median, Unit::Ns).between(ns)
    }

    /// Known as well as that.
    pub(crate) fn between(self, estimate: Estimate) -> Record {
        Record { low: Some(rounded(estimate.low)), high: Some(rounded(estimate.high)), ..self }
    }

    /// The median of what rounds have shown, as far as they have.
    pub(crate) fn of_rounds(
        bench: &'static str,
        case: &'static str,
        peer: &'static str,
        rounds: &[Option<f64>],
        unit: Unit,
    ) -> Record {
        let samples: Vec<f64> = rounds.iter().copied().flatten().collect();
        if samples.is_empty() {
            return Record::missing(bench, case, peer, unit);
        }
        let estimate = Estimate::of(&samples);
        let record =
            Record::counted(bench, case, peer, estimate.median, unit).of_samples(samples.len());
        if samples.len() > 1 { record.between(estimate) } else { record }
    }

    /// The median of so many samples.
    pub(crate) fn of_samples(self, samples: usize) -> Record {
        Record { samples: Some(samples), ..self }
    }

    /// With something else to know.
    pub(crate) fn with_remark(self, remark: Option<String>) -> Record {
        Record { remark, ..self }
    }

    /// Says whether it meets that, before what else there is to know.
    pub(crate) fn held_against(self, bar: Bar) -> Record {
        let passes = bar.is_met_by(&self);
        let verdict = format!("{}: {bar}", if passes { "pass" } else { "miss" });
        let remark = [Some(verdict), self.remark].into_iter().flatten().collect::<Vec<_>>();
        Record { passes: Some(passes), remark: Some(remark.join("; ")), ..self }
    }

    /// Compared with raddle's value, pair by pair.
    pub(crate) fn compared(self, ratio: Estimate, difference: Estimate) -> Record {
        Record {
            ratio_low: Some(rounded(ratio.low)),
            ratio_high: Some(rounded(ratio.high)),
            difference: Some(difference),
            ..self.with_ratio(ratio.median)
        }
    }

    /// Compared with raddle's values, round by round: what stands at the same place of both is a pair, if both are known.
    pub(crate) fn compared_by_round(self, base: &[Option<f64>], peer: &[Option<f64>]) -> Record {
        let pairs = base.iter().zip(peer);
        let pairs =
            pairs.filter_map(|(base, peer)| Some((base.filter(|&base| base > 0.0)?, (*peer)?)));
        let (ratios, differences): (Vec<f64>, Vec<f64>) =
            pairs.map(|(base, peer)| (peer / base, peer - base)).unzip();
        match ratios.as_slice() {
            [] => self,
            [ratio] => self.with_ratio(*ratio),
            ratios => self.compared(Estimate::of(ratios), Estimate::of(&differences)),
        }
    }

    /// Compared with raddle's value, once.
    pub(crate) fn with_ratio(self, ratio: f64) -> Record {
        Record { ratio: Some(rounded(ratio)), ..self }
    }
}

/// Four decimals: a tenth of a picosecond, below any noise.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// All that one run has to say.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) records: Vec<Record>,
    /// What a reader of the table should know; not part of the JSON.
    pub(crate) notes: Vec<String>,
}

/// What is done with the records of a case as soon as they are there.
pub(crate) trait Each: FnMut(&Report) -> io::Result<()> {}

impl<F: FnMut(&Report) -> io::Result<()>> Each for F {}

impl Report {
    /// A case is done.
    pub(crate) fn take(&mut self, records: Vec<Record>, each: &mut impl Each) -> io::Result<()> {
        let part = Report { records, notes: Vec::new() };
        each(&part)?;
        self.records.extend(part.records);
        Ok(())
    }

    /// One object a line.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for record in &self.records {
            serde_json::to_writer(&mut *out, record)?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// Aligned columns, then the notes.
    pub(crate) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        const HEAD: [&str; 8] = [
            "case",
            "peer",
            "value",
            "",
            "95 % interval",
            "peer/raddle",
            "95 % interval",
            "more than raddle",
        ];
        /// Texts begin at the left of their column, numbers end at its right.
        const IS_TEXT: [bool; 8] = [true, true, false, true, false, false, false, false];
        let mut rows = vec![HEAD.map(str::to_owned)];
        let is_one = self.records.iter().all(|record| record.bench == self.records[0].bench);
        let mut last = String::new();
        for record in &self.records {
            let label = match is_one {
                true => record.case.to_owned(),
                false => format!("{} {}", record.bench, record.case),
            };
            rows.push(row(record, if label == last { "" } else { &label }));
            last = label;
        }
        let widths: [usize; 8] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].len()).max().unwrap_or(0)
        });
        let remarks = self.records.iter().map(|record| record.remark.as_deref());
        for (row, remark) in rows.iter().zip([None].into_iter().chain(remarks)) {
            let mut line = String::new();
            for ((cell, width), is_text) in row.iter().zip(widths).zip(IS_TEXT) {
                line +=
                    &if is_text { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                line += "  ";
            }
            // Behind the columns, which a sentence would make too wide for a terminal.
            let line = format!("{}  {}", line.trim_end(), remark.unwrap_or_default());
            writeln!(out, "{}", line.trim_end())?;
        }
        for note in &self.notes {
            writeln!(out, "\n{note}")?;
        }
        Ok(())
    }
}

fn row(record: &Record, case: &str) -> [String; 8] {
    let interval = |low: Option<f64>, high: Option<f64>| match (low, high) {
        (Some(low), Some(high)) => format!("{} .. {}", readable(low), readable(high)),
        _ => String::new(),
    };
    let value = match record.value {
        None => "-".to_owned(),
        Some(value) if record.unit.is_whole() => format!("{value:.0}"),
        Some(value) => readable(value),
    };
    let unit = record.unit.name();
    let difference = record.difference.map(|by| {
        let (low, high) = (readable(by.low), readable(by.high));
        format!("{} ({low} .. {high}) {unit}", readable(by.median))
    });
    [
        case.to_owned(),
        record.peer.to_owned(),
        value,
        unit.to_owned(),
        interval(record.low, record.high),
        record.ratio.map(readable).unwrap_or_default(),
        interval(record.ratio_low, record.ratio_high),
        difference.unwrap_or_default(),
    ]
}

/// A number with as many decimals as its size deserves.
fn readable(value: f64) -> String {
    let decimals = match value.abs() {
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Tells a person at a terminal what is being done; nobody else.
pub(crate) fn progress(doing: &str) {
    if io::stderr().is_terminal() {
        eprintln!("raddle-bench: {doing}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let ns = Estimate { median: 5.25, low: 5.0, high: 5.5 };
        let ratio = Estimate { median: 0.5, low: 0.45, high: 0.55 };
        let difference = Estimate { median: -2.5, low: -3.0, high: -2.0 };
        Report {
            records: vec![
                Record::timed("switch", "switch", "raddle", ns),
                Record::timed("switch", "switch", "corosensei", ns).compared(ratio, difference),
                Record::counted("switch", "body_mappings", "raddle", 25.0, Unit::Mappings),
            ],
            notes: vec!["a note".to_owned()],
        }
    }

    fn lines(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<String> {
        let mut out = Vec::new();
        write(&mut out).expect("a Vec takes all that is written");
        let text = String::from_utf8(out).expect("only text is written");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn json_lines_have_five_keys_in_order_and_then_what_is_known() {
        assert_eq!(
            lines(|out| report().write_json(out)),
            [
                r#"{"bench":"switch","case":"switch","peer":"raddle","value":5.25,"unit":"ns","low":5.0,"high":5.5}"#,
                r#"{"bench":"switch","case":"switch","peer":"corosensei","value":5.25,"unit":"ns","low":5.0,"high":5.5,"ratio":0.5,"ratio_low":0.45,"ratio_high":0.55}"#,
                r#"{"bench":"switch","case":"body_mappings","peer":"raddle","value":25.0,"unit":"mappings"}"#,
            ]
        );
    }

    #[test]
    fn bars_are_met_or_missed() {
        let of = |value: f64| Record::counted("load", "a", "wrk", value, Unit::Ns);
        let verdict = |record: Record, bar| {
            let record = record.held_against(bar);
            (record.passes, record.remark.unwrap_or_default())
        };
        let pass = |text: &str| (Some(true), format!("pass: {text}"));
        let miss = |text: &str| (Some(false), format!("miss: {text}"));
        assert_eq!(verdict(of(1.0), Bar::AtMost(1.0)), pass("at most 1"));
        assert_eq!(verdict(of(1.1), Bar::AtMost(1.0)), miss("at most 1"));
        let (least, most) = (Bar::RatioAtLeast(1.2), Bar::RatioAtMost(1.0));
        assert_eq!(verdict(of(1.0).with_ratio(1.2), least), pass("peer/raddle at least 1.2"));
        assert_eq!(verdict(of(1.0).with_ratio(1.1), least), miss("peer/raddle at least 1.2"));
        assert_eq!(verdict(of(1.0).with_ratio(0.9), most), pass("peer/raddle at most 1"));
        let remarked = of(1.0).with_remark(Some("starves".to_owned()));
        assert_eq!(verdict(remarked, most), miss("peer/raddle at most 1; starves"), "no ratio");
    }

    #[test]
    fn what_has_no_value_says_why() {
        let record = Record::missing("hog", "fresh", "tokio", Unit::Us)
            .with_remark(Some("starves".to_owned()));
        let mut report = report();
        report.records.push(record);
        assert_eq!(
            lines(|out| report.write_json(out)).last().map(String::as_str),
            Some(
                r#"{"bench":"hog","case":"fresh","peer":"tokio","value":null,"unit":"us","remark":"starves"}"#
            )
        );
        let table = lines(|out| report.write_table(out));
        assert!(table[1].starts_with("switch switch "), "several benches, so each is named");
        assert!(
            table[4].starts_with("hog fresh") && table[4].ends_with("-  us  starves"),
            "{table:#?}"
        );
    }

    #[test]
    fn every_json_line_is_an_object_of_its_own() {
        for line in lines(|out| report().write_json(out)) {
            let value: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
            assert!(value.is_object(), "{line}");
        }
    }

    #[test]
    fn the_table_is_aligned_and_names_a_case_once() {
        let lines = lines(|out| report().write_table(out));
        assert_eq!(lines.iter().filter(|line| line.starts_with("switch")).count(), 1);
        let columns: Vec<_> = lines[1..3].iter().map(|line| line.find("5.00 .. 5.50")).collect();
        assert!(columns[0].is_some() && columns[0] == columns[1], "{lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some("a note"));
    }

    #[test]
    fn numbers_are_as_precise_as_their_size_deserves() {
        assert_eq!(readable(5.126), "5.13");
        assert_eq!(readable(-51.26), "-51.3");
        assert_eq!(readable(10_483.4), "10483");
    }
}
