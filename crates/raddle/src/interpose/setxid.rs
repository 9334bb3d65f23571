//! `setuid` and its kin: credentials are a kernel thread's, and POSIX wants them a process's.
//!
//! glibc signals each thread on its list and waits until the handler has cleared a mark *in that thread's TCB*, which the
//! handler finds through FS. Where a kernel thread runs a body, FS is the body's TCB: the mark in the kernel thread's own stays,
//! and the caller waits for ever. Workers that were launched without libc are on no list of glibc's at all. So these
//! functions are defined here, and ask the kernel instead: who are my kernel threads, and has each answered?
//!
//! ```text
//!   caller                                          every other kernel thread
//!   ──────                                          ─────────────────────────
//!   all signals but 33 blocked
//!   alone in the process? ── yes ─▶ the call, done
//!   the lock; handler of 33 in place
//!   the call, for itself ── error ─▶ reported, nobody has changed
//!   repeat:
//!     /proc/self/task lists one that is new?
//!       a ticket in a slot, 33 with the ticket ───▶ handler: the ticket is taken, the call, the answer is left
//!     all slots answered? an error ─▶ abort
//!   until a whole list holds nobody new
//! ```
//!
//! *Races with thread creation.* A new kernel thread has its creator's credentials as of the moment of its creation, and is listed
//! when its creator leaves `clone(2)`. A signal is answered outside `clone`. So whatever a thread made before its answer is on
//! the next list, and whatever it makes afterwards has changed already; it may be asked again, and each of these calls,
//! repeated, leaves things as they are. When a list that is known to be whole holds nobody new, all have changed.
//!
//! *Failure.* The caller goes first: what is refused to it is reported like libc does (-1, `errno`), and nobody has changed. If it
//! succeeds and another fails, nothing mends that: privileges may have been given up for good here and be kept there. As with
//! glibc, the process aborts. (It can happen to programs that have changed credentials of single threads by raw calls.)
//!
//! *Two at once* take turns: a lock of kernel threads, on a futex. Its holder has all signals blocked, so it is not
//! preempted, and needs no core: a raddle thread that holds it is on some kernel thread to the end. Whoever waits blocks
//! its kernel thread, whose core then goes to another worker; 33 is not blocked meanwhile, or the holder would wait for the waiter.
//!
//! *Forked children.* A child has one kernel thread and needs no lock, whatever state its parent was in; that is found out first, from
//! the kernel, so a child of `vfork(2)`, which shares this memory, touches nothing of it. The lock names the process whose it is:
//! a child that has several threads again takes what it inherited locked for free.
//!
//! *Whoever does not answer.* A kernel thread that is stopped, suspended by `vfork` or in an uninterruptible sleep answers late, one
//! that has blocked 33 by a raw system call never. The caller waits, as with glibc and musl, since to return would be a lie;
//! after some seconds it says whom it waits for. Threads that are gone, and the kernel's own (io_uring's workers act with
//! the credentials of who submitted), are not waited for: that is looked up every few milliseconds.
//!
//! *What it asks of the system*: `/proc`, of which the runtime keeps a descriptor, so that `chroot` does no harm. Without any, all
//! possible ids are tried (about two seconds); then a main thread that has ended, or a worker of io_uring's, is taken for one that
//! does not answer.
//!
//! *Not reached*: calls from inside libc (`ruserok`; `initgroups` is defined here for that reason), libraries that were opened later
//! into a program that doesn't export these names, raw system calls.
//!
//! Rejected: libc's own where the runtime has not started (it may start meanwhile); marking bodies as threads that glibc
//! waits for (the mark is found through FS, and bodies move); a list of our own of kernel threads (others make
//! threads too); doing the call for oneself last, as glibc and musl do (a refusal then finds others changed or asked in vain);
//! a spin lock (a holder waits for others to be scheduled); `tgkill` (if glibc's handler came back, it would take the
//! signal for its own and follow a stale pointer: one that was queued with a value it ignores).

#![allow(unsafe_code, reason = "defines functions of libc's")]

mod broadcast;
mod lock;
mod signal;

use libc::{c_char, c_int, gid_t, size_t, uid_t};

/// "Leave this one as it is."
const SAME: usize = u32::MAX as usize;

/// See `setuid(2)`: for the whole process.
// SAFETY: the name is libc's on purpose, and so are the signature and the meaning, here and below.
#[unsafe(no_mangle)]
extern "C" fn setuid(user: uid_t) -> c_int {
    change(libc::SYS_setuid, [user as usize, 0, 0])
}

/// See `setgid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setgid(group: gid_t) -> c_int {
    change(libc::SYS_setgid, [group as usize, 0, 0])
}

/// See `seteuid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn seteuid(effective: uid_t) -> c_int {
    if effective as usize == SAME {
        return reported(-libc::EINVAL as isize);
    }
    change(libc::SYS_setresuid, [SAME, effective as usize, SAME])
}

/// See `setegid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setegid(effective: gid_t) -> c_int {
    if effective as usize == SAME {
        return reported(-libc::EINVAL as isize);
    }
    change(libc::SYS_setresgid, [SAME, effective as usize, SAME])
}

/// See `setreuid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setreuid(real: uid_t, effective: uid_t) -> c_int {
    change(libc::SYS_setreuid, [real as usize, effective as usize, 0])
}

/// See `setregid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setregid(real: gid_t, effective: gid_t) -> c_int {
    change(libc::SYS_setregid, [real as usize, effective as usize, 0])
}

/// See `setresuid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setresuid(real: uid_t, effective: uid_t, saved: uid_t) -> c_int {
    change(libc::SYS_setresuid, [real as usize, effective as usize, saved as usize])
}

/// See `setresgid(2)`: for the whole process.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn setresgid(real: gid_t, effective: gid_t, saved: gid_t) -> c_int {
    change(libc::SYS_setresgid, [real as usize, effective as usize, saved as usize])
}

/// See `setgroups(2)`: for the whole process.
///
/// # Safety
///
/// `groups` points to `count` groups.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn setgroups(count: size_t, groups: *const gid_t) -> c_int {
    change(libc::SYS_setgroups, [count, groups.expose_provenance(), 0])
}

/// See `initgroups(3)`: libc's looks the groups up and sets them by a call inside libc, which would not arrive here.
///
/// # Safety
///
/// `user` is a string that ends.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn initgroups(user: *const c_char, group: gid_t) -> c_int {
    let mut groups: Vec<gid_t> = Vec::new();
    let mut count: c_int = 64;
    loop {
        let room = count as usize;
        if groups.try_reserve_exact(room).is_err() {
            return reported(-libc::ENOMEM as isize);
        }
        // SAFETY: there is room for `count` groups; the user's name is the caller's.
        let found = unsafe { libc::getgrouplist(user, group, groups.as_mut_ptr(), &raw mut count) };
        if found >= 0 {
            break;
        }
        // Too many for the room, and `count` says how many; if it doesn't, memory was short.
        if count as usize <= room {
            return reported(-libc::ENOMEM as isize);
        }
    }
    // SAFETY: asks for a number.
    let limit = unsafe { libc::sysconf(libc::_SC_NGROUPS_MAX) };
    let mut count =
        usize::try_from(limit).map_or(count as usize, |limit| limit.min(count as usize));
    loop {
        // SAFETY: so many were written, or more.
        let result = unsafe { setgroups(count, groups.as_ptr()) };
        // SAFETY: the calling thread's own.
        let is_refused = result == -1 && unsafe { *libc::__errno_location() } == libc::EINVAL;
        count = count.saturating_sub(1);
        if !is_refused || count == 0 {
            return result;
        }
    }
}

/// Makes the system call on every kernel thread of the process.
fn change(number: i64, arguments: [usize; 3]) -> c_int {
    reported(broadcast::call(number, arguments))
}

/// The kernel's result as libc gives it.
fn reported(result: isize) -> c_int {
    if result >= 0 {
        return result as c_int;
    }
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() = -result as c_int };
    -1
}
