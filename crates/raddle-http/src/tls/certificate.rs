//! A certificate and its key: from files, from memory, or made for trying out.

use super::files::{Files, Stamps};
use super::loaded::{Loaded, Part, Unusable};
use super::names::normal;
use super::provider::sha256;
use super::self_signed;
use std::fmt::Write;
use std::path::PathBuf;

/// A server's certificate with its chain, and its private key.
///
/// It is for the host names that stand in it, or for those that it is [given](Certificate::for_names).
///
/// ```
/// use raddle_http::tls::{Certificate, Tls};
/// let tls = Tls::new(Certificate::self_signed(["localhost", "127.0.0.1"])?);
/// assert!(Certificate::read("no/such.pem", "no/such.key").is_err());
/// # Ok::<(), raddle_http::tls::Unusable>(())
/// ```
#[derive(Debug)]
pub struct Certificate {
    pub(super) loaded: Loaded,
    /// Where it comes from, if that is to be looked at again, and what was there.
    pub(super) files: Option<(Files, Stamps)>,
    /// If they were given, the names that it is for.
    pub(super) given: Option<Vec<Box<str>>>,
}

impl Certificate {
    /// Reads two files in PEM: the certificate with its chain behind it, as authorities hand it out, and the key. Both may stand in one file.
    /// A [`Tls`](super::Tls) reads them again when they change.
    ///
    /// Of one that has expired, or is not valid yet, there is a warning by the crate `log`.
    ///
    /// # Errors
    ///
    /// If one can't be read, holds nothing of the kind or something else, or if the key is another certificate's: with the file's name.
    ///
    /// ```
    /// use raddle_http::tls::Certificate;
    /// assert!(Certificate::read("/dev/null", "/dev/null").is_err());
    /// ```
    pub fn read(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Certificate, Unusable> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        // Before they are read: what changes meanwhile is seen at the next look.
        let stamps = files.stamps();
        Ok(Certificate { loaded: files.read()?, files: Some((files, stamps)), given: None })
    }

    /// The same from memory.
    ///
    /// # Errors
    ///
    /// As [`Certificate::read`].
    ///
    /// ```
    /// use raddle_http::tls::Certificate;
    /// let error = Certificate::from_pem(b"-----BEGIN", b"").unwrap_err();
    /// assert_eq!(error.to_string(), "there is no certificate in it");
    /// ```
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Certificate, Unusable> {
        let loaded = Loaded::of_pem(certificate, key)?;
        Ok(Certificate { loaded, files: None, given: None })
    }

    /// Makes a key, and a self-signed certificate of it for these host names and addresses and for a year: to try something out. The key is in
    /// memory only.
    ///
    /// # Errors
    ///
    /// If one of them is neither a host name nor an address.
    ///
    /// ```
    /// use raddle_http::tls::Certificate;
    /// let certificate = Certificate::self_signed(["localhost", "127.0.0.1", "::1"])?;
    /// assert_eq!(certificate.fingerprint().len(), 32 * 3 - 1);
    /// assert!(Certificate::self_signed(["two words"]).is_err());
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn self_signed<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Certificate, Unusable> {
        let names = names.into_iter().map(Into::into).collect();
        let wrong = |why| Unusable::new(Part::Names, why);
        let (certificate, key) = self_signed::make(names).map_err(wrong)?;
        let loaded = Loaded::of(vec![certificate], key)?;
        Ok(Certificate { loaded, files: None, given: None })
    }

    /// Has it sent to clients that ask for one of these hosts, whatever stands in it. `*.example.org` is each name below `example.org`, as far
    /// as the next dot.
    ///
    /// # Errors
    ///
    /// If one of them is no host name: addresses are none, and letters beyond ASCII are written as `xn--` and so on.
    ///
    /// ```
    /// use raddle_http::tls::Certificate;
    /// let certificate = Certificate::self_signed(["a.example"])?.for_names(["b.example", "*.b.example"])?;
    /// assert!(certificate.for_names(["127.0.0.1"]).is_err());
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn for_names<N: AsRef<str>>(
        self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Certificate, Unusable> {
        let checked = names.into_iter().map(|name| {
            let name = name.as_ref();
            normal(name).ok_or_else(|| {
                let why = format!(
                    "{name:?} is no host name; give one such as example.org or *.example.org"
                );
                Unusable::new(Part::Names, why)
            })
        });
        Ok(Certificate { given: Some(checked.collect::<Result<_, _>>()?), ..self })
    }

    /// The host names that it is for: those that it was given, else those that stand in it.
    ///
    /// ```
    /// # use raddle_http::tls::Certificate;
    /// let certificate = Certificate::self_signed(["Localhost", "127.0.0.1"])?;
    /// assert!(certificate.names().eq(["localhost"]));
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.given.as_ref().unwrap_or(&self.loaded.own).iter().map(|name| &**name)
    }

    /// The certificate itself in DER: for clients that are to trust it.
    ///
    /// ```
    /// # use raddle_http::tls::Certificate;
    /// assert_eq!(Certificate::self_signed(["localhost"])?.der()[0], 0x30);
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn der(&self) -> &[u8] {
        &self.loaded.key.cert[0]
    }

    /// The certificate's SHA-256, as browsers show it: `4F:0A:...`. Whoever compares it needs nobody to vouch for it.
    ///
    /// ```
    /// # use raddle_http::tls::Certificate;
    /// assert_eq!(Certificate::self_signed(["localhost"])?.fingerprint().split(':').count(), 32);
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for (at, byte) in sha256(self.der()).as_ref().iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }
}
