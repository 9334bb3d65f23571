//! Certificates: who gets which, new files, files that can't be used, and what is said of them.

mod serve_kit;
mod takes_all;
mod tls_kit;

use raddle_http::server::{Running, Server};
use raddle_http::tls::{Certificate, Part, Tls};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::{ClientConfig, SignatureScheme};
use serve_kit::{Case, PATIENCE};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use takes_all::client_with;
use tls_kit::{Authority, Issued, TlsClient, folder};

const CASES: &[Case] = &[
    ("the_name_decides", the_name_decides),
    ("the_clients_key_decides_among_two", the_clients_key_decides_among_two),
    ("names_can_be_given", names_can_be_given),
    ("new_files_are_taken", new_files_are_taken),
    ("files_behind_links_are_taken", files_behind_links_are_taken),
    ("unusable_files_leave_what_is_there", unusable_files_leave_what_is_there),
    ("dates_are_looked_at", dates_are_looked_at),
    ("what_can_not_be_used_is_named", what_can_not_be_used_is_named),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

/// A new session each time: one that is taken up again shows no certificate of its own.
fn client() -> Arc<ClientConfig> {
    client_with(&[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519])
}

fn bound(tls: Tls) -> Running {
    Server::new().tls(tls).bind("127.0.0.1:0").expect("some port is free")
}

/// The certificate that is shown to whoever asks for this name.
fn shown(running: &Running, name: &str) -> Vec<u8> {
    TlsClient::connect(running.local_addr(), name, &client()).certificate().to_vec()
}

fn the_name_decides() {
    let authority = Authority::new();
    let issued: Vec<Issued> = [
        &["first.example"][..],
        &["second.example", "*.second.example"],
        &["third.second.example"],
        &["*.Fourth.EXAMPLE"],
    ]
    .iter()
    .map(|names| authority.issue(names))
    .collect();
    let mut all = issued.iter().map(Issued::loaded);
    let first = Tls::new(all.next().expect("there are four"));
    let running = bound(all.fold(first, Tls::also));
    for (name, expected) in [
        ("first.example", 0),
        ("second.example", 1),
        ("SECOND.example", 1),
        ("any.second.example", 1),
        // By its own name, not by the star.
        ("third.second.example", 2),
        // A star is one label, and no less than one.
        ("a.b.second.example", 0),
        ("x.fourth.example", 3),
        ("fourth.example", 0),
        ("unknown.example", 0),
        // Who connects to an address names nobody.
        ("127.0.0.1", 0),
    ] {
        assert!(shown(&running, name) == *issued[expected].der, "{name}");
    }
}

fn the_clients_key_decides_among_two() {
    let authority = Authority::new();
    let [p256, ed25519] = [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519].map(|kind| {
        let key = KeyPair::generate_for(kind).expect("randomness");
        authority.issue_for(&["a.example"], &key)
    });
    let running = bound(Tls::new(p256.loaded()).also(ed25519.loaded()));
    use SignatureScheme as Scheme;
    for name in ["a.example", "unknown.example"] {
        for (schemes, expected) in [
            (&[Scheme::ED25519][..], &ed25519),
            (&[Scheme::ECDSA_NISTP256_SHA256], &p256),
            (&[Scheme::ED25519, Scheme::ECDSA_NISTP256_SHA256], &p256),
        ] {
            let at = running.local_addr();
            let client = TlsClient::connect(at, name, &client_with(schemes));
            assert!(client.certificate() == &*expected.der, "{name} {schemes:?}");
        }
    }
    let neither = client_with(&[Scheme::RSA_PSS_SHA256]);
    assert!(TlsClient::try_connect(running.local_addr(), "a.example", &neither).is_err());
}

fn names_can_be_given() {
    let authority = Authority::new();
    let [first, second] = [authority.issue(&["a.example"]), authority.issue(&["b.example"])];
    let given = second.loaded().for_names(["*.C.example"]).expect("valid names");
    let running = bound(Tls::new(first.loaded()).also(given));
    for (name, expected) in [("x.c.example", &second), ("b.example", &first)] {
        assert!(shown(&running, name) == *expected.der, "{name}");
    }
    assert!(first.loaded().names().eq(["a.example"]));
    let both = first.loaded().for_names(["B.example", "c.example"]).expect("valid names");
    assert!(both.names().eq(["b.example", "c.example"]));
    for name in ["a b", "", "*", "1.2.3.4", "a.example:443", "b\u{fc}cher.example"] {
        let error = first.loaded().for_names([name]).expect_err(name);
        assert_eq!(error.part(), Part::Names);
        assert!(error.to_string().starts_with(&format!("{name:?} is no host name; ")), "{error}");
    }
}

/// The lines of the log in this process.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("raddle_http")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) && record.level() <= log::Level::Warn {
            LINES.lock().expect("nobody panics with it").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn lines() -> Vec<String> {
    LINES.lock().expect("nobody panics with it").clone()
}

/// A certificate in two files, and a server that has it.
struct Setting {
    folder: PathBuf,
    running: Running,
}

impl Setting {
    fn of(name: &str, issued: &Issued) -> Setting {
        log::set_logger(&Log).expect("nobody else has one");
        log::set_max_level(log::LevelFilter::Info);
        let folder = folder(name);
        write(&folder, issued);
        let [certificate, key] = paths(&folder);
        let tls = Tls::new(Certificate::read(certificate, key).expect("they fit"));
        Setting { folder, running: bound(tls) }
    }

    fn shown(&self) -> Vec<u8> {
        shown(&self.running, "a.example")
    }

    /// Connects again and again until this one comes.
    fn until_shown(&self, issued: &Issued) {
        self.until("the new one is not taken", || self.shown() == *issued.der);
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}; {:?}", lines());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn paths(folder: &Path) -> [PathBuf; 2] {
    [folder.join("cert.pem"), folder.join("key.pem")]
}

fn write(folder: &Path, issued: &Issued) {
    let [certificate, key] = paths(folder);
    fs::write(certificate, &issued.certificate).expect("a folder of ours");
    fs::write(key, &issued.key).expect("a folder of ours");
}

fn new_files_are_taken() {
    let authority = Authority::new();
    let issued: Vec<Issued> = (0..3).map(|_| authority.issue(&["a.example"])).collect();
    let setting = Setting::of("new", &issued[0]);
    assert!(setting.shown() == *issued[0].der);
    // A connection that has begun goes on with the old one.
    let mut before = TlsClient::connect(setting.running.local_addr(), "a.example", &client());
    write(&setting.folder, &issued[1]);
    setting.until_shown(&issued[1]);
    assert_eq!(before.get("/", &[]).status, 404);
    // Others are moved there under the old names.
    let next = setting.folder.join("next");
    fs::create_dir(&next).expect("a folder of ours");
    write(&next, &issued[2]);
    for (from, to) in paths(&next).iter().zip(paths(&setting.folder)) {
        fs::rename(from, to).expect("a folder of ours");
    }
    setting.until_shown(&issued[2]);
    assert_eq!(lines(), [""; 0]);
}

fn files_behind_links_are_taken() {
    let authority = Authority::new();
    let issued = [authority.issue(&["a.example"]), authority.issue(&["a.example"])];
    // As Kubernetes has it: names lead through a link of a folder, and that is exchanged.
    let root = folder("links");
    for (name, one) in ["1", "2"].iter().zip(&issued) {
        fs::create_dir(root.join(name)).expect("a folder of ours");
        write(&root.join(name), one);
    }
    let lead_to = |name: &str| {
        std::os::unix::fs::symlink(name, root.join("new")).expect("a folder of ours");
        fs::rename(root.join("new"), root.join("data")).expect("a folder of ours");
    };
    lead_to("1");
    let [certificate, key] = paths(&root.join("data"));
    let tls = Tls::new(Certificate::read(certificate, key).expect("they fit"));
    let setting = Setting { folder: root.clone(), running: bound(tls) };
    assert!(setting.shown() == *issued[0].der);
    lead_to("2");
    setting.until_shown(&issued[1]);
}

fn unusable_files_leave_what_is_there() {
    let authority = Authority::new();
    let [first, second] = [authority.issue(&["a.example"]), authority.issue(&["a.example"])];
    let setting = Setting::of("unusable", &first);
    let [certificate, key] = paths(&setting.folder);
    let tail = "; the certificate from before stays in use";
    let mut expected = Vec::new();
    let mut comes = |line: String| {
        expected.push(format!("{line}{tail}"));
        setting.until("it is not said", || {
            assert!(setting.shown() == *first.der);
            lines().len() >= expected.len()
        });
        // It has been looked at again meanwhile, and is not said again.
        assert_eq!(lines(), expected);
    };
    fs::write(&certificate, "not PEM\n").expect("a folder of ours");
    comes(format!("{}: there is no certificate in it", certificate.display()));
    fs::write(&certificate, &second.certificate).expect("a folder of ours");
    comes(format!("{}: the key does not belong to the certificate", key.display()));
    fs::remove_file(&key).expect("a folder of ours");
    let missing = "it can't be read: No such file or directory (os error 2)";
    comes(format!("{}: {missing}", key.display()));
    let count = lines().len();
    fs::write(&key, &second.key).expect("a folder of ours");
    setting.until_shown(&second);
    assert_eq!(lines().len(), count);
}

fn dates_are_looked_at() {
    let authority = Authority::new();
    let late = authority.issue_valid(&["a.example"], 2001, 2002);
    let setting = Setting::of("dates", &late);
    let certificate = paths(&setting.folder)[0].display().to_string();
    let mut expected =
        vec![format!("{certificate}: it has expired on 2002-02-28; clients will refuse it")];
    // It is used nevertheless: whoever comes is told why by its client.
    assert!(setting.shown() == *late.der);
    assert_eq!(lines(), expected);
    let early = authority.issue_valid(&["a.example"], 2999, 3000);
    write(&setting.folder, &early);
    setting.until_shown(&early);
    let from = "it is valid from 2999-02-28 on only; clients will refuse it before";
    expected.push(format!("{certificate}: {from}"));
    assert_eq!(lines(), expected);
    let good = authority.issue(&["a.example"]);
    write(&setting.folder, &good);
    setting.until_shown(&good);
    assert_eq!(lines(), expected);
}

fn what_can_not_be_used_is_named() {
    let authority = Authority::new();
    let [good, other] = [authority.issue(&["a.example"]), authority.issue(&["a.example"])];
    let (certificate, key) = (good.certificate.as_bytes(), good.key.as_bytes());
    let both = [certificate, key].concat();
    assert!(Certificate::from_pem(&both, &both).is_ok());
    assert!(
        Certificate::from_pem(&[certificate, authority.pem().as_bytes()].concat(), key).is_ok()
    );
    let pem = |label: &str, content: &str| {
        format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n").into_bytes()
    };
    let cut_off = &certificate[..certificate.len() - 30];
    let reversed = [authority.pem().as_bytes(), certificate].concat();
    for (bad, why) in [
        (&b""[..], "there is no certificate in it"),
        (b"\xff\0text", "there is no certificate in it"),
        (key, "there is a private key in it, and no certificate"),
        (&good.der, "it is DER, not PEM; convert it: openssl x509 -inform der "),
        (cut_off, "it is cut off: there is no END line"),
        (&pem("CERTIFICATE", "!!!!"), "it is damaged: what stands in it is no base64"),
        (&pem("CERTIFICATE", "MAMCAQE="), "the first certificate in it is damaged: "),
        (&reversed, "the key belongs to certificate 2 in it; the server's own has to be the first"),
    ] {
        let error = Certificate::from_pem(bad, key).expect_err(why);
        assert_eq!(error.part(), Part::Certificate, "{error}");
        assert!(error.to_string().starts_with(why), "{error}");
    }
    let encrypted = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
    for (bad, why) in [
        (&b""[..], "there is no private key in it"),
        (certificate, "there is a certificate in it, and no private key"),
        (b"\x30\x03\x02\x01\x01", "it is DER, not PEM; convert it: openssl pkey -inform der "),
        (other.key.as_bytes(), "the key does not belong to the certificate"),
        (&pem("ENCRYPTED PRIVATE KEY", "AAAA"), "the key is encrypted; decrypt it: openssl pkey "),
        (&pem("RSA PRIVATE KEY", encrypted), "the key is encrypted; decrypt it: openssl pkey "),
        (&pem("PRIVATE KEY", "AAAA"), "the key can't be used; RSA of 2048 "),
        (&pem("EC PRIVATE KEY", "AAAA"), "the key can't be used; RSA of 2048 "),
    ] {
        let error = Certificate::from_pem(certificate, bad).expect_err(why);
        assert_eq!(error.part(), Part::Key, "{error}");
        assert!(error.to_string().starts_with(why), "{error}");
    }
    let folder = folder("named");
    write(&folder, &good);
    let [certificate, key] = paths(&folder);
    fs::write(&key, &other.key).expect("a folder of ours");
    let error = Certificate::read(&certificate, &key).expect_err("it does not fit");
    let expected = format!("{}: the key does not belong to the certificate", key.display());
    assert_eq!(error.to_string(), expected);
    let error = Certificate::read(&folder, &key).expect_err("a folder");
    assert!(error.to_string().contains("can't be read: Is a directory"), "{error}");
    let error = Certificate::self_signed(["a b"]).expect_err("no name");
    assert_eq!(error.to_string(), "\"a b\" is neither a host name nor an address");
}
