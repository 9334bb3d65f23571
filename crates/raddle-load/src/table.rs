//! A report as people read it in a terminal.

use crate::report::{Distribution, Report};
use crate::words::{bytes, count, number, time};
use std::fmt::Write;

/// The report as a table; the last line ends.
pub fn table(report: &Report) -> String {
    of(report, true)
}

/// The same, where steps' names stand elsewhere: they are as long as URLs are.
pub(crate) fn table_without_names(report: &Report) -> String {
    of(report, false)
}

fn of(report: &Report, names_steps: bool) -> String {
    let mut text = String::new();
    // Writing to memory does not fail.
    _ = write(report, names_steps, &mut text);
    text
}

fn write(report: &Report, names_steps: bool, to: &mut String) -> std::fmt::Result {
    let run = &report.run;
    let how = match (run.arrivals.as_str(), run.wanted_rate) {
        ("poisson", Some(rate)) => {
            format!("open loop, {rate} requests/s at random (seed {})", run.seed)
        }
        (_, Some(rate)) => format!("open loop, {rate} requests/s"),
        _ if run.depth > 1 => format!("closed loop, {} requests at once on each", run.depth),
        _ => "closed loop".to_owned(),
    };
    let connections = if run.keeps { "" } else { ", a new one for each request" };
    let clients = count(run.connections as u64, "connection");
    writeln!(to, "{} {}", run.method, run.targets.join(", "))?;
    writeln!(to, "{clients}{connections}; {how}; {:.2} s\n", report.took_s)?;
    writeln!(
        to,
        "{}, {:.1} a second; {}, {} a second",
        count(report.answers, "answer"),
        report.rate,
        bytes(report.bytes as f64),
        bytes(report.bytes as f64 / report.took_s.max(1e-9)),
    )?;
    let statuses: Vec<String> = report
        .by_status
        .iter()
        .map(|one| format!("{}: {}", one.status, number(one.latency.count)))
        .collect();
    if !statuses.is_empty() {
        writeln!(to, "by status: {}", statuses.join(", "))?;
    }
    if report.failed > 0 {
        writeln!(to, "{} failed:", count(report.failed, "request"))?;
        for one in &report.failures {
            writeln!(to, "{:>12}  {}", number(one.count), one.failure)?;
        }
    }
    writeln!(to)?;
    rows(report, names_steps, to)?;
    let generator = report.generator;
    let each = 1e6 * generator.cpu_s / (report.answers.max(1) as f64);
    writeln!(
        to,
        "\ngenerator: {each:.2} us of processor time a request, {:.0} % of {}; had none when it could run for {:.0} %",
        generator.load * 100.0,
        count(generator.cores as u64, "core"),
        generator.lack * 100.0,
    )?;
    if !report.warnings.is_empty() {
        writeln!(to)?;
    }
    report.warnings.iter().try_for_each(|warning| writeln!(to, "warning: {warning}"))
}

fn rows(report: &Report, names_steps: bool, to: &mut String) -> std::fmt::Result {
    let is_open = report.run.wanted_rate.is_some();
    let mut rows: Vec<(String, &Distribution)> = vec![("latency".to_owned(), &report.latency)];
    if report.by_status.len() > 1 {
        rows.extend(report.by_status.iter().map(|one| (format!("  {}", one.status), &one.latency)));
    }
    rows.push(("connect".to_owned(), &report.connect));
    rows.push(("TLS".to_owned(), &report.handshake));
    rows.push(("first byte".to_owned(), &report.first_byte));
    if is_open {
        rows.push(("last byte".to_owned(), &report.service));
        rows.push(("schedule slip".to_owned(), &report.slip));
    }
    rows.push(("woke up late".to_owned(), &report.oversleep));
    rows.push(("read late".to_owned(), &report.read_late));
    writeln!(
        to,
        "{:14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "mean", "deviation", "min", "50 %", "90 %", "99 %", "99.9 %", "max"
    )?;
    for (name, times) in rows.iter().filter(|(_, times)| times.count > 0) {
        row(name, times, to)?;
        writeln!(to)?;
    }
    for (number, one) in report.by_step.iter().enumerate() {
        row(&format!("step {}", number + 1), &one.latency, to)?;
        match names_steps {
            true => writeln!(to, "   {}", one.step)?,
            false => writeln!(to)?,
        }
    }
    Ok(())
}

/// A name and its times, without the line's end.
fn row(name: &str, times: &Distribution, to: &mut String) -> std::fmt::Result {
    write!(to, "{name:14}")?;
    let percentiles = [50.0, 90.0, 99.0, 99.9].map(|percent| times.percentile(percent) as f64);
    let first = [times.mean_ns, times.deviation_ns, times.min_ns as f64];
    let all = first.into_iter().chain(percentiles).chain([times.max_ns as f64]);
    all.into_iter().try_for_each(|ns| match times.count {
        0 => write!(to, "{:>10}", "-"),
        _ => write!(to, "{:>10}", time(ns)),
    })
}
