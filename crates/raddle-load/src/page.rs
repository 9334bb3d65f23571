//! A report as one page: the table, and plots, with nothing to be loaded from elsewhere.

use crate::plot::{self, Axis, Line, Scale, plot};
use crate::report::{Distribution, OfStep, Report};
use crate::table::table_without_names;
use crate::words;

const PERCENTILES: Axis = Axis { name: "percentile", scale: Scale::Log, label: percentile };
/// In milliseconds.
const TIMES: Axis = Axis { name: "", scale: Scale::Linear, label: |ms| words::time(ms * 1e6) };

/// Beside the plots' own.
const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:860px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em;overflow-wrap:anywhere}h2{font-size:1.1em;margin:1.8em 0 .4em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px;line-height:1.45}
li{font:13px/1.45 monospace;overflow-wrap:anywhere;margin:.3em 0}
svg{width:100%;height:auto}";

/// The whole page.
pub fn page(report: &Report) -> String {
    let title =
        escape(&format!("raddle load: {} {}", report.run.method, report.run.targets.join(", ")));
    let by_percentile = plot(
        &PERCENTILES,
        &TIMES,
        &[Line { name: "latency".to_owned(), points: points_by_percentile(&report.latency) }],
    );
    let by_step = match &report.by_step[..] {
        [] => String::new(),
        steps => by_step(steps),
    };
    let seconds = Axis { name: "seconds", scale: Scale::Linear, label: short };
    let line = |name: &str, of: fn(&crate::report::Slice) -> f64| Line {
        name: name.to_owned(),
        points: report.intervals.iter().map(|one| (one.until_s, of(one))).collect(),
    };
    let over_time = plot(
        &seconds,
        &Axis { scale: Scale::Log, ..TIMES },
        &[
            line("p50", |one| one.p50_ns as f64 / 1e6),
            line("p99", |one| one.p99_ns as f64 / 1e6),
            line("max", |one| one.max_ns as f64 / 1e6),
        ],
    );
    let throughput = plot(
        &seconds,
        &Axis { name: "", scale: Scale::Linear, label: |rate| words::number(rate as u64) },
        &[line("answers/s", crate::report::Slice::rate), line("failed", |one| one.failed as f64)],
    );
    let worst = words::time(report.latency.max_ns as f64);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{}\n{STYLE}\n</style>\n<h1>{title}</h1>\n<pre>{}</pre>\n\
         <h2>Latency by percentile, up to {worst}</h2>\n{by_percentile}{by_step}<h2>Latency over time</h2>\n{over_time}<h2>Throughput</h2>\n{throughput}</html>\n",
        plot::STYLE,
        escape(&table_without_names(report)),
    )
}

/// A plot with a line for each step of a scenario, and their names, numbered as in the table: in a row of it a URL would be folded.
fn by_step(steps: &[OfStep]) -> String {
    let line = |(number, one): (usize, &OfStep)| Line {
        name: format!("step {}", number + 1),
        points: points_by_percentile(&one.latency),
    };
    let lines: Vec<Line> = steps.iter().enumerate().map(line).collect();
    let names: String =
        steps.iter().map(|one| format!("<li>{}</li>\n", escape(&one.step))).collect();
    let plot = plot(&PERCENTILES, &TIMES, &lines);
    format!("<h2>Latency by percentile, step by step</h2>\n{plot}<ol>\n{names}</ol>\n")
}

/// One of so many is above; and the latency.
fn points_by_percentile(latency: &Distribution) -> Vec<(f64, f64)> {
    let all = latency.count as f64;
    let mut points = Vec::new();
    // As many as can be told apart on a screen.
    let mut one_of = 1.0_f64;
    while one_of < all * 1.12 {
        let percent = 100.0 * (1.0 - 1.0 / one_of.min(all.max(1.0)));
        points.push((one_of.min(all), latency.percentile(percent) as f64 / 1e6));
        one_of *= 1.12;
    }
    points
}

/// `90 %` for one of ten.
fn percentile(one_of: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / one_of);
    let digits = (one_of.log10().round() as usize).saturating_sub(2);
    format!("{percent:.digits$} %")
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
