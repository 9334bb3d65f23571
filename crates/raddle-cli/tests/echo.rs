//! `raddle echo` in each of its modes, on each backend of the event queue: what comes is sent back, whoever is slow hinders nobody,
//! the limit of descriptors is survived, and the end is orderly.

#![allow(unsafe_code, reason = "who we are")]

mod kit;

use kit::{
    Flood, PATIENCE, RADDLE, Server, failure, on_the_way, pattern, send_until_stuck, until_arrived,
};
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The modes, by the arguments that choose them.
const MODES: &[(&str, &[&str])] = &[
    ("threads", &[]),
    ("threads_one_core", &["--on", "threads", "--cores", "1"]),
    ("workqueue_bound", &["--on", "workqueue", "--bound"]),
    ("workqueue_unbound", &["--on", "workqueue", "--unbound"]),
    ("queue_level", &["--on", "queue", "--level"]),
    ("queue_edge", &["--on", "queue", "--edge"]),
    ("queue_one_loop", &["--on", "queue", "--cores", "1"]),
];

/// What `RADDLE_EVENT` says.
const BACKENDS: &[&str] = &["by_itself", "epoll", "poll"];

type Check = fn(&Setting);

const CHECKS: &[(&str, Check)] = &[
    ("messages_of_all_sizes_come_back", messages_of_all_sizes_come_back),
    ("who_does_not_read_hinders_nobody", who_does_not_read_hinders_nobody),
    ("clients_that_vanish_leave_nothing", clients_that_vanish_leave_nothing),
    ("the_limit_of_descriptors_is_survived", the_limit_of_descriptors_is_survived),
    ("a_limit_that_leaves_no_room_is_told", a_limit_that_leaves_no_room_is_told),
    ("what_has_arrived_is_sent_back_before_the_end", what_has_arrived_is_sent_back_before_the_end),
    ("what_is_still_on_its_way_takes_nothing_back", what_is_still_on_its_way_takes_nothing_back),
    ("a_second_signal_ends_it_at_once", a_second_signal_ends_it_at_once),
    (FLOOD, a_flood_keeps_nobody_from_ending),
    (SLOW, who_never_reads_is_cut_off_in_the_end),
];

/// They take ten seconds, and the whole machine, so once for each mode is enough.
const SLOW: &str = "who_never_reads_is_cut_off_in_the_end";
const FLOOD: &str = "a_flood_keeps_nobody_from_ending";

fn main() {
    let mut arguments = Arguments::from_args();
    // Mostly they wait.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let mut trials = vec![privileged_port()];
    for &(mode, options) in MODES {
        for &backend in BACKENDS {
            for &(name, check) in CHECKS {
                if [SLOW, FLOOD].contains(&name) && backend != BACKENDS[0] {
                    continue;
                }
                let setting = Setting { options, backend };
                let run = move || -> Result<(), Failed> {
                    check(&setting);
                    Ok(())
                };
                trials.push(Trial::test(format!("{mode}::{backend}::{name}"), run));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

struct Setting {
    options: &'static [&'static str],
    backend: &'static str,
}

impl Setting {
    fn environment(&self) -> Option<(&'static str, &'static str)> {
        (self.backend != "by_itself").then_some(("RADDLE_EVENT", self.backend))
    }

    /// The server, which may have so many descriptors.
    fn with_descriptors(&self, limit: usize) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh", RADDLE]);
        command.args(["echo", "127.0.0.1:0"]).args(self.options).stdin(Stdio::null());
        command.env_remove("RADDLE_EVENT").envs(self.environment());
        command
    }

    fn start(&self) -> Server {
        Server::start(self.options, self.environment().as_slice())
    }
}

fn exchange(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).expect("it is served");
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).expect("it is served");
    assert!(answer == message, "{} bytes came back changed", message.len());
}

fn messages_of_all_sizes_come_back(setting: &Setting) {
    let server = setting.start();
    if let Some((_, backend)) = setting.environment()
        && setting.options.contains(&"queue")
    {
        assert!(server.greeting.contains(backend), "{}", server.greeting);
    }
    thread::scope(|scope| {
        for client in 0..8 {
            let mut stream = server.connect();
            scope.spawn(move || {
                for size in [1, 2, 63, 64, 1_000, 4_096, 16_384, 65_536, 65_537, 300_000] {
                    exchange(&mut stream, &pattern(size, client * 1_000_000 + size as u32));
                }
                // Many at once, then an end to be answered by an end.
                let all = pattern(2_000_000, client);
                let mut writer = stream.try_clone().expect("a socket of ours");
                let sent = all.clone();
                let writer = thread::spawn(move || {
                    writer.write_all(&sent).expect("it is served");
                    writer.shutdown(Shutdown::Write).expect("it is connected");
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).expect("it is served");
                writer.join().expect("all was sent");
                assert!(back == all, "{} of {} bytes came back", back.len(), all.len());
            });
        }
    });
    let summary = server.stop();
    assert!(summary.starts_with("raddle: 8 connections, "), "{summary}");
}

/// A client that sends what the server takes, and reads nothing of what comes back; and how many bytes that were, repeating [`piece`].
fn stuck(server: &Server) -> (TcpStream, usize) {
    let mut stream = server.connect();
    let sent = send_until_stuck(server, &mut stream, &piece());
    (stream, sent)
}

fn piece() -> Vec<u8> {
    pattern(1 << 20, 7)
}

fn who_does_not_read_hinders_nobody(setting: &Setting) {
    let server = setting.start();
    let (mut slow, sent) = stuck(&server);
    for client in 0..20 {
        exchange(&mut server.connect(), &pattern(100_000, client));
    }
    // Now it reads, and gets all of it, unchanged.
    slow.shutdown(Shutdown::Write).expect("it is connected");
    let mut back = Vec::new();
    slow.read_to_end(&mut back).expect("it is served");
    assert_eq!(back.len(), sent);
    assert!(back.chunks(1 << 20).all(|chunk| piece().starts_with(chunk)), "they were changed");
    server.stop();
}

fn clients_that_vanish_leave_nothing(setting: &Setting) {
    let server = setting.start();
    for client in 0..200 {
        let mut stream = server.connect();
        stream.write_all(&pattern(1 + client as usize * 37, client)).expect("it is served");
        // Data that was not read makes a reset of the end.
    }
    let mut last = server.connect();
    exchange(&mut last, b"still here");
    drop(last);
    let summary = server.stop();
    assert!(summary.starts_with("raddle: 201 connections, "), "{summary}");
}

fn the_limit_of_descriptors_is_survived(setting: &Setting) {
    const LIMIT: usize = 40;
    let server = Server::of(&mut setting.with_descriptors(LIMIT));
    // The kernel takes them all; the server has no descriptors for some.
    let mut clients: Vec<TcpStream> = (0..LIMIT * 2).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.write_all(b"hello").expect("it is connected"));
    let mut served = Vec::new();
    let begun = Instant::now();
    while !clients.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} are not served", clients.len());
        // Whoever was served goes, one at a time, and makes room for one that waits.
        let at = clients.iter().position(has_answer);
        let Some(at) = at else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        let mut client = clients.swap_remove(at);
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("it has come");
        assert_eq!(&answer, b"hello");
        exchange(&mut client, b"and still");
        served.push(client.peer_addr().is_ok());
    }
    assert_eq!(served.len(), LIMIT * 2);
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    assert!(status.success(), "{status}: {errors}");
    let warning = format!("raddle: warning: the limit of {LIMIT} descriptors is reached: ");
    assert!(errors.starts_with(&warning) && errors.lines().count() == 1, "{errors}");
}

/// With few descriptors it does not begin, or serves; if none is left for a connection it says so, be it a moment after it has begun.
fn a_limit_that_leaves_no_room_is_told(setting: &Setting) {
    for limit in 6..40 {
        let mut command = setting.with_descriptors(limit);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        out.read_line(&mut greeting).expect("raddle prints text");
        let at: Option<SocketAddr> =
            greeting.split(' ').find_map(|word| word.strip_suffix(':')?.parse().ok());
        if at.is_some_and(serves) {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            return;
        }
        let output = child.wait_with_output().expect("a child of ours");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "of {limit}: {errors}");
        // Other cores may still warn of what they lack.
        let told: Vec<_> =
            errors.lines().filter_map(|line| line.strip_prefix("raddle: error: ")).collect();
        let [told] = told[..] else { panic!("of {limit}: {errors}") };
        assert!(told.contains("`ulimit -n 1024`"), "of {limit}: {errors}");
        assert!(!errors.contains("all others are served"), "of {limit}: {errors}");
    }
    panic!("forty are enough");
}

/// Whether it sends something back before it closes the connection, or ends.
fn serves(at: SocketAddr) -> bool {
    let serves = || {
        let mut client = TcpStream::connect_timeout(&at, PATIENCE)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(b"hello")?;
        client.read(&mut [0; 5])
    };
    serves().is_ok_and(|count| count > 0)
}

fn has_answer(client: &TcpStream) -> bool {
    client.set_nonblocking(true).expect("a socket of ours");
    let peeked = client.peek(&mut [0]);
    client.set_nonblocking(false).expect("a socket of ours");
    match peeked {
        Ok(count) => {
            assert!(count > 0, "a connection has ended that was not served");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

fn what_has_arrived_is_sent_back_before_the_end(setting: &Setting) {
    let mut server = setting.start();
    let mut idle = server.connect();
    exchange(&mut idle, b"hello");
    // The kernel has no room for all of its echo as long as it is not read.
    let message = pattern(150_000, 3);
    let mut busy = server.connect();
    busy.write_all(&message).expect("it is connected");
    until_arrived(&busy);
    let (stuck, _) = stuck(&server);
    server.signal(libc::SIGINT);
    assert_eq!(idle.read(&mut [0]).expect("an orderly end"), 0, "who is idle is let go");
    let mut back = Vec::new();
    busy.read_to_end(&mut back).expect("an orderly end");
    assert!(back == message, "{} of {} bytes came back", back.len(), message.len());
    // Somebody is in flight, so the server lives; but it takes nobody any more.
    assert!(server.is_running());
    // One of its loops may still be about to notice.
    let begun = Instant::now();
    while TcpStream::connect(server.at).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it accepts and accepts");
        thread::sleep(Duration::from_millis(2));
    }
    drop(stuck);
    let (status, out, errors) = server.end();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    assert!(out.starts_with("raddle: ") && out.contains(" connections, "), "{out}");
}

/// A client that sends on, as far as its own kernel is concerned: to close at once would be a reset, and with it goes what was sent back already.
fn what_is_still_on_its_way_takes_nothing_back(setting: &Setting) {
    let server = setting.start();
    let (mut busy, sent) = stuck(&server);
    let arrived = sent - on_the_way(&busy) as usize;
    assert!(arrived < sent, "all {sent} bytes have arrived");
    server.signal(libc::SIGTERM);
    let (mut back, mut piece_back) = (0, vec![0; 1 << 16]);
    let pieces = piece().repeat(2);
    // A reset may come behind all that.
    while let Ok(count @ 1..) = busy.read(&mut piece_back) {
        let expected = &pieces[back % (1 << 20)..][..count];
        assert!(piece_back[..count] == *expected, "changed after {back} bytes");
        back += count;
    }
    assert!(back >= arrived, "{arrived} bytes had arrived, and {back} came back");
    let (status, out, errors) = server.end();
    assert!(status.success() && errors.is_empty(), "{status}: {out}{errors}");
}

fn a_second_signal_ends_it_at_once(setting: &Setting) {
    let mut server = setting.start();
    let mut idle = server.connect();
    // One that was not accepted yet would be reset.
    exchange(&mut idle, b"hello");
    let (stuck, _) = stuck(&server);
    server.signal(libc::SIGTERM);
    // When that has come, the first signal has been seen.
    assert_eq!(idle.read(&mut [0]).expect("an orderly end"), 0);
    assert!(server.is_running());
    server.signal(libc::SIGTERM);
    let (status, ..) = server.end();
    assert_eq!(status.code(), Some(128 + libc::SIGTERM));
    drop(stuck);
}

fn a_flood_keeps_nobody_from_ending(setting: &Setting) {
    let server = setting.start();
    let flood = Flood::begin(&server);
    // It would warn of those whom it has taken and not served when its time to finish is over.
    let summary = server.stop();
    let connected = flood.end();
    assert!(summary.starts_with("raddle: "), "{summary}, of {connected}");
}

fn who_never_reads_is_cut_off_in_the_end(setting: &Setting) {
    let server = setting.start();
    let (stuck, _) = stuck(&server);
    server.signal(libc::SIGTERM);
    let (status, out, errors) = server.end();
    assert!(status.success() && out.starts_with("raddle: 1 connection, "), "{status}: {out}");
    assert_eq!(
        errors,
        "raddle: warning: 1 connection did not take what was sent within 10 s, and was cut off\n"
    );
    drop(stuck);
}

/// Ignored where everybody may have such ports.
fn privileged_port() -> Trial {
    let least = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let least: Option<u16> = least.ok().and_then(|least| least.trim().parse().ok());
    let is_free = least.is_some_and(|least| least <= PRIVILEGED);
    if is_free {
        eprintln!("privileged_port: ignored: this machine lets everybody have port {PRIVILEGED}");
    }
    let test = || {
        a_privileged_port_is_refused_in_one_line();
        Ok(())
    };
    Trial::test("a_privileged_port_is_refused_in_one_line", test).with_ignored_flag(is_free)
}

const PRIVILEGED: u16 = 81;

fn a_privileged_port_is_refused_in_one_line() {
    // Somebody without privileges must be able to start the program, wherever it was built.
    let copy = env::temp_dir().join(format!("raddle-cli-test-{}", std::process::id()));
    fs::copy(RADDLE, &copy).expect("it has been built");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    let mut command = Command::new(&copy);
    command.args(["echo", "127.0.0.1:81"]).stdin(Stdio::null()).current_dir("/");
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65_534).gid(65_534);
    }
    let line = failure(&mut command);
    fs::remove_file(&copy).expect("a file of ours");
    let start = "raddle: error: 127.0.0.1:81: port 81 is for privileged programs; ";
    assert!(line.starts_with(start), "{line}");
}
