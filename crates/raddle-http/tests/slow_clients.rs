//! Clients that give and take one byte a second, with the limits that a server has by default, in virtual time: when they are cut off, what they
//! are told, and that nobody else notices them.

#[path = "../../raddle/tests/fake_host/mod.rs"]
mod fake_host;

use fake_host::Settings;
use raddle::io::{Read, Write};
use raddle::net::{TcpListener, TcpStream};
use raddle::thread::{self, JoinHandle};
use raddle::time::{Duration, Instant, sleep};
use raddle_http::Response;
use raddle_http::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// More than the buffers of both sides hold, and than time could be saved up for.
const LARGE: usize = 4 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// What became of a client: what it was told, when that had all come, and when the server was done with it.
struct Course {
    told: String,
    told_after: Duration,
    ended_after: Duration,
}

impl Course {
    /// It was told this status, and nothing else, and let go: it had heard that this is the end, and went.
    fn is_told(&self, status: &str, after_s: u64) {
        let head = format!("HTTP/1.1 {status}\r\n");
        assert!(self.told.starts_with(&head), "{}", self.told);
        assert_eq!(self.told.matches("HTTP/1.1 ").count(), 1, "{}", self.told);
        assert!(self.told.contains("\r\nConnection: close\r\n"), "{}", self.told);
        is_about(self.told_after, after_s);
        let left = self.ended_after - self.told_after;
        assert!(left < 2 * SECOND, "{left:?}");
    }
}

fn is_about(passed: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    assert!(passed >= expected && passed < expected + SECOND, "{passed:?}, not {expected:?}");
}

fn server() -> Server {
    let server = Server::new()
        .route("/hello", |_| Response::text("hello"))
        .and_then(|server| server.route("/large", |_| Response::text(vec![b'x'; LARGE])))
        .and_then(|server| {
            server.route("/echo", |request| match request.read_all(1 << 20) {
                Ok(content) => Response::text(content),
                Err(error) => Response::text(error.to_string()),
            })
        });
    server.expect("valid routes")
}

/// Serves the first connection, and others beside it; when the first was over is what the thread returns.
fn serve(listener: TcpListener) -> JoinHandle<Duration> {
    let server = Arc::new(server());
    let begin = move |mut stream: TcpStream| {
        let server = server.clone();
        thread::spawn(move || {
            let begun = Instant::now();
            _ = server.serve_one(&mut stream);
            begun.elapsed()
        })
    };
    let first = begin(listener.accept().expect("somebody comes").0);
    thread::spawn(move || listener.incoming().for_each(|stream| drop(begin(stream.unwrap()))));
    first
}

/// How often others ask.
const PAUSE: Duration = Duration::from_secs(3);

/// Asks now and then, on one connection and on new ones, until that is over: each answer comes at once.
fn others(is_over: Arc<AtomicBool>, count: Arc<AtomicUsize>) {
    let connect = || TcpStream::connect("10.0.0.1:80").unwrap();
    let mut kept = connect();
    while !is_over.load(Relaxed) {
        for stream in [&mut kept, &mut connect()] {
            let begun = Instant::now();
            stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let (mut answer, mut piece) = (Vec::new(), [0; 512]);
            while !answer.ends_with(b"\r\n\r\nhello") {
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0, "an end");
                answer.extend_from_slice(&piece[..count]);
            }
            assert!(begun.elapsed() < Duration::from_millis(20), "{:?}", begun.elapsed());
            count.fetch_add(1, Relaxed);
        }
        sleep(PAUSE);
    }
}

/// Plays a client, on hosts of several seeds, whose packets take their time, beside others.
fn played(client: fn(TcpStream, &AtomicBool) -> (String, Duration), check: fn(&Course)) {
    for seed in 0..3 {
        let outcome = Settings::with_distance(seed).run(move || {
            let listener = TcpListener::bind("10.0.0.1:80").unwrap();
            let serving = thread::spawn(move || serve(listener));
            let stream = TcpStream::connect("10.0.0.1:80").unwrap();
            let first = serving.join().unwrap();
            let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::default());
            let asking = {
                let (is_over, count) = (is_over.clone(), Arc::clone(&count));
                thread::spawn(move || others(is_over, count))
            };
            let watching = {
                let is_over = is_over.clone();
                thread::spawn(move || {
                    let ended_after = first.join().unwrap();
                    is_over.store(true, Relaxed);
                    ended_after
                })
            };
            let (told, told_after) = client(stream, &is_over);
            let ended_after = watching.join().unwrap();
            asking.join().unwrap();
            let asked = count.load(Relaxed) as u64;
            assert!(asked > ended_after.as_secs() / 2, "{asked} in {ended_after:?}");
            Course { told, told_after, ended_after }
        });
        check(&outcome.result.expect("nobody waits for ever"));
    }
}

/// Sends this, and a byte each second after it, until the connection's end.
fn drip(mut stream: TcpStream, first: &str) -> (String, Duration) {
    let begun = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut reads = stream.try_clone().unwrap();
    let ends = is_over.clone();
    let reading = thread::spawn(move || {
        let (mut told, mut after, mut piece) = (Vec::new(), Duration::ZERO, [0; 1024]);
        // It may end by a reset, as bytes are on their way to it.
        while let Ok(count @ 1..) = reads.read(&mut piece) {
            told.extend_from_slice(&piece[..count]);
            after = begun.elapsed();
        }
        ends.store(true, Relaxed);
        (String::from_utf8(told).unwrap(), after)
    });
    stream.write_all(first.as_bytes()).unwrap();
    while !is_over.load(Relaxed) {
        sleep(SECOND);
        if stream.write_all(b"x").is_err() {
            break;
        }
    }
    reading.join().unwrap()
}

#[test]
fn a_head_of_one_byte_a_second_has_ten_seconds() {
    let client = |stream, _: &AtomicBool| drip(stream, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    played(client, |course| course.is_told("408 Request Timeout", 10));
}

#[test]
fn content_of_one_byte_a_second_has_thirty() {
    let client = |stream, _: &AtomicBool| {
        drip(stream, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    };
    played(client, |course| course.is_told("408 Request Timeout", 30));
}

#[test]
fn who_says_nothing_is_told_nothing() {
    let silent = |mut stream: TcpStream, _: &AtomicBool| {
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        (told, Duration::ZERO)
    };
    played(silent, |course| {
        assert_eq!(course.told, "");
        is_about(course.ended_after, 10);
    });
    let once = |mut stream: TcpStream, _: &AtomicBool| {
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        (told, Duration::ZERO)
    };
    played(once, |course| {
        assert!(course.told.ends_with("\r\n\r\nhello"), "{}", course.told);
        is_about(course.ended_after, 60);
    });
}

/// Of a large answer a part of 256 KiB has 30 seconds, and 256.
#[test]
fn who_reads_one_byte_a_second_is_cut_off_in_the_first_part() {
    let client = |mut stream: TcpStream, is_over: &AtomicBool| {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut told = Vec::new();
        while !is_over.load(Relaxed) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            told.push(byte[0]);
            sleep(SECOND);
        }
        (String::from_utf8(told).unwrap(), Duration::ZERO)
    };
    played(client, |course| {
        assert!(course.told.starts_with("HTTP/1.1 200 OK\r\n"), "{}", course.told);
        is_about(course.ended_after, 30 + 256);
    });
}

/// However much was taken before: time is not saved up.
#[test]
fn who_stops_reading_is_cut_off_in_that_part() {
    let client = |mut stream: TcpStream, is_over: &AtomicBool| {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut taken = vec![0; 2 << 20];
        stream.read_exact(&mut taken).unwrap();
        while !is_over.load(Relaxed) {
            sleep(SECOND);
        }
        (String::new(), Duration::ZERO)
    };
    played(client, |course| is_about(course.ended_after, 30 + 1024));
}

/// At twice the rate that is the least nobody is cut off, however long it takes.
#[test]
fn who_keeps_up_the_rate_gets_all() {
    let client = |mut stream: TcpStream, _: &AtomicBool| {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let (mut count, mut piece) = (0, [0; 2048]);
        while let read @ 1.. = stream.read(&mut piece).unwrap() {
            count += read;
            sleep(SECOND);
        }
        (count.to_string(), Duration::ZERO)
    };
    played(client, |course| {
        assert!(course.told.parse::<usize>().unwrap() > LARGE);
        assert!(course.ended_after > Duration::from_secs(1000));
    });
}
