//! Taking connections: each gets a thread.

use super::connection;
use super::crowd::Crowd;
use super::current::{Current, Serving};
use super::times::is_timeout;
use crate::tls::TlsStream;
use raddle::cancel::{Cancelled, Token};
use raddle::net::{TcpListener, TcpStream};
use raddle::thread::{self, Builder};
use raddle::time;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Takes connections until `accepting` is cancelled, and then those that had connected before.
///
/// With as many connections as may be it waits until one ends; who comes meanwhile waits in the kernel.
pub(super) fn accept(
    listener: &TcpListener,
    current: &Arc<Current>,
    crowd: &Arc<Crowd>,
    accepting: &Token,
) {
    const PAUSE: Duration = Duration::from_millis(50);
    // And whoever accepts.
    let most = || current.connections_max().saturating_add(1);
    let next = || {
        crowd.wait_for_room(most);
        listener.accept_patiently()
    };
    loop {
        match accepting.carry(next) {
            Err(Cancelled) => break,
            Ok(Ok((stream, _))) => begin(current, crowd, stream),
            Ok(Err(error)) if is_passing(&error) => {}
            Ok(Err(error)) => {
                log::warn!("{listener:?}: {error}; tries again");
                if accepting.carry(|| thread::sleep(PAUSE)).is_err() {
                    break;
                }
            }
        }
    }
    const AT_ONCE: Duration = Duration::from_micros(1);
    while crowd.count() < most()
        && let Ok(Ok((stream, _))) = time::timeout(AT_ONCE, || listener.accept())
    {
        begin(current, crowd, stream);
    }
}

/// Errors of a connection that ended before it was taken: accept(2).
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted
    )
}

fn begin(current: &Arc<Current>, crowd: &Arc<Crowd>, mut stream: TcpStream) {
    let (current, place) = (current.clone(), crowd.enter());
    let life = place.seat.life.clone();
    let begun = Builder::new().spawn(move || {
        let service = Serving::of(&current);
        // As it begins it speaks to the end.
        let tls = service.tls.clone();
        let served = life.carry(|| match &tls {
            None => connection::serve(service, &mut stream, Some(&place)),
            Some(tls) => {
                connection::serve(service, &mut TlsStream::new(tls, &mut stream), Some(&place))
            }
        });
        match served {
            Ok(Err(error)) if is_timeout(&error) => log::debug!("{stream:?}: too slow"),
            Ok(Err(error)) => log::debug!("{stream:?}: {error}"),
            Ok(Ok(())) | Err(Cancelled) => {}
        }
        drop(stream);
        // Whoever waits for the end finds nobody using the service any more.
        drop((tls, current));
        drop(place);
    });
    if let Err(error) = begun {
        log::warn!("no thread for a connection: {error}");
    }
}
