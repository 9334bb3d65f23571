//! Who accepts, how many, and from whom: a configuration's part of it.

use super::config::{Config, Source};
use crate::args::{DispatchMode, ServeOptions};
use crate::listen;
use raddle_http::server::{ClientLimits, Dispatch, OverCapacity, Server};
use serde::Deserialize;
use std::net::TcpListener;
use toml::Spanned;

/// What becomes of connections that are too many.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Excess {
    #[default]
    Resist,
    Drop,
    Busy,
}

/// What one client may have.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Clients {
    connections: Option<Spanned<u32>>,
    requests_per_s: Option<Spanned<u32>>,
    burst: Option<Spanned<u32>>,
    remembered: u32,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients { connections: None, requests_per_s: None, burst: None, remembered: 65_536 }
    }
}

impl Clients {
    /// Whether each limit is there: for the test of what is printed as the defaults.
    #[cfg(test)]
    pub(super) fn has_all(&self) -> bool {
        self.connections.is_some() && self.requests_per_s.is_some() && self.burst.is_some()
    }

    fn limits(&self, source: &Source) -> Result<Option<ClientLimits>, String> {
        for (key, given, most) in [
            ("connections", &self.connections, u32::MAX),
            ("requests_per_s", &self.requests_per_s, 1_000_000),
            ("burst", &self.burst, u32::MAX),
        ] {
            if let Some(given) = given
                && !(1..=most).contains(given.get_ref())
            {
                let what =
                    format!("client_limits.{key}: {} is not from 1 to {most}", given.get_ref());
                return Err(source.mistake(given.span(), &what));
            }
        }
        let number = |given: &Option<Spanned<u32>>| given.as_ref().map(|given| *given.get_ref());
        let mut limits = ClientLimits::new().remembered_max(self.remembered as usize);
        if let Some(most) = number(&self.connections) {
            limits = limits.connections(most as usize);
        }
        match (number(&self.requests_per_s), &self.burst) {
            // Without a burst: what comes in a second.
            (Some(rate), burst) => limits = limits.requests(rate, number(burst).unwrap_or(rate)),
            (None, Some(burst)) => {
                let what = "client_limits.burst: of which rate? give requests_per_s, too";
                return Err(source.mistake(burst.span(), what));
            }
            (None, None) => {}
        }
        let is_any = self.connections.is_some() || self.requests_per_s.is_some();
        Ok(is_any.then_some(limits))
    }
}

/// The limits that a configuration has for each client.
pub(super) fn client_limits(source: &Source) -> Result<Option<ClientLimits>, String> {
    source.config.client_limits.limits(source)
}

/// Options on the command line go before.
pub(super) fn overridden(config: &mut Config, options: &ServeOptions) {
    config.connections = options.connections.or(config.connections);
    config.dispatch = options.dispatch.unwrap_or(config.dispatch);
    config.allow_shared_sockets |= options.allow_shared_sockets;
}

/// What the configuration says of connections.
pub(super) fn equipped(config: &Config, limits: Option<ClientLimits>, server: Server) -> Server {
    let server = server.dispatch(mode(config)).over_capacity(match config.over_capacity {
        Excess::Resist => OverCapacity::Resist,
        Excess::Drop => OverCapacity::Drop,
        Excess::Busy => OverCapacity::Busy,
    });
    let server = match config.connections {
        Some(most) => server.connections_max(most as usize),
        None => server,
    };
    match limits {
        Some(limits) => server.client_limits(limits),
        None => server,
    }
}

fn mode(config: &Config) -> Dispatch {
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
    let sockets = match mode(config) {
        Dispatch::Fair => 1,
        Dispatch::ReusePort | Dispatch::Balanced => cores,
    };
    let listeners = match config.allow_shared_sockets {
        true => listen::bind_shared(address, sockets),
        false => listen::bind(address, sockets),
    }?;
    for listener in &listeners {
        // A thread that accepts waits.
        listener.set_nonblocking(false).map_err(super::failed)?;
    }
    Ok(listeners)
}
