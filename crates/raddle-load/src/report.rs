//! A run's figures as they are kept: a value that goes into JSON and comes back.

use crate::failure::Failure;
use crate::outcome::{End, Interval, Outcome};
use crate::recorder::Times;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is kept of a run. Times are in nanoseconds where their names end so, else in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`](Report::FORMAT).
    pub format: String,
    /// What was done.
    pub run: About,
    /// How long it was measured.
    pub took_s: f64,
    /// Why it ended: `done`, `stopped`, or what has failed.
    pub end: String,
    /// Answers.
    pub answers: u64,
    /// Answers in a second.
    pub rate: f64,
    /// Answers after the end of the time, which are not in the rate.
    pub late: u64,
    /// Of these, answers to requests that were sent after it as well: the generator was behind its schedule, or a visit went on.
    #[serde(default)]
    pub sent_late: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests without an answer when it ended.
    pub unfinished: u64,
    /// What had come of their answers.
    #[serde(default)]
    pub unfinished_bytes: u64,
    /// Bytes of answers, with their heads.
    pub bytes: u64,
    /// From when a request was due to its answer's last byte.
    pub latency: Distribution,
    /// The same, by status.
    pub by_status: Vec<OfStatus>,
    /// The same, by step of a scenario.
    #[serde(default)]
    pub by_step: Vec<OfStep>,
    /// Until there was a connection.
    pub connect: Distribution,
    /// Until a TLS handshake was done.
    pub handshake: Distribution,
    /// From sending to the answer's first byte.
    pub first_byte: Distribution,
    /// From sending to the answer's last byte; of a closed loop it is the latency.
    pub service: Distribution,
    /// From when a request was due to when it was sent.
    pub slip: Distribution,
    /// How late the generator woke up.
    pub oversleep: Distribution,
    /// How long answers were there until the generator read them; empty where the kernel did not say when they came.
    #[serde(default)]
    pub read_late: Distribution,
    /// What failed, and how often.
    pub failures: Vec<Failed>,
    /// Figures by time.
    pub intervals: Vec<Slice>,
    /// What the generator needed for it.
    pub generator: Generator,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// What was asked for.
    pub targets: Vec<String>,
    /// The method.
    pub method: String,
    /// Clients.
    pub connections: usize,
    /// Requests on their way on a connection.
    pub depth: usize,
    /// Whether connections served for many requests.
    pub keeps: bool,
    /// `closed`, `even`, `poisson`.
    pub arrivals: String,
    /// What was to come in a second.
    pub wanted_rate: Option<f64>,
    /// What was drawn was drawn from this.
    pub seed: u64,
    /// Seconds that did not count.
    pub warm_up_s: f64,
    /// When it began, in seconds since 1970.
    pub begun_unix_s: u64,
}

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// The mean.
    pub mean_ns: f64,
    /// The standard deviation.
    pub deviation_ns: f64,
    /// The least.
    pub min_ns: u64,
    /// The greatest.
    pub max_ns: u64,
    /// What so many of a hundred are not above.
    pub percentiles: Vec<Percentile>,
    /// All of them: up to which time, how many. Right to 0.1 %.
    pub steps: Vec<(u64, u64)>,
}

/// A percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// Of a hundred.
    pub percent: f64,
    /// The time.
    pub ns: u64,
}

/// Latencies of one status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfStatus {
    /// The status.
    pub status: u16,
    /// Its latencies.
    pub latency: Distribution,
}

/// Latencies of one step of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfStep {
    /// Its flow and what it asks for: `buy: PUT /carts/${id}`.
    pub step: String,
    /// Its latencies; without any, it had no answer.
    pub latency: Distribution,
}

/// A failure and its count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// What.
    #[serde(flatten)]
    pub failure: Failure,
    /// How often.
    pub count: u64,
}

/// Figures of one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its end, counted from the end of the warm-up.
    pub until_s: f64,
    /// Its length.
    pub took_s: f64,
    /// Answers.
    pub answers: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// The mean latency.
    pub mean_ns: f64,
    /// The median latency.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The greatest latency.
    pub max_ns: u64,
}

impl Slice {
    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.took_s.max(1e-9)
    }
}

/// What the generator needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Processor time.
    pub cpu_s: f64,
    /// Its cores.
    pub cores: usize,
    /// How much of them it has used, from 0 to 1.
    pub load: f64,
    /// How much of them others had while it was ready to run, from 0 to 1.
    pub lack: f64,
}

/// Those that are told of everything.
const PERCENTS: [f64; 12] =
    [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999];

impl Distribution {
    pub(crate) fn of(times: &Times) -> Distribution {
        if times.count() == 0 {
            return Distribution::default();
        }
        Distribution {
            count: times.count(),
            mean_ns: times.mean(),
            deviation_ns: times.deviation(),
            min_ns: times.min(),
            max_ns: times.max(),
            percentiles: PERCENTS
                .map(|percent| Percentile { percent, ns: times.percentile(percent) })
                .to_vec(),
            steps: times.steps().collect(),
        }
    }

    /// What so many of a hundred are not above; any percentile, to 0.1 % of the time. 0 for none at all.
    ///
    /// ```
    /// use raddle_load::Distribution;
    /// let four = Distribution { count: 4, max_ns: 9, steps: vec![(1, 2), (9, 2)], ..Distribution::default() };
    /// assert_eq!((four.percentile(50.0), four.percentile(51.0), four.percentile(100.0)), (1, 9, 9));
    /// ```
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.count as f64 * percent / 100.0 - 1e-6).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.steps.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(self.max_ns, |(ns, _)| *ns).min(self.max_ns)
    }
}

/// Why a text is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReport(String);

impl fmt::Display for NoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoReport {}

impl Report {
    /// What `format` says.
    pub const FORMAT: &str = "raddle-load 1";

    /// Of this outcome.
    pub fn of(outcome: &Outcome, run: About) -> Report {
        let figures = &outcome.figures;
        let mut by_status: Vec<OfStatus> = figures
            .by_status
            .iter()
            .filter(|(_, times)| times.count() > 0)
            .map(|(status, times)| OfStatus { status: *status, latency: Distribution::of(times) })
            .collect();
        by_status.sort_by_key(|one| one.status);
        let steps = outcome.steps.iter().enumerate().map(|(number, step)| OfStep {
            step: step.clone(),
            latency: figures.by_step.get(number).map(Distribution::of).unwrap_or_default(),
        });
        let latency = Distribution::of(&figures.latency());
        let service = match outcome.is_open {
            true => Distribution::of(&figures.service),
            false => latency.clone(),
        };
        let failure =
            |(failure, count): (&Failure, &u64)| Failed { failure: failure.clone(), count: *count };
        Report {
            format: Report::FORMAT.to_owned(),
            run,
            took_s: outcome.took.as_secs_f64(),
            end: match &outcome.end {
                End::Done => "done".to_owned(),
                End::Stopped => "stopped".to_owned(),
                End::Gone(failure) => failure.to_string(),
            },
            answers: latency.count,
            rate: outcome.rate(),
            late: figures.late,
            sent_late: figures.sent_late,
            failed: figures.failed_count(),
            unfinished: figures.unfinished,
            unfinished_bytes: figures.unfinished_bytes,
            bytes: figures.bytes,
            latency,
            by_status,
            by_step: steps.collect(),
            connect: Distribution::of(&figures.connect),
            handshake: Distribution::of(&figures.handshake),
            first_byte: Distribution::of(&figures.first_byte),
            service,
            slip: Distribution::of(&figures.slip),
            oversleep: Distribution::of(&figures.oversleep),
            read_late: Distribution::of(&figures.read_late),
            failures: figures.failures.iter().map(failure).collect(),
            intervals: outcome.intervals.iter().map(slice).collect(),
            generator: Generator {
                cpu_s: outcome.cpu.as_secs_f64(),
                cores: outcome.cores,
                load: outcome.load(),
                lack: outcome.lack(),
            },
            warnings: outcome.warnings(),
        }
    }

    /// As JSON, in one line.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers, texts and lists");
        text.push('\n');
        text
    }

    /// Back from JSON.
    ///
    /// # Errors
    ///
    /// If it is none, or of something else.
    ///
    /// ```
    /// let error = raddle_load::Report::from_json("{}").unwrap_err();
    /// assert!(error.to_string().contains("missing field `format`"), "{error}");
    /// ```
    pub fn from_json(text: &str) -> Result<Report, NoReport> {
        let report: Report = serde_json::from_str(text)
            .map_err(|error| NoReport(format!("it is no report of raddle load: {error}")))?;
        match report.format == Report::FORMAT {
            true => Ok(report),
            false => Err(NoReport(format!(
                "its format is {:?}, and this version reads {:?}",
                report.format,
                Report::FORMAT
            ))),
        }
    }
}

fn slice(interval: &Interval) -> Slice {
    let [p50_ns, p90_ns, p99_ns, p999_ns, max_ns] = interval.percentiles_ns;
    Slice {
        until_s: interval.until.as_secs_f64(),
        took_s: interval.took.as_secs_f64(),
        answers: interval.answers,
        failed: interval.failures,
        bytes: interval.bytes,
        mean_ns: interval.mean_ns,
        p50_ns,
        p90_ns,
        p99_ns,
        p999_ns,
        max_ns,
    }
}
