//! The standard error, without std's lock: whoever holds that may be what hangs.

#![allow(unsafe_code, reason = "a system call")]

use crate::sys::task;

/// Writes all of it, unless nobody is there to read. Neither allocates nor locks.
pub(super) fn write(mut text: &[u8]) {
    while !text.is_empty() {
        let arguments =
            [libc::STDERR_FILENO as usize, text.as_ptr().expose_provenance(), text.len(), 0, 0, 0];
        // SAFETY: the kernel reads live bytes.
        match unsafe { raddle_context::system_call(libc::SYS_write, arguments) } {
            written @ 1.. => text = &text[written as usize..],
            error if error == -(libc::EINTR as isize) => {}
            error if error == -(libc::EAGAIN as isize) => task::yield_processor(),
            _ => return,
        }
    }
}
