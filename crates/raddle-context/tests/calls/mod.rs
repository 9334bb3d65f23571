//! Calls of libc's and the kernel's that tests make again and again, as safe functions: each is argued for once, here.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use std::ffi::c_int;
use std::io::{Error, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The caller's `errno`.
pub fn errno() -> c_int {
    // SAFETY: the address is that of the calling thread's own variable, and it is used at once.
    unsafe { *libc::__errno_location() }
}

/// Sets it.
pub fn set_errno(to: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = to };
}

/// The kernel thread that the caller runs on.
pub fn gettid() -> i32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::gettid() }
}

/// The caller's TCB, as libc sees it.
pub fn pthread_self() -> usize {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::pthread_self() as usize }
}

/// The effective user.
pub fn geteuid() -> u32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::geteuid() }
}

/// Sends a signal to a kernel thread of this process; whether there is such a thread.
pub fn send(signal: c_int, thread: i32) -> bool {
    // SAFETY: numbers only; what the signal does is for whoever has installed its handler to argue.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) == 0 }
}

/// SIGALRM in so many seconds: it ends a process that hangs.
pub fn alarm(seconds: u32) {
    // SAFETY: a number only. Nobody here handles SIGALRM.
    unsafe { libc::alarm(seconds) };
}

/// Ends the process at once: no destructors, no `atexit`.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: nothing runs after it that could miss what was left out.
    unsafe { libc::_exit(code) }
}

/// Forks: the child's id, or 0 in the child.
pub fn fork() -> i32 {
    // SAFETY: glibc takes its own locks (malloc, stdio, the loader) over a fork and has them free in the child. What other locks the child
    // must keep its hands off is a matter of hanging, which the tests that fork are about.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", Error::last_os_error());
    child
}

/// Waits for a child.
pub fn end_of(child: i32) -> ExitStatus {
    loop {
        if let Some(status) = waited_for(child, 0) {
            return status;
        }
    }
}

/// How a child has ended, if it has.
pub fn ended(child: i32) -> Option<ExitStatus> {
    waited_for(child, libc::WNOHANG)
}

fn waited_for(child: i32, options: c_int) -> Option<ExitStatus> {
    let mut status = 0;
    // SAFETY: the call writes one word, to a local.
    let found = unsafe { libc::waitpid(child, &raw mut status, options) };
    if found < 0 {
        let error = Error::last_os_error();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "waitpid: {error}");
    }
    (found == child).then(|| ExitStatus::from_raw(status))
}

/// The two ends of a pipe: to read from, and to write to.
pub fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: the call writes two words, to a local that has room for them.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe: {}", Error::last_os_error());
    ends
}

/// Writes to a descriptor; how many bytes were taken.
pub fn write(to: i32, bytes: &[u8]) -> isize {
    // SAFETY: the call reads so many bytes of the slice.
    unsafe { libc::write(to, bytes.as_ptr().cast(), bytes.len()) }
}

/// Reads from a descriptor; how many bytes came.
pub fn read(from: i32, bytes: &mut [u8]) -> isize {
    // SAFETY: the call writes at most so many bytes, to the slice.
    unsafe { libc::read(from, bytes.as_mut_ptr().cast(), bytes.len()) }
}
