//! `getaddrinfo`, defined here in place of libc's: a thread of raddle's that looks a name up gives its core away meanwhile.
//!
//! libc asks files and servers, and waits for them in the kernel: seconds, where a server does not answer. `std`'s `ToSocketAddrs` calls it
//! for names, after it has found out by itself that they are no numbers; so does about every library that connects by name. Each of
//! these calls goes through [`blocking`](crate::blocking()), so that the core's other threads run on. Numbers need no server and stay.
//!
//! On a simulated host names are the host's: its [`Network`] is asked. libc then only writes its answers down, each a number by now, so that what the
//! caller wished for (families, kinds, services) is heeded as ever, and `freeaddrinfo` knows the memory.
//!
//! *Not cut short.* A look-up ends by the resolver's own time-outs (`resolv.conf(5)`). Tokens and deadlines that the thread carries are
//! heard when it next waits: libc would not survive an unwinding thread.
//!
//! Rejected: a trait of our own in place of `std`'s, which could tell names from numbers, but would take neither its implementers nor
//! generic code that is written for it; helper threads for look-ups (a spare worker is one).

#![allow(unsafe_code, reason = "defines a function of libc's, and calls the one it stands before")]

use crate::blocking::blocking;
use crate::cancel;
use crate::future::block_on;
use crate::host::{self, Network};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::ptr;
use std::sync::OnceLock;

type GetAddrInfo = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const libc::addrinfo,
    *mut *mut libc::addrinfo,
) -> c_int;

/// See `getaddrinfo(3)`.
///
/// # Safety
///
/// As libc's: strings that end, or null; hints or null; a place for the result.
// SAFETY: the name is libc's on purpose, and so are the signature and the meaning.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    let Some(next) = next() else { return libc::EAI_FAIL };
    // SAFETY: the caller's contract is that function's.
    let ask = || unsafe { next(node, service, hints, result) };
    // SAFETY: the caller's.
    if unsafe { needs_no_server(node, hints) } {
        return ask();
    }
    let addresses = match host::network() {
        Ok(None) => return blocking(ask),
        // SAFETY: the caller's; it is not null.
        Ok(Some(network)) => look_up(network, unsafe { CStr::from_ptr(node) }),
        Err(error) => Err(error),
    };
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(error) => return tell(&error),
    };
    // SAFETY: the caller's.
    match unsafe { write_down(next, &addresses, service, hints) } {
        Ok(list) => {
            // SAFETY: the caller's.
            unsafe { *result = list };
            0
        }
        Err(code) => code,
    }
}

/// Whether `node` is a number, or nothing.
///
/// # Safety
///
/// As [`getaddrinfo`].
unsafe fn needs_no_server(node: *const c_char, hints: *const libc::addrinfo) -> bool {
    // SAFETY: the caller's; null is `None`.
    let is_number =
        unsafe { hints.as_ref() }.is_some_and(|hints| hints.ai_flags & libc::AI_NUMERICHOST != 0);
    if node.is_null() || is_number {
        return true;
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(node) }.to_str();
    text.is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// Asks a simulated host, and waits for it.
fn look_up(network: &dyn Network, name: &CStr) -> io::Result<Vec<IpAddr>> {
    let name = name.to_str().map_err(|_| ErrorKind::NotFound)?;
    cancel::shield(|| block_on(network.look_up(name)))
}

/// The resolver's word for what a host says.
fn tell(error: &io::Error) -> c_int {
    match error.kind() {
        ErrorKind::NotFound => libc::EAI_NONAME,
        ErrorKind::TimedOut => libc::EAI_AGAIN,
        kind => {
            let number = match kind {
                ErrorKind::Unsupported => Some(libc::EOPNOTSUPP),
                _ => error.raw_os_error(),
            };
            let Some(number) = number else { return libc::EAI_FAIL };
            // SAFETY: the calling thread's.
            unsafe { *libc::__errno_location() = number };
            libc::EAI_SYSTEM
        }
    }
}

/// One list of all addresses that `hints` allow, or the resolver's error.
///
/// # Safety
///
/// As [`getaddrinfo`].
unsafe fn write_down(
    next: GetAddrInfo,
    addresses: &[IpAddr],
    service: *const c_char,
    hints: *const libc::addrinfo,
) -> Result<*mut libc::addrinfo, c_int> {
    // SAFETY: integers and pointers that may be null.
    let none: libc::addrinfo = unsafe { std::mem::zeroed() };
    // SAFETY: the caller's.
    let mut hints = *unsafe { hints.as_ref() }.unwrap_or(&none);
    // Not what addresses the machine has: that is no matter of the simulated host's.
    hints.ai_flags = (hints.ai_flags | libc::AI_NUMERICHOST) & !libc::AI_ADDRCONFIG;
    let mut list = ptr::null_mut();
    let mut end = &raw mut list;
    let mut failed = libc::EAI_NONAME;
    for address in addresses {
        let number = CString::new(address.to_string()).expect("numbers have no zeros");
        // SAFETY: `end` points to the list's head, or to the last node's link. Each node is freed by itself: `freeaddrinfo` takes any
        // part of a list, says POSIX.
        unsafe {
            match next(number.as_ptr(), service, &raw const hints, end) {
                0 => {
                    while let Some(node) = (*end).as_mut() {
                        end = &raw mut node.ai_next;
                    }
                }
                code => failed = code,
            }
        }
    }
    if list.is_null() { Err(failed) } else { Ok(list) }
}

/// libc's.
fn next() -> Option<GetAddrInfo> {
    static NEXT: OnceLock<Option<GetAddrInfo>> = OnceLock::new();
    *NEXT.get_or_init(|| {
        // SAFETY: libc's function of this name has this type.
        unsafe {
            std::mem::transmute::<*mut c_void, Option<GetAddrInfo>>(libc::dlsym(
                libc::RTLD_NEXT,
                c"getaddrinfo".as_ptr(),
            ))
        }
    })
}
