//! The command line of `raddle load`.

use crate::number::whole;
use clap::{Args, Subcommand};
use raddle_http::Method;
use std::path::PathBuf;
use std::time::Duration;

/// Sends HTTP requests, and measures what comes back
///
/// Without --rate each client asks again when it has its answer: a closed loop, which shows how much a
/// server can do. With --rate requests have times of their own, as if they came from people: their
/// latency counts from then, so that a server that stalls can't hide it.
///
/// With --scenario each client visits, step by step, with what the answers have said and pauses to
/// think; --rate is then that of visits. examples/load/shop.toml has all that can be in such a file.
///
/// It ends with a table, exit code 0; with 1 if the server can't be reached, or what --fail-if says is
/// so. Ctrl-C ends it early, with the table of what there is. docs/load.md explains the figures.
#[derive(Args)]
#[command(verbatim_doc_comment, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct LoadCommand {
    #[command(subcommand)]
    pub(crate) verb: Option<LoadVerb>,

    #[command(flatten)]
    pub(crate) options: LoadOptions,
}

#[derive(Subcommand)]
pub(crate) enum LoadVerb {
    /// Compares two runs, by what --json has written
    ///
    /// For each figure it tells both, the difference, and between which bounds that lies with 95 %
    /// confidence, as far as the intervals of the runs tell. Without an interval there is none.
    #[command(verbatim_doc_comment)]
    Compare {
        /// The first run
        before: PathBuf,

        /// The second run
        after: PathBuf,
    },
}

/// What is to be done.
#[derive(Args)]
pub(crate) struct LoadOptions {
    /// What to ask for; of several, URL@3 is drawn three times as often as URL
    #[arg(value_name = "URL", required_unless_present = "scenario")]
    pub(crate) urls: Vec<String>,

    /// Visit as this file says, which tells whom, too; a URL goes before that
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pipeline", "method", "body"])]
    pub(crate) scenario: Option<PathBuf>,

    /// So many clients, each with a connection and a thread of its own
    #[arg(short, long, value_name = "N", default_value = "16", value_parser = whole::<u32>(1..=1_000_000))]
    pub(crate) connections: u32,

    /// On how many cores; all that this process may use by default
    #[arg(short = 't', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) cores: Option<u16>,

    /// End after so many requests
    #[arg(short = 'n', long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX))]
    pub(crate) requests: Option<u64>,

    /// End after this time: 10s, 500ms, 2m [default: 10s, unless -n is given]
    #[arg(short, long, value_name = "TIME", value_parser = some_time)]
    pub(crate) duration: Option<Duration>,

    /// What begins within this time at the beginning does not count
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    pub(crate) warm_up: Duration,

    /// Open loop: so many requests a second, or visits, whatever the server does
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// With --rate: at random, as a Poisson process, not at even distances
    #[arg(long, requires = "rate")]
    pub(crate) poisson: bool,

    /// With --rate: the rate grows from nothing within this time
    #[arg(long, value_name = "TIME", value_parser = time, requires = "rate")]
    pub(crate) ramp: Option<Duration>,

    /// With --rate: exact times, for busy cores: none of them sleeps, so none has to be woken
    #[arg(long, requires = "rate")]
    pub(crate) precise: bool,

    /// What is random is drawn from this; a new one each time by default, which is printed
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,

    /// A new connection for each request
    #[arg(long)]
    pub(crate) new_connection: bool,

    /// So many requests at once on each connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u16>(1..=1024), conflicts_with_all = ["rate", "new_connection"])]
    pub(crate) pipeline: u16,

    /// The method [default: GET; POST with a body]
    #[arg(short = 'X', long, value_name = "NAME", value_parser = method)]
    pub(crate) method: Option<Method>,

    /// A field for each request, 'Name: value'
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = field)]
    pub(crate) fields: Vec<(String, String)>,

    /// The content of each request, literally, or from a file: @FILE
    #[arg(short = 'b', long, value_name = "TEXT|@FILE")]
    pub(crate) body: Option<String>,

    /// Connect to this, HOST:PORT, whatever the URL says
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) connect_to: Option<String>,

    /// Connect to this Unix socket
    #[arg(long, value_name = "PATH", conflicts_with = "connect_to")]
    pub(crate) unix: Option<PathBuf>,

    /// Trust these authorities' certificates, in PEM, in place of the machine's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,

    /// Trust any certificate
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

    /// Take TLS sessions up again, as one client would; else each connection is another's
    #[arg(long)]
    pub(crate) resume: bool,

    /// For a connection, for a handshake, for an answer
    #[arg(long, value_name = "TIME", value_parser = some_time, default_value = "30s")]
    pub(crate) timeout: Duration,

    /// At the end, requests that are on their way may finish within this time
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2s")]
    pub(crate) grace: Duration,

    /// Write all figures to this file as JSON; - is the standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write each second's figures to this file as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write figures for gnuplot to this file, which says at its top how to plot them
    #[arg(long, value_name = "FILE")]
    pub(crate) gnuplot: Option<PathBuf>,

    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Exit code 1 if this is so: 'p99>20ms', 'rate<1000', 'failed>0.1%', 'mean>=5ms'
    #[arg(long, value_name = "TEST", value_parser = limit)]
    pub(crate) fail_if: Vec<raddle_load::Limit>,

    /// Only the table, no line each second
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  raddle load http://127.0.0.1:8080/ -c 64 -d 10s
  raddle load http://127.0.0.1:8080/ --rate 2000 --poisson --json a.json --report a.html
  raddle load http://127.0.0.1:8080/a@3 http://127.0.0.1:8080/b -n 100000 --fail-if 'p99>20ms'
  raddle load --scenario examples/load/shop.toml -c 50 --rate 20 -d 5m
  raddle load compare a.json b.json";

/// A number and its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    raddle_load::time(text)
}

/// The same, but not nothing.
fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err(format!("give more than {text:?}")),
        time => Ok(time),
    }
}

/// HOST:PORT, as it stands in a URL.
fn address(text: &str) -> Result<String, String> {
    match format!("http://{text}").parse::<raddle_load::Url>() {
        Ok(url) if url.target() == "/" && text.ends_with(&format!(":{}", url.port())) => {
            Ok(text.to_owned())
        }
        _ => Err("give HOST:PORT, such as 127.0.0.1:7777, [::1]:7777 or localhost:7777".to_owned()),
    }
}

fn limit(text: &str) -> Result<raddle_load::Limit, String> {
    text.parse().map_err(|error: raddle_load::BadLimit| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (1e-3..=1e9).contains(&rate) => Ok(rate),
        _ => Err("give requests a second, a number from 0.001 to 1000000000".to_owned()),
    }
}

pub(super) fn method(name: &str) -> Result<Method, String> {
    match Method::from_bytes(name.as_bytes()) {
        Some(Method::Connect) => {
            Err("CONNECT makes a tunnel, which is nothing to be measured here".to_owned())
        }
        Some(method) => Ok(method),
        None => Err("a method is one word, such as GET or POST".to_owned()),
    }
}

fn field(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("give 'Name: value'".to_owned());
    };
    let mut headers = raddle_http::Headers::new();
    match headers.add(name, value.trim()) {
        Ok(()) => Ok((name.to_owned(), value.trim().to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

/// Has many threads connect to an echo server at the same moment, with one message each
///
/// They wait for each other, connect, send, and read the echo; that ten times. What it takes until a
/// connection is there, and from sending to the echo's last byte, is told apart: over all messages, and
/// the means of each thread.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BurstOptions {
    /// The echo server, such as `raddle echo`
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:7777", value_parser = address)]
    pub(crate) address: String,

    /// So many threads
    #[arg(short = 'n', long, value_name = "N", default_value = "1000", value_parser = whole::<u32>(1..=1_000_000))]
    pub(crate) threads: u32,

    /// So many times
    #[arg(long, value_name = "N", default_value = "10", value_parser = whole::<u32>(1..=1_000_000))]
    pub(crate) rounds: u32,

    /// What each sends, in bytes
    #[arg(long, value_name = "BYTES", default_value = "13", value_parser = whole::<u32>(1..=1 << 20))]
    pub(crate) size: u32,

    /// For a connection, for an echo
    #[arg(long, value_name = "TIME", value_parser = some_time, default_value = "30s")]
    pub(crate) timeout: Duration,

    /// On how many cores; all that this process may use by default
    #[arg(short = 't', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) cores: Option<u16>,

    /// Write the distributions to this file as JSON; - is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write each thread's means to this file as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write them to this file for gnuplot
    #[arg(long, value_name = "FILE")]
    pub(crate) gnuplot: Option<PathBuf>,

    /// Write a picture of them to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}
