//! `raddle serve`: a folder by HTTP.

mod auth;
mod capacity;
mod config;
mod cors;
mod dispatch;
mod password;
mod site;
mod tls;

use self::auth::guard;
use self::config::{Config, DEFAULTS, Log, Source};
use self::dispatch::{bind, client_limits, equipped};
use self::site::Sites;
use self::tls::{Secured, secured};
use crate::args::ServeOptions;
use crate::drain::{Control, Drained};
use crate::{limits, say, text};
use raddle::thread::{Builder, JoinHandle};
use raddle_http::access::{AccessLog, Format};
use raddle_http::server::{ClientLimits, Running, Server};
use std::io::{self, Write};
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::time::Duration;

/// Serves until a signal comes; or does what else it is asked for.
pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode, String> {
    if options.print_config {
        // Whoever has closed it does not want it.
        _ = io::stdout().write_all(DEFAULTS.as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(user) = &options.hash_password {
        return password::run(user);
    }
    let source = Source::read(options)?;
    let (server, secured, limits) = (server(&source)?, secured(&source)?, client_limits(&source)?);
    if options.check {
        say::line("the configuration is valid");
        return Ok(ExitCode::SUCCESS);
    }
    serve(&source.config, server, secured, limits)
}

fn serve(
    config: &Config,
    server: Server,
    secured: Option<Secured>,
    limits: Option<ClientLimits>,
) -> Result<ExitCode, String> {
    limits::raise_descriptors();
    // Before any thread is made: they all inherit that the signals are blocked.
    let mut control = Control::new().map_err(failed)?;
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = config.cores {
        builder = builder.cores(usize::from(cores));
    }
    let cores = raddle::thread::available_parallelism().map_err(failed)?.get();
    let cores = config.cores.map_or(cores, usize::from);
    let listeners = bind(config, config.listen(), cores)?;
    let from = config.tls.redirect_from.as_ref();
    let from = from.map(|from| bind(config, &from.get_ref().0, cores)).transpose()?;
    builder.start().map_err(failed)?;
    let mut servers = Vec::new();
    let (scheme, note, server) = match secured {
        Some(Secured { tls, note }) => ("https", note, server.tls(tls)),
        None => ("http", None, server),
    };
    servers.push(Served::start(config, equipped(config, limits, server), listeners)?);
    let at = servers[0].running.local_addr();
    if let Some(from) = from {
        let to = config.tls.redirect_port.map_or(at.port(), NonZeroU16::get);
        let server = Server::new().times(config.times()).limits(config.limits());
        let server = server.otherwise(raddle_http::tls::redirect(to));
        servers.push(Served::start(config, equipped(config, limits, server), from)?);
    }
    let folder = config.folder.as_deref().unwrap_or_else(|| ".".as_ref());
    say::line(&format!("listening on {at}: {scheme}://{at}/ is {}", folder.display()));
    for redirecting in &servers[1..] {
        let from = redirecting.running.local_addr();
        say::line(&format!("listening on {from}: http://{from}/ leads to https"));
    }
    if let Some(note) = note {
        say::line(&note);
    }
    control.until_signal(None::<fn()>).map_err(failed)?;
    end(servers, &mut control, Duration::from_secs(config.drain_s.into()))
}

/// A server that runs, and the thread of its access log.
struct Served {
    running: Running,
    log: Option<JoinHandle<()>>,
}

impl Served {
    fn start(
        config: &Config,
        mut server: Server,
        listeners: Vec<TcpListener>,
    ) -> Result<Served, String> {
        let mut log = None;
        if let Some(format) = format(config.log) {
            let (plugin, writing) = AccessLog::new(format, io::stderr()).map_err(failed)?;
            server = server.plugin(plugin);
            log = Some(writing);
        }
        let listeners = listeners.into_iter().map(Into::into).collect();
        Ok(Served { running: server.serve_all(listeners).map_err(failed)?, log })
    }
}

/// Finishes what has begun, for `limit` at most.
fn end(servers: Vec<Served>, control: &mut Control, limit: Duration) -> Result<ExitCode, String> {
    let all: Vec<Running> = servers.iter().map(|server| server.running.clone()).collect();
    let (watched, notice) = (all.clone(), control.notice().clone());
    let watching = Builder::new().name("end".into()).spawn(move || {
        watched.iter().for_each(Running::wait);
        notice.done();
    });
    watching.map_err(failed)?;
    all.iter().for_each(Running::drain);
    let is_over = || all.iter().all(Running::is_over);
    match control.drain(limit, is_over).map_err(failed)? {
        Drained::All => {}
        Drained::Late => {
            let left = all.iter().map(|running| running.connections() as u64).sum();
            all.iter().for_each(Running::end);
            if left > 0 {
                say::warning(&format!(
                    "{} had not ended within {} s, and {} cut off",
                    text::count(left, "connection"),
                    limit.as_secs(),
                    if left == 1 { "was" } else { "were" },
                ));
            }
            return Ok(ExitCode::SUCCESS);
        }
        Drained::Again(signal) => return Ok(ExitCode::from(128 + signal as u8)),
    }
    // Its last lines.
    for log in servers.into_iter().filter_map(|server| server.log) {
        log.join().map_err(|_| "serve: the access log's thread has panicked".to_owned())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The server that a configuration describes, before it listens.
fn server(source: &Source) -> Result<Server, String> {
    let config = &source.config;
    let (guard, sites) = (guard(source)?, Sites::of(source)?);
    let server = Server::new().times(config.times()).limits(config.limits());
    // Preflight requests have no passwords.
    let server = server.plugin(cors::rules(source)?);
    Ok(server.otherwise(move |request| match guard.challenge(request) {
        Some(challenge) => sites.find(request).refuse(request, challenge),
        None => sites.find(request).answer(request),
    }))
}

fn format(log: Log) -> Option<Format> {
    match log {
        Log::Off => None,
        Log::Common => Some(Format::Common),
        Log::Combined => Some(Format::Combined),
        Log::Json => Some(Format::Json),
    }
}

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
