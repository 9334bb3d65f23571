//! Connections over TLS: handshakes of both versions and those that fail, requests as without it, ends that are announced.

mod serve_kit;
mod tls_kit;

use raddle_http::files::Files;
use raddle_http::server::{Plugin, Running, Served, Server, Times};
use raddle_http::tls::{self, Certificate, Tls};
use raddle_http::{Request, Response};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion};
use serve_kit::{Case, Client, PATIENCE};
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tls_kit::{Authority, TlsClient, folder, trusting};

const CASES: &[Case] = &[
    ("both_versions_are_spoken", both_versions_are_spoken),
    ("the_older_version_can_be_refused", the_older_version_can_be_refused),
    ("sessions_are_taken_up_again", sessions_are_taken_up_again),
    ("the_protocol_is_agreed_on", the_protocol_is_agreed_on),
    ("content_goes_in_and_out", content_goes_in_and_out),
    ("pipelined_requests_are_answered_in_order", pipelined_requests_are_answered_in_order),
    ("files_of_all_sizes_are_sent", files_of_all_sizes_are_sent),
    ("who_speaks_without_it_is_told", who_speaks_without_it_is_told),
    ("what_is_no_handshake_fails", what_is_no_handshake_fails),
    ("who_stalls_in_a_handshake_is_cut_off", who_stalls_in_a_handshake_is_cut_off),
    ("who_does_not_read_is_cut_off", who_does_not_read_is_cut_off),
    ("ends_are_announced", ends_are_announced),
    ("clients_end_with_and_without_saying_so", clients_end_with_and_without_saying_so),
    ("an_end_lets_requests_and_handshakes_finish", an_end_lets_requests_and_handshakes_finish),
    ("who_was_idle_for_a_while_is_served_again", who_was_idle_for_a_while_is_served_again),
    ("plain_requests_are_redirected", plain_requests_are_redirected),
    (
        "self_signed_ones_are_trusted_by_whoever_has_them",
        self_signed_ones_are_trusted_by_whoever_has_them,
    ),
    ("curl_is_served", curl_is_served),
    ("openssl_is_served", openssl_is_served),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

/// A server with a certificate for `localhost`, and clients of both versions that trust it.
struct Setting {
    running: Running,
    tls: Tls,
    authority: Authority,
    clients: [Arc<ClientConfig>; 2],
}

impl Setting {
    fn of(server: Server) -> Setting {
        let authority = Authority::new();
        let tls = Tls::new(authority.issue(&["localhost"]).loaded());
        let running = server.tls(tls.clone()).bind("127.0.0.1:0").expect("some port is free");
        let clients = [&TLS12, &TLS13].map(|version| Arc::new(authority.client(&[version])));
        Setting { running, tls, authority, clients }
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> TlsClient {
        TlsClient::connect(self.running.local_addr(), "localhost", config)
    }

    /// One connection of each version.
    fn connections(&self) -> [TlsClient; 2] {
        self.clients.each_ref().map(|config| self.connect(config))
    }

    fn finish(&self) {
        self.running.drain();
        assert!(self.running.wait_timeout(PATIENCE), "{} are left", self.running.connections());
    }
}

fn server() -> Server {
    let server = Server::new()
        .route("/hello/{name}", |request| {
            Response::text(format!("hello, {}", request.param("name").expect("it is named")))
        })
        .and_then(|server| server.route("/echo", echo))
        .and_then(|server| server.route("/large", |_| Response::text(vec![b'x'; 8 << 20])));
    server.expect("valid routes")
}

fn echo(request: &mut Request<'_>) -> Response {
    match request.read_all(64 << 20) {
        Ok(content) => Response::of_type("application/octet-stream", content),
        Err(error) => Response::text(error.to_string()),
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 % 251) as u8).collect()
}

/// Waits for something that others do.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn both_versions_are_spoken() {
    let setting = Setting::of(server());
    let expected = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];
    for (mut client, version) in setting.connections().into_iter().zip(expected) {
        assert_eq!(client.session().protocol_version(), Some(version));
        for count in 0..100 {
            let answer = client.get(&format!("/hello/{count}"), &[]);
            assert_eq!((answer.status, answer.text()), (200, &*format!("hello, {count}")));
        }
        assert_eq!(client.get("/nowhere", &[]).status, 404);
        assert!(client.get("/hello/last", &["Connection: close"]).says_close());
        client.expect_announced_end();
    }
    assert_eq!((setting.tls.handshakes().done, setting.tls.handshakes().failed), (2, 0));
    setting.finish();
}

fn the_older_version_can_be_refused() {
    let authority = Authority::new();
    let tls = Tls::new(authority.issue(&["localhost"]).loaded()).only_1_3();
    let running = server().tls(tls.clone()).bind("127.0.0.1:0").expect("some port is free");
    let [old, new] = [&TLS12, &TLS13].map(|version| Arc::new(authority.client(&[version])));
    let at = running.local_addr();
    let refused = TlsClient::try_connect(at, "localhost", &old).err();
    let why = refused.expect("it is too old").to_string();
    assert!(why.contains("ProtocolVersion"), "{why}");
    let mut client = TlsClient::connect(at, "localhost", &new);
    assert_eq!(client.get("/hello/you", &[]).status, 200);
    until("they are counted", || tls.handshakes().done == 1 && tls.handshakes().failed == 1);
}

fn sessions_are_taken_up_again() {
    let setting = Setting::of(server());
    for (round, config) in setting.clients.iter().enumerate() {
        for _ in 0..3 {
            let mut client = setting.connect(config);
            // What a client takes up again has come by then, tickets included.
            assert_eq!(client.get("/hello/you", &[]).status, 200);
        }
        assert_eq!(setting.tls.handshakes().resumed, 2 * (round as u64 + 1));
    }
    setting.finish();
}

fn the_protocol_is_agreed_on() {
    let setting = Setting::of(server());
    let offering = |protocols: &[&[u8]]| {
        let mut config = setting.authority.client(&[&TLS12, &TLS13]);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    };
    for (offered, expected) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], &b"http/1.1"[..]),
        (&[b"http/1.0"], b"http/1.0"),
        (&[b"http/1.0", b"http/1.1"], b"http/1.1"),
    ] {
        let mut client = setting.connect(&offering(offered));
        assert_eq!(client.session().alpn_protocol(), Some(expected));
        assert_eq!(client.get("/hello/you", &[]).status, 200);
    }
    let at = setting.running.local_addr();
    let refused = TlsClient::try_connect(at, "localhost", &offering(&[b"h2"])).err();
    let why = refused.expect("HTTP/2 is not spoken").to_string();
    assert!(why.contains("NoApplicationProtocol"), "{why}");
    until("it is counted", || setting.tls.handshakes().failed == 1);
    setting.finish();
}

fn content_goes_in_and_out() {
    let setting = Setting::of(server());
    for mut client in setting.connections() {
        for size in [0, 1, 4096, 16_383, 16_384, 16_385, 100_000, 5 << 20] {
            let content = pattern(size);
            client
                .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
            client.send(&content);
            assert!(client.answer().body == content, "{size}");
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in content.chunks(10_000) {
                client.send(format!("{:x}\r\n", piece.len()));
                client.send(piece);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
            assert!(client.answer().body == content, "{size}");
        }
    }
    setting.finish();
}

fn pipelined_requests_are_answered_in_order() {
    let setting = Setting::of(server());
    for mut client in setting.connections() {
        let requests: String = (0..64)
            .map(|at| format!("GET /hello/{at} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .chain(["GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()])
            .collect();
        client.send(requests);
        for at in 0..64 {
            assert_eq!(client.answer().text(), format!("hello, {at}"));
        }
        assert_eq!(client.answer().body.len(), 8 << 20);
    }
    setting.finish();
}

fn files_of_all_sizes_are_sent() {
    let folder = folder("files");
    let sizes = [0, 1, 1024, 16 << 10, (16 << 10) + 1, 64 << 10, 1_000_000, 9 << 20];
    for size in sizes {
        fs::write(folder.join(size.to_string()), pattern(size)).expect("a folder of ours");
    }
    let files = Files::new(&folder).expect("a folder of ours");
    let setting = Setting::of(Server::new().otherwise(move |request| files.serve(request)));
    for mut client in setting.connections() {
        for size in sizes {
            let answer = client.get(&format!("/{size}"), &[]);
            assert!(answer.status == 200 && answer.body == pattern(size), "{size}");
        }
        let answer = client.get("/1000000", &["Range: bytes=99-100098"]);
        assert_eq!(answer.status, 206);
        assert!(answer.body == pattern(1_000_000)[99..100_099]);
    }
    setting.finish();
}

/// The last response's status.
#[derive(Default)]
struct Last(Arc<AtomicU16>);

impl Plugin for Last {
    fn served(&self, served: &Served<'_>) {
        assert!(served.is_whole);
        self.0.store(served.status.code(), Ordering::SeqCst);
    }
}

fn who_speaks_without_it_is_told() {
    let last = Last::default();
    let status = last.0.clone();
    let setting = Setting::of(server().plugin(last));
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}",
            "x".repeat(100_000)
        ),
    ] {
        let mut client = Client::connect(setting.running.local_addr());
        client.send(request);
        let answer = client.answer(false);
        let expected = (400, "This is a TLS port: ask for https://\n");
        assert_eq!((answer.status, answer.text()), expected);
        assert!(answer.says_close());
        client.stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
        client.expect_end();
        assert_eq!(status.swap(0, Ordering::SeqCst), 400);
    }
    let handshakes = setting.tls.handshakes();
    assert_eq!((handshakes.plain, handshakes.failed, handshakes.done), (3, 0, 0));
    setting.finish();
}

fn what_is_no_handshake_fails() {
    let setting = Setting::of(server());
    let at = setting.running.local_addr();
    let attempts: &[&[u8]] = &[
        b"",
        b"\x16",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\0\0\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    ];
    for bytes in attempts {
        let mut client = Client::connect(at);
        client.send(bytes);
        client.stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
        let mut rest = Vec::new();
        // It may be closed with bytes unread.
        _ = client.stream.read_to_end(&mut rest);
        // An alert at most; or, for what begins as a request does, words.
        let is_alert = rest.first().is_none_or(|first| *first == 0x15);
        assert!(is_alert || bytes.starts_with(b"SSH"), "{bytes:?}: {rest:?}");
    }
    let stranger = Authority::new().client(&[&TLS13]);
    let refused = TlsClient::try_connect(at, "localhost", &Arc::new(stranger)).err();
    let why = refused.expect("it does not trust us").to_string();
    assert!(why.starts_with("invalid peer certificate"), "{why}");
    let expected = attempts.len() as u64;
    until("they are counted", || setting.tls.handshakes().failed == expected);
    assert_eq!(setting.tls.handshakes().plain, 1);
    // Others are served.
    for mut client in setting.connections() {
        assert_eq!(client.get("/hello/you", &[]).status, 200);
    }
    setting.finish();
}

fn who_stalls_in_a_handshake_is_cut_off() {
    let times = Times { head: Duration::from_secs(2), ..Times::default() };
    let setting = Setting::of(server().times(times));
    let at = setting.running.local_addr();
    let mut silent = Client::connect(at);
    let mut broken_off = Client::connect(at);
    broken_off.send(b"\x16\x03\x01\x02\x00\x01");
    let mut slow = Client::connect(at);
    // One that always sends something, never enough.
    let sending = std::thread::spawn(move || {
        let begun = Instant::now();
        let record = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"[..], &[0; 10_000]].concat();
        for byte in record {
            if slow.stream.write_all(&[byte]).is_err() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "it is not cut off");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("all of it was taken");
    });
    let mut others = setting.connections();
    while setting.tls.handshakes().failed < 3 {
        for client in &mut others {
            assert_eq!(client.get("/hello/you", &[]).status, 200);
        }
        // A connection's requests are limited, too.
        std::thread::sleep(Duration::from_millis(5));
    }
    silent.expect_end();
    broken_off.expect_end();
    sending.join().expect("it was cut off");
    setting.finish();
}

fn who_does_not_read_is_cut_off() {
    let times =
        Times { content: Duration::from_millis(300), rate_min: 1 << 40, ..Times::default() };
    let setting = Setting::of(server().times(times));
    let mut stuck = setting.connect(&setting.clients[1]);
    stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
    until("it is cut off", || setting.running.connections() == 0);
    setting.finish();
}

fn ends_are_announced() {
    let times = Times { idle: Duration::from_millis(200), ..Times::default() };
    let setting = Setting::of(server().times(times));
    for mut client in setting.connections() {
        assert_eq!(client.get("/hello/idle", &[]).status, 200);
        client.expect_announced_end();
    }
    for mut client in setting.connections() {
        client.send("no request\r\n\r\n");
        assert_eq!(client.answer().status, 400);
        client.expect_announced_end();
    }
    for mut client in setting.connections() {
        client.send("GET /hello/old HTTP/1.0\r\n\r\n");
        assert_eq!(client.answer().text(), "hello, old");
        client.expect_announced_end();
    }
    setting.finish();
}

fn clients_end_with_and_without_saying_so() {
    let setting = Setting::of(server());
    for mut client in setting.connections() {
        assert_eq!(client.get("/hello/you", &[]).status, 200);
        client.socket().shutdown(std::net::Shutdown::Write).expect("it is connected");
    }
    for mut client in setting.connections() {
        assert_eq!(client.get("/hello/you", &[]).status, 200);
        client.say_end();
        client.expect_announced_end();
    }
    until("they are gone", || setting.running.connections() == 0);
    setting.finish();
}

fn an_end_lets_requests_and_handshakes_finish() {
    let setting = Setting::of(server());
    let at = setting.running.local_addr();
    let mut busy = setting.connect(&setting.clients[1]);
    busy.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    let mut idle = setting.connect(&setting.clients[0]);
    assert_eq!(idle.get("/hello/you", &[]).status, 200);
    // It has connected, and says nothing yet.
    let late = std::net::TcpStream::connect(at).expect("it listens");
    until("they have begun", || setting.running.connections() == 3);
    setting.running.drain();
    idle.expect_announced_end();
    // A handshake is no idling; what comes with its end is served.
    let request = b"GET /hello/late HTTP/1.1\r\nHost: a\r\n\r\n";
    let begun = TlsClient::begin(late, "localhost", &setting.clients[1], request);
    let mut late = begun.expect("a handshake is let finish");
    let answer = late.answer();
    assert!(answer.says_close() && answer.text() == "hello, late");
    late.expect_announced_end();
    busy.send("cd");
    let answer = busy.answer();
    assert!(answer.says_close() && answer.body == b"abcd");
    busy.expect_announced_end();
    assert!(setting.running.wait_timeout(PATIENCE));
}

fn who_was_idle_for_a_while_is_served_again() {
    let setting = Setting::of(server());
    let mut clients = setting.connections();
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/hello/you", &[]).status, 200);
        }
        // As long as the server needs to give back its buffers.
        std::thread::sleep(Duration::from_millis(1200));
    }
    setting.finish();
}

fn plain_requests_are_redirected() {
    let server = |port| Server::new().otherwise(tls::redirect(port)).bind("127.0.0.1:0");
    let running = server(8443).expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    for (request, expected) in [
        (
            "GET /a%20b?c=d&e HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "https://a.example:8443/a%20b?c=d&e",
        ),
        ("GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "https://a.example:8443/"),
        ("GET /? HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "https://[::1]:8443/?"),
        ("GET http://b.example/x HTTP/1.1\r\nHost: a\r\n\r\n", "https://b.example:8443/x"),
        ("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "https://a:8443/form"),
        ("GET //b.example/ HTTP/1.1\r\nHost: a\r\n\r\n", "https://a:8443//b.example/"),
    ] {
        client.send(request);
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.field("location")), (308, Some(expected)), "{request}");
    }
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.field("location")), (400, None));
    let usual = server(443).expect("some port is free");
    let answer = Client::connect(usual.local_addr()).get("/x", &[]);
    assert_eq!(answer.field("location"), Some("https://a/x"));
    for running in [running, usual] {
        running.drain();
        assert!(running.wait_timeout(PATIENCE));
    }
}

fn curl_is_served() {
    let folder = folder("curl");
    fs::write(folder.join("large"), pattern(3 << 20)).expect("a folder of ours");
    let files = Files::new(&folder).expect("a folder of ours");
    let setting = Setting::of(Server::new().otherwise(move |request| files.serve(request)));
    let (root, port) = (folder.join("root.pem"), setting.running.local_addr().port());
    fs::write(&root, setting.authority.pem()).expect("a folder of ours");
    let curl = |version: &[&str], host: &str| {
        let to = format!("{host}:{port}:127.0.0.1:{port}");
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--connect-to", &to, "--cacert"]).arg(&root);
        let url = |path| format!("https://{host}:{port}/{path}");
        let output = command.args(version).args([url("large"), url("none")]).output();
        output.expect("curl runs")
    };
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http1.0"]] {
        let output = curl(version, "localhost");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{version:?}: {errors}");
        let expected = [&pattern(3 << 20)[..], b"404 Not Found\n"].concat();
        assert!(output.stdout == expected, "{version:?}");
    }
    let output = curl(&[], "other.example");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // 60: it can't be verified.
    assert_eq!(output.status.code(), Some(60), "{errors}");
    setting.finish();
}

fn self_signed_ones_are_trusted_by_whoever_has_them() {
    let alone = Certificate::self_signed(["localhost", "127.0.0.1"]).expect("valid names");
    let config = Arc::new(trusting(&alone.der().to_vec().into(), &[&TLS13]));
    let running = server().tls(Tls::new(alone)).bind("127.0.0.1:0").expect("some port is free");
    for name in ["localhost", "127.0.0.1"] {
        let mut client = TlsClient::connect(running.local_addr(), name, &config);
        assert_eq!(client.get("/hello/you", &[]).status, 200);
    }
}

fn openssl_is_served() {
    let setting = Setting::of(server());
    let root = folder("openssl").join("root.pem");
    fs::write(&root, setting.authority.pem()).expect("a folder of ours");
    let at = setting.running.local_addr().to_string();
    let s_client = |options: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &at, "-servername", "localhost", "-CAfile"]);
        command.arg(&root).args(["-verify_return_error", "-alpn", "h2,http/1.1", "-ign_eof"]);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl runs");
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        // Whoever is refused has ended before.
        _ = stdin.write_all(b"GET /hello/s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let output = child.wait_with_output().expect("it ends with the connection");
        (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let (status, said) = s_client(&[version]);
        for part in ["Verification: OK", "ALPN protocol: http/1.1", "\r\n\r\nhello, s"] {
            assert!(status.success() && said.contains(part), "{version} {status}: {said}");
        }
    }
    let (status, said) = s_client(&["-tls1_1"]);
    assert!(!status.success() && !said.contains("hello"), "{said}");
    setting.finish();
}
