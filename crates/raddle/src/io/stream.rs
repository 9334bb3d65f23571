//! What types that are nothing but a descriptor have in common: pipes, a child's standard streams.

/// A type around an `OwnedFd` that is read. A handle is not changed by its use, so a reference will do.
macro_rules! reads {
    ($type:ident) => {
        impl std::io::Read for &$type {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                $crate::io::transfer::read(std::os::fd::AsFd::as_fd(&self.0), buffer)
            }

            #[track_caller]
            fn read_vectored(
                &mut self,
                slices: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                $crate::io::transfer::read_vectored(std::os::fd::AsFd::as_fd(&self.0), slices)
            }
        }

        impl std::io::Read for $type {
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                std::io::Read::read(&mut &*self, buffer)
            }

            #[track_caller]
            fn read_vectored(
                &mut self,
                slices: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                std::io::Read::read_vectored(&mut &*self, slices)
            }
        }
    };
}

/// A type around an `OwnedFd` that is written.
macro_rules! writes {
    ($type:ident) => {
        impl std::io::Write for &$type {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                $crate::io::transfer::write(std::os::fd::AsFd::as_fd(&self.0), bytes)
            }

            #[track_caller]
            fn write_vectored(
                &mut self,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                $crate::io::transfer::write_vectored(std::os::fd::AsFd::as_fd(&self.0), slices)
            }

            /// Does nothing: nothing is kept back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for $type {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                std::io::Write::write(&mut &*self, bytes)
            }

            #[track_caller]
            fn write_vectored(
                &mut self,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                std::io::Write::write_vectored(&mut &*self, slices)
            }

            /// Does nothing: nothing is kept back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

/// What a type around an `OwnedFd` has of its descriptor.
macro_rules! has_descriptor {
    ($type:ident) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0)
            }
        }

        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> $type {
                $type(fd)
            }
        }

        impl From<$type> for std::os::fd::OwnedFd {
            fn from(end: $type) -> std::os::fd::OwnedFd {
                end.0
            }
        }

        impl From<$type> for std::process::Stdio {
            fn from(end: $type) -> std::process::Stdio {
                std::process::Stdio::from(end.0)
            }
        }

        impl std::os::fd::IntoRawFd for $type {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::IntoRawFd::into_raw_fd(self.0)
            }
        }

        #[allow(unsafe_code, reason = "the trait's contract")]
        impl std::os::fd::FromRawFd for $type {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> $type {
                // SAFETY: the caller's contract is the same.
                $type(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
            }
        }
    };
}

/// Read from a type around an `OwnedFd`, [`io::copy`](super::copy) may go to the descriptor itself.
macro_rules! is_source {
    ($($type:ty),*) => {$(
        impl $crate::io::Source for $type {
            fn direct(&mut self) -> Option<$crate::io::Direct<'_>> {
                Some($crate::io::Direct::new(std::os::fd::AsFd::as_fd(&self.0)))
            }
        }
    )*};
}

/// The same for writing.
macro_rules! is_target {
    ($($type:ty),*) => {$(
        impl $crate::io::Target for $type {
            fn direct(&mut self) -> std::io::Result<Option<$crate::io::Direct<'_>>> {
                Ok(Some($crate::io::Direct::new(std::os::fd::AsFd::as_fd(&self.0))))
            }
        }
    )*};
}

pub(crate) use {has_descriptor, is_source, is_target, reads, writes};
