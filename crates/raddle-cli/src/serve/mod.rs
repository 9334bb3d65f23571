//! `raddle serve`: a folder by HTTP.

mod admin;
mod auth;
mod config;
mod cors;
mod logs;
mod operating;
mod password;
mod site;
mod tls;

use self::admin::{Admin, Watched};
use self::auth::guard;
use self::config::{Config, DEFAULTS, Source};
use self::logs::Logs;
use self::site::Sites;
use self::tls::{Secured, secured};
use crate::args::ServeOptions;
use crate::drain::{Control, Drained};
use crate::{limits, listen, say, text};
use raddle::thread::Builder;
use raddle_http::metrics::Metrics;
use raddle_http::server::{Running, Server};
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
    let (server, secured) = (server(&source)?, secured(&source)?);
    logs::check(&source)?;
    if options.check {
        say::line("the configuration is valid");
        return Ok(ExitCode::SUCCESS);
    }
    serve(&source, server, secured)
}

fn serve(source: &Source, server: Server, secured: Option<Secured>) -> Result<ExitCode, String> {
    let config = &source.config;
    limits::raise_descriptors();
    // Before any thread is made: they all inherit that the signals are blocked.
    let mut control = Control::new().map_err(failed)?;
    if !lists_threads_at(libc::SIGUSR1) {
        control.also(libc::SIGUSR1).map_err(failed)?;
    }
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = config.cores {
        builder = builder.cores(usize::from(cores));
    }
    let listener = bind(config.listen())?;
    let from = config.tls.redirect_from.as_ref().map(|from| bind(&from.get_ref().0)).transpose()?;
    builder.start().map_err(failed)?;
    let admin = Admin::bind(source)?;
    let logs = Logs::open(source)?;
    let metrics = admin.as_ref().map(Admin::metrics);
    let start = |server, listener| start(config, server, listener, &logs, metrics.as_ref());
    let mut servers = Vec::new();
    let tls = secured.as_ref().map(|secured| secured.tls.clone());
    let (scheme, note, server) = match secured {
        Some(Secured { tls, note }) => ("https", note, server.tls(tls)),
        None => ("http", None, server),
    };
    servers.push(start(server, listener)?);
    let at = servers[0].local_addr();
    if let Some(from) = from {
        let to = config.tls.redirect_port.map_or(at.port(), NonZeroU16::get);
        let server = Server::new().times(config.times()).limits(config.limits());
        let server = server.otherwise(raddle_http::tls::redirect(to));
        servers.push(start(server, from)?);
    }
    let folder = config.folder.as_deref().unwrap_or_else(|| ".".as_ref());
    say::line(&format!("listening on {at}: {scheme}://{at}/ is {}", folder.display()));
    for redirecting in &servers[1..] {
        let from = redirecting.local_addr();
        say::line(&format!("listening on {from}: http://{from}/ leads to https"));
    }
    if let Some(note) = note {
        say::line(&note);
    }
    let lost = logs.access().map(|access| access.lost_counter());
    let watched = Watched { servers: servers.clone(), tls, lost };
    let desk = admin.map(|admin| admin.start(watched)).transpose()?;
    if let Some(desk) = &desk {
        say::line(&format!("its status is at {}", desk.place()));
    }
    let access = logs.access();
    control.on(libc::SIGUSR1, move || logs::reopen(access.as_ref()));
    control.until_signal(None::<fn()>).map_err(failed)?;
    if let Some(desk) = &desk {
        desk.is_draining();
    }
    let ended = end(&servers, &mut control, Duration::from_secs(config.drain_s.into()))?;
    if let Some(desk) = desk {
        desk.end();
    }
    // With it goes its own hold on the access log.
    drop(control);
    if ended == Ended::InOrder {
        logs.finish()?;
    }
    Ok(ended.code())
}

fn bind(address: &str) -> Result<TcpListener, String> {
    let listener = listen::bind(address, 1)?.remove(0);
    // A thread that accepts waits.
    listener.set_nonblocking(false).map_err(failed)?;
    Ok(listener)
}

fn start(
    config: &Config,
    mut server: Server,
    listener: TcpListener,
    logs: &Logs,
    metrics: Option<&Metrics>,
) -> Result<Running, String> {
    if let Some(access) = logs.access() {
        server = server.plugin(access);
    }
    if let Some(metrics) = metrics {
        server = server.plugin(metrics.clone());
    }
    if config.tell_request_ids {
        server = server.tell_request_ids();
    }
    if let Some(most) = config.connections {
        server = server.connections_max(most as usize);
    }
    server.serve(listener.into()).map_err(failed)
}

/// Whether the runtime was told to list its threads at that signal: then it is the runtime's.
fn lists_threads_at(signal: i32) -> bool {
    let name = std::env::var("RADDLE_DUMP_SIGNAL").unwrap_or_default().to_ascii_uppercase();
    signal == libc::SIGUSR1 && name.trim_start_matches("SIG") == "USR1"
}

/// How the servers have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All that had begun was finished.
    InOrder,
    /// Some were cut off.
    Late,
    /// By this signal, at once.
    By(i32),
}

impl Ended {
    fn code(self) -> ExitCode {
        match self {
            Ended::InOrder | Ended::Late => ExitCode::SUCCESS,
            Ended::By(signal) => ExitCode::from(128 + signal as u8),
        }
    }
}

/// Finishes what has begun, for `limit` at most.
fn end(all: &[Running], control: &mut Control, limit: Duration) -> Result<Ended, String> {
    let (watched, notice) = (all.to_vec(), control.notice().clone());
    let watching = Builder::new().name("end".into()).spawn(move || {
        watched.iter().for_each(Running::wait);
        notice.done();
    });
    watching.map_err(failed)?;
    all.iter().for_each(Running::drain);
    let is_over = || all.iter().all(Running::is_over);
    match control.drain(limit, is_over).map_err(failed)? {
        Drained::All => Ok(Ended::InOrder),
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
            Ok(Ended::Late)
        }
        Drained::Again(signal) => Ok(Ended::By(signal)),
    }
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

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
