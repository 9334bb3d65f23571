//! What a server speaks TLS with.

use super::certificate::Certificate;
use super::handshakes::{Counts, Handshakes};
use super::provider::{provider, ticketer};
use super::shelf::Shelf;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::sync::Arc;

/// TLS for a [server](crate::server::Server::tls): its certificates, and what all connections share. Clones have the same certificates and counts.
///
/// A client gets the certificate for the name that it asks for, else one for a wildcard that covers it, else the first; among several for one
/// name the first whose key suits it, so that one with ECDSA and one with RSA can stand side by side.
///
/// Files are looked at when a client connects, once a second at most. New ones are taken at once; ones that can't be used leave those that are there,
/// and a warning by the crate `log`.
///
/// ```
/// use raddle_http::tls::{Certificate, Tls};
/// let tls = Tls::new(Certificate::self_signed(["a.example"])?)
///     .also(Certificate::self_signed(["b.example", "*.b.example"])?);
/// # Ok::<(), raddle_http::tls::Unusable>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) counts: Arc<Counts>,
}

impl Tls {
    /// With this certificate for all who ask for no other one.
    ///
    /// ```
    /// use raddle_http::{server::Server, tls::{Certificate, Tls}};
    /// let server = Server::new().tls(Tls::new(Certificate::self_signed(["localhost"])?));
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn new(certificate: Certificate) -> Tls {
        let shelf = Arc::new(Shelf::new());
        shelf.add(certificate);
        Tls { config: config(&shelf, ALL_VERSIONS), shelf, counts: Arc::default() }
    }

    /// TLS 1.3 only: clients older than 2018 or so are refused. Clones that were made before speak both.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls};
    /// let tls = Tls::new(Certificate::self_signed(["a.example"])?).only_1_3();
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    #[must_use]
    pub fn only_1_3(self) -> Tls {
        Tls { config: config(&self.shelf, &[&TLS13]), ..self }
    }

    /// And this one for whoever asks for one of its names.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls};
    /// let tls = Tls::new(Certificate::self_signed(["a.example"])?)
    ///     .also(Certificate::self_signed(["b.example"])?.for_names(["*.b.example"])?);
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    #[must_use]
    pub fn also(self, certificate: Certificate) -> Tls {
        self.shelf.add(certificate);
        self
    }

    /// Looks at the files now: before the second is over, and without a client.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls};
    /// Tls::new(Certificate::self_signed(["localhost"])?).look_again();
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn look_again(&self) {
        self.shelf.look_now();
    }

    /// How connections have begun so far.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls};
    /// let tls = Tls::new(Certificate::self_signed(["localhost"])?);
    /// assert_eq!(tls.handshakes().failed, 0);
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn handshakes(&self) -> Handshakes {
        self.counts.read()
    }
}

fn config(shelf: &Arc<Shelf>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(shelf.clone());
    // A client that offers neither, HTTP/2 alone for instance, is told so by TLS: RFC 7301 section 3.2.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    if let Some(ticketer) = ticketer() {
        config.ticketer = ticketer;
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("handshakes", &self.handshakes()).finish_non_exhaustive()
    }
}
