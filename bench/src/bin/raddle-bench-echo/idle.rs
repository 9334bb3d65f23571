//! The client that is silent: connections that have had one message each, and stay open.

use super::talk;
use raddle_bench::subject::{Arguments, Said, stay};
use std::net::TcpStream;

/// Makes `n` connections, and keeps them until the driver has seen enough.
pub(crate) fn connect(arguments: &Arguments) -> Result<Said, String> {
    let (address, count) = (arguments.text("address").to_owned(), arguments.number("n")?);
    let connections: Result<Vec<TcpStream>, String> =
        (0..count).map(|_| talk::connect(&address, 64)).collect();
    let _connections = connections?;
    stay()
}
