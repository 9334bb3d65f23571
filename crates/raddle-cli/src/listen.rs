//! Where a server listens: one socket, or several that share a port, and what goes wrong with them in words.

#![allow(unsafe_code, reason = "sockets with options that std has no words for")]

use crate::holder;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Connections that wait to be accepted; the kernel takes fewer if its own limit says so.
const BACKLOG: i32 = 4096;

/// So many sockets that listen on the same port, non-blocking. Connections are spread over them.
///
/// The first is bound before it is said that it shares its port: so a port that another program has is refused, be
/// it one that shares as well. That is the kernel's own word, at the moment that counts; to connect and see whether somebody answers would ask
/// a moment earlier, and disturb whoever does.
pub(crate) fn bind(address: &str, sockets: usize) -> Result<Vec<TcpListener>, String> {
    bind_first(address, sockets, Sharing::Ours)
}

/// The same, and programs that let it may have the port as well.
pub(crate) fn bind_shared(address: &str, sockets: usize) -> Result<Vec<TcpListener>, String> {
    bind_first(address, sockets, Sharing::WithOthers)
}

/// With whom a port is shared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Ours,
    WithOthers,
}

/// The first address of a name that can be had.
fn bind_first(address: &str, sockets: usize, sharing: Sharing) -> Result<Vec<TcpListener>, String> {
    let found = address.to_socket_addrs().map_err(|error| unknown(address, &error))?;
    let mut why = format!("{address}: the name has no address");
    for at in found {
        match bind_all(at, sockets, sharing) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => why = refused(address, at, &error, sharing),
        }
    }
    Err(why)
}

fn bind_all(at: SocketAddr, sockets: usize, sharing: Sharing) -> io::Result<Vec<TcpListener>> {
    let first = socket(at)?;
    set(&first, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    if sharing == Sharing::WithOthers {
        set(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
    }
    bind_socket(&first, at)?;
    let mut all = vec![TcpListener::from(first)];
    // With port 0 the kernel has chosen one by now.
    let at = all[0].local_addr()?;
    for _ in 1..sockets {
        let socket = socket(at)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
        set(&all[0], libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
        bind_socket(&socket, at)?;
        all.push(socket.into());
    }
    for listener in &all {
        // Connections have what their listener has.
        set(listener, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
        // SAFETY: numbers only.
        check(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    }
    Ok(all)
}

/// The next connection, non-blocking: one call where std needs two.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (nobody, flags) = (std::ptr::null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    // SAFETY: no memory is involved: nobody wants to know who connects.
    let fd =
        check(unsafe { libc::accept4(listener.as_raw_fd(), nobody, std::ptr::null_mut(), flags) })?;
    // SAFETY: just made, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

fn socket(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: numbers only.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: just made, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set(socket: &impl AsRawFd, level: i32, option: i32) -> io::Result<()> {
    let on = 1i32;
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: reads an integer of that size.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size)
    })?;
    Ok(())
}

fn bind_socket(socket: &OwnedFd, at: SocketAddr) -> io::Result<()> {
    let bind = |address: *const libc::sockaddr, size: usize| {
        // SAFETY: both callers point to an address of that size.
        check(unsafe { libc::bind(socket.as_raw_fd(), address, size as libc::socklen_t) })
    };
    match at {
        SocketAddr::V4(at) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: at.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(at.ip().octets()) },
                sin_zero: [0; 8],
            };
            bind((&raw const address).cast(), size_of_val(&address))?
        }
        SocketAddr::V6(at) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: at.port().to_be(),
                sin6_flowinfo: at.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: at.ip().octets() },
                sin6_scope_id: at.scope_id(),
            };
            bind((&raw const address).cast(), size_of_val(&address))?
        }
    };
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A name that nobody knows.
fn unknown(address: &str, error: &io::Error) -> String {
    let why = error.to_string();
    let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
    format!("{address}: the host can't be found ({why}); give an address of this machine")
}

/// An address that can't be had: why, and what to do.
fn refused(given: &str, at: SocketAddr, error: &io::Error, sharing: Sharing) -> String {
    let named = if given == at.to_string() { given.to_owned() } else { format!("{given} ({at})") };
    let port = at.port();
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            let alone =
                if sharing == Sharing::WithOthers { ", which does not share it" } else { "" };
            match holder::of(at) {
                Some(who) => {
                    format!(
                        "{named} is taken by another program{alone} ({who}); choose another port"
                    )
                }
                None => format!(
                    "{named} is taken by another program{alone}; choose another port, or see whose it is: ss -ltnp 'sport = :{port}'"
                ),
            }
        }
        Some(libc::EACCES) => format!(
            "{named}: port {port} is for privileged programs; choose one from 1024 on, or give this program \
             cap_net_bind_service"
        ),
        Some(libc::EADDRNOTAVAIL) => {
            let all = if at.is_ipv4() { "0.0.0.0" } else { "[::]" };
            format!(
                "{named} is no address of this machine; {all}:{port} stands for all that it has"
            )
        }
        Some(libc::EINVAL) if needs_interface(at) => format!(
            "{named} may be an address of any interface; say which, by the number that ip link has: [{}%2]:{port}",
            at.ip()
        ),
        _ => format!("{named}: can't listen there: {error}"),
    }
}

/// Whether it is an address of every link, and the link is not said.
fn needs_interface(at: SocketAddr) -> bool {
    matches!(at, SocketAddr::V6(at) if at.ip().is_unicast_link_local() && at.scope_id() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;

    #[test]
    fn several_sockets_share_a_port_and_nobody_else_gets_it() {
        let listeners = bind("127.0.0.1:0", 3).expect("some port is free");
        let at = listeners[0].local_addr().expect("it is bound");
        assert!(listeners.iter().all(|one| one.local_addr().is_ok_and(|its| its == at)));
        let why = bind(&at.to_string(), 2).expect_err("it is taken");
        assert!(why.contains("taken by another program"), "{why}");
    }

    #[test]
    fn those_who_share_do_so_with_those_who_share() {
        let first = bind_shared("127.0.0.1:0", 2).expect("some port is free");
        let at = first[0].local_addr().expect("it is bound").to_string();
        assert!(bind_shared(&at, 2).is_ok());
        let why = bind(&at, 1).expect_err("it is taken, though shared");
        let own = std::process::id().to_string();
        assert!(why.contains("taken by another program (") && why.contains(&own), "{why}");
        let alone = bind("127.0.0.1:0", 1).expect("some port is free");
        let at = alone[0].local_addr().expect("it is bound").to_string();
        let why = bind_shared(&at, 1).expect_err("that one does not share");
        assert!(why.contains("which does not share it"), "{why}");
    }

    #[test]
    fn every_connection_arrives_at_one_of_them() {
        let listeners = bind("127.0.0.1:0", 2).expect("some port is free");
        let at = listeners[0].local_addr().expect("it is bound");
        let mut clients: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(at).expect("they listen")).collect();
        let mut accepted: Vec<TcpStream> = Vec::new();
        for listener in &listeners {
            accepted.extend(std::iter::from_fn(|| accept(listener).ok()));
        }
        assert_eq!(accepted.len(), clients.len());
        clients.iter_mut().for_each(|client| client.write_all(b"x").expect("it is connected"));
        for mut one in accepted {
            one.set_nonblocking(false).expect("a socket of ours");
            one.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket of ours");
            assert_eq!(one.read(&mut [0; 8]).expect("it has a byte"), 1);
            assert!(one.nodelay().expect("a socket of ours"), "as its listener");
        }
    }

    #[test]
    fn what_can_not_be_had_is_said_in_words() {
        let why = bind("192.0.2.1:0", 1).expect_err("an address for documentation");
        assert!(why.contains("is no address of this machine; 0.0.0.0:0"), "{why}");
        if std::path::Path::new("/proc/net/if_inet6").exists() {
            let why = bind("[fe80::1]:80", 1).expect_err("which interface?");
            assert!(
                why.contains("say which, by the number that ip link has: [fe80::1%2]:80"),
                "{why}"
            );
        }
        let why = bind("name.invalid:80", 1).expect_err("such names never exist");
        assert!(why.starts_with("name.invalid:80: the host can't be found"), "{why}");
    }
}
