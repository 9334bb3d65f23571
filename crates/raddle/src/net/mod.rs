//! Sockets, as `std::net` has them: a call that waits parks its thread, and the core runs others.
//!
//! ```
//! use raddle::{net::{TcpListener, TcpStream}, thread};
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = thread::spawn(move || -> std::io::Result<()> {
//!     let (mut stream, _) = listener.accept()?;
//!     let mut bytes = [0; 5];
//!     stream.read_exact(&mut bytes)?;
//!     stream.write_all(&bytes)
//! });
//! let mut stream = TcpStream::connect(address)?;
//! stream.write_all(b"hello")?;
//! let mut bytes = Vec::new();
//! stream.read_to_end(&mut bytes)?;
//! assert_eq!(bytes, b"hello");
//! server.join().expect("it does not panic")
//! # }
//! ```
//!
//! On a simulated [host](crate::host) the same types are made of that host's sockets.
#![deny(unsafe_code)]

mod address;
mod descriptor;
mod ends;
mod exchange;
mod live;
mod lookup;
mod message;
mod modes;
mod option;
mod options;
mod patience;
mod simulated;
mod socket;
mod tcp_listener;
mod tcp_stream;
mod udp;
pub mod unix;
mod unix_datagram;
mod unix_listener;
mod unix_stream;
mod when_ready;

pub use lookup::lookup_host;
pub use options::{KeepAlive, SocketOptions};
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
    ToSocketAddrs,
};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::UnixListener;
pub use unix_stream::UnixStream;
