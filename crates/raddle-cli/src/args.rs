//! The command line: verbs, their options, and what `--help` says of them.

use crate::load::{BurstOptions, LoadCommand};
use crate::number::whole;
use crate::say::visible;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;

/// Programs that stand on raddle's threads
///
/// raddle runs M user-level threads on N kernel threads. Each verb is a program of its own, and
/// `raddle VERB --help` tells about it.
#[derive(Parser)]
#[command(name = "raddle", version, after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl CommandLine {
    /// The verb, after what the parser can't see.
    pub(crate) fn checked(self) -> Result<Verb, clap::Error> {
        if let Verb::Echo(options) = &self.verb {
            options.check()?;
        }
        Ok(self.verb)
    }
}

const EXAMPLES: &str = "\
Examples:
  raddle serve examples/site         serves this folder on http://127.0.0.1:8080
  raddle serve . --tls-self-signed   serves this one on https://127.0.0.1:8443
  raddle echo                        serves TCP echo on 127.0.0.1:7777; try it with: nc 127.0.0.1 7777
  raddle echo 0.0.0.0:7 --on queue   without threads, on one event queue for each core
  raddle load http://127.0.0.1:8080/ -c 64   asks for that from 64 connections, and measures
  raddle completions bash > ~/.local/share/bash-completion/completions/raddle";

#[derive(Subcommand)]
pub(crate) enum Verb {
    Serve(Box<ServeOptions>),

    Echo(EchoOptions),

    Load(Box<LoadCommand>),

    Burst(BurstOptions),

    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },

    /// Writes the manual pages, one for each verb
    Man {
        /// Where to; it is made if need be
        directory: PathBuf,
    },
}

/// Serves a folder by HTTP
///
/// It says on which address. Folders show their index.html, or else a list of what they hold: as a
/// page, or as JSON for clients that prefer it. Nothing outside of the folder is served, whatever
/// leads there, and no name that begins with a dot but /.well-known. If `a.css.br`, `a.css.gz` or
/// `a.css.zst` stands beside `a.css`, clients that take it get that.
///
/// With a certificate it speaks TLS 1.2 and 1.3, and tells who does not. Several certificates, by the
/// names that clients ask for, and a redirect from plain HTTP are the configuration's.
///
/// SIGTERM and SIGINT end it: nothing is accepted any more, and what has been asked for is sent, for
/// as long as `--drain` says. A second one ends it at once. SIGHUP has it read the configuration again:
/// no connection is closed for it, and if something is wrong with it that is said, and nothing changes.
#[derive(Args, Clone)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeOptions {
    /// The folder
    #[arg(value_name = "DIR", required_unless_present_any = ["config", "print_config", "hash_password"])]
    pub(crate) folder: Option<PathBuf>,

    /// Read a configuration; options go before what it says
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Only see whether the configuration is right; a mistake is named with file, line and key
    #[arg(long)]
    pub(crate) check: bool,

    /// Print all defaults of the configuration, with their meaning
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Ask for a password, and print USER:HASH for the configuration
    #[arg(long, value_name = "USER", value_parser = user, exclusive = true)]
    pub(crate) hash_password: Option<String>,

    /// Where to listen.
    #[arg(short, long, help = "Where to listen: HOST:PORT or [IPv6]:PORT [default: 127.0.0.1:8080; TLS: 8443]", value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<String>,

    /// Speak TLS with this certificate, in PEM, its chain behind it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's key, in PEM; both files are read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Speak TLS with a self-signed certificate, made at the start: to try something out
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) tls_self_signed: bool,

    /// Write a line for each response, in this form
    #[arg(long, value_name = "FORM")]
    pub(crate) log: Option<LogForm>,

    /// Where to [default: the standard error]; SIGUSR1 opens it anew
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Show how it goes: http://ADDR/status; ADDR may be the path of a Unix socket
    #[arg(long, value_name = "ADDR", value_parser = place)]
    pub(crate) admin: Option<Place>,

    /// What stands for its folder: the first that is there [default: index.html]
    #[arg(long, value_name = "NAME", value_parser = index)]
    pub(crate) index: Vec<String>,

    /// Do not list folders that have no index
    #[arg(long)]
    pub(crate) no_listings: bool,

    /// Serve and list names that begin with a dot, too
    #[arg(long)]
    pub(crate) hidden: bool,

    /// Serve so many connections at once; more wait until one ends
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=u64::from(u32::MAX)))]
    pub(crate) connections: Option<u32>,

    /// How connections come to cores
    #[arg(long, value_name = "HOW")]
    pub(crate) dispatch: Option<DispatchMode>,

    /// Share the port with programs of this user that share it as well
    #[arg(long)]
    pub(crate) allow_shared_sockets: bool,

    /// For how many seconds it finishes what it has begun when it is told to end [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = whole::<u32>(0..=86_400))]
    pub(crate) drain: Option<u32>,

    /// On how many cores; all that this process may use by default
    #[arg(long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) cores: Option<u16>,
}

/// How connections come to cores.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DispatchMode {
    /// Each core accepts, and serves what it gets
    #[default]
    Reuseport,
    /// One thread accepts, and gives each connection to the core with the fewest
    Fair,
    /// Each core accepts, and passes connections on when it has clearly more
    Balanced,
}

/// The form of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// The NCSA's: who, when, the request line, the status, bytes
    Common,
    /// The same with the client's Referer and User-Agent
    Combined,
    /// A JSON object in each line
    Json,
}

/// Serves TCP echo: what comes is sent back
///
/// It says on which address, and prints a summary when it ends. If the standard error is a terminal,
/// there is a line a second: connections, messages and bytes a second, and the 99th percentile of the
/// service time. That begins when a message has been read and ends when the kernel has all of its
/// echo; it is taken of every sixteenth message.
///
/// SIGTERM and SIGINT end it: nothing is accepted any more, what has arrived is sent back, for ten
/// seconds at most. A second one ends it at once.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct EchoOptions {
    /// Where to listen.
    #[arg(help = "Where to listen: HOST:PORT or [IPv6]:PORT. Port 0 is any that is free", value_name = "ADDR", default_value = "127.0.0.1:7777", value_parser = address)]
    pub(crate) address: String,

    /// On what it stands
    #[arg(long, value_name = "WHAT", default_value = "threads")]
    pub(crate) on: On,

    /// With `--on queue`: report a descriptor as long as it is ready (the default)
    #[arg(long, conflicts_with = "edge")]
    pub(crate) level: bool,

    /// With `--on queue`: report a descriptor when it becomes ready
    #[arg(long)]
    pub(crate) edge: bool,

    /// With `--on workqueue`: an item runs on one core, the connections take turns over all
    #[arg(long, conflicts_with = "unbound")]
    pub(crate) bound: bool,

    /// With `--on workqueue`: an item runs on whatever core is free (the default)
    #[arg(long)]
    pub(crate) unbound: bool,

    /// On how many cores; all that this process may use by default
    #[arg(long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) cores: Option<u16>,
}

/// On what an echo server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    /// A raddle thread for each connection
    Threads,
    /// One event queue for each core, without threads for connections
    Queue,
    /// A work item for each connection, on raddle's workqueues
    Workqueue,
}

impl EchoOptions {
    /// What the parser can't see: options of one mode with another.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        let wrong = [
            (self.level, "--level", On::Queue),
            (self.edge, "--edge", On::Queue),
            (self.bound, "--bound", On::Workqueue),
            (self.unbound, "--unbound", On::Workqueue),
        ];
        let wrong = wrong.into_iter().find(|(is_given, _, on)| *is_given && *on != self.on);
        let Some((_, option, on)) = wrong else { return Ok(()) };
        let value = on.to_possible_value().expect("no mode is hidden");
        let what = format!("{option} goes with '--on {}' only", value.get_name());
        let mut command = CommandLine::command();
        command.build();
        let verb = command.find_subcommand_mut("echo").expect("the verb whose options these are");
        Err(verb.error(ErrorKind::ArgumentConflict, what))
    }
}

/// What is wrong with a command line, in one line. `None` if it asks for help, or for the version, or for nothing.
pub(crate) fn in_one_line(error: &clap::Error) -> Option<String> {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    let asks = [DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion];
    if asks.contains(&error.kind()) {
        return None;
    }
    // The parser says it in paragraphs: what is wrong, what may stand there, tips, and how the verb is used.
    let mut said = error.render().to_string();
    // It quotes what was given as it is, line ends among it.
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand]
    {
        if let Some(ContextValue::String(given)) = error.get(kind) {
            said = said.replace(given.as_str(), &visible(given));
        }
    }
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_about_it =
        |line: &&str| !["Usage: ", "For more "].iter().any(|end| line.starts_with(end));
    let what: Vec<_> = lines.take_while(is_about_it).collect();
    let what = what.join(" ").replace(" tip: ", "; ");
    Some(format!("{}; --help tells more", what.strip_prefix("error: ").unwrap_or(&what)))
}

/// An address, or a path that becomes a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// HOST:PORT has no slash, and a path has one.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    if text.contains('/') {
        return Ok(Place::Unix(PathBuf::from(text)));
    }
    address(text).map(Place::Tcp).map_err(|why| format!("{why}; or a path with a slash in it"))
}

/// HOST:PORT; whether the host exists is found out when it is bound.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let form = "give HOST:PORT, such as 127.0.0.1:7777, [::1]:7777 or localhost:7777";
    let (host, port) = text.rsplit_once(':').ok_or(format!("no port; {form}"))?;
    if host.is_empty() {
        return Err(format!("no host; {form}, or 0.0.0.0{text} for all addresses of this machine"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(format!("an IPv6 address stands in brackets; {form}"));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{port:?} is no port from 0 to 65535; {form}")),
    }
}

/// A file that stands for its folder, and lies in it or below it.
pub(crate) fn index(name: &str) -> Result<String, String> {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    match name.split('/').all(is_name) {
        true => Ok(name.to_owned()),
        false => Err(format!("{name:?} is no file in the folder; give a name such as index.html")),
    }
}

/// A user's name, as it may stand before its hash.
fn user(text: &str) -> Result<String, String> {
    let is_bad = text.is_empty()
        || text.starts_with('#')
        || text.trim() != text
        || text.contains(|c: char| c == ':' || c.is_control());
    match is_bad {
        false => Ok(text.to_owned()),
        true => {
            Err("a user's name is not empty, and has no colon, no # before it and no space around"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(words: &[&str]) -> Result<EchoOptions, clap::Error> {
        let line = CommandLine::try_parse_from([&["raddle", "echo"], words].concat())?;
        let Verb::Echo(options) = line.verb else { panic!("that is `echo`") };
        options.check().map(|()| options)
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:7777", "[::1]:0", "localhost:80", "a.example:65535"] {
            assert_eq!(echo(&[good]).map(|options| options.address).ok().as_deref(), Some(good));
        }
        for (bad, why) in [
            ("7777", "no port"),
            (":7777", "0.0.0.0:7777"),
            ("::1:7777", "in brackets"),
            ("localhost:http", "no port from 0"),
            ("localhost:65536", "no port from 0"),
        ] {
            let error = echo(&[bad]).map(|_| ()).expect_err(bad);
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn level_and_edge_exclude_each_other() {
        assert!(echo(&["--on", "queue", "--level", "--edge"]).is_err());
        assert!(echo(&["--on", "queue", "--edge"]).is_ok_and(|options| options.edge));
    }

    #[test]
    fn options_of_one_mode_are_refused_with_another() {
        for (words, why) in [
            (&["--edge"][..], "--edge goes with '--on queue' only"),
            (&["--on", "workqueue", "--level"], "--level goes with '--on queue' only"),
            (&["--on", "queue", "--bound"], "--bound goes with '--on workqueue' only"),
        ] {
            let error = echo(words).map(|_| ()).expect_err("options of two modes");
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(echo(&["--on", "workqueue", "--bound"]).is_ok_and(|options| options.bound));
        assert!(echo(&["--on", "workqueue", "--bound", "--unbound"]).is_err());
    }
}
