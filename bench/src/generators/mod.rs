//! Load generators: what they are told to do, and what they say when they have done it, in one form for all.
//!
//! `raddle-bench load` measures them; `raddle-bench http` measures servers with one of them.
//!
//! | module | whose |
//! |---|---|
//! | `raddle` | `raddle load` |
//! | `wrk` | wrk, with scripts in Lua |
//! | `oha` | oha, on tokio |
//! | `h2load` | nghttp2's |

mod h2load;
mod oha;
mod raddle;
mod wrk;

use crate::built;
use raddle_bench::process;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Whose generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Generator {
    /// raddle load: a thread for each connection
    Raddle,
    /// wrk, on one thread
    Wrk,
    /// oha, on tokio's current_thread
    Oha,
    /// h2load, on one thread
    H2load,
}

/// How requests follow each other on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One after the other.
    Kept,
    /// So many sent together.
    Pipelined(usize),
    /// Each has a connection of its own.
    NewConnection,
}

/// What a generator is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) connections: usize,
    pub(crate) shape: Shape,
    pub(crate) seconds: u64,
}

/// What a generator says of a run in which nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Answers, complete.
    pub(crate) answers: f64,
    /// Answers a second, by its own clock.
    pub(crate) rate: f64,
    /// Bytes of answers and of parts of them.
    pub(crate) bytes: f64,
    /// Percentiles of its latencies, in microseconds, if it says them.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

/// A generator that is there, and the processor that it is to have.
pub(crate) struct Client {
    pub(crate) generator: Generator,
    pub(crate) processor: usize,
    program: PathBuf,
    /// wrk's.
    scripts: Option<wrk::Scripts>,
}

impl Generator {
    /// As the JSON calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Generator::Raddle => "raddle",
            Generator::Wrk => "wrk",
            Generator::Oha => "oha",
            Generator::H2load => "h2load",
        }
    }

    /// As people call it.
    pub(crate) fn client_name(self) -> &'static str {
        if self == Generator::Raddle { "raddle load" } else { self.name() }
    }

    /// What it can't do, if that is asked for.
    pub(crate) fn lacks(self, shape: Shape) -> Option<&'static str> {
        match (self, shape) {
            (Generator::Oha, Shape::Pipelined(_)) => Some("it does not pipeline over HTTP/1.1"),
            (Generator::H2load, Shape::NewConnection) => Some("it keeps its connections"),
            _ => None,
        }
    }
}

impl Client {
    /// The generator, if it is there; else what to do about it.
    pub(crate) fn find(generator: Generator, processor: usize) -> Result<Client, String> {
        let program = match generator {
            Generator::Raddle => built::beside("raddle", "raddle-cli")?,
            Generator::Wrk | Generator::Oha | Generator::H2load => {
                built::on_path(generator.name())?
            }
        };
        let scripts = match generator {
            Generator::Wrk => Some(wrk::Scripts::make().map_err(|error| error.to_string())?),
            _ => None,
        };
        Ok(Client { generator, processor, program, scripts })
    }

    /// Its command for that, pinned to its processor.
    pub(crate) fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        match (self.generator, &self.scripts) {
            (Generator::Raddle, _) => raddle::arguments(&mut command, job, "0s"),
            (Generator::Oha, _) => oha::arguments(&mut command, job),
            (Generator::H2load, _) => h2load::arguments(&mut command, job),
            (Generator::Wrk, scripts) => {
                let scripts = scripts.as_ref().expect("made when it was found");
                wrk::arguments(&mut command, job, &scripts.of(job.shape));
            }
        }
        self.finish(command)
    }

    /// That of `raddle load` in an open loop, at that rate; what is on its way at the end may finish.
    pub(crate) fn open_loop(&self, job: &Job<'_>, rate: f64) -> Command {
        let mut command = Command::new(&self.program);
        raddle::arguments(&mut command, job, "5s");
        command.arg("--rate").arg(rate.to_string());
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> Command {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process::pin(&mut command, self.processor);
        process::end_with_parent(&mut command);
        command
    }

    /// What it says in the end; a run in which something failed is none.
    pub(crate) fn result(&self, output: io::Result<Output>) -> Result<Summary, String> {
        let name = self.generator.name();
        let output = output.map_err(|error| format!("{name}: {error}"))?;
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        let parsed = match self.generator {
            Generator::Raddle => raddle::parse(&said),
            Generator::Wrk => wrk::parse(&said),
            Generator::Oha => oha::parse(&said),
            Generator::H2load => h2load::parse(&said),
        };
        match parsed {
            Ok(summary) if summary.answers == 0.0 => {
                Err(format!("{name}: no answer was complete in that time"))
            }
            Ok(summary) => Ok(summary),
            Err(Bad::Said(why)) => Err(format!("{name}: {why}")),
            // Its own words, wherever it has put them.
            Err(Bad::NoResult) => {
                let lines = [said, errors].concat();
                let last = lines.lines().rev().find(|line| !line.trim().is_empty());
                Err(format!("{name} failed: {}", last.unwrap_or("without a word").trim()))
            }
        }
    }

    /// To its end.
    pub(crate) fn run(&self, job: &Job<'_>) -> Result<Summary, String> {
        self.result(self.command(job).output())
    }
}

/// Why there is no summary.
#[derive(Debug, PartialEq)]
enum Bad {
    /// It says nothing that can be read.
    NoResult,
    /// It says what went wrong.
    Said(String),
}

impl Job<'_> {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What went wrong, of `answers`, if something did.
fn check(answers: f64, errors: &[(f64, &str)]) -> Result<(), Bad> {
    match errors.iter().find(|(count, _)| *count > 0.0) {
        Some((count, what)) => Err(Bad::Said(format!("{count} {what}, of {answers}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
fn words(arguments: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new("x");
    arguments(&mut command);
    command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
const JOB: Job<'static> =
    Job { port: 7, path: "/a", connections: 64, shape: Shape::Kept, seconds: 3 };
