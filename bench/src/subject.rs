//! A measured program's way in and out: it is started as `PROGRAM CASE key=value...` and prints one line of JSON.

use crate::process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What a program was asked to do.
#[derive(Clone)]
pub struct Arguments {
    case: String,
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// Reads `CASE key=value...`.
    ///
    /// # Errors
    ///
    /// If there is no case, or something that is no pair.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut words = words.into_iter();
        let case =
            words.next().ok_or("which case? This program is run by `raddle-bench threads`")?;
        let pair = |word: String| {
            let (key, value) = word.split_once('=').ok_or(format!("{word}: no key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        Ok(Arguments { case, values: words.map(pair).collect::<Result<_, String>>()? })
    }

    /// The case's name.
    pub fn case(&self) -> &str {
        &self.case
    }

    /// A value as it was given, or nothing.
    pub fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// A value that must be there.
    ///
    /// # Errors
    ///
    /// If it is missing or no number.
    pub fn number(&self, key: &str) -> Result<usize, String> {
        self.text(key).parse().map_err(|_| format!("{}: {key}=NUMBER is missing", self.case))
    }

    /// A value in milliseconds that must be there.
    ///
    /// # Errors
    ///
    /// If it is missing or no number.
    pub fn ms(&self, key: &str) -> Result<Duration, String> {
        Ok(Duration::from_millis(self.number(key)? as u64))
    }
}

/// What a program has to say.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Samples, by the name of the figure; most have one.
    #[serde(default)]
    pub figures: BTreeMap<String, Vec<f64>>,
    /// What there is to say in place of figures, or about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl Said {
    /// Figures of one sample each.
    pub fn figures<const N: usize>(figures: [(&str, f64); N]) -> Said {
        Said {
            figures: figures.map(|(name, value)| (name.to_owned(), vec![value])).into(),
            remark: None,
        }
    }

    /// No figures, but why there are none.
    pub fn remark(why: impl Into<String>) -> Said {
        Said { figures: BTreeMap::new(), remark: Some(why.into()) }
    }
}

/// Runs a program: `run` gets the arguments, and what it returns is printed.
///
/// The process then ends at once, whatever threads it still has: many cases leave endless loops behind.
pub fn main(run: impl FnOnce(&Arguments) -> Result<Said, String>) -> ExitCode {
    let said = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| {
        // Whoever started this program kills it when its time is over, unless it was killed itself.
        process::end_after(arguments.number("limit").unwrap_or(600));
        run(&arguments)
    });
    match said {
        Ok(said) => {
            print(&said);
            process::end(0)
        }
        Err(error) => {
            // Nobody is left to be told of an error here.
            _ = writeln!(io::stderr(), "{error}");
            process::end(1)
        }
    }
}

/// Says that everything to be looked at from outside is there, and stays until the driver has seen enough.
pub fn stay() -> ! {
    print(&Said::figures([("ready", 1.0)]));
    // The driver holds the other end and writes nothing: this ends when the driver does.
    _ = io::stdin().read(&mut [0]);
    process::end(0)
}

/// Says on which port this program serves, and ends the process when the driver ends or has seen enough.
pub fn serves(port: u16) {
    print(&Said::figures([(PORT, f64::from(port))]));
    thread::spawn(|| {
        // The driver writes nothing: this returns when it has closed its end.
        _ = io::stdin().read(&mut [0]);
        process::end(0)
    });
}

fn print(said: &Said) {
    let line = serde_json::to_string(said).expect("strings and numbers are JSON");
    // If the driver is gone, nobody wants the line.
    _ = writeln!(io::stdout(), "{line}");
}

/// What a server's port is called in what it says.
pub const PORT: &str = "port";

/// What one core, or both, is called in the arguments of every case.
pub const CORES: &str = "cores";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn arguments_are_a_case_and_pairs() {
        let arguments = parse(&["channel", "cores=2", "ms=50"]).expect("well formed");
        assert_eq!(arguments.case(), "channel");
        assert_eq!(arguments.number("cores"), Ok(2));
        assert_eq!(arguments.ms("ms"), Ok(Duration::from_millis(50)));
        assert_eq!(arguments.text("flavor"), "");
        assert!(arguments.number("n").is_err());
        assert!(parse(&[]).is_err() && parse(&["channel", "cores"]).is_err());
    }

    #[test]
    fn what_is_said_can_be_read_back() {
        for said in [Said::figures([("ns", 1.5), ("p99", 2.0)]), Said::remark("starves")] {
            let line = serde_json::to_string(&said).expect("JSON");
            assert_eq!(serde_json::from_str::<Said>(&line).expect("its own line"), said);
        }
    }
}
