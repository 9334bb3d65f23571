//! What a run's figures must not be: tests for CI.

use crate::report::Report;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A test that fails a run: `p99>20ms`, `mean>=5ms`, `max>1s`, `rate<1000`, `failed>0`, `failed>0.1%`.
///
/// ```
/// use raddle_load::Limit;
/// let limit: Limit = "p99.9 > 20ms".parse()?;
/// assert_eq!(limit.to_string(), "p99.9 > 20ms");
/// assert!("p99 > 20".parse::<Limit>().is_err());
/// # Ok::<(), raddle_load::BadLimit>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    text: String,
    figure: Figure,
    comparison: Comparison,
    than: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// In nanoseconds.
    Percentile(f64),
    Mean,
    Max,
    Rate,
    Failed,
    /// Of a hundred requests.
    FailedPercent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Why a text is no [`Limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLimit(String);

impl fmt::Display for BadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadLimit {}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Limit, BadLimit> {
        let bad = |why: &str| {
            BadLimit(format!(
                "{why}; give a test like 'p99>20ms', 'mean>5ms', 'rate<1000' or 'failed>0.1%'"
            ))
        };
        let at = text.find(['<', '>']).ok_or_else(|| bad("there is no < or > in it"))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let signs = [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost)];
        let signs = signs.into_iter().chain([(">", Comparison::Above), ("<", Comparison::Below)]);
        let (comparison, value) = signs
            .into_iter()
            .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?.trim())))
            .ok_or_else(|| bad("there is no < or > in it"))?;
        let number = |value: &str| {
            let number =
                value.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
            number.ok_or_else(|| bad(&format!("{value:?} is no number")))
        };
        let ns =
            |value: &str| time(value).map(|time| time.as_nanos() as f64).map_err(|why| bad(&why));
        let (figure, than) = match name {
            "rate" => (Figure::Rate, number(value)?),
            "failed" => match value.strip_suffix('%') {
                Some(value) => (Figure::FailedPercent, number(value.trim())?),
                None => (Figure::Failed, number(value)?),
            },
            "mean" => (Figure::Mean, ns(value)?),
            "max" => (Figure::Max, ns(value)?),
            _ => {
                let percent = name.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
                let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                let percent = percent.ok_or_else(|| bad(&format!("{name:?} is no figure")))?;
                (Figure::Percentile(percent), ns(value)?)
            }
        };
        Ok(Limit { text: text.to_owned(), figure, comparison, than })
    }
}

impl Limit {
    /// Whether it is so; then what there is, in words. Times of nothing at all are above every limit.
    pub fn is_met_by(&self, report: &Report) -> Option<String> {
        let of_latency = |ns: f64| if report.answers == 0 { f64::INFINITY } else { ns };
        let requests = (report.answers + report.failed).max(1) as f64;
        let value = match self.figure {
            Figure::Percentile(percent) => of_latency(report.latency.percentile(percent) as f64),
            Figure::Mean => of_latency(report.latency.mean_ns),
            Figure::Max => of_latency(report.latency.max_ns as f64),
            Figure::Rate => report.rate,
            Figure::Failed => report.failed as f64,
            Figure::FailedPercent => 100.0 * report.failed as f64 / requests,
        };
        let is_so = match self.comparison {
            Comparison::Above => value > self.than,
            Comparison::AtLeast => value >= self.than,
            Comparison::Below => value < self.than,
            Comparison::AtMost => value <= self.than,
        };
        is_so.then(|| match self.figure {
            Figure::Percentile(_) | Figure::Mean | Figure::Max if report.answers == 0 => {
                "there were no answers".to_owned()
            }
            Figure::Percentile(_) | Figure::Mean | Figure::Max => {
                format!("it is {:.3} ms", value / 1e6)
            }
            Figure::Rate => format!("it is {value:.1}"),
            Figure::Failed => format!("it is {value}"),
            Figure::FailedPercent => format!("it is {value:.3} %"),
        })
    }
}

/// A time as people write it: a number and `ns`, `us`, `ms`, `s`, `m` or `h`.
///
/// # Errors
///
/// What is wrong with it, in words.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(raddle_load::time("1.5ms"), Ok(Duration::from_micros(1500)));
/// assert!(raddle_load::time("5").unwrap_err().contains("no unit"));
/// ```
pub fn time(text: &str) -> Result<Duration, String> {
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .ok_or_else(|| format!("{text:?} has no unit: write {text}s or {text}ms"))?;
    let (digits, unit) = (&text[..at], text[at..].trim());
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is no unit of time: ns, us, ms, s, m and h are")),
    };
    let number =
        digits.parse::<f64>().map_err(|_| format!("{text:?} does not begin with a number"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if time <= Duration::from_secs(10_000_000) => Ok(time),
        _ => Err(format!("{text:?} is too long")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Distribution;

    fn report() -> Report {
        let mut report = Report::from_json(include_str!("../tests/data/empty.json")).unwrap();
        report.latency = Distribution {
            count: 100,
            mean_ns: 2e6,
            max_ns: 30_000_000,
            steps: vec![(1_000_000, 98), (20_000_000, 1), (30_000_000, 1)],
            ..Distribution::default()
        };
        (report.answers, report.failed, report.rate) = (100, 1, 500.0);
        report
    }

    #[test]
    fn limits_are_met_or_not() {
        let met = |text: &str| text.parse::<Limit>().unwrap().is_met_by(&report()).is_some();
        for text in [
            "p99>19ms",
            "p99>=20ms",
            "max > 29ms",
            "rate<501",
            "failed>0",
            "failed>0.9%",
            "mean<=2ms",
        ] {
            assert!(met(text), "{text}");
        }
        for text in
            ["p99>20ms", "p98>=2ms", "max>30ms", "rate<500", "failed>1", "failed>1%", "mean<2ms"]
        {
            assert!(!met(text), "{text}");
        }
        let nothing = Report { answers: 0, ..report() };
        let limit: Limit = "p50>1h".parse().unwrap();
        assert_eq!(limit.is_met_by(&nothing).as_deref(), Some("there were no answers"));
    }

    #[test]
    fn what_is_no_limit_is_told() {
        for (text, why) in [
            ("p99", "no < or >"),
            ("q99>1s", "\"q99\" is no figure"),
            ("p101>1s", "\"p101\" is no figure"),
            ("p99>20", "no unit"),
            ("p99>20min", "no unit of time"),
            ("rate<fast", "no number"),
            ("failed>-1", "no number"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
