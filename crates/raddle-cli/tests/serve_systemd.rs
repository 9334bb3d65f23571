//! Catches a server that opens a socket where one was handed to it, and a supervisor that is told something else than what happens. The
//! supervisor is played here: a socket at descriptor 3, and one that hears.

#![allow(unsafe_code, reason = "a descriptor for a child, signals")]

mod kit;

use kit::{Folder, PATIENCE, RADDLE, Server, raddle};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const FIRST: RawFd = 3;

/// `raddle serve -c PATH`, by way of a shell that knows the number of the process that it becomes, with these descriptors from 3 on.
fn handed(path: &str, fds: &[RawFd], names: &str) -> Command {
    let script = "LISTEN_PID=$$ exec \"$0\" serve -c \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, RADDLE, path]).stdin(Stdio::null());
    command.env("LISTEN_FDS", fds.len().to_string()).env("LISTEN_FDNAMES", names);
    let fds = fds.to_owned();
    let pass = move || {
        // Out of each other's way first.
        for (at, fd) in fds.iter().enumerate() {
            // SAFETY: numbers only, in a child that has begun with copies of these.
            if unsafe { libc::dup3(*fd, 100 + at as RawFd, libc::O_CLOEXEC) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        for at in 0..fds.len() as RawFd {
            // SAFETY: as above.
            if unsafe { libc::dup2(100 + at, FIRST + at) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: it makes system calls only.
    unsafe { command.pre_exec(pass) };
    command
}

/// A configuration that names an address which can't be had, beside a folder with a page.
fn configured(name: &str, text: &str) -> (String, Folder) {
    let folder = Folder::new(name);
    folder.file("site/index.html", "site");
    let text = format!("folder = \"site\"\nlisten = \"192.0.2.1:80\"\n{text}");
    (folder.file("raddle.toml", text), folder)
}

fn get(stream: &mut (impl Read + Write)) -> String {
    stream.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

/// What a supervisor hears, one message after the other.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn hears(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let count = self.0.recv(&mut message).expect("the server says something");
        kit::text(&message[..count]).lines().map(str::to_owned).collect()
    }

    /// The next message that is no sign of life; how many of those came before.
    fn hears_news(&self) -> (Vec<String>, usize) {
        let mut lives = 0;
        loop {
            match self.hears() {
                message if message == ["WATCHDOG=1"] => lives += 1,
                message => return (message, lives),
            }
        }
    }
}

#[test]
fn what_was_handed_over_is_served() {
    let (path, _folder) = configured("handed", "[tls]\nself_signed = true\n");
    let main = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let redirect = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    // It has come before there was anybody to take it.
    let mut early = std::net::TcpStream::connect(redirect.local_addr().unwrap()).unwrap();
    let fds = [redirect.as_raw_fd(), main.as_raw_fd()];
    let mut server = Server::of(&mut handed(&path, &fds, "redirect:site"));
    assert_eq!(server.at, main.local_addr().unwrap());
    let line = server.line();
    let from = redirect.local_addr().unwrap();
    assert!(
        line.contains(&format!("listening on {from}: http://{from}/ leads to https")),
        "{line}"
    );
    assert!(server.line().contains("self-signed"));
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = get(&mut early);
    assert!(answer.contains(&format!("Location: https://a:{}/\r\n", server.at.port())), "{answer}");
    assert!(get(&mut server.connect()).ends_with("This is a TLS port: ask for https://\n"));
    assert_eq!(server.stop(), "");
}

#[test]
fn what_is_of_no_use_is_said() {
    let (path, _folder) = configured("handed-in-vain", "");
    let listening = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let datagrams = UnixDatagram::unbound().expect("a socket");
    let connected = std::net::TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    let (one, two, three) = (listening.as_raw_fd(), datagrams.as_raw_fd(), connected.as_raw_fd());
    for (fds, names, expected) in [
        (&[two][..], "", "systemd: descriptor 3 is no TCP socket; "),
        (&[one, three], "a:b", "systemd: descriptor 4 (b) does not listen; "),
        (&[one, one], "a:b", "systemd: descriptor 4 (b) is one too many: "),
        (&[one, one], "a:redirect", "systemd: a socket is called redirect, and there is no TLS"),
    ] {
        let line = kit::failure(&mut handed(&path, fds, names));
        assert!(line.starts_with(&format!("raddle: error: {expected}")), "{line}");
    }
    // What is for another process is not taken.
    let mut command = raddle(&["serve", "-c", &path]);
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let line = kit::failure(&mut command);
    assert!(line.contains("192.0.2.1:80 is no address of this machine"), "{line}");
}

#[test]
fn the_supervisor_hears_how_the_server_is() {
    let (path, folder) = configured("notifying", "");
    let name = format!("raddle-test-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let path_address = format!("/tmp/{name}");
    _ = std::fs::remove_file(&path_address);
    for (socket, address) in [
        (UnixDatagram::bind(&path_address), path_address.clone()),
        (UnixDatagram::bind_addr(&abstract_address), format!("@{name}")),
    ] {
        let supervisor = Supervisor(socket.expect("nobody else has that name"));
        supervisor.0.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        folder.file("raddle.toml", "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n");
        let mut command = raddle(&["serve", "-c", &path]);
        command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "20000");
        let mut server = Server::of(&mut command);
        let (ready, _) = supervisor.hears_news();
        assert_eq!(ready[0], "READY=1");
        assert_eq!(ready[1], format!("STATUS=listens on {}", server.at));
        assert!(get(&mut server.connect()).ends_with("site"));
        // Raddle's threads run, again and again.
        (0..3).for_each(|_| assert_eq!(supervisor.hears(), ["WATCHDOG=1"]));
        let mut last_us = 0;
        for text in ["folder = \"site\"\nlisten = \"127.0.0.1:0\"\n", "nonsense"] {
            folder.file("raddle.toml", text);
            server.signal(libc::SIGHUP);
            let (reloading, _) = supervisor.hears_news();
            assert_eq!(reloading[0], "RELOADING=1");
            let at_us = reloading[1].strip_prefix("MONOTONIC_USEC=").expect("when it began");
            let at_us: u64 = at_us.parse().expect("microseconds");
            assert!(at_us > last_us);
            last_us = at_us;
            assert_eq!(supervisor.hears_news().0[0], "READY=1");
        }
        assert!(server.line().contains("read again"));
        assert!(server.error(1).contains("serves as before"));
        server.signal(libc::SIGTERM);
        assert_eq!(supervisor.hears_news().0[0], "STOPPING=1");
        assert!(server.end().0.success());
    }
    std::fs::remove_file(&path_address).expect("it was made above");
}

#[test]
fn without_a_supervisor_nobody_is_told() {
    let (path, folder) = configured("unheard", "");
    folder.file("raddle.toml", "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n");
    let mut command = raddle(&["serve", "-c", &path]);
    let server = Server::of(command.env("NOTIFY_SOCKET", "vsock:2:1"));
    let line = server.error(1);
    assert!(
        line.starts_with("raddle: warning: NOTIFY_SOCKET: vsock:2:1: neither a path nor"),
        "{line}"
    );
    assert!(get(&mut server.connect()).ends_with("site"));
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
    // One that is gone does no harm.
    let mut command = raddle(&["serve", "-c", &path]);
    let server = Server::of(command.env("NOTIFY_SOCKET", "/no/such/socket"));
    assert!(get(&mut server.connect()).ends_with("site"));
    assert_eq!(server.stop(), "");
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
