//! Who accepts, how many, and from whom: a configuration's part of the server.

use super::capacity::Excess;
use super::config::{Config, Source};
use crate::args::DispatchMode;
use crate::listen;
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

/// The server with what the configuration says of connections.
pub(super) fn equipped(config: &Config, limits: Option<ClientLimits>, server: Server) -> Server {
    let server = server.dispatch(way(config)).over_capacity(match config.over_capacity {
        Excess::Resist => OverCapacity::Resist,
        Excess::Drop => OverCapacity::Drop,
        Excess::Busy => OverCapacity::Busy,
    });
    let server = match config.connections {
        Some(most) => server.connections_max(most.get() as usize),
        None => server,
    };
    match limits {
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
