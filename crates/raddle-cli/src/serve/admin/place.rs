//! Where the operator asks: an address, or a Unix socket that only he and his group may open.

use crate::args::Place;
use crate::listen;
use raddle::cancel::Token;
use raddle::net::UnixListener;
use raddle::thread::Builder;
use raddle_http::server::{Running, Server};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Nobody is answered yet.
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(net::UnixListener, SocketPath),
}

/// It is gone when this is.
pub(super) struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

/// Whoever connects is answered.
pub(super) struct Open {
    place: String,
    way: Way,
}

enum Way {
    Tcp(Running),
    Unix { serving: Token, _path: SocketPath },
}

impl Bound {
    pub(super) fn bind(place: &Place) -> Result<Bound, String> {
        match place {
            Place::Tcp(address) => {
                let listener = listen::bind(address, 1)?.remove(0);
                // A thread that accepts waits.
                listener.set_nonblocking(false).map_err(|error| format!("{address}: {error}"))?;
                Ok(Bound::Tcp(listener))
            }
            Place::Unix(path) => {
                let failed = |error: io::Error| {
                    let why = match error.kind() {
                        io::ErrorKind::AddrInUse => "somebody else has it".to_owned(),
                        io::ErrorKind::NotFound => "there is no such folder".to_owned(),
                        _ => error.to_string(),
                    };
                    format!("{}: the socket can't be made: {why}", path.display())
                };
                remove_stale(path);
                let listener = net::UnixListener::bind(path).map_err(failed)?;
                let made = SocketPath(path.clone());
                fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
                Ok(Bound::Unix(listener, made))
            }
        }
    }

    /// Has this server answer.
    pub(super) fn serve(self, server: Server) -> io::Result<Open> {
        match self {
            Bound::Tcp(listener) => {
                let running = server.serve(listener.into())?;
                let place = format!("http://{}/status", running.local_addr());
                Ok(Open { place, way: Way::Tcp(running) })
            }
            Bound::Unix(listener, path) => {
                let place = format!("{}, for http://localhost/status", path.0.display());
                let serving = Token::new();
                accept(listener.into(), server, &serving)?;
                Ok(Open { place, way: Way::Unix { serving, _path: path } })
            }
        }
    }
}

impl Open {
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Cuts off whoever asks.
    pub(super) fn end(self) {
        match &self.way {
            Way::Tcp(running) => running.end(),
            Way::Unix { serving, .. } => serving.cancel(),
        }
    }
}

/// A socket that a server which was killed has left behind: nobody listens there.
fn remove_stale(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && net::UnixStream::connect(path).is_err_and(refuses) {
        _ = fs::remove_file(path);
    }
}

/// Takes connections, each with a thread, until `serving` is cancelled.
fn accept(listener: UnixListener, server: Server, serving: &Token) -> io::Result<()> {
    let (server, serving) = (Arc::new(server), serving.clone());
    let accepting = move || {
        while let Ok(accepted) = serving.carry(|| listener.accept_patiently()) {
            let Ok((mut stream, _)) = accepted else { continue };
            let (server, serving) = (server.clone(), serving.clone());
            let serves = move || _ = serving.carry(|| server.serve_one(&mut stream));
            if let Err(error) = Builder::new().spawn(serves) {
                log::warn!("no thread for a connection: {error}");
            }
        }
    };
    Builder::new().name("admin".into()).spawn(accepting).map(drop)
}
