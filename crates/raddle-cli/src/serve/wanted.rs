//! What a configuration makes: all of it is tried before anything serves.

use super::account::Account;
use super::auth::guard;
use super::config::{Config, Source};
use super::cors;
use super::dispatch::client_limits;
use super::logs;
use super::sandbox::Allowed;
use super::site::{Dress, Sites};
use super::tls::{Secured, secured};
use crate::args::ServeOptions;
use raddle_http::server::{Admission, ClientLimits, Server};
use std::sync::Arc;

/// A configuration, and what it makes: nothing of it serves yet.
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) server: Server,
    pub(super) secured: Option<Secured>,
    pub(super) account: Option<Account>,
    /// What each client may have.
    pub(super) limits: Option<ClientLimits>,
}

/// What another one is to take the place of.
pub(super) struct Before<'a> {
    /// As it holds.
    pub(super) config: &'a Config,
    pub(super) secured: Option<&'a Secured>,
    pub(super) allowed: &'a Allowed,
}

impl Wanted {
    /// What options and configuration say. If they say of TLS what they said before, its certificates, counts and tickets' keys stay.
    pub(super) fn read(
        options: &ServeOptions,
        before: Option<Before<'_>>,
    ) -> Result<Wanted, String> {
        let source = Source::read(options)?;
        if let Some(before) = &before {
            before.allowed.permit(&source.config.needs(options.config.as_deref()))?;
        }
        // Who has become somebody else stays that.
        let account = if before.is_some() { None } else { Account::of(&source)? };
        let (server, limits) = (server(&source)?, client_limits(&source)?);
        logs::check(&source)?;
        let secured = match before {
            Some(before) if before.config.has_same_tls(&source.config) => before.secured.cloned(),
            _ => secured(&source)?,
        };
        Ok(Wanted { source, server, secured, account, limits })
    }
}

/// The server that a configuration describes, before it listens.
fn server(source: &Source) -> Result<Server, String> {
    let config = &source.config;
    let (guard, sites) = (guard(source)?, Arc::new(Sites::of(source)?));
    let server = Server::new().times(config.times()).limits(config.limits());
    // Preflight requests have no passwords.
    let server = server.plugin(cors::rules(source)?).plugin(Dress(sites.clone()));
    Ok(server.otherwise(move |request| {
        let site = sites.find(request.head());
        match guard.check(request) {
            Admission::Granted => site.answer(request),
            Admission::Refused(challenge) => site.refuse(request, challenge),
            Admission::Crowded => site.put_off(request),
        }
    }))
}
