//! A standard stream that leads elsewhere for a while.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Until it is dropped, a standard stream is another file. It belongs to the whole process: a case at a time.
pub(crate) struct Redirected {
    number: i32,
    former: OwnedFd,
}

impl Redirected {
    pub(crate) fn new(number: i32, to: impl AsFd) -> Redirected {
        // SAFETY: a copy of a descriptor that nobody else knows of; standard streams may be replaced.
        let former = unsafe {
            let former = libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10);
            assert!(former >= 0, "{}", io::Error::last_os_error());
            assert_eq!(libc::dup2(to.as_fd().as_raw_fd(), number), number);
            OwnedFd::from_raw_fd(former)
        };
        Redirected { number, former }
    }

    /// It is closed until then.
    pub(crate) fn closed(number: i32) -> Redirected {
        let (reader, _) = io::pipe().unwrap();
        let redirected = Redirected::new(number, reader);
        // SAFETY: nobody else uses it.
        assert_eq!(unsafe { libc::close(number) }, 0);
        redirected
    }
}

impl Drop for Redirected {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::dup2(self.former.as_raw_fd(), self.number) };
    }
}

/// A terminal: its other side, and itself.
pub(crate) fn terminal() -> (std::fs::File, std::fs::File) {
    // SAFETY: the descriptor is new, and a name of it fits.
    let (master, name) = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY);
        assert!(master >= 0 && libc::grantpt(master) == 0 && libc::unlockpt(master) == 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned();
        (std::fs::File::from_raw_fd(master), name)
    };
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    (master, terminal)
}
