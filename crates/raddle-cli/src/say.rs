//! What goes to the terminal: errors and warnings in one form, with colours only where somebody sees them.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{self, IsTerminal, Write};

/// One line on the standard output: what a program has to say.
pub(crate) fn line(what: &str) {
    let mut out = io::stdout().lock();
    // Whoever has closed it does not want it.
    _ = writeln!(out, "raddle: {what}").and_then(|()| out.flush());
}

/// One line on the standard error: what failed, and what to do.
pub(crate) fn error(what: &str) {
    labelled("error", "31", what);
}

/// One line on the standard error: what is not as it should be while it goes on.
pub(crate) fn warning(what: &str) {
    labelled("warning", "33", what);
}

fn labelled(kind: &str, colour: &str, what: &str) {
    let mut out = io::stderr().lock();
    // Where nobody reads there is nobody to be told.
    _ = if has_colours() {
        writeln!(out, "raddle: \x1b[1;{colour}m{kind}:\x1b[0m {what}")
    } else {
        writeln!(out, "raddle: {kind}: {what}")
    };
}

/// Whether the standard error is a terminal, and its owner has nothing against colours (<https://no-color.org>).
fn has_colours() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The libraries' warnings, a forbidden io_uring for one, become ours.
pub(crate) fn install_log() {
    struct Warnings;

    impl Log for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= Level::Warn
        }

        fn log(&self, record: &Record<'_>) {
            match record.level() {
                Level::Error => error(&record.args().to_string()),
                Level::Warn => warning(&record.args().to_string()),
                _ => {}
            }
        }

        fn flush(&self) {}
    }

    static WARNINGS: Warnings = Warnings;
    if log::set_logger(&WARNINGS).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
