//! What can go wrong with a request, told apart by where it went wrong and by the kernel's number for it.

use raddle_http::protocol::BadResponse;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// Where a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Handshake,
    /// The request could not be sent.
    Send,
    /// The answer could not be read.
    Receive,
    /// The server closed the connection before it had answered.
    Closed,
    /// The answer is not as HTTP has it.
    Protocol,
    /// There was no answer in time.
    Timeout,
    /// A scenario could not go on: another status than it allows, or an answer without what is to be taken from it.
    Scenario,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Connect => "connect",
            Step::Handshake => "TLS handshake",
            Step::Send => "send",
            Step::Receive => "receive",
            Step::Closed => "closed by the server",
            Step::Protocol => "protocol",
            Step::Timeout => "time-out",
            Step::Scenario => "scenario",
        })
    }
}

/// Why a request failed. Equal ones are counted together.
///
/// ```
/// use raddle_load::{Failure, Step};
/// let refused = Failure::of(Step::Connect, &std::io::Error::from_raw_os_error(111));
/// assert_eq!(refused.to_string(), "connect: Connection refused (ECONNREFUSED, 111)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// The kernel's number, if it is the kernel that has refused something.
    pub errno: Option<i32>,
    /// What, in words.
    pub what: String,
}

impl Failure {
    /// From an error of a call. What only says that time was over becomes [`Step::Timeout`].
    pub fn of(step: Step, error: &io::Error) -> Failure {
        let errno = error.raw_os_error();
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if is_late && errno != Some(ETIMEDOUT) {
            return Failure::timeout(step);
        }
        let text = error.to_string();
        // std's own addition; it stands apart here.
        let what = text.split(" (os error").next().unwrap_or_default().to_owned();
        Failure { step, errno, what }
    }

    pub(crate) fn timeout(during: Step) -> Failure {
        Failure { step: Step::Timeout, errno: None, what: format!("during {during}") }
    }

    pub(crate) fn protocol(bad: BadResponse) -> Failure {
        Failure { step: Step::Protocol, errno: None, what: bad.to_string() }
    }

    pub(crate) fn unasked() -> Failure {
        let what = "bytes that nobody has asked for".to_owned();
        Failure { step: Step::Protocol, errno: None, what }
    }

    pub(crate) fn no_echo() -> Failure {
        let what = "what comes back is not what was sent".to_owned();
        Failure { step: Step::Protocol, errno: None, what }
    }

    pub(crate) fn scenario(what: String) -> Failure {
        Failure { step: Step::Scenario, errno: None, what }
    }

    pub(crate) fn closed(has_begun: bool) -> Failure {
        let what = if has_begun { "within the answer" } else { "before the answer" };
        Failure { step: Step::Closed, errno: None, what: what.to_owned() }
    }
}

/// The kernel itself gives up a connection with this.
const ETIMEDOUT: i32 = 110;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.what)?;
        match self.errno {
            Some(number) => write!(f, " ({}{number})", name(number)),
            None => Ok(()),
        }
    }
}

/// The names of those that sockets give; of others the number is enough.
fn name(errno: i32) -> &'static str {
    match errno {
        11 => "EAGAIN, ",
        13 => "EACCES, ",
        24 => "EMFILE, ",
        2 => "ENOENT, ",
        32 => "EPIPE, ",
        99 => "EADDRNOTAVAIL, ",
        101 => "ENETUNREACH, ",
        103 => "ECONNABORTED, ",
        104 => "ECONNRESET, ",
        105 => "ENOBUFS, ",
        110 => "ETIMEDOUT, ",
        111 => "ECONNREFUSED, ",
        113 => "EHOSTUNREACH, ",
        _ => "",
    }
}
