//! A server that runs, and what becomes of it when it is told to read its configuration again.

use super::admin::{Now, Watched};
use super::config::Config;
use super::dispatch;
use super::logs::{self, Logs};
use super::sandbox::Allowed;
use super::systemd::Notify;
use super::tls::Secured;
use super::wanted::{Before, Wanted};
use crate::args::ServeOptions;
use crate::say;
use raddle::sync::{Mutex, PoisonError};
use raddle::thread::JoinHandle;
use raddle_http::metrics::Metrics;
use raddle_http::server::{ClientLimits, Running, Server};
use std::io;
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What stays as it is.
pub(super) struct Around {
    pub(super) allowed: Allowed,
    /// Counts for the operator.
    pub(super) metrics: Option<Metrics>,
    pub(super) notify: Notify,
}

/// What runs, and what it was told last.
pub(super) struct Live {
    options: ServeOptions,
    /// As it holds: where it listens is as it was at the start.
    config: Config,
    secured: Option<Secured>,
    /// The first is the site, another one leads from plain HTTP to it.
    servers: Vec<Running>,
    logs: Option<Logs>,
    /// Threads of logs that were replaced, with lines of requests that had begun before.
    former: Vec<JoinHandle<()>>,
    now: Arc<Mutex<Now>>,
    around: Around,
    is_ending: bool,
}

impl Live {
    pub(super) fn start(
        options: ServeOptions,
        wanted: Wanted,
        listeners: Vec<TcpListener>,
        from: Option<Vec<TcpListener>>,
        around: Around,
    ) -> Result<Live, String> {
        let Wanted { source, server, secured, limits, .. } = wanted;
        logs::open_error_log(&source)?;
        let logs = Logs::open(&source)?;
        let config = source.config;
        let count = 1 + usize::from(from.is_some());
        let serve = |server, listeners: Vec<TcpListener>| {
            let others = (&logs, around.metrics.as_ref());
            let server = equipped(&config, limits.clone(), server, others, count);
            server.serve_all(listeners.into_iter().map(Into::into).collect()).map_err(failed)
        };
        let mut servers = vec![serve(speaking(server, secured.as_ref()), listeners)?];
        if let Some(from) = from {
            servers.push(serve(redirect(&config, servers[0].local_addr().port()), from)?);
        }
        let now = Arc::new(Mutex::new(now(secured.as_ref(), &logs)));
        let (logs, former, is_ending) = (Some(logs), Vec::new(), false);
        Ok(Live { options, config, secured, servers, logs, former, now, around, is_ending })
    }

    /// Says where it listens, and what is there.
    pub(super) fn greet(&self) {
        let at = self.servers[0].local_addr();
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        let folder = self.config.folder.as_ref().map_or(Path::new("."), |folder| folder.get_ref());
        say::line(&format!("listening on {at}: {scheme}://{at}/ is {}", folder.display()));
        for redirecting in &self.servers[1..] {
            let from = redirecting.local_addr();
            say::line(&format!("listening on {from}: http://{from}/ leads to https"));
        }
        let of_certificate = self.secured.as_ref().and_then(|secured| secured.note.as_ref());
        let of_sandbox = &self.around.allowed.note;
        of_certificate.into_iter().chain(of_sandbox).for_each(|note| say::line(note));
    }

    /// For the operator.
    pub(super) fn watched(&self) -> Watched {
        Watched { servers: self.servers.clone(), now: self.now.clone() }
    }

    /// Tells a supervisor that it serves.
    pub(super) fn tell(&self) {
        self.around.notify.ready(&format!("listens on {}", self.servers[0].local_addr()));
    }

    /// Has all logs opened anew that are files.
    pub(super) fn reopen_logs(&self) {
        let access = self.logs.as_ref().and_then(Logs::access);
        logs::reopen(access.as_ref());
    }

    /// What is to end, and for how long it may finish what it has begun.
    pub(super) fn begin_end(&mut self) -> (Vec<Running>, Duration) {
        self.is_ending = true;
        (self.servers.clone(), Duration::from_secs(self.config.drain_s.get().into()))
    }

    /// Waits until all is written of what servers that have ended had to say.
    pub(super) fn finish_logs(&mut self) -> Result<(), String> {
        let writing = self.logs.take().and_then(Logs::into_writing);
        self.former.drain(..).chain(writing).try_for_each(|writing| {
            writing.join().map_err(|_| "serve: the access log's thread has panicked".to_owned())
        })
    }

    /// Reads the configuration again. What is wrong with it is said, and then nothing changes.
    pub(super) fn reload(&mut self) {
        if self.is_ending {
            say::warning("SIGHUP: it ends, and reads no configuration any more");
            return;
        }
        let read = match &self.options.config {
            Some(path) => path.display().to_string(),
            None => "no configuration (there is no -c); the folder and certificates".to_owned(),
        };
        self.around.notify.reloading();
        match self.try_reload() {
            Ok(()) => say::line(&format!("SIGHUP: read again: {read}")),
            Err(why) => say::error(&format!("{why}; SIGHUP changes nothing, it serves as before")),
        }
        self.tell();
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let (config, secured) = (&self.config, self.secured.as_ref());
        let before = Before { config, secured, allowed: &self.around.allowed };
        let Wanted { source, server, secured, limits, .. } =
            Wanted::read(&self.options, Some(before))?;
        let fixed = self.fixed(&source.config);
        let then = source.config.listen();
        if self.secured.is_some() != secured.is_some() && then != self.config.listen() {
            let now = self.config.listen();
            return Err(format!(
                "with and without TLS it listens elsewhere, now on {now}, then on {then}: that needs a restart, or `listen`"
            ));
        }
        let has_same_log = self.config.has_same_log(&source.config);
        // Nothing else can fail.
        let logs = if has_same_log { None } else { Some(Logs::open(&source)?) };
        if let Some(former) = logs.and_then(|logs| self.logs.replace(logs)) {
            self.former.retain(|writing| !writing.is_finished());
            self.former.extend(former.into_writing());
        }
        let config = self.unmoved(source.config);
        if let Some(secured) = &secured {
            secured.tls.look_again();
        }
        let mut server = Some(speaking(server, secured.as_ref()));
        let port = self.servers[0].local_addr().port();
        let logs = self.logs.as_ref().expect("they are taken at the end");
        for running in &self.servers {
            let server = server.take().unwrap_or_else(|| redirect(&config, port));
            let metrics = self.around.metrics.as_ref();
            let count = self.servers.len();
            running.replace(equipped(&config, limits.clone(), server, (logs, metrics), count));
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now(secured.as_ref(), logs);
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
            ("error_log", now.error_log != config.error_log),
            ("admin", now.admin != config.admin),
            ("tls.redirect_from", now.tls.redirect_from != config.tls.redirect_from),
        ];
        keys.into_iter().filter_map(|(key, has_changed)| has_changed.then_some(key)).collect()
    }

    /// The same with what can't be obeyed as it was: as long as it differs, each reload says so.
    fn unmoved(&self, config: Config) -> Config {
        let now = self.config.clone();
        let tls = super::config::Tls { redirect_from: now.tls.redirect_from, ..config.tls };
        Config {
            listen: now.listen,
            cores: now.cores,
            dispatch: now.dispatch,
            over_capacity: now.over_capacity,
            allow_shared_sockets: now.allow_shared_sockets,
            user: now.user,
            group: now.group,
            sandbox: now.sandbox,
            error_log: now.error_log,
            admin: now.admin,
            tls,
            ..config
        }
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

/// With what all that listen have in common, which are so many.
fn equipped(
    config: &Config,
    limits: Option<ClientLimits>,
    server: Server,
    (logs, metrics): (&Logs, Option<&Metrics>),
    count: usize,
) -> Server {
    let mut server = dispatch::equipped(config, limits, server, count);
    if let Some(access) = logs.access() {
        server = server.plugin(access);
    }
    if let Some(metrics) = metrics {
        server = server.plugin(metrics.clone());
    }
    if config.tell_request_ids { server.tell_request_ids() } else { server }
}

fn now(secured: Option<&Secured>, logs: &Logs) -> Now {
    let lost = logs.access().map(|access| access.lost_counter());
    Now { tls: secured.map(|secured| secured.tls.clone()), lost }
}

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
