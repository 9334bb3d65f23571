//! An error log: what libraries and the program tell through the crate `log`, a line for each, with the client and the request that it is about.
//!
//! Nobody has to say which request that is: a connection has a thread of its own, and the thread knows ([`current`]).

use crate::calendar::Civil;
use crate::context::current;
use crate::json::quoted;
use crate::log_file::LogFile;
use log::{Log, Metadata, Record};
use std::fmt;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The form of an error log's lines.
///
/// ```
/// use raddle_http::error_log::Form;
/// assert_ne!(Form::Text, Form::Json);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `1994-11-06T08:49:37.042Z warn [::1]:7 9f2c51d07ab3e4f8-3: what`; `-` for a client or a request that there is not.
    Text,
    /// An object in each line: `time`, `level`, `client`, `request`, `target` (the module that tells it), `message`.
    Json,
}

/// The log. It is written at once, by whoever tells something: these lines are few, and the last ones matter most.
///
/// ```
/// use log::{Level, Log, Record};
/// use raddle_http::error_log::{ErrorLog, Form};
///
/// let log = ErrorLog::new(Form::Json, std::io::stderr());
/// log.log(&Record::builder().level(Level::Warn).args(format_args!("late")).build());
/// // Or for the whole program, with all that libraries tell:
/// // log::set_logger(Box::leak(Box::new(log))).unwrap();
/// // log::set_max_level(log::LevelFilter::Info);
/// ```
pub struct ErrorLog {
    form: Form,
    to: Mutex<To>,
}

enum To {
    Stream(Box<dyn Write + Send>),
    File(LogFile),
}

impl ErrorLog {
    /// A log that writes to `to`.
    ///
    /// ```
    /// use raddle_http::error_log::{ErrorLog, Form};
    /// let log = ErrorLog::new(Form::Text, std::io::stderr());
    /// ```
    pub fn new(form: Form, to: impl Write + Send + 'static) -> ErrorLog {
        ErrorLog { form, to: Mutex::new(To::Stream(Box::new(to))) }
    }

    /// A log that appends to a file, which is made if need be.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    ///
    /// ```
    /// use raddle_http::error_log::{ErrorLog, Form};
    /// let path = std::env::temp_dir().join(format!("raddle-doc-errors-{}", std::process::id()));
    /// let log = ErrorLog::to_file(Form::Text, &path)?;
    /// std::fs::remove_file(path)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_file(form: Form, path: impl AsRef<Path>) -> io::Result<ErrorLog> {
        Ok(ErrorLog { form, to: Mutex::new(To::File(LogFile::open(path.as_ref())?)) })
    }

    /// Opens its file anew, if it is one: after it was renamed.
    ///
    /// # Errors
    ///
    /// Those of opening the file; the one from before stays in use then.
    ///
    /// ```
    /// use raddle_http::error_log::{ErrorLog, Form};
    /// ErrorLog::new(Form::Text, std::io::stderr()).reopen()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reopen(&self) -> io::Result<()> {
        match &mut *self.to.lock().unwrap_or_else(PoisonError::into_inner) {
            To::Stream(_) => Ok(()),
            To::File(file) => file.reopen(),
        }
    }
}

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let line = line(self.form, SystemTime::now(), record);
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nobody reads there is nobody to be told.
        _ = match &mut *to {
            To::Stream(to) => to.write_all(line.as_bytes()).and_then(|()| to.flush()),
            To::File(file) => file.append(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

impl fmt::Debug for ErrorLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorLog").field("form", &self.form).finish_non_exhaustive()
    }
}

fn line(form: Form, now: SystemTime, record: &Record<'_>) -> String {
    let (time, level) = (Civil::of(now).iso_ms(), record.level().as_str().to_ascii_lowercase());
    let at = current();
    let client = at.and_then(|at| at.peer).map(|peer| peer.to_string());
    let request = at.map(|at| at.request.to_string());
    let message = record.args().to_string();
    let mut line = String::with_capacity(128);
    match form {
        Form::Text => {
            let shown = |value: Option<String>| value.unwrap_or("-".to_owned());
            _ = write!(line, "{time} {level} {} {}: ", shown(client), shown(request));
            // What a client has sent may stand in it: it makes no line, and speaks to no terminal.
            for one in message.chars() {
                if one.is_control() {
                    line.extend(one.escape_default());
                } else {
                    line.push(one);
                }
            }
        }
        Form::Json => {
            _ = write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\"");
            for (name, value) in [("client", client), ("request", request)] {
                if let Some(value) = value {
                    _ = write!(line, ",\"{name}\":\"{value}\"");
                }
            }
            let (target, message) = (quoted(record.target()), quoted(&message));
            _ = write!(line, ",\"target\":{target},\"message\":{message}}}");
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{self, ConnectionId, RequestId};
    use log::Level;
    use std::time::Duration;

    fn told(form: Form, message: &str) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_042);
        let record = |args| Record::builder().level(Level::Warn).target("a::b").args(args).build();
        line(form, now, &record(format_args!("{message}")))
    }

    #[test]
    fn a_line_says_when_what_and_of_whom() {
        std::thread::spawn(|| {
            let nobodys = told(Form::Text, "a\n\x1b[31m\"");
            assert_eq!(nobodys, "1994-11-06T08:49:37.042Z warn - -: a\\n\\u{1b}[31m\"\n");
            let id = RequestId::made(ConnectionId::next(), 3);
            context::is_at(Some("[::1]:7".parse().unwrap()), id);
            let text = told(Form::Text, "late");
            assert_eq!(text, format!("1994-11-06T08:49:37.042Z warn [::1]:7 {id}: late\n"));
            let json = told(Form::Json, "a \"b\"\n");
            let expected = format!(
                "{{\"time\":\"1994-11-06T08:49:37.042Z\",\"level\":\"warn\",\"client\":\"[::1]:7\",\"request\":\"{id}\",\
                 \"target\":\"a::b\",\"message\":\"a \\\"b\\\"\\u000a\"}}\n"
            );
            assert_eq!(json, expected);
        })
        .join()
        .unwrap();
    }
}
