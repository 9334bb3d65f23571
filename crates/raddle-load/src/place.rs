//! Where connections go, found out once before a run: no request waits for a name.

use crate::url::Url;
use raddle::net::lookup_host;
use raddle_http::tls::ClientTls;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where connections lead, and what they speak.
#[derive(Clone, Debug)]
pub struct Place {
    pub(crate) at: At,
    /// The name that the server proves, and with what.
    pub(crate) tls: Option<(String, ClientTls)>,
    /// For people.
    pub(crate) name: String,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first of them that takes a connection.
    Addresses(Vec<SocketAddr>),
    Socket(PathBuf),
}

/// What goes before what a URL says of where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detour {
    /// `HOST:PORT`, to be connected to whatever the URL says.
    pub address: Option<String>,
    /// A Unix socket.
    pub socket: Option<PathBuf>,
}

impl Place {
    /// The place of a URL. Its name is looked up; `tls` is for those that begin with `https`.
    ///
    /// # Errors
    ///
    /// If the name is not known; `InvalidInput` if it is an `https` URL and `tls` is not there.
    ///
    /// ```
    /// use raddle_load::{Detour, Place};
    /// let place = Place::of(&"http://127.0.0.1:1/".parse()?, &Detour::default(), None)?;
    /// assert_eq!(place.to_string(), "127.0.0.1:1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(url: &Url, detour: &Detour, tls: Option<&ClientTls>) -> io::Result<Place> {
        let tls = match (url.is_https(), tls) {
            (false, _) => None,
            (true, Some(tls)) => Some((url.host().to_owned(), tls.clone())),
            (true, None) => {
                let what = format!("{url}: nothing says whom to trust");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        };
        if let Some(path) = &detour.socket {
            return Ok(Place {
                at: At::Socket(path.clone()),
                tls,
                name: path.display().to_string(),
            });
        }
        let (name, found) = match &detour.address {
            Some(address) => (address.clone(), lookup_host(address.as_str()).map(Vec::from_iter)),
            None => {
                let name = format!("{}:{}", url.host(), url.port());
                (name, lookup_host((url.host(), url.port())).map(Vec::from_iter))
            }
        };
        let unknown = |why: String| io::Error::new(io::ErrorKind::NotFound, why);
        match found {
            Ok(found) if found.is_empty() => Err(unknown(format!("{name} has no address"))),
            Ok(found) => Ok(Place { at: At::Addresses(found), tls, name }),
            Err(error) => {
                let why = error.to_string();
                let why = why.trim_start_matches("failed to lookup address information: ");
                Err(unknown(format!("{name} can't be resolved: {why}")))
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
