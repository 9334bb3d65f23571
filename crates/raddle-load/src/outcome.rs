//! What has come of a run.

use crate::failure::{Failure, Step};
use crate::recorder::{Recorder, Times};
use std::time::Duration;

/// Figures of one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// From the end of the warm-up to the interval's end.
    pub until: Duration,
    /// How long it was.
    pub took: Duration,
    /// Answers.
    pub answers: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Of the latencies of these answers, in nanoseconds.
    pub mean_ns: f64,
    /// The same: the percentiles 50, 90, 99 and 99.9, and the greatest.
    pub percentiles_ns: [u64; 5],
}

impl Interval {
    pub(crate) fn of(figures: &Recorder, until: Duration, took: Duration) -> Interval {
        let latency = figures.latency();
        Interval {
            until,
            took,
            answers: latency.count(),
            failures: figures.failed_count(),
            bytes: figures.bytes,
            mean_ns: latency.mean(),
            percentiles_ns: percentiles(&latency),
        }
    }

    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

fn percentiles(times: &Times) -> [u64; 5] {
    [50.0, 90.0, 99.0, 99.9, 100.0].map(|percent| times.percentile(percent))
}

/// Why a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All is done.
    Done,
    /// Somebody has stopped it.
    Stopped,
    /// The server could not be reached any more, for some seconds.
    Gone(Failure),
}

/// What has come of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All figures together.
    pub figures: Recorder,
    /// And by time.
    pub intervals: Vec<Interval>,
    /// The scenario's steps, for people, as [`Recorder::by_step`] counts them.
    pub steps: Vec<String>,
    /// What was measured took so long: from the end of the warm-up.
    pub took: Duration,
    /// Processor time of this process in that time.
    pub cpu: Duration,
    /// Time in which its kernel threads were ready to run, and others had the processors; of all threads together.
    pub waited: Duration,
    /// On so many cores.
    pub cores: usize,
    /// Whether these were busy all the time, as [`Plan::spin`](crate::Plan::spin) has them.
    pub stays_awake: bool,
    /// Whether requests had times of their own.
    pub is_open: bool,
    /// The rate that they were to have.
    pub wanted_rate: Option<f64>,
    /// Why it has ended.
    pub end: End,
}

impl Outcome {
    /// Answers in a second, of those that came in time.
    pub fn rate(&self) -> f64 {
        let in_time = self.figures.answers().saturating_sub(self.figures.late);
        in_time as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// How much of its cores this process has used, from 0 to 1.
    pub fn load(&self) -> f64 {
        let most = self.took.as_secs_f64() * self.cores as f64;
        self.cpu.as_secs_f64() / most.max(1e-9)
    }

    /// How much of its cores others had while this process was ready to run, from 0 to 1.
    pub fn lack(&self) -> f64 {
        let most = self.took.as_secs_f64() * self.cores as f64;
        (self.waited.as_secs_f64() / most.max(1e-9)).min(1.0)
    }

    /// What makes the figures doubtful, each in a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let figures = &self.figures;
        let latency = figures.latency();
        // Whoever stays awake uses all of it: if that is too little, threads come late.
        if self.load() > LOAD_MAX && !self.stays_awake {
            all.push(format!(
                "the generator was the bottleneck: it used {:.0} % of its {}, so its own queues are in the latencies and the server may be faster; \
                 give it more cores (-t), or ask for less (-c, --rate)",
                self.load() * 100.0,
                if self.cores == 1 { "core".to_owned() } else { format!("{} cores", self.cores) },
            ));
        } else if self.lack() > LACK_MAX {
            all.push(format!(
                "the generator was ready to run and had no processor for {:.0} % of the time, which is in the latencies: others run on this machine, perhaps the server",
                self.lack() * 100.0,
            ));
        } else if figures.oversleep.count() > 0 {
            let late = figures.oversleep.percentile(99.0);
            if late > OVERSLEEP_MAX_NS.max(latency.percentile(50.0) / 2) {
                all.push(format!(
                    "the generator woke up late: by {:.1} ms and more in one of 100 cases, which is in the latencies; something else takes its processors",
                    late as f64 / 1e6,
                ));
            }
        }
        if let Some(wanted) = self.wanted_rate {
            let busy = figures.slip.percentile(99.0);
            let late = figures.oversleep.percentile(99.0).max(OVERSLEEP_MAX_NS);
            if busy > 2 * late {
                all.push(format!(
                    "requests waited for a connection to be free, the slowest hundredth for {:.1} ms and more: the server, or the number of connections (-c), \
                     does not allow for {wanted} requests/s",
                    busy as f64 / 1e6,
                ));
            }
        }
        if figures.unfinished > 0 {
            all.push(format!(
                "{} had no answer when it ended, for up to {:.1} s; they are in no percentile",
                if figures.unfinished == 1 {
                    "1 request".to_owned()
                } else {
                    format!("{} requests", figures.unfinished)
                },
                figures.unfinished_age as f64 / 1e9,
            ));
        }
        let ports = |(failure, _): (&Failure, _)| {
            failure.step == Step::Connect && failure.errno == Some(EADDRNOTAVAIL)
        };
        if figures.failures.iter().any(ports) {
            all.push("this machine ran out of ports for new connections; net.ipv4.ip_local_port_range and tcp_tw_reuse say how many there are".to_owned());
        }
        all
    }
}

/// Above such a part of its cores a generator waits for itself.
const LOAD_MAX: f64 = 0.9;
/// Above such a part of its time without a processor it is too late too often.
const LACK_MAX: f64 = 0.1;
/// Who wakes up no later than that is in time.
const OVERSLEEP_MAX_NS: u64 = 1_000_000;
const EADDRNOTAVAIL: i32 = 99;
