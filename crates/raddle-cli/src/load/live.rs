//! What is shown while it runs: a bar and figures on a terminal, a plain line a second elsewhere. On the standard error: the table's way is free.

use super::options::LoadOptions;
use crate::text;
use raddle_load::{Interval, Plan};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

pub(super) struct Live {
    form: Form,
    /// What the bar is of: time, or requests.
    whole: Whole,
    answers: u64,
    failures: u64,
    /// Of the last intervals.
    rates: Vec<f64>,
}

enum Form {
    Nothing,
    Lines,
    Bar,
}

enum Whole {
    Time(Duration),
    Requests(u64),
}

/// So many intervals are in the little plot.
const HISTORY: usize = 24;
/// Characters of the bar.
const BAR: usize = 20;

impl Live {
    pub(super) fn new(options: &LoadOptions, plan: &Plan) -> Live {
        let form = match (options.quiet, io::stderr().is_terminal()) {
            (true, _) => Form::Nothing,
            (false, true) => Form::Bar,
            (false, false) => Form::Lines,
        };
        let whole = match (plan.requests, plan.time) {
            (Some(requests), _) => Whole::Requests(requests),
            (None, Some(time)) => Whole::Time(time),
            (None, None) => unreachable!("a run has an end"),
        };
        Live { form, whole, answers: 0, failures: 0, rates: Vec::new() }
    }

    /// Shows an interval.
    pub(super) fn show(&mut self, interval: &Interval) {
        self.answers += interval.answers;
        self.failures += interval.failures;
        let line = self.line(interval);
        // Nobody reads if this fails.
        _ = match self.form {
            Form::Nothing => Ok(()),
            Form::Lines => writeln!(io::stderr(), "raddle: {line}"),
            Form::Bar => {
                if self.rates.len() == HISTORY {
                    self.rates.remove(0);
                }
                self.rates.push(interval.rate());
                let bar = bar(self.done(interval), BAR);
                // It ends where the terminal does: without wrapping, the next one finds its beginning.
                write!(io::stderr(), "\r\x1b[K\x1b[?7l{bar} {line}  {}\x1b[?7h", spark(&self.rates))
            }
        };
    }

    /// Leaves nothing of it.
    pub(super) fn end(&self) {
        if matches!(self.form, Form::Bar) {
            _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, interval: &Interval) -> String {
        let failed = match self.failures {
            0 => String::new(),
            some => format!(", {} failed", text::number(some)),
        };
        let seconds = interval.until.as_secs_f64();
        if interval.answers == 0 {
            return format!("{seconds:.0} s: no answers{failed}");
        }
        let [p50, _, p99, _, max] =
            interval.percentiles_ns.map(Duration::from_nanos).map(text::time);
        let rate = interval.rate();
        let rate = if rate < 100.0 { format!("{rate:.1}") } else { text::number(rate as u64) };
        format!("{seconds:.0} s: {rate} answers/s, p50 {p50}, p99 {p99}, max {max}{failed}")
    }

    fn done(&self, interval: &Interval) -> f64 {
        match self.whole {
            Whole::Time(all) => interval.until.as_secs_f64() / all.as_secs_f64().max(1e-9),
            Whole::Requests(all) => (self.answers + self.failures) as f64 / all as f64,
        }
    }
}

fn bar(done: f64, width: usize) -> String {
    let full = (done.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("[{}{}]", "#".repeat(full), "-".repeat(width - full))
}

/// A line of blocks, from nothing to the greatest.
fn spark(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let block = |value: &f64| BLOCKS[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1];
    values.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_plots_stay_within_their_width() {
        assert_eq!([bar(0.0, 4), bar(0.5, 4), bar(7.0, 4)], ["[----]", "[##--]", "[####]"]);
        assert_eq!(spark(&[0.0, 1.0, 4.0, 8.0]), "▁▁▄█");
        assert_eq!(spark(&[0.0]), "▁");
    }
}
