//! A report as one page: the table, and plots, with nothing to be loaded from elsewhere.

use crate::plot::{self, Axis, Line, Scale, plot};
use crate::report::Report;
use crate::table::table;
use crate::words;

/// Beside the plots' own.
const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:860px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin:1.8em 0 .4em}
pre{overflow-x:auto;white-space:pre-wrap;font-size:13px;line-height:1.45}
svg{width:100%;height:auto}";

/// The whole page.
pub fn page(report: &Report) -> String {
    let title =
        escape(&format!("raddle load: {} {}", report.run.method, report.run.targets.join(", ")));
    let ms = |ns: u64| ns as f64 / 1e6;
    let milliseconds = Axis { name: "", scale: Scale::Log, label: |ms| words::time(ms * 1e6) };
    let by_percentile = plot(
        &Axis { name: "percentile", scale: Scale::Log, label: percentile },
        &Axis { scale: Scale::Linear, ..milliseconds },
        &[Line { name: "latency".to_owned(), points: points_by_percentile(report) }],
    );
    let seconds = Axis { name: "seconds", scale: Scale::Linear, label: short };
    let line = |name: &str, of: fn(&crate::report::Slice) -> f64| Line {
        name: name.to_owned(),
        points: report.intervals.iter().map(|one| (one.until_s, of(one))).collect(),
    };
    let over_time = plot(
        &seconds,
        &milliseconds,
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
    let worst = words::time(ms(report.latency.max_ns) * 1e6);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{}\n{STYLE}\n</style>\n<h1>{title}</h1>\n<pre>{}</pre>\n\
         <h2>Latency by percentile, up to {worst}</h2>\n{by_percentile}<h2>Latency over time</h2>\n{over_time}<h2>Throughput</h2>\n{throughput}</html>\n",
        plot::STYLE,
        escape(&table(report)),
    )
}

/// One of so many is above; and the latency.
fn points_by_percentile(report: &Report) -> Vec<(f64, f64)> {
    let all = report.latency.count as f64;
    let mut points = Vec::new();
    // As many as can be told apart on a screen.
    let mut one_of = 1.0_f64;
    while one_of < all * 1.12 {
        let percent = 100.0 * (1.0 - 1.0 / one_of.min(all.max(1.0)));
        points.push((one_of.min(all), report.latency.percentile(percent) as f64 / 1e6));
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
