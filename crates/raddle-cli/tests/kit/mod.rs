//! The program `raddle`, run as its users run it.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    unsafe_code,
    reason = "signals to children, limits, terminals, what a socket has not sent yet"
)]

pub(crate) mod browser;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing here takes as long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub(crate) const RADDLE: &str = env!("CARGO_BIN_EXE_raddle");

/// `raddle` with these arguments, and nothing in its environment that would change what it does.
pub(crate) fn raddle(arguments: &[&str]) -> Command {
    let mut command = Command::new(RADDLE);
    command.args(arguments).stdin(Stdio::null());
    for variable in ["RADDLE_EVENT", "RADDLE_WAKE", "RADDLE_CORES", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command
}

/// How many descriptors this process and what it starts may have, once the limit is as high as it goes.
pub(crate) fn most_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes a limit of this form.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: it reads one.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!((got, set), (0, 0), "{}", io::Error::last_os_error());
    limit.rlim_cur
}

/// Runs this binary's other tests once more, where the kernel forbids io_uring, as in containers: whatever they start inherits that. The
/// name of the test that calls it ends with `with_io_uring_forbidden`.
pub(crate) fn again_with_io_uring_forbidden() {
    let filter = match filter() {
        Ok(filter) => filter,
        Err(lack) => return eprintln!("ignored: what is done with io_uring forbidden: {lack}"),
    };
    let forbid =
        move || seccompiler::apply_filter(&filter).map_err(|_| io::ErrorKind::Other.into());
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(["--skip", "with_io_uring_forbidden"]);
    // SAFETY: between fork and exec it makes two system calls, with what was made before.
    let output = unsafe { command.pre_exec(forbid) }.output().expect("it runs again");
    let (said, errors) = (text(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("test result: ok. ") && !said.contains(" ok. 0 passed"), "{said}");
}

fn filter() -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|_| "no seccomp filter here")?;
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, vec![])]);
    let forbids = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbids, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

/// What a program that ends by itself has said.
pub(crate) fn output(arguments: &[&str]) -> Output {
    raddle(arguments).output().expect("cargo has built the program")
}

/// What fails while it runs: status 1, and one line.
pub(crate) fn failure(command: &mut Command) -> String {
    let output = command.output().expect("cargo has built the program");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(output.stdout.is_empty(), "it has not begun");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors.trim_end().to_owned()
}

/// Bytes that a program has printed.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("raddle prints text")
}

/// Both ends of a terminal: ours, and a program's.
pub(crate) fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let nothing = std::ptr::null_mut();
    // SAFETY: the library writes two numbers; name, settings and size are not wanted.
    let result = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null(), std::ptr::null())
    };
    assert_eq!(result, 0, "no terminal can be had");
    // SAFETY: both were just made, and nobody else knows of them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// A folder for a test's files, which no other process has. It goes with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let name = format!("{name}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("cargo's own folder for this");
        Folder(folder)
    }

    /// Makes a file, and the folders that it is in; its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        let above = path.parent().expect("it is in a folder");
        fs::create_dir_all(above).expect("a folder of ours");
        fs::write(&path, content).expect("a folder of ours");
        path.into_os_string().into_string().expect("cargo's folders are text")
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("cargo's folders are text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: Option<JoinHandle<String>>,
    /// As far as they have come.
    said: Arc<Mutex<String>>,
    /// Its first line.
    pub(crate) greeting: String,
    /// Where it listens.
    pub(crate) at: SocketAddr,
}

impl Server {
    /// Starts `raddle echo` on a free port, and waits until it listens.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let mut command = raddle(&["echo", "127.0.0.1:0"]);
        command.args(arguments).envs(environment.iter().copied());
        Server::of(&mut command)
    }

    /// Starts this command, which becomes `raddle echo`.
    pub(crate) fn of(command: &mut Command) -> Server {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cargo has built the program");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let mut pipe = child.stderr.take().expect("a pipe was asked for");
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let errors = thread::spawn(move || {
            let mut lines = BufReader::new(&mut pipe);
            let mut line = String::new();
            while lines.read_line(&mut line).expect("raddle prints text") > 0 {
                // Root may run the tests, and where io_uring is forbidden it is said. What they are about is something else.
                let others = ["it serves as root; ", "raddle-event: not io_uring: "];
                let said = line.strip_prefix("raddle: warning: ");
                if said.is_some_and(|said| others.iter().any(|other| said.starts_with(other))) {
                    line.clear();
                    continue;
                }
                heard.lock().expect("nobody panics with it").push_str(&line);
                line.clear();
            }
            heard.lock().expect("nobody panics with it").clone()
        });
        let mut greeting = String::new();
        out.read_line(&mut greeting).expect("raddle prints text");
        let at = greeting
            .strip_prefix("raddle: listening on ")
            .and_then(|rest| rest.split(": ").next())
            .and_then(|at| at.parse().ok());
        let Some(at) = at else {
            let errors = errors.join().expect("it reads only");
            panic!("raddle said {greeting:?} and {errors:?}")
        };
        Server { child, out, errors: Some(errors), said, greeting, at }
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("raddle prints text");
        line.trim_end().to_owned()
    }

    /// Waits until its errors have so many lines, and gives the last one.
    pub(crate) fn error(&self, count: usize) -> String {
        let begun = Instant::now();
        loop {
            let said = self.errors();
            if said.ends_with('\n') && said.lines().count() >= count {
                assert_eq!(said.lines().count(), count, "{said}");
                return said.lines().last().expect("there is one").to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not say it: {said}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its errors so far.
    pub(crate) fn errors(&self) -> String {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Waits until its errors have this in them.
    pub(crate) fn until_said(&self, what: &str) {
        let begun = Instant::now();
        while !self.errors().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "it does not say {what}: {}", self.errors());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A new connection, on which nothing takes for ever.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.at, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket of ours");
        stream
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, number: i32) {
        // SAFETY: no memory is involved; the child is not waited for yet, so the number is its own.
        let result = unsafe { libc::kill(self.child.id() as i32, number) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    /// Whether one of its threads runs, or would if it could.
    fn is_busy(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
        // One that has ended meanwhile is not busy.
        let stats =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let state =
            |stat: String| stat.rsplit(") ").next().map(|rest| rest.starts_with(['R', 'D']));
        stats.filter_map(state).any(|is_busy| is_busy)
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of ours").is_none()
    }

    /// Waits for its end: how, the rest of its output, and its errors.
    pub(crate) fn end(mut self) -> (ExitStatus, String, String) {
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.wait().expect("it is a child of ours");
        let mut out = String::new();
        self.out.read_to_string(&mut out).expect("raddle prints text");
        let errors = self.errors.take().expect("it is taken here only");
        (status, out, errors.join().expect("it reads only"))
    }

    /// Asks it to end, and expects that it ends well and silently; its summary.
    pub(crate) fn stop(self) -> String {
        self.signal(libc::SIGTERM);
        let (status, out, errors) = self.end();
        assert!(status.success(), "{status}: {out}{errors}");
        assert_eq!(errors, "");
        out
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended, or a test has failed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How many bytes that were sent on `stream` have not arrived at the other side.
pub(crate) fn on_the_way(stream: &TcpStream) -> i32 {
    let mut left = 0i32;
    // SAFETY: the kernel writes an integer.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    left
}

/// Waits until all that was sent on `stream` has arrived at the other side.
pub(crate) fn until_arrived(stream: &TcpStream) {
    let begun = Instant::now();
    while on_the_way(stream) > 0 {
        assert!(begun.elapsed() < PATIENCE, "it does not arrive");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends `piece` again and again until the server takes no more, as nothing of its answer is read; how many bytes.
pub(crate) fn send_until_stuck(server: &Server, stream: &mut TcpStream, piece: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("a socket of ours");
    let (begun, mut sent, mut moved) = (Instant::now(), 0, Instant::now());
    let mut left = 0;
    // A server that is only slow moves within this time, or has something to do and gets no processor.
    while moved.elapsed() < Duration::from_millis(500) {
        assert!(begun.elapsed() < PATIENCE, "it takes {sent} bytes and more, and nobody reads");
        match stream.write(&piece[sent % piece.len()..]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                thread::sleep(Duration::from_millis(5));
            }
        }
        let now = on_the_way(stream);
        if now != left || server.is_busy() {
            (left, moved) = (now, Instant::now());
        }
    }
    stream.set_nonblocking(false).expect("a socket of ours");
    sent
}

/// Clients that connect as fast as they can, and go again at once, for as long as somebody listens.
pub(crate) struct Flood {
    clients: Vec<JoinHandle<()>>,
    connected: Arc<AtomicU64>,
}

impl Flood {
    /// It has begun when this returns: each of them has connected often.
    pub(crate) fn begin(server: &Server) -> Flood {
        const CLIENTS: u64 = 4;
        let (at, begun) = (server.at, Instant::now());
        let connected = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let connected = connected.clone();
            thread::spawn(move || {
                loop {
                    match TcpStream::connect(at) {
                        Ok(_) => _ = connected.fetch_add(1, Relaxed),
                        // All ports are those of connections that have just ended.
                        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                        Err(_) => return,
                    }
                    assert!(begun.elapsed() < PATIENCE, "somebody listens and listens");
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        while connected.load(Relaxed) < CLIENTS * 100 {
            assert!(begun.elapsed() < PATIENCE, "they do not connect");
            thread::sleep(Duration::from_millis(5));
        }
        Flood { clients, connected }
    }

    /// Waits until nobody listens any more; how many connections there were.
    pub(crate) fn end(self) -> u64 {
        for client in self.clients {
            client.join().expect("somebody stops listening");
        }
        self.connected.load(Relaxed)
    }
}

/// Bytes that repeat after a long while only.
pub(crate) fn pattern(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
