//! A specimen: a real pthread, looked at from inside while it runs.
//!
//! It runs on a stack that this module gives it, so that its `struct pthread` holds values which can be recognised:
//! the stack's address, the kernel's thread id, the address where the kernel knows its robust list. Creating it
//! also does what every program with more than one thread needs: glibc stops treating the process as single-threaded.
//!
//! The second half proves where glibc keeps the lock of its thread lists. The lock has no descriptor, but it stands
//! at a known distance from the lists, in the same structure. The proof is by behaviour: this module takes the
//! supposed lock, lets the specimen create a thread, and sees glibc mark the word as contended. A word that does not
//! behave so is not touched again, and the platform is refused.

#![allow(unsafe_code, reason = "reads a live pthread's descriptor")]

use super::symbols::{self, LowLevelLock, Symbols};
use super::thread_list::{ThreadList, lock_word};
use crate::arch;
use crate::error::Unsupported;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the specimen saw of itself.
#[derive(Default)]
pub(super) struct Specimen {
    /// Address of its TCB, that is, of its `struct pthread`.
    pub(super) tcb: usize,
    /// A copy of that structure.
    pub(super) bytes: Vec<u8>,
    /// What the kernel calls it.
    pub(super) kernel_id: i32,
    /// Where the kernel was told its robust list head is.
    pub(super) robust_head: usize,
    /// Where its `__resp` is, and what that pointed at.
    pub(super) resolver: (usize, usize),
    /// The word that getrandom filled in, if this version keeps something there: the vDSO's state for the thread.
    pub(super) getrandom_state: Option<usize>,
    /// The stack that it was given: lowest address and length.
    pub(super) stack: (usize, usize),
}

impl Specimen {
    /// The word at `offset`, or `None` past the end.
    pub(super) fn word(&self, offset: usize) -> Option<usize> {
        let bytes = self.bytes.get(offset..offset.checked_add(8)?)?;
        Some(usize::from_ne_bytes(bytes.try_into().ok()?))
    }

    /// The 32-bit word at `offset`, or `None` past the end.
    pub(super) fn half(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }
}

/// How the two sides meet: the specimen thread holds a pointer to it while the caller waits in `pthread_join`.
struct Meeting {
    resolver: *mut *mut c_void,
    pthread_size: usize,
    seen: AtomicPtr<Specimen>,
    /// 0: look at yourself; 1: the lock is held, create a thread; 2: end.
    step: AtomicU32,
    /// What creating a thread answered, plus one; 0 until then.
    created: AtomicUsize,
}

/// Runs a specimen: copies what it sees of itself, proves that the list's supposed lock is its lock, and finds the specimen
/// on the list, `node` bytes from its thread pointer.
pub(super) fn examine(
    symbols: &Symbols,
    pthread_size: usize,
    threads: &ThreadList,
    node: usize,
) -> Result<Specimen, Unsupported> {
    const STACK: usize = 256 * 1024;
    // SAFETY: an anonymous mapping at an address of the kernel's choice.
    let stack = unsafe {
        libc::mmap(
            ptr::null_mut(),
            STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if stack == libc::MAP_FAILED {
        return Err(cannot("map the specimen thread's stack", std::io::Error::last_os_error()));
    }
    let meeting = Meeting {
        resolver: symbols.resolver,
        pthread_size,
        seen: AtomicPtr::new(ptr::null_mut()),
        step: AtomicU32::new(0),
        created: AtomicUsize::new(0),
    };
    let result = meet(&meeting, stack, STACK, threads, node);
    // SAFETY: the thread on this stack was joined, or never started.
    unsafe { libc::munmap(stack, STACK) };
    let seen = meeting.seen.load(Ordering::Acquire);
    // SAFETY: the specimen leaked it from a Box for this side to take, and it is gone.
    let seen = (!seen.is_null()).then(|| *unsafe { Box::from_raw(seen) });
    result?;
    let mut specimen = seen.ok_or_else(|| Unsupported::new("the specimen thread saw nothing"))?;
    specimen.stack = (stack.addr(), STACK);
    Ok(specimen)
}

fn meet(
    meeting: &Meeting,
    stack: *mut c_void,
    stack_size: usize,
    threads: &ThreadList,
    node: usize,
) -> Result<(), Unsupported> {
    // SAFETY: the attribute is initialised before it is used and destroyed after; the stack is ours and stays mapped
    // until the thread is joined below; `meeting` outlives the join.
    let thread = unsafe {
        let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setstack(&raw mut attributes, stack, stack_size);
        let mut thread = 0;
        let error = libc::pthread_create(
            &raw mut thread,
            &raw const attributes,
            specimen_main,
            ptr::from_ref(meeting).cast_mut().cast(),
        );
        libc::pthread_attr_destroy(&raw mut attributes);
        if error != 0 {
            return Err(cannot("create a thread", std::io::Error::from_raw_os_error(error)));
        }
        thread
    };
    // Long enough for a machine with twenty times more to do than it can; what does not match is seen at once.
    let patience = Duration::from_secs(60);
    let seen = wait_until(patience, || !meeting.seen.load(Ordering::Acquire).is_null());
    let proof = if !seen {
        Err(late("look at itself"))
    } else {
        // The list is only looked at under its lock, so the lock comes first. A pthread_t is the TCB's address.
        prove_lock(meeting, threads.lock, patience)
            .and_then(|()| must_be_listed(threads, thread as usize + node))
    };
    meeting.step.store(2, Ordering::Release);
    // SAFETY: the thread was created joinable and is joined once.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
    proof
}

fn must_be_listed(threads: &ThreadList, node: usize) -> Result<(), Unsupported> {
    if threads.contains(node) {
        return Ok(());
    }
    Err(Unsupported::new(format!(
        "a thread with a stack of the program's is not on {}'s list of them (_dl_stack_user)",
        symbols::version()
    )))
}

/// Holds the supposed lock while the specimen creates a thread, and expects to see glibc wait for it.
fn prove_lock(
    meeting: &Meeting,
    supposed_lock: *mut LowLevelLock,
    patience: Duration,
) -> Result<(), Unsupported> {
    // SAFETY: the address lies inside `_rtld_global`, which lives as long as the process, and is aligned.
    let word = unsafe { lock_word(supposed_lock) };
    let taken = wait_until(patience, || {
        word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    });
    if !taken {
        return Err(Unsupported::new(unproven("is never free")));
    }
    meeting.step.store(1, Ordering::Release);
    let contended = wait_until(patience, || {
        word.load(Ordering::Relaxed) == 2 || meeting.created.load(Ordering::Acquire) != 0
    }) && word.load(Ordering::Relaxed) == 2;
    if word.swap(0, Ordering::Release) == 2 {
        super::thread_list::futex_wake(word);
    }
    if !contended {
        return Err(Unsupported::new(unproven("does not stop pthread_create")));
    }
    if !wait_until(patience, || meeting.created.load(Ordering::Acquire) != 0) {
        return Err(late("create a thread"));
    }
    match meeting.created.load(Ordering::Acquire) - 1 {
        0 => Ok(()),
        error => {
            Err(cannot("create a second thread", std::io::Error::from_raw_os_error(error as i32)))
        }
    }
}

extern "C" fn specimen_main(meeting: *mut c_void) -> *mut c_void {
    // SAFETY: the creator waits for this thread before it drops the Meeting.
    let meeting = unsafe { &*meeting.cast::<Meeting>() };
    // SAFETY: glibc made this thread and its TCB; `pthread_size` is the size that glibc itself gives for it.
    // `__resp` was looked up by another thread, so its place in this one is as far from this TCB as there.
    let seen = unsafe {
        let tcb = arch::fs_base();
        let mut robust_head = ptr::null_mut::<c_void>();
        let mut length = 0usize;
        libc::syscall(libc::SYS_get_robust_list, 0, &raw mut robust_head, &raw mut length);
        let resolver = libc::dlsym(libc::RTLD_DEFAULT, c"__resp".as_ptr()).cast::<*mut c_void>();
        debug_assert!(resolver != meeting.resolver, "__resp is thread-local");
        let copy = || {
            std::slice::from_raw_parts(
                ptr::with_exposed_provenance::<u8>(tcb),
                meeting.pthread_size,
            )
            .to_vec()
        };
        let bytes = copy();
        let mut random = 0u32;
        libc::getrandom((&raw mut random).cast(), size_of::<u32>(), 0);
        let getrandom_state = word_that_was_filled(&bytes, &copy());
        Specimen {
            tcb,
            bytes,
            getrandom_state,
            kernel_id: libc::syscall(libc::SYS_gettid) as i32,
            robust_head: robust_head.addr(),
            resolver: (resolver.addr(), resolver.read().addr()),
            stack: (0, 0),
        }
    };
    meeting.seen.store(Box::into_raw(Box::new(seen)), Ordering::Release);
    loop {
        match meeting.step.load(Ordering::Acquire) {
            0 => std::thread::yield_now(),
            1 => break,
            _ => return ptr::null_mut(),
        }
    }
    // SAFETY: a joinable thread with default attributes that does nothing, joined at once if it exists.
    let error = unsafe {
        let mut thread = 0;
        let error =
            libc::pthread_create(&raw mut thread, ptr::null(), nothing_main, ptr::null_mut());
        if error == 0 {
            libc::pthread_join(thread, ptr::null_mut());
        }
        error
    };
    meeting.created.store(error as usize + 1, Ordering::Release);
    while meeting.step.load(Ordering::Acquire) != 2 {
        std::thread::yield_now();
    }
    ptr::null_mut()
}

/// Where a word was 0 `before` and is not `after`, if that is so in exactly one place.
fn word_that_was_filled(before: &[u8], after: &[u8]) -> Option<usize> {
    let words = before.chunks_exact(8).zip(after.chunks_exact(8));
    let mut filled = words
        .enumerate()
        .filter(|(_, (before, after))| **before == [0; 8] && **after != [0; 8])
        .map(|(word, _)| word * 8);
    let first = filled.next();
    if filled.next().is_some() { None } else { first }
}

extern "C" fn nothing_main(_: *mut c_void) -> *mut c_void {
    ptr::null_mut()
}

fn wait_until(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut looks = 0u32;
    while !ready() {
        if start.elapsed() > patience {
            return false;
        }
        looks += 1;
        if looks < 100 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    true
}

fn cannot(what: &str, error: std::io::Error) -> Unsupported {
    let hint = match error.kind() {
        std::io::ErrorKind::WouldBlock => "; ulimit -u or pids.max limit the kernel threads",
        _ => "",
    };
    Unsupported::new(format!("could not {what} to look at: {error}{hint}"))
}

fn late(what: &str) -> Unsupported {
    Unsupported::new(format!("the specimen thread did not come to {what} within 60 s"))
}

fn unproven(how: &str) -> String {
    format!(
        "the lock of {}'s thread lists (_dl_stack_cache_lock) is not where 2.34 to 2.43 keep it: the word there {how}",
        symbols::version()
    )
}
