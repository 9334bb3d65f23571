//! A server that runs, and what becomes of it when it is told to read its configuration again.

use super::config::Config;
use super::dispatch::equipped;
use super::sandbox::Allowed;
use super::served::Served;
use super::systemd::Notify;
use super::tls::Secured;
use super::wanted::{Before, Wanted};
use crate::args::ServeOptions;
use crate::say;
use raddle_http::server::Server;
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::time::Duration;

/// What runs, and what it was told last.
pub(super) struct Live {
    options: ServeOptions,
    /// As it holds: where it listens is as it was at the start.
    config: Config,
    secured: Option<Secured>,
    allowed: Allowed,
    /// The first is the site, another one leads from plain HTTP to it. None any more, when it ends.
    servers: Vec<Served>,
    notify: Notify,
}

impl Live {
    pub(super) fn start(
        options: ServeOptions,
        wanted: Wanted,
        listeners: Vec<TcpListener>,
        from: Option<Vec<TcpListener>>,
        notify: Notify,
        allowed: Allowed,
    ) -> Result<Live, String> {
        let Wanted { config, server, secured, limits, .. } = wanted;
        let main = Served::start(
            &config,
            equipped(&config, limits, speaking(server, secured.as_ref())),
            listeners,
        )?;
        let port = main.running.local_addr().port();
        let mut servers = vec![main];
        if let Some(from) = from {
            servers.push(Served::start(
                &config,
                equipped(&config, limits, redirect(&config, port)),
                from,
            )?);
        }
        Ok(Live { options, config, secured, allowed, servers, notify })
    }

    /// Says where it listens, and what is there.
    pub(super) fn greet(&self) {
        let at = self.servers[0].running.local_addr();
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        let folder = self.config.folder.as_deref().unwrap_or_else(|| ".".as_ref());
        say::line(&format!("listening on {at}: {scheme}://{at}/ is {}", folder.display()));
        for redirecting in &self.servers[1..] {
            let from = redirecting.running.local_addr();
            say::line(&format!("listening on {from}: http://{from}/ leads to https"));
        }
        let of_certificate = self.secured.as_ref().and_then(|secured| secured.note.as_ref());
        of_certificate.into_iter().chain(&self.allowed.note).for_each(|note| say::line(note));
    }

    /// Tells a supervisor that it serves.
    pub(super) fn tell(&self) {
        self.notify.ready(&format!("listens on {}", self.servers[0].running.local_addr()));
    }

    /// What is to end, and for how long it may finish what it has begun.
    pub(super) fn begin_end(&mut self) -> (Vec<Served>, Duration) {
        (std::mem::take(&mut self.servers), Duration::from_secs(self.config.drain_s.into()))
    }

    /// Reads the configuration again. What is wrong with it is said, and then nothing changes.
    pub(super) fn reload(&mut self) {
        if self.servers.is_empty() {
            say::warning("SIGHUP: it ends, and reads no configuration any more");
            return;
        }
        let read = match &self.options.config {
            Some(path) => path.display().to_string(),
            None => "no configuration (there is no -c); the folder and certificates".to_owned(),
        };
        self.notify.reloading();
        match self.try_reload() {
            Ok(()) => say::line(&format!("SIGHUP: read again: {read}")),
            Err(why) => say::error(&format!("{why}; SIGHUP changes nothing, it serves as before")),
        }
        self.tell();
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let (config, secured) = (&self.config, self.secured.as_ref());
        let before = Before { config, secured, allowed: &self.allowed };
        let Wanted { mut config, server, secured, limits, .. } =
            Wanted::read(&self.options, Some(before))?;
        let fixed = self.fixed(&config);
        if self.secured.is_some() != secured.is_some() && config.listen() != self.config.listen() {
            let (now, then) = (self.config.listen(), config.listen());
            return Err(format!(
                "with and without TLS it listens elsewhere, now on {now}, then on {then}: that needs a restart, or `listen`"
            ));
        }
        config.listen.clone_from(&self.config.listen);
        config.cores = self.config.cores;
        config.dispatch = self.config.dispatch;
        config.over_capacity = self.config.over_capacity;
        config.allow_shared_sockets = self.config.allow_shared_sockets;
        config.user.clone_from(&self.config.user);
        config.group.clone_from(&self.config.group);
        config.sandbox = self.config.sandbox;
        config.tls.redirect_from.clone_from(&self.config.tls.redirect_from);
        if let Some(secured) = &secured {
            secured.tls.look_again();
        }
        let port = self.servers[0].running.local_addr().port();
        let mut server = Some(speaking(server, secured.as_ref()));
        for served in &mut self.servers {
            let server = server.take().unwrap_or_else(|| redirect(&config, port));
            served.replace(&self.config, &config, equipped(&config, limits, server))?;
        }
        (self.config, self.secured) = (config, secured);
        for key in fixed {
            say::warning(&format!("{key}: that changes with a restart only"));
        }
        Ok(())
    }

    /// Which keys say something else than at the start, and can't be obeyed now.
    fn fixed(&self, config: &Config) -> Vec<&'static str> {
        let now = &self.config;
        let keys = [
            ("listen", now.listen() != config.listen()),
            ("cores", now.cores != config.cores),
            ("dispatch", now.dispatch != config.dispatch),
            ("over_capacity", now.over_capacity != config.over_capacity),
            ("allow_shared_sockets", now.allow_shared_sockets != config.allow_shared_sockets),
            ("user", now.user != config.user),
            ("group", now.group != config.group),
            ("sandbox", now.sandbox != config.sandbox),
            ("tls.redirect_from", now.tls.redirect_from != config.tls.redirect_from),
        ];
        keys.into_iter().filter_map(|(key, has_changed)| has_changed.then_some(key)).collect()
    }
}

fn speaking(server: Server, secured: Option<&Secured>) -> Server {
    match secured {
        Some(secured) => server.tls(secured.tls.clone()),
        None => server,
    }
}

fn redirect(config: &Config, port: u16) -> Server {
    let to = config.tls.redirect_port.map_or(port, NonZeroU16::get);
    let server = Server::new().times(config.times()).limits(config.limits());
    server.otherwise(raddle_http::tls::redirect(to))
}
