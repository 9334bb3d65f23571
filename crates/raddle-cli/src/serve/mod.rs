//! `raddle serve`: a folder by HTTP.

mod account;
mod auth;
mod capacity;
mod config;
mod cors;
mod dispatch;
mod live;
mod password;
mod sandbox;
mod served;
mod site;
mod systemd;
mod tls;
mod wanted;

use self::config::DEFAULTS;
use self::dispatch::bind;
use self::live::Live;
use self::sandbox::{Allowed, Needs, Prepared};
use self::served::Served;
use self::systemd::{Handed, Notify};
use self::wanted::Wanted;
use crate::args::ServeOptions;
use crate::drain::{Control, Drained};
use crate::{limits, say, text};
use raddle::thread::Builder;
use raddle_http::server::Running;
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::Rc;
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
    // Before anything is opened.
    let handed = Handed::take()?;
    let wanted = Wanted::read(options, None)?;
    if options.check {
        say::line("the configuration is valid");
        return Ok(ExitCode::SUCCESS);
    }
    serve(options, wanted, handed)
}

fn serve(options: &ServeOptions, wanted: Wanted, handed: Handed) -> Result<ExitCode, String> {
    limits::raise_descriptors();
    let notify = Notify::by_environment();
    let (listener, from) = listeners(&wanted, handed)?;
    let allowed = give_up_rights(options, &wanted, &notify)?;
    // Before any thread is made: they all inherit that the signals are blocked.
    let mut control = Control::new().map_err(failed)?;
    control.also(libc::SIGHUP).map_err(failed)?;
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = wanted.config.cores {
        builder = builder.cores(usize::from(cores));
    }
    builder.start().map_err(failed)?;
    let live = Live::start(options.clone(), wanted, listener, from, notify.clone(), allowed)?;
    live.greet();
    notify.live().map_err(failed)?;
    live.tell();
    let live = Rc::new(RefCell::new(live));
    let reloading = live.clone();
    control.on(libc::SIGHUP, move || reloading.borrow_mut().reload());
    control.until_signal(None::<fn()>).map_err(failed)?;
    let (servers, limit) = live.borrow_mut().begin_end();
    notify.stopping(&format!("finishes what has begun, for {} s at most", limit.as_secs()));
    end(servers, &mut control, limit)
}

/// All that has to be opened by root is open by now. Before any thread is made, and any is accepted.
fn give_up_rights(
    options: &ServeOptions,
    wanted: &Wanted,
    notify: &Notify,
) -> Result<Allowed, String> {
    let file = options.config.as_deref();
    let needs = Needs { is_heard_at_abstract: notify.is_abstract(), ..wanted.config.needs(file) };
    let sandbox = Prepared::of(wanted.config.sandbox, &needs)?;
    if let Some(account) = &wanted.account {
        account.become_it()?;
        account.warn_of_unreadable(wanted.config.files().chain(file));
    }
    account::gain_nothing();
    let allowed = sandbox.map_or(Ok(Allowed::default()), Prepared::enforce)?;
    if account::is_root() {
        say::warning(
            "it serves as root; with `user` in the configuration it becomes somebody else, once it listens",
        );
    }
    Ok(allowed)
}

/// Where the site listens, and what leads to it: what a supervisor has opened, or else what is bound now.
fn listeners(
    wanted: &Wanted,
    handed: Handed,
) -> Result<(Vec<TcpListener>, Option<Vec<TcpListener>>), String> {
    if handed.redirect.is_some() && wanted.secured.is_none() {
        return Err("systemd: a socket is called redirect, and there is no TLS to lead to; see [tls] in the configuration".to_owned());
    }
    let config = &wanted.config;
    let cores = raddle::thread::available_parallelism().map_err(failed)?.get();
    let cores = config.cores.map_or(cores, usize::from);
    let one = |listener| Ok(vec![listener]);
    let main = handed.main.map_or_else(|| bind(config, config.listen(), cores), one)?;
    let from = config.tls.redirect_from.as_ref();
    let bound = || from.map(|from| bind(config, &from.get_ref().0, cores)).transpose();
    let redirect = handed.redirect.map_or_else(bound, |handed| one(handed).map(Some))?;
    Ok((main, redirect))
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
    servers.into_iter().try_for_each(Served::finish)?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
