//! A certificate and its key as handshakes need them, out of PEM; or what is wrong with them.

use super::names::normal;
use super::provider::provider;
use crate::calendar::Civil;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::borrow::Cow;
use std::error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What handshakes need of it.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// The names that stand in it.
    pub(super) own: Vec<Box<str>>,
}

/// Why a certificate can't be used.
///
/// ```
/// use raddle_http::tls::{Certificate, Part};
/// let error = Certificate::read("no/such.pem", "no/such.key").unwrap_err();
/// assert_eq!(error.part(), Part::Certificate);
/// assert!(error.to_string().starts_with("no/such.pem: it can't be read: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    part: Part,
    why: String,
}

/// What of a [`Certificate`](super::Certificate) is wrong.
///
/// ```
/// assert_ne!(raddle_http::tls::Part::Key, raddle_http::tls::Part::Names);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate, or its file.
    Certificate,
    /// The private key, or its file.
    Key,
    /// The names that it is to be for.
    Names,
}

impl Unusable {
    pub(super) fn new(part: Part, why: String) -> Unusable {
        Unusable { part, why }
    }

    /// The same, with the name of the file.
    pub(super) fn of_file(self, path: &Path) -> Unusable {
        Unusable { why: format!("{}: {}", path.display(), self.why), ..self }
    }

    /// What is wrong.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Part};
    /// let error = Certificate::from_pem(b"", b"").unwrap_err();
    /// assert_eq!((error.part(), &*error.to_string()), (Part::Certificate, "there is no certificate in it"));
    /// ```
    pub fn part(&self) -> Part {
        self.part
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl error::Error for Unusable {}

impl Loaded {
    pub(super) fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Loaded, Unusable> {
        let chain =
            chain(certificate).map_err(|why| Unusable::new(Part::Certificate, why.into_owned()))?;
        let key = private_key(key).map_err(|why| Unusable::new(Part::Key, why.into_owned()))?;
        Loaded::of(chain, key)
    }

    pub(super) fn of(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Loaded, Unusable> {
        let parsed = webpki::EndEntityCert::try_from(&chain[0]).map_err(|error| {
            let why = match error {
                webpki::Error::UnsupportedCertVersion => {
                    "the first certificate in it is of an old form, X.509 version 1 or 2; clients want version 3"
                        .to_owned()
                }
                error => format!("the first certificate in it is damaged: {error}"),
            };
            Unusable::new(Part::Certificate, why)
        })?;
        let own = parsed.valid_dns_names().filter_map(normal).collect();
        let key = provider().key_provider.load_private_key(key).map_err(|_| {
            let why = "the key can't be used; RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, and Ed25519 can";
            Unusable::new(Part::Key, why.to_owned())
        })?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // That it can't be told is no mistake.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(mismatch(key)),
        }
        Ok(Loaded { key: Arc::new(key), own })
    }

    /// What clients will hold against the certificate, although it can be used.
    pub(super) fn doubt(&self) -> Option<String> {
        let parsed = webpki::EndEntityCert::try_from(&self.key.cert[0]).ok()?;
        let day = |time: UnixTime| {
            let (year, month, day) =
                Civil::of(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())).date();
            format!("{year:04}-{month:02}-{day:02}")
        };
        // As nobody is trusted the best answer is that its issuer is unknown; its dates are looked at before.
        let verified = parsed.verify_for_usage(
            &[],
            &[],
            &[],
            UnixTime::now(),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        match verified.err()? {
            webpki::Error::CertExpired { not_after, .. } => {
                Some(format!("it has expired on {}; clients will refuse it", day(not_after)))
            }
            webpki::Error::CertNotValidYet { not_before, .. } => {
                let from = day(not_before);
                Some(format!("it is valid from {from} on only; clients will refuse it before"))
            }
            _ => None,
        }
    }
}

/// The key is not the first certificate's: perhaps one of the others'.
fn mismatch(key: CertifiedKey) -> Unusable {
    for at in 1..key.cert.len() {
        let alone = CertifiedKey::new(vec![key.cert[at].clone()], key.key.clone());
        if alone.keys_match().is_ok() {
            let why = format!(
                "the key belongs to certificate {} in it; the server's own has to be the first",
                at + 1
            );
            return Unusable { part: Part::Certificate, why };
        }
    }
    Unusable { part: Part::Key, why: "the key does not belong to the certificate".to_owned() }
}

type Why = Cow<'static, str>;

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Why> {
    let chain =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(damage)?;
    if chain.is_empty() {
        return Err(match pem {
            _ if has(pem, "PRIVATE KEY-----") => {
                "there is a private key in it, and no certificate".into()
            }
            [0x30, ..] => {
                "it is DER, not PEM; convert it: openssl x509 -inform der -in FILE -out FILE.pem"
                    .into()
            }
            _ => "there is no certificate in it".into(),
        });
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Why> {
    // Nobody is there to be asked for a password.
    if has(pem, "BEGIN ENCRYPTED PRIVATE KEY-----") || has(pem, "Proc-Type: 4,ENCRYPTED") {
        return Err(
            "the key is encrypted; decrypt it: openssl pkey -in FILE -out FILE.plain".into()
        );
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if has(pem, "BEGIN CERTIFICATE-----") => {
            "there is a certificate in it, and no private key".into()
        }
        pem::Error::NoItemsFound if pem.first() == Some(&0x30) => {
            "it is DER, not PEM; convert it: openssl pkey -inform der -in FILE -out FILE.pem".into()
        }
        pem::Error::NoItemsFound => "there is no private key in it".into(),
        error => damage(error),
    })
}

fn damage(error: pem::Error) -> Why {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it is cut off: there is no END line".into(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line in it is malformed".into(),
        pem::Error::Base64Decode(_) => "it is damaged: what stands in it is no base64".into(),
        error => error.to_string().into(),
    }
}

fn has(text: &[u8], part: &str) -> bool {
    memchr::memmem::find(text, part.as_bytes()).is_some()
}
