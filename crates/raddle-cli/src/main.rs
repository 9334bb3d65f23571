//! The binary `raddle`: programs that stand on raddle's threads, as verbs.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | the command line: verbs, their options, what `--help` says |
//! | `echo` | `raddle echo`: a TCP echo server |
//! | `serve` | `raddle serve`: a web server |
//! | `load` | `raddle load`: a load generator; `raddle burst` |
//! | `listen` | binds an address, and says what is wrong with it |
//! | `holder` | who holds a port |
//! | `drain` | signals, the lines of a running server, its end |
//! | `papers` | completions for shells, and manual pages |
//! | `limits` | how many descriptors this process may have |
//! | `say` | what goes to the terminal: errors, warnings, the library's log |
//! | `text` | numbers as people read them |
//! | `number` | numbers as people give them on the command line |
//! | `toml_file` | files that users write, and what is wrong with one |
//!
//! Exit codes: 0, also after `SIGTERM`; 1 for what fails while it runs; 2 for a command line that makes no sense.
#![deny(unsafe_code)]

mod args;
mod drain;
mod echo;
mod holder;
mod limits;
mod listen;
mod load;
mod number;
mod papers;
mod say;
mod serve;
mod text;
mod toml_file;

use args::{CommandLine, Verb};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let verb = match CommandLine::try_parse().and_then(CommandLine::checked) {
        Ok(verb) => verb,
        Err(error) => {
            let why = args::in_one_line(&error).unwrap_or_else(|| error.exit());
            say::error(&why);
            return ExitCode::from(2);
        }
    };
    say::install_log();
    let done = match verb {
        Verb::Echo(options) => echo::run(&options),
        Verb::Serve(options) => serve::run(&options),
        Verb::Load(command) => load::run(&command),
        Verb::Burst(options) => load::run_burst(&options),
        Verb::Completions { shell } => papers::completions(shell),
        Verb::Man { directory } => papers::man(&directory),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            say::error(&why);
            ExitCode::FAILURE
        }
    }
}
