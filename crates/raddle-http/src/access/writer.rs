//! The thread that writes an access log.

use crate::log_file::LogFile;
use raddle::sync::channel::Receiver;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is in the queue.
#[derive(Debug)]
pub(super) enum Entry {
    Line(String),
    /// Something is to be seen to.
    Look,
}

/// What those who write lines and the thread tell each other.
#[derive(Debug, Default)]
pub(super) struct State {
    /// A line has waited for a second.
    pub(super) is_stuck: AtomicBool,
    /// Lines that were dropped since, or that the file did not take.
    pub(super) lost: Arc<AtomicU64>,
    /// The file is to be opened anew.
    pub(super) is_to_reopen: AtomicBool,
}

/// Where lines go.
pub(super) enum To {
    Stream(Box<dyn Write + Send>),
    File(LogFile),
}

impl To {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            To::Stream(to) => to.write_all(lines).and_then(|()| to.flush()),
            To::File(file) => file.append(lines),
        }
    }
}

/// So much goes out by one call.
const BATCH: usize = 64 << 10;

/// Writes what comes, until nobody is left from whom something could come.
pub(super) fn write_all(waiting: &Receiver<Entry>, mut to: To, state: &State) {
    let (mut batch, mut has_failed) = (String::new(), false);
    while let Ok(first) = waiting.recv() {
        // What is in the queue by now came before it was asked for, or at the same time.
        reopen(&mut to, state, &mut has_failed);
        batch.clear();
        let mut lines = take(&mut batch, first);
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            lines += take(&mut batch, next);
        }
        if batch.is_empty() {
            continue;
        }
        let written = to.write(batch.as_bytes());
        match &written {
            Ok(()) if state.is_stuck.swap(false, Ordering::Relaxed) => {
                let lost = state.lost.load(Ordering::Relaxed);
                log::warn!("the access log moves again; {lost} lines in all are missing");
            }
            Ok(()) => {}
            Err(error) => {
                state.lost.fetch_add(lines, Ordering::Relaxed);
                // A full disk is said once, until it has room again.
                if !has_failed {
                    log::error!("the access log can't be written: {error}; lines are missing");
                }
            }
        }
        has_failed = written.is_err();
    }
    // Somebody may wait for the new file to appear, although nothing is written any more.
    reopen(&mut to, state, &mut has_failed);
}

/// Adds an entry to the batch; how many lines.
fn take(batch: &mut String, entry: Entry) -> u64 {
    match entry {
        Entry::Line(line) => {
            batch.push_str(&line);
            1
        }
        Entry::Look => 0,
    }
}

fn reopen(to: &mut To, state: &State, has_failed: &mut bool) {
    if !state.is_to_reopen.swap(false, Ordering::SeqCst) {
        return;
    }
    let To::File(file) = to else { return };
    match file.reopen() {
        // Whatever was wrong with the old one is to be said again of the new one.
        Ok(()) => *has_failed = false,
        Err(error) => log::warn!(
            "{}: the access log can't be opened anew: {error}; the file from before stays in use",
            file.path().display()
        ),
    }
}
