//! Sockets of one host, under the names that `std::os::unix::net` has for them: replacing that by `raddle::net::unix` compiles.
//!
//! ```
//! use raddle::net::unix::UnixDatagram;
//! let (here, there) = UnixDatagram::pair()?;
//! here.send(b"hello")?;
//! assert_eq!(there.recv(&mut [0; 16])?, 5);
//! # std::io::Result::Ok(())
//! ```

pub use super::unix_datagram::UnixDatagram;
pub use super::unix_listener::{Incoming, UnixListener};
pub use super::unix_stream::UnixStream;
pub use std::os::unix::net::SocketAddr;
