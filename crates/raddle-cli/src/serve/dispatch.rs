//! Who accepts, how many, and from whom: a configuration's part of the server.

use super::capacity::Excess;
use super::config::{Config, Source};
use crate::args::DispatchMode;
use crate::{limits, listen};
use raddle_http::server::{ClientLimits, Dispatch, OverCapacity, Server};
use std::net::TcpListener;

/// The limits that a configuration has for each client, or what is wrong with them.
pub(super) fn client_limits(source: &Source) -> Result<Option<ClientLimits>, String> {
    let wanted = &source.config.client_limits;
    let mut values = [None; 3];
    for (value, (key, given, most)) in values.iter_mut().zip(wanted.limits()) {
        let Some(given) = given else { continue };
        *value = Some(*given.get_ref());
        if !(1..=most).contains(given.get_ref()) {
            let what = format!("client_limits.{key}: {} is not from 1 to {most}", given.get_ref());
            return Err(source.mistake(given.span(), &what));
        }
    }
    let [connections, rate, burst] = values;
    let mut limits = ClientLimits::new().remembered_max(wanted.remembered as usize);
    if let Some(most) = connections {
        limits = limits.connections(most as usize);
    }
    if let Some(rate) = rate {
        // Without a burst: what comes in a second.
        limits = limits.requests(rate, burst.unwrap_or(rate));
    } else if let Some(burst) = &wanted.burst {
        let what = "client_limits.burst: of which rate? give requests_per_s, too";
        return Err(source.mistake(burst.span(), what));
    }
    for given in &wanted.exempt {
        let network = given.get_ref().parse().map_err(|error| {
            let what = format!("client_limits.exempt: {:?}: {error}", given.get_ref());
            source.mistake(given.span(), &what)
        })?;
        limits = limits.exempt(network);
    }
    Ok((connections.is_some() || rate.is_some()).then_some(limits))
}

/// So many connections each of `servers` may have if nothing is said: as many as there are descriptors, less some for files, logs, and whoever is
/// refused. Clients that do nothing would take them all, and each file be 503.
fn connections_max(descriptors: u64, servers: usize) -> usize {
    let kept = (descriptors / 4).clamp(64, 1024);
    let each = descriptors.saturating_sub(kept) / servers.max(1) as u64;
    usize::try_from(each).unwrap_or(usize::MAX).max(1)
}

/// One of so many servers with what the configuration says of connections.
pub(super) fn equipped(
    config: &Config,
    client_limits: Option<ClientLimits>,
    server: Server,
    servers: usize,
) -> Server {
    let server = server.dispatch(way(config)).over_capacity(match config.over_capacity {
        Excess::Resist => OverCapacity::Resist,
        Excess::Drop => OverCapacity::Drop,
        Excess::Busy => OverCapacity::Busy,
    });
    let most = config.connections.map(|most| most.get() as usize);
    let most = most.unwrap_or_else(|| connections_max(limits::descriptors(), servers));
    let server = server.connections_max(most);
    match client_limits {
        Some(limits) => server.client_limits(limits),
        None => server,
    }
}

fn way(config: &Config) -> Dispatch {
    match config.dispatch {
        DispatchMode::Reuseport => Dispatch::ReusePort,
        DispatchMode::Fair => Dispatch::Fair,
        DispatchMode::Balanced => Dispatch::Balanced,
    }
}

/// The sockets that listen at an address: one, or one for each core.
pub(super) fn bind(
    config: &Config,
    address: &str,
    cores: usize,
) -> Result<Vec<TcpListener>, String> {
    let sockets = match way(config) {
        Dispatch::Fair => 1,
        Dispatch::ReusePort | Dispatch::Balanced => cores,
    };
    let listeners = match config.allow_shared_sockets {
        true => listen::bind_shared(address, sockets),
        false => listen::bind(address, sockets),
    }?;
    for listener in &listeners {
        // A thread that accepts waits.
        listener.set_nonblocking(false).map_err(|error| format!("{address}: {error}"))?;
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::connections_max;

    #[test]
    fn some_descriptors_are_kept_for_files() {
        for (descriptors, servers, most) in [
            (1024, 1, 768),
            (1024, 2, 384),
            (128, 1, 64),
            (1 << 20, 1, (1 << 20) - 1024),
            (20, 1, 1),
        ] {
            assert_eq!(connections_max(descriptors, servers), most, "{descriptors}");
        }
    }
}
