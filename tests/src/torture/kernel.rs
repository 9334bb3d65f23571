//! What the kernel and libc say of the calling thread, and calls that go straight to them.

#![allow(unsafe_code, reason = "calls of libc")]

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;

/// Writes to standard error, without locks or buffers.
pub(super) fn write_error(bytes: &[u8]) {
    // SAFETY: a live buffer.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// The value of an environment variable, or "". Nobody changes the environment once actors run.
pub(super) fn variable(name: &CStr) -> &'static str {
    // SAFETY: the environment's strings stay where they are, as nobody changes them any more.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() { "" } else { CStr::from_ptr(value).to_str().unwrap_or("?") }
    }
}

/// Sets an environment variable, before there are other threads.
pub(super) fn set_variable(name: &str, value: &str) {
    // SAFETY: called at the program's start, by the only thread that looks at the environment.
    unsafe { std::env::set_var(name, value) };
}

/// Ends the process with code 1; if RADDLE_TORTURE_HOLD is set, waits for a debugger first.
pub(super) fn end_failed() -> ! {
    if !variable(c"RADDLE_TORTURE_HOLD").is_empty() {
        write_error(b"torture: held for a debugger\n");
        // SAFETY: stops this process until somebody continues it.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
    // SAFETY: ends the process, without the handlers that might wait for what is broken.
    unsafe { libc::_exit(1) }
}

/// The return addresses of the calling thread, on standard error.
pub(super) fn backtrace() {
    unsafe extern "C" {
        fn backtrace(buffer: *mut *mut libc::c_void, size: libc::c_int) -> libc::c_int;
        fn backtrace_symbols_fd(
            buffer: *const *mut libc::c_void,
            size: libc::c_int,
            fd: libc::c_int,
        );
    }
    let mut frames = [ptr::null_mut(); 64];
    // SAFETY: glibc's functions, with a live buffer of that size.
    unsafe {
        let count = backtrace(frames.as_mut_ptr(), 64);
        backtrace_symbols_fd(frames.as_ptr(), count, 2);
    }
}

/// The kernel thread's id.
pub(super) fn kernel_thread() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// How many kernel threads the process has. Without allocation.
pub(super) fn kernel_threads() -> usize {
    let mut text = [0u8; 512];
    // SAFETY: a path that ends, a live buffer, a descriptor of its own.
    let read = unsafe {
        let file = libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let read = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        read
    };
    // "id (name) S ...": the name may hold anything, and the count is the eighteenth after it.
    let text = &text[..read.max(0) as usize];
    let after = text.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 1);
    let field = std::str::from_utf8(&text[after..])
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(17));
    field.and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// When a kernel thread of this process began, in the kernel's ticks; `None` if there is none by that id.
pub(super) fn began_at(id: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything. The state after it is the third field, this is the 22nd.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(22 - 3)?.parse().ok()
}

/// Where the alternate signal stack of this kernel thread is, null for none.
pub(super) fn alternate_stack() -> usize {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: only asks.
    unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) };
    if stack.ss_flags & libc::SS_DISABLE != 0 { 0 } else { stack.ss_sp.addr() }
}

/// The signals that this kernel thread blocks.
pub(super) fn signal_mask() -> u64 {
    // SAFETY: only asks; a sigset_t begins with the kernel's 8 bytes.
    unsafe {
        let mut mask = std::mem::zeroed::<libc::sigset_t>();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask);
        (&raw const mask).cast::<u64>().read()
    }
}

// Not inlined: a compiler may keep the address of errno over a call that preempts, and that must stay right; but a body's own
// reads must happen where they are written.
#[inline(never)]
pub(super) fn set_errno(value: i32) {
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() = value };
}

#[inline(never)]
pub(super) fn errno() -> i32 {
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() }
}

/// A pipe: its end to read from, and that to write to.
pub(super) fn pipe() -> Option<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: two new descriptors, which are nobody else's.
    unsafe {
        (libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) == 0)
            .then(|| (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// `read(2)` of one byte; negative is the error.
pub(super) fn read_byte(fd: i32) -> i32 {
    let mut byte = 0u8;
    // SAFETY: a live buffer of one byte.
    match unsafe { libc::read(fd, (&raw mut byte).cast(), 1) } {
        1 => i32::from(byte),
        _ => -errno(),
    }
}

/// `write(2)` of one byte.
pub(super) fn write_byte(fd: i32, byte: u8) -> bool {
    // SAFETY: a live buffer of one byte.
    unsafe { libc::write(fd, (&raw const byte).cast(), 1) == 1 }
}

/// `poll(2)` for input: ready, not within the time, or interrupted.
pub(super) fn poll_input(fd: i32, milliseconds: i32) -> i32 {
    let mut one = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live structure.
    unsafe { libc::poll(&raw mut one, 1, milliseconds) }
}

/// `nanosleep(2)`, begun again when a signal cut it short: one that ended by itself.
pub(super) fn nanosleep(ns: i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: ns };
    // SAFETY: the kernel writes what is left into the same structure.
    while unsafe { libc::nanosleep(&raw const time, &raw mut time) } != 0 {}
}

/// `usleep(3)`, however long that takes.
pub(super) fn usleep(us: u32) {
    // SAFETY: no preconditions.
    unsafe { libc::usleep(us) };
}

/// How many modules the loader knows: asked under the loader's lock, which each call of the callback is made under.
pub(super) fn modules() -> usize {
    unsafe extern "C" fn count(
        _: *mut libc::dl_phdr_info,
        _: usize,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: `data` is the counter below.
        unsafe { *data.cast::<usize>() += 1 };
        0
    }
    let mut found = 0usize;
    // SAFETY: the callback keeps to its contract.
    unsafe { libc::dl_iterate_phdr(Some(count), (&raw mut found).cast()) };
    found
}

/// Opens a library, finds a symbol, closes it.
pub(super) fn open_library(name: &CStr, symbol: &CStr) -> bool {
    // SAFETY: a library of libc's without constructors of interest; the symbol is only looked for.
    unsafe {
        let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
        if library.is_null() {
            return false;
        }
        let found = !libc::dlsym(library, symbol.as_ptr()).is_null();
        libc::dlclose(library);
        found
    }
}

/// Forks; the child runs `child` and ends with what it says. The parent waits: the exit code, or what went wrong.
pub(super) fn fork(child: impl FnOnce() -> i32) -> Result<i32, i32> {
    // SAFETY: the child of a process with threads: `child` knows.
    let id = unsafe { libc::fork() };
    if id == 0 {
        let code = child();
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    if id < 0 {
        return Err(-errno());
    }
    loop {
        let mut status = 0;
        // SAFETY: a live integer.
        if unsafe { libc::waitpid(id, &raw mut status, 0) } == id {
            return if libc::WIFEXITED(status) {
                Ok(libc::WEXITSTATUS(status))
            } else {
                Err(status)
            };
        }
        if errno() != libc::EINTR {
            return Err(-errno());
        }
    }
}

/// `alarm(2)` for a forked child that might hang.
pub(super) fn die_in(seconds: u32) {
    // SAFETY: no preconditions.
    unsafe { libc::alarm(seconds) };
}

/// Memory of malloc's, filled with a pattern.
pub(super) struct Filled {
    at: *mut u8,
    size: usize,
    pattern: u8,
}

impl Filled {
    pub(super) fn new(size: usize, pattern: u8) -> Filled {
        // SAFETY: malloc's memory of that size.
        unsafe {
            let at = libc::malloc(size.max(1)).cast::<u8>();
            assert!(!at.is_null(), "malloc");
            at.write_bytes(pattern, size);
            Filled { at, size, pattern }
        }
    }

    pub(super) fn resize(&mut self, size: usize) {
        // SAFETY: its own memory.
        unsafe {
            let at = libc::realloc(self.at.cast(), size.max(1)).cast::<u8>();
            assert!(!at.is_null(), "realloc");
            if size > self.size {
                at.add(self.size).write_bytes(self.pattern, size - self.size);
            }
            (self.at, self.size) = (at, size);
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        // SAFETY: its own memory.
        unsafe { std::slice::from_raw_parts(self.at, self.size) }
            .iter()
            .all(|&byte| byte == self.pattern)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // SAFETY: malloc's, and its own.
        unsafe { libc::free(self.at.cast()) };
    }
}

// SAFETY: memory of its own, which malloc lets any thread free.
unsafe impl Send for Filled {}
