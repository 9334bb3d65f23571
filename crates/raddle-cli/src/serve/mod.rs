//! `raddle serve`: a folder by HTTP.

mod account;
mod admin;
mod auth;
mod capacity;
mod config;
mod cors;
mod dispatch;
mod live;
mod logs;
mod operating;
mod password;
mod redirects;
mod sandbox;
mod site;
mod systemd;
mod tls;
mod values;
mod wanted;

use self::admin::Admin;
use self::config::DEFAULTS;
use self::dispatch::bind;
use self::live::{Around, Live};
use self::sandbox::{Allowed, Needs, Prepared};
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
    let (listeners, from) = listeners(&wanted, handed)?;
    let admin = Admin::bind(&wanted.source)?;
    let allowed = give_up_rights(options, &wanted, &notify)?;
    // Before any thread is made: they all inherit that the signals are blocked.
    let mut control = Control::new().map_err(failed)?;
    control.also(libc::SIGHUP).map_err(failed)?;
    if !lists_threads_at(libc::SIGUSR1) {
        control.also(libc::SIGUSR1).map_err(failed)?;
    }
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = wanted.source.config.cores {
        builder = builder.cores(cores.get() as usize);
    }
    builder.start().map_err(failed)?;
    let metrics = admin.as_ref().map(Admin::metrics);
    let around = Around { allowed, metrics, notify: notify.clone() };
    let live = Live::start(options.clone(), wanted, listeners, from, around)?;
    live.greet();
    let desk = admin.map(|admin| admin.start(live.watched())).transpose()?;
    if let Some(desk) = &desk {
        say::line(&format!("its status is at {}", desk.place()));
    }
    notify.live().map_err(failed)?;
    live.tell();
    let live = Rc::new(RefCell::new(live));
    let (reloading, reopening) = (live.clone(), live.clone());
    control.on(libc::SIGHUP, move || reloading.borrow_mut().reload());
    control.on(libc::SIGUSR1, move || reopening.borrow().reopen_logs());
    control.until_signal(None::<fn()>).map_err(failed)?;
    if let Some(desk) = &desk {
        desk.is_draining();
    }
    let (servers, limit) = live.borrow_mut().begin_end();
    notify.stopping(&format!("finishes what has begun, for {} s at most", limit.as_secs()));
    let ended = end(&servers, &mut control, limit)?;
    if let Some(desk) = desk {
        desk.end();
    }
    if ended == Ended::InOrder {
        live.borrow_mut().finish_logs()?;
    }
    Ok(ended.code())
}

/// All that has to be opened by root is open by now. Before any thread is made, and any is accepted.
fn give_up_rights(
    options: &ServeOptions,
    wanted: &Wanted,
    notify: &Notify,
) -> Result<Allowed, String> {
    let (file, config) = (options.config.as_deref(), &wanted.source.config);
    let needs = Needs { is_heard_at_abstract: notify.is_abstract(), ..config.needs(file) };
    let sandbox = Prepared::of(config.sandbox, &needs)?;
    if let Some(account) = &wanted.account {
        account.own(config.logs())?;
        account.become_it()?;
        account.warn_of_unreadable(config.files().chain(file));
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
    let config = &wanted.source.config;
    let cores = raddle::thread::available_parallelism().map_err(failed)?.get();
    let cores = config.cores.map_or(cores, |cores| cores.get() as usize);
    let one = |listener| Ok(vec![listener]);
    let main = handed.main.map_or_else(|| bind(config, config.listen(), cores), one)?;
    let from = config.tls.redirect_from.as_ref();
    let bound = || from.map(|from| bind(config, &from.get_ref().0, cores)).transpose();
    let redirect = handed.redirect.map_or_else(bound, |handed| one(handed).map(Some))?;
    Ok((main, redirect))
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

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
