//! What the supervisor hears: sd_notify(3).

#![allow(unsafe_code, reason = "the clock by which reloads are told apart")]

use crate::say;
use raddle::thread::{self, Builder};
use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// Who wants to hear; nobody, without `NOTIFY_SOCKET`.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Notify(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Notify {
    /// Whom the environment names.
    pub(in crate::serve) fn by_environment() -> Notify {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Notify::default() };
        match connect(name.as_bytes()) {
            Ok(socket) => Notify(Some(Arc::new(socket))),
            Err(error) => {
                say::warning(&format!("NOTIFY_SOCKET: {}: {error}", name.display()));
                Notify::default()
            }
        }
    }

    /// Whether it hears at an address that is no file.
    pub(in crate::serve) fn is_abstract(&self) -> bool {
        self.0.as_deref().is_some_and(|(_, to)| to.as_pathname().is_none())
    }

    pub(in crate::serve) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Until it is ready again. The time tells a supervisor that it is this reload, and none before.
    pub(in crate::serve) fn reloading(&self) {
        let now_us = monotonic().as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reads its configuration"));
    }

    pub(in crate::serve) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Shows from now on that raddle's threads run, if somebody watches: twice in the time after which the supervisor loses its patience, a
    /// thread makes another, as is done for each connection, and tells it when that has ended.
    pub(in crate::serve) fn live(&self) -> io::Result<()> {
        let (Some(patience), true) = (watched(), self.0.is_some()) else { return Ok(()) };
        let notify = self.clone();
        let watchdog = move || {
            loop {
                match Builder::new().name("lives".into()).spawn(|| ()) {
                    Ok(lives) => _ = lives.join().map(|()| notify.send("WATCHDOG=1")),
                    Err(error) => say::warning(&format!("no thread for the watchdog: {error}")),
                }
                thread::sleep(patience / 2);
            }
        };
        Builder::new().name("watchdog".into()).spawn(watchdog)?;
        Ok(())
    }

    fn send(&self, what: &str) {
        let Some((socket, to)) = self.0.as_deref() else { return };
        // A supervisor that is gone, or reads nothing any more, keeps nobody from being served.
        _ = socket.send_to_addr(what.as_bytes(), to);
    }
}

fn connect(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match name {
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => {
            let what = "neither a path nor an abstract address; nobody hears how the server is";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok((socket, to))
}

/// After how long without a word the supervisor takes this process for dead: sd_watchdog_enabled(3).
fn watched() -> Option<Duration> {
    let said = |name| env::var(name).ok();
    let is_ours = said("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
    let patience_us = said("WATCHDOG_USEC")?.parse().ok()?;
    (is_ours && patience_us > 0).then(|| Duration::from_micros(patience_us))
}

fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a time to where there is room for it. The clock is there since Linux 2.6.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
