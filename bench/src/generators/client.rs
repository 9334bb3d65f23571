//! A generator that is there: its command, its result.

use super::job::{Bad, Job, Shape, Summary};
use super::wrk::Scripts;
use super::{h2load, oha, raddle, wrk};
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
    /// oha, on one of tokio's threads
    Oha,
    /// h2load, on one thread
    H2load,
}

/// A generator that is there, and the processor that it is to have.
pub(crate) struct Client {
    pub(crate) generator: Generator,
    pub(crate) processor: usize,
    program: PathBuf,
    /// wrk's.
    scripts: Option<Scripts>,
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
            Generator::Wrk => Some(Scripts::make().map_err(|error| error.to_string())?),
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
