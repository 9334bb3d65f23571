//! What belongs to a program beside its code: completions and manual pages, made from the command line itself.

use crate::args::CommandLine;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Prints completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "raddle", &mut script);
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the completions could not be written: {error}"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes `raddle.1`, `raddle-echo.1` and so on.
pub(crate) fn man(directory: &Path) -> Result<ExitCode, String> {
    let failed =
        |error| format!("{}: the manual pages could not be written: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(CommandLine::command(), directory).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
