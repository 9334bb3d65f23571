//! Authorities, certificates and clients for tests of TLS. All keys are made by the test that needs them.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::serve_kit::{Answer, PATIENCE};
use raddle_http::tls::Certificate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whom clients trust.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// What it hands out, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut wanted = CertificateParams::default();
        // Nobody must take what it issues for itself.
        wanted.distinguished_name.push(DnType::CommonName, "an authority");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        let certificate = wanted.self_signed(&key).expect("valid parameters");
        Authority { issuer: Issuer::new(wanted, key), certificate }
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, &KeyPair::generate().expect("randomness"))
    }

    pub(crate) fn issue_for(&self, names: &[&str], key: &KeyPair) -> Issued {
        self.issue_wanted(wanted(names), key)
    }

    /// One that is valid from the end of February of a year until that of another.
    pub(crate) fn issue_valid(&self, names: &[&str], from: i32, to: i32) -> Issued {
        let mut wanted = wanted(names);
        let [from, to] = [from, to].map(|year| date_time_ymd(year, 2, 28));
        (wanted.not_before, wanted.not_after) = (from, to);
        self.issue_wanted(wanted, &KeyPair::generate().expect("randomness"))
    }

    fn issue_wanted(&self, wanted: CertificateParams, key: &KeyPair) -> Issued {
        let made = wanted.signed_by(key, &self.issuer).expect("valid parameters");
        Issued { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// What a client of these versions needs.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        trusting(self.certificate.der(), versions)
    }
}

fn wanted(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("valid names")
}

impl Issued {
    pub(crate) fn loaded(&self) -> Certificate {
        Certificate::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).expect("they fit")
    }
}

/// A client that trusts this certificate.
pub(crate) fn trusting(
    der: &CertificateDer<'_>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der.clone().into_owned()).expect("a certificate");
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A connection over TLS.
pub(crate) struct TlsClient {
    reader: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    /// Connects, and ends the handshake.
    pub(crate) fn try_connect(
        at: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<TlsClient> {
        TlsClient::begin(TcpStream::connect_timeout(&at, PATIENCE)?, name, config, b"")
    }

    /// The same on a connection that is there, with a request that goes out together with the handshake's last bytes.
    pub(crate) fn begin(
        mut stream: TcpStream,
        name: &str,
        config: &Arc<ClientConfig>,
        request: &[u8],
    ) -> io::Result<TlsClient> {
        let name = ServerName::try_from(name.to_owned()).expect("a name or an address");
        let mut session = ClientConnection::new(config.clone(), name).expect("valid settings");
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        session.writer().write_all(request)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(TlsClient { reader: BufReader::new(StreamOwned::new(session, stream)) })
    }

    pub(crate) fn connect(at: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> TlsClient {
        TlsClient::try_connect(at, name, config).expect("they can agree")
    }

    pub(crate) fn say_end(&mut self) {
        let stream = self.reader.get_mut();
        stream.conn.send_close_notify();
        stream.flush().expect("it is connected");
    }

    pub(crate) fn session(&self) -> &ClientConnection {
        &self.reader.get_ref().conn
    }

    /// The socket below.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.reader.get_mut().sock
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.session().peer_certificates().expect("the handshake is done")[0]
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.reader.get_mut();
        stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()).expect("it is connected");
    }

    pub(crate) fn get(&mut self, path: &str, fields: &[&str]) -> Answer {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        Answer::read(&mut self.reader, false)
    }

    /// Expects that nothing more comes, and that the server has said so.
    pub(crate) fn expect_announced_end(&mut self) {
        let mut rest = Vec::new();
        let count = self.reader.read_to_end(&mut rest).expect("an end that is announced");
        assert_eq!(count, 0, "{:?}", String::from_utf8_lossy(&rest));
    }
}

/// A folder of a test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let way = if crate::serve_kit::forbids_ring() { "-forbidden" } else { "" };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}{way}"));
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("cargo's own folder for this");
    folder
}
