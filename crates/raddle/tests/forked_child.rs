//! What a forked child does with files and sockets, its parent's and its own, and what it leaves alone. It forks from a raddle thread or a kernel
//! thread while other threads of the parent wait; in the child its forking thread and threads of its own use what is there.

#![allow(unsafe_code, reason = "ends a process")]

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
mod io_kit;

use calls::{alarm, end_of, exit_now, fork};
use io_kit::{Kind, Scratch, a_moment, cases, main as run, make_cold, on, pattern, start};
use raddle::cancel::Token;
use raddle::fs::{self, File};
use raddle::io::{self, Interest};
use raddle::net::{TcpListener, TcpStream, UdpSocket};
use raddle::{thread, time};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    run(cases![
        a_file_is_read_on_from_where_it_stood,
        files_of_its_own,
        a_connection_goes_on_in_the_child,
        what_the_child_closes_stays_open_in_the_parent,
        who_waits_in_the_parent_is_left_alone,
        a_child_serves_its_parent,
        waits_have_their_ends,
        a_file_is_sent_and_copied,
        each_core_of_the_child_gets_its_queue,
        who_outlives_its_parent_keeps_no_connection_of_it_open,
    ])
}

const PATIENCE: Duration = Duration::from_secs(30);
/// So many messages put a socket into a core's table of files (`net_busy.rs`).
const MESSAGES: usize = 300;

/// A process that was forked to do something.
struct Child(i32);

/// Forks, and does `body` in the child, which ends with it.
fn child(body: impl FnOnce()) -> Child {
    let child = fork();
    if child == 0 {
        alarm(60);
        let result = catch_unwind(AssertUnwindSafe(body));
        exit_now(i32::from(result.is_err()));
    }
    Child(child)
}

impl Child {
    fn succeeds(self) {
        let status = end_of(self.0);
        assert!(status.success(), "the child: {status}");
    }
}

/// A server and its client, who have talked so much that both sockets stand in a table where there is one.
fn busy() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let serving = thread::spawn(move || {
        echo(&server, MESSAGES * 8);
        server
    });
    // Kernel threads have no core, and put nothing into its table.
    let client = on(Kind::Raddle, move || {
        talk(&client);
        client
    });
    (client, serving.join().unwrap())
}

fn talk(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for n in 0..MESSAGES {
        let message = [n as u8; 8];
        stream.write_all(&message).unwrap();
        let mut back = [0; 8];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, message);
    }
}

/// Sends back what comes: so many bytes, or all until the end.
fn echo(mut stream: &TcpStream, bytes: usize) {
    let (mut buffer, mut echoed) = ([0; 64], 0);
    while echoed < bytes {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        stream.write_all(&buffer[..count]).unwrap();
        echoed += count;
    }
}

fn has_ended(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

/// Parent and child have one open file, and so one position, as with std.
fn a_file_is_read_on_from_where_it_stood(_: Kind) {
    let scratch = Scratch::new();
    let mut file = File::open(scratch.file("digits", b"0123456789")).unwrap();
    let digits = |mut file: &File, count: usize| {
        let mut digits = vec![0; count];
        file.read_exact(&mut digits).unwrap();
        String::from_utf8(digits).unwrap()
    };
    assert_eq!(digits(&file, 2), "01");
    child(|| {
        assert_eq!(digits(&file, 2), "23");
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(digits(&file, 3), "456"));
        });
    })
    .succeeds();
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "789");
}

fn files_of_its_own(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(300_000);
    let cold = scratch.file("cold", &content);
    make_cold(&cold);
    child(|| {
        let work = |name: &str| {
            let directory = scratch.0.join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::copy(&cold, directory.join("copy")).unwrap();
            assert!(fs::read(directory.join("copy")).unwrap() == content);
            let names: Vec<_> = fs::walk(&directory)
                .into_iter()
                .map(|entry| entry.unwrap().file_name().to_owned())
                .collect();
            assert_eq!(names, [name, "copy"]);
        };
        work("its_first_thread");
        let (scratch, content, cold) = (scratch.0.clone(), content.clone(), cold.clone());
        on(kind, move || {
            make_cold(&cold);
            assert!(fs::read(&cold).unwrap() == content);
            fs::write(scratch.join("by_another"), &content).unwrap();
        });
    })
    .succeeds();
    assert!(fs::read(scratch.0.join("by_another")).unwrap() == content);
    assert!(fs::read(scratch.0.join("its_first_thread/copy")).unwrap() == content);
}

/// What was at hand in the parent is served by the child, on its forking thread and on one of its own.
fn a_connection_goes_on_in_the_child(_: Kind) {
    for by_another in [false, true] {
        let (client, server) = busy();
        let (mut theirs, mut own) = (Some(client), Some(server));
        let child = child(|| {
            drop(theirs.take());
            let server = own.take();
            let serve = move || echo(&server.expect("it was there"), MESSAGES * 8);
            if by_another { on(Kind::Raddle, serve) } else { serve() }
        });
        // Taken out in the child's memory, not in this one. Here the client alone is left.
        drop(own);
        let client = theirs.expect("nobody has taken it");
        talk(&client);
        child.succeeds();
        has_ended(&client);
    }
}

fn what_the_child_closes_stays_open_in_the_parent(kind: Kind) {
    let (client, server) = busy();
    let mut streams = Some((client, server));
    child(|| {
        let inherited = streams.take();
        // First of all threads there, and after a runtime has begun.
        on(kind, move || drop(inherited));
    })
    .succeeds();
    let (client, server) = streams.expect("nobody has taken them");
    let serving = thread::spawn(move || echo(&server, usize::MAX));
    talk(&client);
    client.shutdown(Shutdown::Write).unwrap();
    has_ended(&client);
    serving.join().unwrap();
}

fn who_waits_in_the_parent_is_left_alone(kind: Kind) {
    let pairs: Vec<_> = (0..8).map(|_| busy()).collect();
    let (mut clients, servers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let waiting: Vec<_> = servers
        .into_iter()
        .map(|server| start(kind, move || echo(&server, MESSAGES * 8)))
        .collect();
    a_moment();
    // A child that comes and goes, and is busy with sockets of its own meanwhile.
    child(|| {
        on(Kind::Raddle, || drop(busy()));
        on(Kind::Kernel, || drop(busy()));
    })
    .succeeds();
    clients.iter_mut().for_each(|client| talk(client));
    waiting.into_iter().for_each(|thread| thread.join());
    clients.iter().for_each(has_ended);
}

fn a_child_serves_its_parent(_: Kind) {
    const CLIENTS: usize = 40;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = child(|| {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().unwrap();
                scope.spawn(move || echo(&stream, usize::MAX));
            }
        });
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            thread::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                talk(&stream);
                stream.shutdown(Shutdown::Write).unwrap();
                has_ended(&stream);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    child.succeeds();
}

/// Time-outs, tokens, deadlines, `io::poll`.
fn waits_have_their_ends(_: Kind) {
    const SOON: Duration = Duration::from_millis(20);
    let (client, server) = busy();
    child(|| {
        let waits = |mut stream: &TcpStream| {
            stream.set_read_timeout(Some(SOON)).unwrap();
            let began = Instant::now();
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(began.elapsed() >= SOON);
            stream.set_read_timeout(None).unwrap();
            assert!(time::timeout(SOON, || stream.read(&mut [0])).is_err());
            let ready = io::poll(&[(stream.as_fd(), Interest::READ)], Some(SOON)).unwrap();
            assert!(ready.is_empty());
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
        };
        waits(&client);
        thread::scope(|scope| {
            scope.spawn(|| waits(&server));
        });
        let token = Token::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                time::sleep(SOON);
                token.cancel();
            });
            scope.spawn(|| assert!(token.carry(|| (&client).read(&mut [0])).is_err()));
        });
    })
    .succeeds();
}

fn a_file_is_sent_and_copied(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(700_000);
    let path = scratch.file("file", &content);
    make_cold(&path);
    let (client, server) = busy();
    let (mut theirs, mut own) = (Some(client), Some(server));
    let child = child(|| {
        drop(theirs.take());
        let (path, server) = (path.clone(), own.take());
        on(kind, move || {
            let mut server = server.expect("it was there");
            assert_eq!(fs::send_path(b"header", &path, &mut server).unwrap(), 6 + 700_000);
            make_cold(&path);
            assert_eq!(io::copy(&mut File::open(&path).unwrap(), &mut server).unwrap(), 700_000);
        });
    });
    drop(own);
    let mut back = Vec::new();
    theirs.expect("nobody has taken it").read_to_end(&mut back).unwrap();
    child.succeeds();
    assert!(back == [b"header", &content[..], &content[..]].concat(), "{} bytes", back.len());
}

/// As soon as the child accepts, and not when it has no descriptor left: see `descriptors_run_out.rs`.
fn each_core_of_the_child_gets_its_queue(_: Kind) {
    let queues = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        // Each queue has one to be woken by.
        links.filter(|link| link.to_string_lossy() == "anon_inode:[eventfd]").count()
    };
    let accepts = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener.accept().unwrap());
    };
    on(Kind::Raddle, accepts);
    let of_the_parent = queues();
    child(|| {
        let inherited = queues();
        on(Kind::Raddle, accepts);
        assert_eq!(queues() - inherited, of_the_parent);
    })
    .succeeds();
}

/// A process dies, and a child of it lives on: connections that were made after the child are the dead one's alone, and end.
fn who_outlives_its_parent_keeps_no_connection_of_it_open(_: Kind) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (lives, mut lives_on) = std::os::unix::net::UnixStream::pair().unwrap();
    let parent = fork();
    if parent == 0 {
        alarm(60);
        drop(lives_on);
        on(Kind::Raddle, || drop(busy()));
        let grandchild = fork();
        if grandchild == 0 {
            alarm(60);
            (&lives).write_all(b"x").unwrap();
            // Until the test has seen enough.
            _ = (&lives).read(&mut [0]);
            exit_now(0);
        }
        let _ = catch_unwind(|| {
            let stream = on(Kind::Raddle, move || {
                let stream = TcpStream::connect(address).unwrap();
                talk(&stream);
                stream
            });
            (&stream).read_exact(&mut [0; 2]).unwrap();
        });
        exit_now(1);
    }
    drop(lives);
    let (stream, _) = listener.accept().unwrap();
    echo(&stream, MESSAGES * 8);
    lives_on.read_exact(&mut [0]).unwrap();
    // SAFETY: a signal to a child that was not waited for.
    assert_eq!(unsafe { libc::kill(parent, libc::SIGKILL) }, 0);
    end_of(parent);
    // It may not have read the last of what it was sent, so its end may be a reset.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match (&stream).read(&mut [0]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    lives_on.set_nonblocking(true).unwrap();
    let still = lives_on.read(&mut [0]).unwrap_err();
    assert_eq!(still.kind(), ErrorKind::WouldBlock, "the grandchild has ended");
}
