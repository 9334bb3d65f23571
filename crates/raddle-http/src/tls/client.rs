//! TLS for clients: whom to trust, and a connection.

use super::provider::provider;
use super::records;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// What a client speaks TLS with; clones are the same.
///
/// A whole handshake for each connection, as different clients would make it: [`resuming`](ClientTls::resuming) changes that. ALPN says `http/1.1`.
///
/// ```
/// use raddle_http::tls::ClientTls;
/// let anyone = ClientTls::trusting_anyone();
/// assert!(ClientTls::trusting(b"no certificate").is_err());
/// ```
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts the authorities that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` say otherwise).
    ///
    /// # Errors
    ///
    /// If there are none.
    ///
    /// ```
    /// // A machine may have none.
    /// let tls = raddle_http::tls::ClientTls::trusting_the_system();
    /// ```
    pub fn trusting_the_system() -> io::Result<ClientTls> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            let what = format!("this machine has no certificates of authorities{why}");
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        Ok(ClientTls::with_roots(roots))
    }

    /// Trusts the certificates in this PEM, and no others.
    ///
    /// # Errors
    ///
    /// If there are none, or one is damaged.
    ///
    /// ```
    /// let error = raddle_http::tls::ClientTls::trusting(b"").unwrap_err();
    /// assert_eq!(error.to_string(), "there is no certificate in it");
    /// ```
    pub fn trusting(pem: &[u8]) -> io::Result<ClientTls> {
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_slice_iter(pem) {
            let one = one.map_err(|error| bad(format!("it is no PEM: {error}")))?;
            roots.add(one).map_err(|error| bad(format!("a certificate is damaged: {error}")))?;
        }
        match roots.is_empty() {
            true => Err(bad("there is no certificate in it".to_owned())),
            false => Ok(ClientTls::with_roots(roots)),
        }
    }

    /// Takes whatever certificate a server has. Whoever is on the way can read and change everything: for tests of one's own servers.
    ///
    /// ```
    /// let tls = raddle_http::tls::ClientTls::trusting_anyone();
    /// ```
    pub fn trusting_anyone() -> ClientTls {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions");
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
        ClientTls::of(config.with_no_client_auth())
    }

    fn with_roots(roots: RootCertStore) -> ClientTls {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions");
        ClientTls::of(builder.with_root_certificates(roots).with_no_client_auth())
    }

    fn of(mut config: ClientConfig) -> ClientTls {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        ClientTls { config: Arc::new(config) }
    }

    /// Takes sessions up again where a server offers that: half of a handshake for all connections but the first ones.
    ///
    /// ```
    /// let tls = raddle_http::tls::ClientTls::trusting_anyone().resuming();
    /// ```
    #[must_use]
    pub fn resuming(self) -> ClientTls {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::default();
        ClientTls { config: Arc::new(config) }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// A client's connection over TLS. [`handshake`](TlsClient::handshake) may come before the first byte, which otherwise does it.
///
/// ```
/// use raddle::{io::{Read, Write}, net::UnixStream, thread};
/// use raddle_http::{server::Server, tls::{Certificate, ClientTls, Tls, TlsClient, TlsStream}};
///
/// let tls = Tls::new(Certificate::self_signed(["localhost"])?);
/// let (client, server) = UnixStream::pair()?;
/// thread::spawn(move || Server::new().serve_one(&mut TlsStream::new(&tls, server)));
/// let mut client = TlsClient::new(&ClientTls::trusting_anyone(), "localhost", client)?;
/// client.handshake()?;
/// client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TlsClient<S> {
    inner: S,
    session: Box<ClientConnection>,
}

impl<S: Read + Write> TlsClient<S> {
    /// A connection to whoever has a certificate for `name`, a host's name or address.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `name` is neither.
    ///
    /// ```
    /// use raddle_http::tls::{ClientTls, TlsClient};
    /// let (client, _server) = raddle::net::UnixStream::pair()?;
    /// assert!(TlsClient::new(&ClientTls::trusting_anyone(), "a b", client).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(tls: &ClientTls, name: &str, inner: S) -> io::Result<TlsClient<S>> {
        let invalid =
            |what: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: {what}"));
        let server =
            ServerName::try_from(name.to_owned()).map_err(|error| invalid(error.to_string()))?;
        let session = ClientConnection::new(tls.config.clone(), server);
        let session = Box::new(session.map_err(|error| invalid(error.to_string()))?);
        Ok(TlsClient { inner, session })
    }

    /// Does the handshake, if that has not been done.
    ///
    /// # Errors
    ///
    /// `InvalidData`: the certificate is not to be trusted, or the two can't agree. `UnexpectedEof`; from the transport.
    pub fn handshake(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            records::flush(&mut self.session, &mut self.inner)?;
            if self.session.is_handshaking()
                && !records::receive(&mut self.session, &mut self.inner)?
            {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // The last word of it.
        records::flush(&mut self.session, &mut self.inner)
    }

    /// Whether a former session was taken up again, once the handshake is done.
    pub fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What it runs over.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Read + Write> Read for TlsClient<S> {
    /// The end is told by the server's `close_notify`; without that it is `UnexpectedEof`.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.handshake()?;
        records::read(&mut self.session, &mut self.inner, to)
    }
}

impl<S: Read + Write> Write for TlsClient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handshake()?;
        let count = self.session.writer().write_vectored(slices)?;
        records::flush(&mut self.session, &mut self.inner)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Believes every certificate, and checks that whoever shows it has its key.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
