//! Descriptors: what sockets are made of and become, in the traits that std has for it.

/// Implements them for a socket type, which converts from and into std's of the same name as well.
macro_rules! descriptor_traits {
    ($name:ident, $std:path, $role:expr) => {
        /// A [simulated](crate::host) socket has no descriptor: this panics.
        impl std::os::fd::AsFd for $name {
            #[track_caller]
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.fd()
            }
        }

        /// A [simulated](crate::host) socket has no descriptor: this panics.
        impl std::os::fd::AsRawFd for $name {
            #[track_caller]
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0.fd())
            }
        }

        /// The socket keeps its mode and its time-outs.
        impl From<std::os::fd::OwnedFd> for $name {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                $name($crate::net::socket::Socket::adopt(fd, $role))
            }
        }

        /// The socket keeps its mode and its time-outs. A [simulated](crate::host) one has no descriptor: this panics.
        impl From<$name> for std::os::fd::OwnedFd {
            #[track_caller]
            fn from(socket: $name) -> Self {
                socket.0.release()
            }
        }

        /// The socket keeps its mode and its time-outs.
        impl From<$std> for $name {
            fn from(socket: $std) -> Self {
                std::os::fd::OwnedFd::from(socket).into()
            }
        }

        /// The socket keeps its mode and its time-outs. A [simulated](crate::host) one has no descriptor: this panics.
        impl From<$name> for $std {
            #[track_caller]
            fn from(socket: $name) -> Self {
                std::os::fd::OwnedFd::from(socket).into()
            }
        }

        /// A [simulated](crate::host) socket has no descriptor: this panics.
        impl std::os::fd::IntoRawFd for $name {
            #[track_caller]
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }

        #[allow(unsafe_code, reason = "the trait's function is unsafe")]
        impl std::os::fd::FromRawFd for $name {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> Self {
                // SAFETY: the caller's.
                unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }.into()
            }
        }
    };
}

/// `Read` and `Write` for a stream and for references to it.
macro_rules! stream_traits {
    ($name:ident) => {
        impl std::io::Read for &$name {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buffer)
            }

            #[track_caller]
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.0.read_vectored(buffers)
            }
        }

        impl std::io::Write for &$name {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write(bytes)
            }

            #[track_caller]
            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.0.write_vectored(buffers)
            }

            /// Does nothing: nothing is kept back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Read for $name {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buffer)
            }

            #[track_caller]
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.0.read_vectored(buffers)
            }
        }

        impl std::io::Write for $name {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write(bytes)
            }

            #[track_caller]
            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.0.write_vectored(buffers)
            }

            /// Does nothing: nothing is kept back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {descriptor_traits, stream_traits};
