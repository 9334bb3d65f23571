//! Sockets that listen already when the program begins: sd_listen_fds(3).
//!
//! They begin at descriptor 3, and the environment says how many there are, for which process, and their names. The one that is
//! called `redirect` is for `tls.redirect_from`; what is called otherwise, or not at all, is for the site.

#![allow(unsafe_code, reason = "descriptors that somebody else has opened, and what they are")]

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;

/// What was handed over.
#[derive(Debug, Default)]
pub(in crate::serve) struct Handed {
    /// In place of `listen`.
    pub(in crate::serve) main: Option<TcpListener>,
    /// In place of `tls.redirect_from`.
    pub(in crate::serve) redirect: Option<TcpListener>,
}

impl Handed {
    /// Takes what is for this process: nothing where nobody has said so. To be called once, before anything is opened.
    ///
    /// # Errors
    ///
    /// One line, if it is no such socket, or more than there is use for.
    pub(in crate::serve) fn take() -> Result<Handed, String> {
        let said = |name| env::var(name).unwrap_or_default();
        let is_ours = said("LISTEN_PID") == std::process::id().to_string();
        let count: RawFd = said("LISTEN_FDS").parse().unwrap_or(0);
        let mut handed = Handed::default();
        if !is_ours {
            return Ok(handed);
        }
        let names = said("LISTEN_FDNAMES");
        let mut names = names.split(':');
        for fd in FIRST..FIRST.saturating_add(count) {
            let name = names.next().unwrap_or_default();
            let shown = if name.is_empty() { fd.to_string() } else { format!("{fd} ({name})") };
            let listener = listener(fd).map_err(|what| {
                format!(
                    "systemd: descriptor {shown} {what}; it has to be ListenStream= with a port"
                )
            })?;
            let place = match name {
                "redirect" => &mut handed.redirect,
                _ => &mut handed.main,
            };
            if place.replace(listener).is_some() {
                return Err(format!(
                    "systemd: descriptor {shown} is one too many: one listens for the site, and one with FileDescriptorName=redirect leads to it"
                ));
            }
        }
        Ok(handed)
    }
}

/// What is wrong with it otherwise.
fn listener(fd: RawFd) -> Result<TcpListener, &'static str> {
    // SAFETY: numbers only. No child gets it: what is run would not know of it.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err("is not open");
    }
    let is = |option, one_of: &[i32]| ask(fd, option).is_ok_and(|value| one_of.contains(&value));
    if !is(libc::SO_DOMAIN, &[libc::AF_INET, libc::AF_INET6])
        || !is(libc::SO_TYPE, &[libc::SOCK_STREAM])
    {
        return Err("is no TCP socket");
    }
    if !is(libc::SO_ACCEPTCONN, &[1]) {
        return Err("does not listen");
    }
    // SAFETY: it is open, and whoever started this process has said that it is for us: nobody else here knows of it.
    let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // A thread that accepts waits.
    listener.set_nonblocking(false).map_err(|_| "can't be set up")?;
    Ok(listener)
}

fn ask(fd: RawFd, option: i32) -> io::Result<i32> {
    let (mut value, mut size) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: writes an integer of that size.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut size)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
