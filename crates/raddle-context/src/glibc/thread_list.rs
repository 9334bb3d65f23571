//! glibc's list of the threads whose stacks the program provided, on which every body stands.
//!
//! glibc walks this list when a library with initial-exec TLS is opened, and copies the library's image into each
//! TLS block, before the library's constructors run. A body that is on the list is served like any other thread,
//! whoever opens the library and by whatever route. `setuid` and its kin walk it too and signal each entry's thread id; a
//! body's is above every kernel id, so the kernel answers ESRCH and glibc passes on.
//!
//! The list is guarded by glibc's low-level lock, which [`specimen`](super::specimen) has proved. Its protocol
//! (`sysdeps/nptl/lowlevellock.h`): 0 free, 1 held, 2 held and perhaps waited for.
//!
//! Rejected: copying images after `dlopen` from a wrapper of ours (constructors have run by then, and glibc's own
//! calls of dlopen don't pass through a wrapper); a list of our own that mirrors glibc's (nothing would call it).

#![allow(unsafe_code, reason = "links bodies into a list of glibc's, under its lock")]

use super::symbols::LowLevelLock;
use crate::arch;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

/// `list_t` of `include/list.h`: a node, or the head of a circular list.
#[repr(C)]
pub(super) struct Node {
    next: *mut Node,
    previous: *mut Node,
}

/// glibc's list and the lock that guards it. Both live as long as the process.
#[derive(Clone, Copy)]
pub(super) struct ThreadList {
    pub(super) head: *mut Node,
    pub(super) lock: *mut LowLevelLock,
}

// SAFETY: two addresses in the loader's static data; what they lead to is only touched under the lock.
unsafe impl Send for ThreadList {}
// SAFETY: as above.
unsafe impl Sync for ThreadList {}

impl ThreadList {
    /// Puts `node` at the front.
    ///
    /// # Safety
    ///
    /// `node` is the `list` field of a TCB that stays mapped and writable while it is linked, and it is in no list.
    pub(super) unsafe fn link(&self, node: *mut Node) {
        let _held = self.hold();
        // SAFETY: the lock is held, so the list is nobody else's; the head is never empty of valid links. The node is
        // complete before the head leads to it: a forked child finds the list as it is at any instruction, and walks it.
        unsafe {
            let first = (*self.head).next;
            (*node).next = first;
            (*node).previous = self.head;
            (*first).previous = node;
            compiler_fence(Ordering::SeqCst);
            (*self.head).next = node;
        }
    }

    /// Takes `node` out.
    ///
    /// # Safety
    ///
    /// `node` is in this list, put there by [`link`](Self::link) in this process and not by its parent before a fork.
    pub(super) unsafe fn unlink(&self, node: *mut Node) {
        let _held = self.hold();
        // SAFETY: the lock is held, and by contract the node and its neighbours are linked.
        unsafe {
            let (next, previous) = ((*node).next, (*node).previous);
            (*previous).next = next;
            (*next).previous = previous;
            (*node).next = node;
            (*node).previous = node;
        }
    }

    /// Whether a node at `address` is in the list.
    pub(super) fn contains(&self, address: usize) -> bool {
        let _held = self.hold();
        let mut node = self.head;
        loop {
            // SAFETY: the lock is held, so every link leads to a live node and at last back to the head.
            node = unsafe { (*node).next };
            if node == self.head {
                return false;
            }
            if node.addr() == address {
                return true;
            }
        }
    }

    fn hold(&self) -> Held<'_> {
        // SAFETY: the lock lives as long as the process and was proved to be one.
        let word = unsafe { lock_word(self.lock) };
        if word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while word.swap(2, Ordering::Acquire) != 0 {
                futex_wait(word, 2);
            }
        }
        Held(word)
    }
}

/// glibc's lock, held until this is dropped.
struct Held<'a>(&'a AtomicU32);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            futex_wake(self.0);
        }
    }
}

/// The word of a low-level lock.
///
/// # Safety
///
/// `lock` is aligned and lives as long as the process; everybody accesses it atomically, as glibc does.
pub(super) unsafe fn lock_word(lock: *mut LowLevelLock) -> &'static AtomicU32 {
    // SAFETY: the caller's contract is AtomicU32::from_ptr's.
    unsafe { AtomicU32::from_ptr(lock) }
}

fn futex_wait(word: &AtomicU32, while_it_is: u32) {
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the kernel reads an aligned word of a live object, and there is no timeout. Any return is fine: the caller
    // looks again.
    unsafe {
        arch::system_call(
            libc::SYS_futex,
            [word.as_ptr().addr(), operation, while_it_is as usize, 0, 0, 0],
        );
    }
}

pub(super) fn futex_wake(word: &AtomicU32) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the kernel uses the address as a key only.
    unsafe { arch::system_call(libc::SYS_futex, [word.as_ptr().addr(), operation, 1, 0, 0, 0]) };
}
