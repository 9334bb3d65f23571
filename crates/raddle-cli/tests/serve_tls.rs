//! `raddle serve` over TLS, run as its users run it: certificates from files and made at the start, new ones, the redirect, mistakes.

mod kit;
#[path = "../../raddle-http/tests/takes_all/mod.rs"]
mod takes_all;

use kit::{PATIENCE, Server, raddle};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS12;
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use takes_all::client_with;

/// The example in the repository.
const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/site");

/// A folder of a test's own, and of this process'.
fn folder(name: &str) -> PathBuf {
    let name = format!("{name}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("cargo's own folder for this");
    folder
}

/// Writes `NAME.pem`, self-signed, and `NAME.key`; the certificate.
fn issue(folder: &Path, name: &str, hosts: &[&str]) -> CertificateDer<'static> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let key = KeyPair::generate().expect("randomness");
    let made = CertificateParams::new(hosts).and_then(|wanted| wanted.self_signed(&key));
    let made = made.expect("valid names");
    fs::write(folder.join(format!("{name}.pem")), made.pem()).expect("a folder of ours");
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("a folder of ours");
    made.der().clone()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("cargo's folders are text")
}

/// Asks over TLS whoever shows this certificate for that host: the answer, up to an end that is announced.
fn get(server: &Server, host: &str, trusted: &CertificateDer<'_>) -> Result<String, String> {
    get_by(ALL_VERSIONS, server, host, trusted)
}

/// The same by one of these versions.
fn get_by(
    versions: &[&'static SupportedProtocolVersion],
    server: &Server,
    host: &str,
    trusted: &CertificateDer<'_>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).expect("a name or an address");
    let session = ClientConnection::new(Arc::new(config), name).expect("valid settings");
    let mut stream = StreamOwned::new(session, server.connect());
    let mut answer = String::new();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| error.to_string())?;
    Ok(answer)
}

/// Asks without TLS.
fn get_plainly(at: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    stream.write_all(request.as_bytes()).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer of text");
    answer
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_certificate_from_files_is_shown() {
    let folder = folder("tls-files");
    let certificate = issue(&folder, "own", &["localhost"]);
    let (pem, key) = (folder.join("own.pem"), folder.join("own.key"));
    let arguments = ["--tls-cert", text(&pem), "--tls-key", text(&key), "-l", "127.0.0.1:0"];
    let server = Server::of(raddle(&["serve", SITE]).args(arguments));
    let greeting = format!("raddle: listening on {0}: https://{0}/ is {SITE}\n", server.at);
    assert_eq!(server.greeting, greeting);
    let answer = get(&server, "localhost", &certificate).expect("they can agree");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("<h1>The raddle</h1>"));
    let refused = get(&server, "other.example", &certificate).expect_err("it is for localhost");
    assert!(refused.contains("not valid for name \"other.example\""), "{refused}");
    let told = get_plainly(&server.at.to_string(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
    assert!(told.ends_with("\r\n\r\nThis is a TLS port: ask for https://\n"), "{told}");
    // Whoever refuses a certificate is no matter for the standard error.
    assert_eq!(server.stop(), "");
}

#[test]
fn a_self_signed_one_is_made_and_named() {
    let mut server =
        Server::of(&mut raddle(&["serve", SITE, "--tls-self-signed", "-l", "[::1]:0"]));
    let note = server.line();
    let of = "raddle: its certificate is self-signed, for localhost, 127.0.0.1, ::1; SHA-256 fingerprint ";
    let fingerprint = note.strip_prefix(of).unwrap_or_else(|| panic!("{note}"));
    let shown = shown(&server);
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("by its name");
    let mut expected = String::new();
    for byte in suite.common.hash_provider.hash(&shown).as_ref() {
        _ = write!(expected, ":{byte:02X}");
    }
    assert_eq!(fingerprint, &expected[1..]);
    for host in ["localhost", "::1"] {
        let answer = get(&server, host, &shown).expect("whoever has it trusts it");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(server.stop(), "");
}

/// The certificate that a server shows.
fn shown(server: &Server) -> CertificateDer<'static> {
    let config = client_with(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(config, name).expect("valid settings");
    let mut stream = server.connect();
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("they can agree");
    }
    session.peer_certificates().expect("the handshake is done")[0].clone().into_owned()
}

#[test]
fn a_configuration_has_certificates_by_name_and_a_redirect() {
    let folder = folder("tls-configured");
    let first = issue(&folder, "first", &["first.example"]);
    let second = issue(&folder, "second", &["x.second.example", "given.example"]);
    let path = folder.join("raddle.toml");
    let configuration = format!(
        r#"
folder = "{SITE}"
listen = "127.0.0.1:0"
log = "common"
[tls]
version_min = "1.3"
redirect_from = "127.0.0.1:0"
[[tls.certificates]]
cert = "first.pem"
key = "first.key"
[[tls.certificates]]
cert = "second.pem"
key = "second.key"
names = ["given.example", "*.second.example"]
"#
    );
    fs::write(&path, configuration).expect("a folder of ours");
    let check = kit::output(&["serve", "-c", text(&path), "--check"]);
    assert_eq!(kit::text(&check.stdout), "raddle: the configuration is valid\n");
    let mut server = Server::of(&mut raddle(&["serve", "-c", text(&path)]));
    for (host, certificate) in
        [("first.example", &first), ("x.second.example", &second), ("given.example", &second)]
    {
        let refused = get_by(&[&TLS12], &server, host, certificate).expect_err("it is too old");
        assert!(refused.contains("ProtocolVersion"), "{refused}");
        let answer = get(&server, host, certificate).expect(host);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let line = server.line();
    let from = line.strip_prefix("raddle: listening on ").and_then(|rest| rest.split(": ").next());
    let from = from.unwrap_or_else(|| panic!("{line}")).to_owned();
    assert_eq!(line, format!("raddle: listening on {from}: http://{from}/ leads to https"));
    let request = "GET /a?b HTTP/1.1\r\nHost: c.example:8080\r\nConnection: close\r\n\r\n";
    let answer = get_plainly(&from, request);
    let location = format!("\r\nLocation: https://c.example:{}/a?b\r\n", server.at.port());
    assert!(answer.starts_with("HTTP/1.1 308 ") && answer.contains(&location), "{answer}");
    server.signal(libc::SIGTERM);
    let (status, _, log) = server.end();
    // Both are logged.
    assert!(status.success() && log.lines().count() == 4, "{status} {log}");
    assert!(log.contains("\"GET /a?b HTTP/1.1\" 308 0\n"), "{log}");
}

#[test]
fn new_files_are_taken_and_broken_ones_are_not() {
    let folder = folder("tls-changing");
    let first = issue(&folder, "own", &["localhost"]);
    let (pem, key) = (folder.join("own.pem"), folder.join("own.key"));
    let arguments = ["--tls-cert", text(&pem), "--tls-key", text(&key), "-l", "127.0.0.1:0"];
    let server = Server::of(raddle(&["serve", SITE]).args(arguments));
    assert!(get(&server, "localhost", &first).is_ok());
    let second = issue(&folder, "own", &["localhost"]);
    until("it is not taken", || get(&server, "localhost", &second).is_ok());
    fs::write(&pem, "broken").expect("a folder of ours");
    // Nothing but that line tells that it was seen. Whoever comes after two seconds looks, if nobody has looked since the first was over.
    let begun = Instant::now();
    loop {
        let is_last = begun.elapsed() > Duration::from_millis(2200);
        assert!(get(&server, "localhost", &second).is_ok());
        if is_last {
            break;
        }
    }
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    let said = "there is no certificate in it; the certificate from before stays in use";
    assert_eq!(errors, format!("raddle: warning: {}: {said}\n", pem.display()));
    assert!(status.success());
}

#[test]
fn mistakes_are_named() {
    let folder = folder("tls-mistaken");
    let own = issue(&folder, "own", &["localhost"]);
    issue(&folder, "other", &["127.0.0.1"]);
    assert!(CertificateDer::from_pem_file(folder.join("own.pem")).is_ok_and(|read| read == own));
    let path = folder.join("raddle.toml");
    let at = |name: &str| folder.join(name).display().to_string();
    for (text, expected) in [
        (
            "[[tls.certificates]]\ncert = \"own.pem\"\nkey = \"other.key\"",
            format!(":3: tls.certificates.key: {}: the key does not belong to", at("other.key")),
        ),
        (
            "[[tls.certificates]]\ncert = \"own.key\"\nkey = \"own.key\"",
            format!(":2: tls.certificates.cert: {}: there is a private key in it", at("own.key")),
        ),
        (
            "[[tls.certificates]]\ncert = \"none.pem\"\nkey = \"own.key\"",
            format!(":2: tls.certificates.cert: {}: it can't be read: No such", at("none.pem")),
        ),
        (
            "[[tls.certificates]]\ncert = \"own.pem\"\nkey = \"own.key\"\nnames = [\"a b\"]",
            ":4: tls.certificates.names: \"a b\" is no host name; give".to_owned(),
        ),
        (
            "[[tls.certificates]]\ncert = \"own.pem\"\nkey = \"own.key\"\n\
             [[tls.certificates]]\ncert = \"other.pem\"\nkey = \"other.key\"",
            format!(":5: tls.certificates.cert: {}: no host name stands in it", at("other.pem")),
        ),
        ("[[tls.certificates]]\ncert = \"own.pem\"", ":1: tls.certificates: missing".to_owned()),
        (
            "[tls]\nself_signed = true\n[[tls.certificates]]\ncert = \"own.pem\"\nkey = \"own.key\"",
            ":4: tls.certificates: tls.self_signed makes one, and excludes others".to_owned(),
        ),
        (
            "[tls]\nredirect_from = \"127.0.0.1:80\"",
            ":2: tls.redirect_from: there is no TLS to lead to; give [[tls.cert".to_owned(),
        ),
        (
            "[tls]\nself_signed = true\nredirect_from = \"127.0.0.1:8443\"",
            ":3: tls.redirect_from: TLS itself listens there; give another port".to_owned(),
        ),
        ("[tls]\nversion_min = \"1.1\"", ":2: tls.version_min: unknown variant `1.1`".to_owned()),
        ("[tls]\nredirect_port = 0", ":2: tls.redirect_port: invalid value: ".to_owned()),
        ("[tls]\ncert = \"own.pem\"", ":2: tls: unknown field `cert`".to_owned()),
    ] {
        fs::write(&path, text).expect("a folder of ours");
        let line = kit::failure(raddle(&["serve", SITE, "--check", "-c"]).arg(&path));
        let expected = format!("raddle: error: {}{expected}", path.display());
        assert!(line.starts_with(&expected), "{text}: {line}");
    }
    fs::write(&path, "\n").expect("a folder of ours");
    // What the command line names is no line of the file's, even if there is one.
    let (pem, key) = (at("own.pem"), at("other.key"));
    let arguments = ["--tls-cert", &pem, "--tls-key", &key, "--check"];
    for file in [&["-c", text(&path)][..], &[]] {
        let line = kit::failure(raddle(&["serve", SITE]).args(arguments).args(file));
        let expected = format!("raddle: error: {key}: the key does not belong to the certificate");
        assert_eq!(line, expected);
    }
    for arguments in [&["--tls-cert", "a"][..], &["--tls-key", "a"]] {
        let output = kit::output(&[&["serve", SITE], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let folder = folder("tls-expired");
    let key = KeyPair::generate().expect("randomness");
    let mut wanted = CertificateParams::new(["localhost".to_owned()]).expect("a valid name");
    wanted.not_before = rcgen::date_time_ymd(2001, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(2002, 2, 3);
    let both = folder.join("both.pem");
    let made = wanted.self_signed(&key).expect("valid parameters");
    fs::write(&both, [made.pem(), key.serialize_pem()].concat()).expect("a folder of ours");
    let arguments = ["--tls-cert", text(&both), "--tls-key", text(&both), "--check"];
    let output = raddle(&["serve", SITE]).args(arguments).output().expect("cargo has built it");
    assert!(output.status.success());
    let said = "it has expired on 2002-02-03; clients will refuse it";
    let expected = format!("raddle: warning: {}: {said}\n", both.display());
    assert_eq!(kit::text(&output.stderr), expected);
    assert_eq!(kit::text(&output.stdout), "raddle: the configuration is valid\n");
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
