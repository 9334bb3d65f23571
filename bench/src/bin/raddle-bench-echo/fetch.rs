//! The client that fetches files: all of them once, over so many connections at a time, each of which asks for the next as soon as it has one.
//!
//! What comes is counted, not copied (`MSG_TRUNC`).

#![allow(unsafe_code, reason = "recv that throws away, poll")]

use super::calls::{check, failed};
use raddle_bench::files::{self, FILE_BYTES, FILES};
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::watched::{Watched, now_ns, own_cpu_ns};
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::path::Path;

/// So many pages may stay in memory where files shall come from the disk: two of a hundred.
const PAGES_LEFT: u64 = 512;

struct Connection {
    stream: TcpStream,
    /// Bytes of its file that have not come.
    missing: usize,
}

/// Measures `n` connections, after a first turn that is not; with files that are in the page cache if `warm` is 1, and on the disk if it is 0.
pub(crate) fn measure(arguments: &Arguments) -> Result<Said, String> {
    let (count, is_warm) = (arguments.number("n")?, arguments.number("warm")? == 1);
    let folder = Path::new(arguments.text("folder"));
    let connect = |_| {
        let stream = TcpStream::connect(arguments.text("address")).map_err(failed("connect"))?;
        stream.set_nodelay(true).map_err(failed("TCP_NODELAY"))?;
        Ok(Connection { stream, missing: 0 })
    };
    let connections: Result<Vec<Connection>, String> = (0..count).map(connect).collect();
    let mut connections = connections?;
    let server = Watched::new(arguments.number("pid")?, false)?;
    files::warm(folder).map_err(failed("reading the files"))?;
    fetch_all(&mut connections)?;
    if !is_warm {
        let left = files::cool(folder).map_err(failed("the page cache"))?;
        if left > PAGES_LEFT {
            let why = format!("{left} pages stay in memory: no disk, or nobody lets go of them");
            return Ok(Said::remark(why));
        }
    }
    let (cpu_ns, own_ns, start_ns) = (server.cpu_ns()?, own_cpu_ns()?, now_ns()?);
    fetch_all(&mut connections)?;
    let elapsed_ns = now_ns()? - start_ns;
    let busy = (own_cpu_ns()? - own_ns) as f64 / elapsed_ns as f64;
    Ok(Said::figures([
        ("ms", elapsed_ns as f64 / 1e6),
        ("cpu_ms", (server.cpu_ns()? - cpu_ns) as f64 / 1e6),
        ("client_busy", busy),
    ]))
}

fn fetch_all(connections: &mut [Connection]) -> Result<(), String> {
    let mut numbers = 0..FILES;
    let mut left = 0;
    let mut entries = Vec::with_capacity(connections.len());
    for connection in &mut *connections {
        left += usize::from(ask(connection, numbers.next())?);
        let fd = connection.stream.as_raw_fd();
        entries.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }
    while left > 0 {
        let len = entries.len() as libc::nfds_t;
        // SAFETY: the entries are there.
        check("poll", unsafe { libc::poll(entries.as_mut_ptr(), len, 20_000) })?;
        let ready = connections.iter_mut().zip(&entries).filter(|(_, entry)| entry.revents != 0);
        for (connection, _) in ready {
            if take(connection)? {
                left -= 1;
                left += usize::from(ask(connection, numbers.next())?);
            }
        }
    }
    Ok(())
}

/// Asks for a file, if there is one more.
fn ask(connection: &mut Connection, number: Option<usize>) -> Result<bool, String> {
    let Some(number) = number else { return Ok(false) };
    connection.stream.write_all(&[number as u8]).map_err(failed("asking for a file"))?;
    connection.missing = FILE_BYTES;
    Ok(true)
}

/// Takes what has come. Whether the file is whole.
fn take(connection: &mut Connection) -> Result<bool, String> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let fd = connection.stream.as_raw_fd();
    // SAFETY: with this flag TCP throws the bytes away, and writes nowhere.
    let count = unsafe { libc::recv(fd, std::ptr::null_mut(), connection.missing, flags) };
    match usize::try_from(count) {
        Ok(0) => Err("the server has closed a connection".to_owned()),
        Ok(count) => {
            connection.missing -= count;
            Ok(connection.missing == 0)
        }
        Err(_) => {
            let error = io::Error::last_os_error();
            let comes_later = error.kind() == io::ErrorKind::WouldBlock;
            if comes_later { Ok(false) } else { Err(format!("recv: {error}")) }
        }
    }
}
