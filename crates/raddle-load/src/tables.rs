//! A report for other programs: CSV by time, and data for gnuplot.

use crate::report::{Report, Slice};
use std::fmt::Write;

/// A line for each interval, with a head. RFC 4180, with line feeds.
pub fn csv(report: &Report) -> String {
    let mut text =
        "until_s,took_s,answers,failed,bytes,rate,mean_ns,p50_ns,p90_ns,p99_ns,p999_ns,max_ns\n"
            .to_owned();
    for one in &report.intervals {
        let Slice { until_s, took_s, answers, failed, bytes, .. } = one;
        let Slice { mean_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = one;
        let rate = one.rate();
        // Writing to memory does not fail.
        _ = writeln!(
            text,
            "{until_s:.3},{took_s:.3},{answers},{failed},{bytes},{rate:.3},{mean_ns:.0},{p50_ns},{p90_ns},{p99_ns},{p999_ns},{max_ns}"
        );
    }
    text
}

/// Two blocks of columns: the latency by percentile, and figures by time.
pub fn gnuplot(report: &Report) -> String {
    let mut text = String::from(
        "# raddle load. To plot the latency by percentile, and by time (FILE is this one):\n\
         # set logscale x; set xlabel 'one of so many'; set ylabel 'ms'; plot 'FILE' index 0 using 3:1 with lines title 'latency'\n\
         # set xlabel 's'; set ylabel 'ms'; plot 'FILE' index 1 using 1:3 with lines title 'p50', '' index 1 using 1:4 with lines title 'p99'\n\
         \n# latency_ms percentile one_of count\n",
    );
    let mut seen = 0;
    for (ns, count) in &report.latency.steps {
        seen += count;
        let left = report.latency.count.saturating_sub(seen);
        let one_of = report.latency.count as f64 / (left as f64).max(0.5);
        let percent = 100.0 * seen as f64 / report.latency.count as f64;
        let ms = *ns as f64 / 1e6;
        _ = writeln!(text, "{ms:.6} {percent:.6} {one_of:.3} {count}");
    }
    text.push_str("\n\n# until_s rate p50_ms p99_ms max_ms failed\n");
    for one in &report.intervals {
        let [p50, p99, max] = [one.p50_ns, one.p99_ns, one.max_ns].map(|ns| ns as f64 / 1e6);
        let (until, rate, failed) = (one.until_s, one.rate(), one.failed);
        _ = writeln!(text, "{until:.3} {rate:.3} {p50:.6} {p99:.6} {max:.6} {failed}");
    }
    text
}
