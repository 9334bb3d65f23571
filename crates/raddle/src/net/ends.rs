//! Sockets as ends of [`io::copy`](crate::io::copy).

use super::TcpStream;
use super::unix::UnixStream;
use crate::io::{Direct, Source, Target};
use std::io::Result;

/// Their time-outs are those of each wait. One that shall not wait is asked call by call, and says so; a simulated one has no descriptor, and
/// is read and written as well.
macro_rules! streams {
    ($($type:ty),*) => {$(
        impl Source for $type {
            fn direct(&mut self) -> Option<Direct<'_>> {
                let socket = &self.0;
                let waits = !socket.modes.is_nonblocking();
                let fd = socket.try_fd().filter(|_| waits)?;
                Some(Direct::of_socket(fd, socket.read_timeout(), socket.modes.mode()))
            }
        }

        impl Target for $type {
            fn direct(&mut self) -> Result<Option<Direct<'_>>> {
                let socket = &self.0;
                let waits = !socket.modes.is_nonblocking();
                let fd = socket.try_fd().filter(|_| waits);
                Ok(fd.map(|fd| Direct::of_socket(fd, socket.write_timeout(), socket.modes.mode())))
            }
        }
    )*};
}

streams!(TcpStream, &TcpStream, UnixStream, &UnixStream);
