//! An access log: a line for each response, in a form that other programs read.
//!
//! ```text
//!   connections ──▶ a queue, bounded ──▶ a thread of the log's own ──▶ what has gathered, by one call
//! ```
//!
//! *No line is lost because there are many*: if the writer is slower than the connections they wait for it. *None waits for a log that is
//! stuck*: once a line has waited for a second, lines that find the queue full are counted and dropped, until the writer moves again.
//!
//! *A file is opened anew between two lines* ([`AccessLog::reopen`]): what came before is in the old one, whatever its name is by then, and
//! what comes after in the new one.
//!
//! | module | what it is |
//! |---|---|
//! | `line` | the forms |
//! | `writer` | the thread |

mod line;
mod writer;

pub use line::Format;

use self::line::line;
use self::writer::{Entry, State, To, write_all};
use crate::log_file::LogFile;
use crate::server::{Plugin, Served};
use raddle::sync::channel::{self, SendTimeoutError, Sender, TrySendError};
use raddle::thread::{Builder, JoinHandle};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The log, as a server's plugin. Clones write to the same: several servers can have it.
///
/// ```
/// use raddle_http::{access::{AccessLog, Format}, server::Server};
///
/// let (log, writing) = AccessLog::new(Format::Common, std::io::stderr())?;
/// let server = Server::new().plugin(log);
/// // Its thread ends with the server: then all is written.
/// drop(server);
/// writing.join().unwrap();
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: Format,
    has_ids: bool,
    lines: Sender<Entry>,
    state: Arc<State>,
}

/// So many lines may wait.
const WAITING_MAX: usize = 1024;
/// A line that has waited so long finds out that the log is stuck.
const PATIENCE: Duration = Duration::from_secs(1);

impl AccessLog {
    /// A log that writes to `to`, and its thread, which ends when the log is dropped and all is written.
    ///
    /// # Errors
    ///
    /// If no thread can be had.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// let (log, writing) = AccessLog::new(Format::Json, Vec::new())?;
    /// drop(log);
    /// writing.join().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(
        format: Format,
        to: impl Write + Send + 'static,
    ) -> io::Result<(AccessLog, JoinHandle<()>)> {
        AccessLog::of(format, To::Stream(Box::new(to)))
    }

    /// A log that appends to a file, which is made if need be.
    ///
    /// # Errors
    ///
    /// Those of opening the file; and if no thread can be had.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// let path = std::env::temp_dir().join(format!("raddle-doc-log-{}", std::process::id()));
    /// let (log, writing) = AccessLog::to_file(Format::Combined, &path)?;
    /// drop(log);
    /// writing.join().unwrap();
    /// std::fs::remove_file(path)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_file(
        format: Format,
        path: impl AsRef<Path>,
    ) -> io::Result<(AccessLog, JoinHandle<()>)> {
        AccessLog::of(format, To::File(LogFile::open(path.as_ref())?))
    }

    fn of(format: Format, to: To) -> io::Result<(AccessLog, JoinHandle<()>)> {
        let (lines, waiting) = channel::bounded(WAITING_MAX);
        let state = Arc::new(State::default());
        let told = state.clone();
        let writing = Builder::new()
            .name("access log".into())
            .spawn(move || write_all(&waiting, to, &told))?;
        Ok((AccessLog { format, has_ids: false, lines, state }, writing))
    }

    /// With what each request [is called](crate::RequestId) at the end of its line, as `"id"`. JSON has it in any case.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// let (log, writing) = AccessLog::new(Format::Common, Vec::new())?;
    /// drop(log.with_request_ids());
    /// writing.join().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn with_request_ids(self) -> AccessLog {
        AccessLog { has_ids: true, ..self }
    }

    /// Has its file opened anew, before the next line: whoever has renamed it can do as he likes with the old one once the new one is there. If it
    /// can't be had the old one stays, and a warning by the crate `log` says why. What is no file takes no notice.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// let path = std::env::temp_dir().join(format!("raddle-doc-reopen-{}", std::process::id()));
    /// let (log, writing) = AccessLog::to_file(Format::Json, &path)?;
    /// std::fs::rename(&path, path.with_extension("1"))?;
    /// log.reopen();
    /// drop(log);
    /// writing.join().unwrap();
    /// std::fs::remove_file(&path)?;
    /// # std::fs::remove_file(path.with_extension("1"))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reopen(&self) {
        self.state.is_to_reopen.store(true, Ordering::SeqCst);
        // If there is no room for it there are lines, which have the same effect.
        _ = self.lines.try_send(Entry::Look);
    }

    /// How many lines are not in the log: it was stuck, or its disk full.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// assert_eq!(AccessLog::new(Format::Common, std::io::sink())?.0.lost(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// The number itself: who has it does not keep the log from its end.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// use std::sync::atomic::Ordering;
    ///
    /// let (log, writing) = AccessLog::new(Format::Common, std::io::sink())?;
    /// let lost = log.lost_counter();
    /// drop(log);
    /// writing.join().unwrap();
    /// assert_eq!(lost.load(Ordering::Relaxed), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn lost_counter(&self) -> Arc<AtomicU64> {
        self.state.lost.clone()
    }

    fn add(&self, line: String) {
        let entry = Entry::Line(line);
        // The thread is there as long as this is.
        let is_lost = if self.state.is_stuck.load(Ordering::Relaxed) {
            matches!(self.lines.try_send(entry), Err(TrySendError::Full(_)))
        } else {
            let sent = self.lines.send_timeout(entry, PATIENCE);
            let is_late = matches!(sent, Err(SendTimeoutError::Timeout(_)));
            if is_late && !self.state.is_stuck.swap(true, Ordering::Relaxed) {
                log::warn!("the access log is stuck: lines are dropped until it moves again");
            }
            is_late
        };
        if is_lost {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Plugin for AccessLog {
    fn served(&self, served: &Served<'_>) {
        self.add(line(self.format, self.has_ids, served));
    }
}
