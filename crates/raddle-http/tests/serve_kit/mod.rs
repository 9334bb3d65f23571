//! Tests over real sockets: each in a child process of its own, with the event queue that the machine gives and, as in containers, where
//! a seccomp filter forbids io_uring; a client that reads answers as they come.
#![allow(dead_code, reason = "each test file uses a part")]

use libtest_mimic::{Arguments, Failed, Trial};
use raddle_http::server::{Running, Server};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// A test's name, and the test.
pub(crate) type Case = (&'static str, fn());

/// Nothing takes as long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tells a child which test it is.
const CHILD: &str = "RADDLE_SERVE_CHILD";
/// Tells a child to forbid io_uring.
const FORBIDS: &str = "RADDLE_SERVE_FORBIDS_RING";

/// The `main` of a test binary.
pub(crate) fn main(cases: &'static [Case]) -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        if forbids_ring() {
            seccompiler::apply_filter(&filter().expect("it was made before")).expect("seccomp");
        }
        let (_, test) = cases.iter().find(|(case, _)| *case == name).expect("a known test");
        test();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    // A case that needs a program has it at its name's beginning.
    let is_missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let missing: Vec<&str> = ["curl", "openssl"].into_iter().filter(is_missing).collect();
    for program in &missing {
        eprintln!("ignored where it is needed: {program}, which is not installed");
    }
    let no_filter = filter().err();
    if let Some(lack) = &no_filter {
        eprintln!("ignored where io_uring is to be forbidden: {lack}");
    }
    let mut trials = Vec::new();
    for (name, _) in cases {
        for (backend, forbids) in [("by itself", false), ("io_uring forbidden", true)] {
            let trial = Trial::test(*name, move || run(name, forbids)).with_kind(backend);
            let is_ignored = missing.iter().any(|program| name.starts_with(program))
                || forbids && no_filter.is_some();
            trials.push(trial.with_ignored_flag(is_ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether this child is one in which io_uring is forbidden: it runs beside the one in which it is not.
pub(crate) fn forbids_ring() -> bool {
    std::env::var_os(FORBIDS).is_some()
}

fn filter() -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|_| "no seccomp filter here")?;
    // `io_uring_setup`, which has this number wherever Linux has it.
    let rules = BTreeMap::from([(425, vec![])]);
    let forbids = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error() as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbids, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

fn run(name: &str, forbids: bool) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, name);
    if forbids {
        command.env(FORBIDS, "1");
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// On some port of this machine's.
pub(crate) fn started(server: Server) -> Running {
    server.bind("127.0.0.1:0").expect("some port is free")
}

/// Waits until all connections have ended.
pub(crate) fn finished(running: &Running) {
    running.drain();
    assert!(running.wait_timeout(PATIENCE), "{} are left", running.connections());
}

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head, without the status line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads one answer.
    pub(crate) fn read(from: &mut impl BufRead, is_head: bool) -> io::Result<Answer> {
        let first = line(from)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut head = String::new();
        loop {
            let line = line(from)?;
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        let mut answer = Answer { status, head, body: Vec::new() };
        if is_head || matches!(status, 100..=199 | 204 | 304) {
            return Ok(answer);
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let size = u64::from_str_radix(&line(from)?, 16).expect("a chunk's size");
                from.take(size).read_to_end(&mut answer.body)?;
                assert_eq!(line(from)?, "");
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().expect("a length");
            answer.body.resize(length, 0);
            from.read_exact(&mut answer.body)?;
        } else {
            from.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.strip_suffix("\r\n").expect("lines end with CR LF");
    Ok(line.to_owned())
}

impl Client {
    pub(crate) fn connect(at: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket of ours");
        let reader = BufReader::new(stream.try_clone().expect("a socket of ours"));
        Client { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("it is connected");
    }

    /// Sends a request without content, and reads the answer.
    pub(crate) fn get(&mut self, path: &str, fields: &[&str]) -> Answer {
        self.ask("GET", path, fields)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[&str]) -> Answer {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.answer(method == "HEAD")
    }

    /// Reads one answer, of which the content is as long as its head says, or as its chunks are, or until the end.
    pub(crate) fn answer(&mut self, is_head: bool) -> Answer {
        self.try_answer(is_head).expect("an answer")
    }

    pub(crate) fn try_answer(&mut self, is_head: bool) -> io::Result<Answer> {
        Answer::read(&mut self.reader, is_head)
    }

    /// Expects that nothing more comes.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest)),
            // It was closed while we were sending.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    /// Whether it has ended.
    pub(crate) fn read_byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.reader.read(&mut byte)? == 1).then_some(byte[0]))
    }
}
