//! Many threads that connect at the same moment, each with one message for an echo server: what a crowd at the door meets.
//!
//! After kecho's `bench`: 1,000 threads at a barrier, one message each, ten rounds. Apart from it connecting and the round trip are told
//! apart, and not the mean alone.

use crate::failure::{Failure, Step};
use crate::plot::{Axis, Line, Scale, plot};
use crate::recorder::Times;
use crate::report::Distribution;
use crate::words;
use raddle::net::{SocketOptions, TcpStream};
use raddle::sync::Barrier;
use raddle::thread;
use raddle::time::{Duration, Instant};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// What is to be done.
///
/// ```
/// use raddle::{io::{Read, Write}, net::TcpListener, thread};
/// use raddle_load::Burst;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// thread::spawn(move || for stream in listener.incoming().flatten() {
///     thread::spawn(move || raddle::io::copy(&mut &stream, &mut &stream));
/// });
/// let crowd = Burst { threads: 10, ..Burst::new(address) }.run()?;
/// assert_eq!(crowd.trip.count(), 100);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Burst {
    /// The echo server.
    pub address: SocketAddr,
    /// So many threads.
    pub threads: usize,
    /// So many times, one after the other.
    pub rounds: usize,
    /// What each sends.
    pub message: Vec<u8>,
    /// How long each waits: for a connection, and for its message.
    pub patience: Duration,
}

/// What has come of it.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Until there was a connection.
    pub connect: Times,
    /// From sending the message to the last byte of its echo.
    pub trip: Times,
    /// The means of each thread that had one round at least.
    pub threads: Vec<ThreadMeans>,
    /// What failed, and how often.
    pub failures: BTreeMap<Failure, u64>,
    /// How long all rounds took.
    pub took: Duration,
}

/// A thread's means, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreadMeans {
    /// Which.
    pub number: usize,
    /// Rounds without a failure.
    pub rounds: usize,
    /// Until there was a connection.
    pub connect_ns: f64,
    /// From sending to the echo's last byte.
    pub trip_ns: f64,
}

/// Of a round: the times for the connection and the round trip.
type Round = Result<(u64, u64), Failure>;

impl Burst {
    /// 1,000 threads, ten rounds, 13 bytes.
    pub fn new(address: SocketAddr) -> Burst {
        Burst {
            address,
            threads: 1_000,
            rounds: 10,
            message: b"hello, raddle".to_vec(),
            patience: Duration::from_secs(30),
        }
    }

    /// Runs all rounds.
    ///
    /// # Errors
    ///
    /// If there are not enough threads. What else fails is counted.
    pub fn run(&self) -> io::Result<Crowd> {
        let begun = Instant::now();
        let barrier = Arc::new(Barrier::new(self.threads));
        let mut threads = Vec::with_capacity(self.threads);
        for number in 0..self.threads {
            let (own, door) = (self.clone(), barrier.clone());
            let all = move || -> Vec<Round> {
                let round = |_| {
                    door.wait();
                    own.round()
                };
                (0..own.rounds).map(round).collect()
            };
            let name = format!("burst {number}");
            threads.push(thread::Builder::new().name(name).spawn(all)?);
        }
        let mut crowd = Crowd::default();
        for (number, thread) in threads.into_iter().enumerate() {
            let rounds = thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why));
            crowd.add(number, rounds);
        }
        crowd.took = begun.elapsed();
        Ok(crowd)
    }

    fn round(&self) -> Round {
        let begun = Instant::now();
        let stream =
            SocketOptions::new().nodelay(true).connect_timeout(&self.address, self.patience);
        let mut stream = stream.map_err(|error| Failure::of(Step::Connect, &error))?;
        let connected = Instant::now();
        let connect = connected.duration_since(begun);
        let failed = |step| move |error: io::Error| Failure::of(step, &error);
        stream.set_read_timeout(Some(self.patience)).map_err(failed(Step::Connect))?;
        stream.write_all(&self.message).map_err(failed(Step::Send))?;
        self.echo(&mut stream)?;
        let trip = connected.elapsed();
        Ok((connect.as_nanos() as u64, trip.as_nanos() as u64))
    }

    /// Reads what was sent, and nothing else.
    fn echo(&self, stream: &mut TcpStream) -> Result<(), Failure> {
        let (mut piece, mut seen) = ([0; 4 << 10], 0);
        while seen < self.message.len() {
            let most = piece.len().min(self.message.len() - seen);
            match stream.read(&mut piece[..most]) {
                Ok(0) => return Err(Failure::closed(seen > 0)),
                Ok(count) if piece[..count] == self.message[seen..seen + count] => seen += count,
                Ok(_) => return Err(Failure::no_echo()),
                Err(error) => return Err(Failure::of(Step::Receive, &error)),
            }
        }
        Ok(())
    }
}

impl Crowd {
    fn add(&mut self, number: usize, rounds: Vec<Round>) {
        let (mut done, mut connect, mut trip) = (0_usize, 0, 0);
        for round in rounds {
            match round {
                Ok(times) => {
                    self.connect.add(times.0);
                    self.trip.add(times.1);
                    (done, connect, trip) = (done + 1, connect + times.0, trip + times.1);
                }
                Err(failure) => *self.failures.entry(failure).or_default() += 1,
            }
        }
        if done > 0 {
            let mean = |sum: u64| sum as f64 / done as f64;
            let (connect_ns, trip_ns) = (mean(connect), mean(trip));
            self.threads.push(ThreadMeans { number, rounds: done, connect_ns, trip_ns });
        }
    }

    /// For people; the last line ends.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:22}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
            "", "mean", "min", "50 %", "90 %", "99 %", "max"
        );
        let means = |of: fn(&ThreadMeans) -> f64| {
            let mut times = Times::default();
            self.threads.iter().for_each(|one| times.add(of(one) as u64));
            times
        };
        for (name, times) in [
            ("connect", &self.connect),
            ("  a thread's mean", &means(|one| one.connect_ns)),
            ("round trip", &self.trip),
            ("  a thread's mean", &means(|one| one.trip_ns)),
        ] {
            if times.count() == 0 {
                continue;
            }
            _ = write!(text, "{name:22}");
            let percentiles = [50.0, 90.0, 99.0].map(|percent| times.percentile(percent) as f64);
            let first = [times.mean(), times.min() as f64];
            for ns in first.into_iter().chain(percentiles).chain([times.max() as f64]) {
                // Writing to memory does not fail.
                _ = write!(text, "{:>10}", words::time(ns));
            }
            text.push('\n');
        }
        for (failure, count) in &self.failures {
            _ = writeln!(text, "{} failed: {failure}", words::count(*count, "message"));
        }
        text
    }

    /// All but the single threads, as JSON in one line.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Said {
            took_s: f64,
            connect: Distribution,
            trip: Distribution,
            failed: u64,
        }
        let (connect, trip) = (Distribution::of(&self.connect), Distribution::of(&self.trip));
        let (took_s, failed) = (self.took.as_secs_f64(), self.failures.values().sum());
        let said = Said { took_s, connect, trip, failed };
        let mut text = serde_json::to_string(&said).expect("numbers and lists");
        text.push('\n');
        text
    }

    /// A line for each thread, with a head.
    pub fn csv(&self) -> String {
        let mut text = "thread,rounds,connect_mean_ns,trip_mean_ns\n".to_owned();
        for one in &self.threads {
            let ThreadMeans { number, rounds, connect_ns, trip_ns } = one;
            _ = writeln!(text, "{number},{rounds},{connect_ns:.0},{trip_ns:.0}");
        }
        text
    }

    /// A line for each thread: its number, and its means in microseconds.
    pub fn gnuplot(&self) -> String {
        let mut text = "# raddle burst. To plot it (FILE is this one):\n\
             # set xlabel 'thread'; set ylabel 'us'; plot 'FILE' using 1:2 title 'connect', '' using 1:3 title 'round trip'\n\
             # thread connect_us trip_us\n"
            .to_owned();
        for one in &self.threads {
            let (connect, trip) = (one.connect_ns / 1e3, one.trip_ns / 1e3);
            _ = writeln!(text, "{} {connect:.3} {trip:.3}", one.number);
        }
        text
    }

    /// The means of all threads, as a picture that needs nothing else.
    pub fn svg(&self) -> String {
        let line = |name: &str, of: fn(&ThreadMeans) -> f64| Line {
            name: name.to_owned(),
            points: self.threads.iter().map(|one| (one.number as f64, of(one))).collect(),
        };
        let picture = plot(
            &Axis { name: "thread", scale: Scale::Linear, label: |value| format!("{value:.0}") },
            &Axis { name: "", scale: Scale::Linear, label: words::time },
            &[line("connect", |one| one.connect_ns), line("round trip", |one| one.trip_ns)],
        );
        // A picture has no page around it that says what it looks like.
        picture.replacen(
            "role=\"img\">",
            &format!(
                "role=\"img\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\"><style>{}</style>",
                crate::plot::STYLE
            ),
            1,
        )
    }
}
