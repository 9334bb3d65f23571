//! What goes to the terminal, or to the error log: errors and warnings in one form, with colours only where somebody sees them.

use log::{Level, LevelFilter, Log, Metadata, Record};
use raddle_http::error_log::ErrorLog;
use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic;
use std::sync::{Mutex, Once, OnceLock, PoisonError};

/// One line on the standard output: what a program has to say.
pub(crate) fn line(what: &str) {
    static UNSAID: Once = Once::new();
    let mut out = io::stdout().lock();
    match writeln!(out, "raddle: {}", visible(what)).and_then(|()| out.flush()) {
        // Whoever has closed it does not want it.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => UNSAID.call_once(|| {
            warning(&format!("the standard output can't be written: {error}; it goes on"));
        }),
        _ => {}
    }
}

/// The same with what would end a line, or steer a terminal, in Rust's notation: messages quote what users have given.
pub(crate) fn visible(what: &str) -> Cow<'_, str> {
    if !what.contains(char::is_control) {
        return what.into();
    }
    let mut visible = String::new();
    for c in what.chars() {
        match c.is_control() {
            true => visible.extend(c.escape_default()),
            false => visible.push(c),
        }
    }
    visible.into()
}

/// One line on the standard error, or in the error log: what failed, and what to do. If the log is a file, in both.
pub(crate) fn error(what: &str) {
    if let Some(journal) = JOURNAL.get() {
        journal.say(Level::Error, what);
        if !journal.is_file {
            return;
        }
    }
    labelled(Level::Error, what);
}

/// One line on the standard error, or in the error log: what is not as it should be while it goes on.
pub(crate) fn warning(what: &str) {
    match JOURNAL.get() {
        Some(journal) => journal.say(Level::Warn, what),
        None => labelled(Level::Warn, what),
    }
}

fn labelled(level: Level, what: &str) {
    let (kind, colour) = match level {
        Level::Error => ("error", "1;31"),
        Level::Warn => ("warning", "1;33"),
        Level::Info => ("info", "1"),
        Level::Debug | Level::Trace => ("debug", "2"),
    };
    let what = visible(what);
    let mut out = io::stderr().lock();
    // Where nobody reads there is nobody to be told.
    _ = if has_colours() {
        writeln!(out, "raddle: \x1b[{colour}m{kind}:\x1b[0m {what}")
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

/// An error log, in place of lines for a terminal.
struct Journal {
    log: ErrorLog,
    is_file: bool,
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

impl Journal {
    fn say(&self, level: Level, what: &str) {
        if level <= log::max_level() {
            let mut record = Record::builder();
            record.level(level).target("raddle");
            self.log.log(&record.args(format_args!("{what}")).build());
        }
    }
}

/// What a machine lacks, each event queue says anew, and each core has one: once is enough.
fn was_said(record: &Record<'_>) -> bool {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    if !record.target().starts_with("raddle_event") {
        return false;
    }
    let (what, mut said) =
        (record.args().to_string(), SAID.lock().unwrap_or_else(PoisonError::into_inner));
    let was_said = said.contains(&what);
    // Some kinds of them, with the kernel's errors: so few that they need no bound, but nobody should have to trust in that.
    if !was_said && said.len() < 64 {
        said.push(what);
    }
    was_said
}

/// The libraries' warnings, a forbidden io_uring for one, become ours.
pub(crate) fn install_log() {
    struct Told;

    impl Log for Told {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= log::max_level()
        }

        fn log(&self, record: &Record<'_>) {
            match JOURNAL.get() {
                _ if !self.enabled(record.metadata()) || was_said(record) => {}
                Some(journal) => journal.log.log(record),
                None => labelled(record.level(), &record.args().to_string()),
            }
        }

        fn flush(&self) {}
    }

    static TOLD: Told = Told;
    if log::set_logger(&TOLD).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// From now on what is told goes to this log, panics included: their usual lines are for people at a terminal.
pub(crate) fn use_error_log(log: ErrorLog, is_file: bool, level: LevelFilter) {
    log::set_max_level(level);
    if JOURNAL.set(Journal { log, is_file }).is_err() {
        return;
    }
    panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map_or(String::new(), |place| format!(" at {place}"));
        error(&format!("a thread has panicked{place}: {what}"));
    }));
}

/// Opens the error log's file anew, if it is one.
pub(crate) fn reopen_error_log() {
    let Some(journal) = JOURNAL.get() else { return };
    if let Err(why) = journal.log.reopen() {
        warning(&format!(
            "the error log can't be opened anew: {why}; the file from before stays in use"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        assert!(matches!(visible("é ok: 'a b'"), Cow::Borrowed("é ok: 'a b'")));
        assert_eq!(visible("a\nb\r\t\x1b[31m\u{85}é"), "a\\nb\\r\\t\\u{1b}[31m\\u{85}é");
    }
}
