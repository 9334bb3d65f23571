//! Catches what a body finds of its predecessor on the same slot, and what a predecessor owed to others when it ended.

mod calls;
mod single;

use calls::{errno, set_errno};
use raddle_context::Config;
use single::Single;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn pthread_setcanceltype(kind: c_int, old: *mut c_int) -> c_int;
    fn pthread_mutexattr_setrobust(
        attributes: *mut libc::pthread_mutexattr_t,
        robust: c_int,
    ) -> c_int;
    // SAFETY: glibc looks up what is a character, and gives any other number back.
    safe fn toupper(character: c_int) -> c_int;
}

fn key(destructor: unsafe extern "C" fn(*mut c_void)) -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: the key is written to a local; the destructor has the signature that is asked for.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
    key
}

/// Sets the caller's value of a key: a number, to which nothing belongs.
fn set(key: libc::pthread_key_t, value: usize) {
    // SAFETY: the value is handed to the key's destructor and used by nobody else; the destructors here take it for a number.
    assert_eq!(unsafe { libc::pthread_setspecific(key, ptr::without_provenance(value)) }, 0);
}

/// A destructor that sets its key again is called again, for keys in the TCB's own block and beyond it.
#[test]
fn a_key_that_is_set_again_is_destroyed_again() {
    static KEY: AtomicU32 = AtomicU32::new(0);
    static CALLS: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn again(value: *mut c_void) {
        CALLS.fetch_add(1, Relaxed);
        if value.addr() == 1 {
            set(KEY.load(Relaxed), 2);
        }
    }
    unsafe extern "C" fn nothing(_: *mut c_void) {}
    let mut stage = Single::new(Config::default());
    for beyond in [0, 40] {
        for _ in 0..beyond {
            key(nothing);
        }
        KEY.store(key(again), Relaxed);
        let set_it = || set(KEY.load(Relaxed), 1);
        std::thread::spawn(set_it).join().unwrap();
        let by_pthread = CALLS.swap(0, Relaxed);
        stage.run(set_it);
        assert_eq!(CALLS.swap(0, Relaxed), by_pthread, "key {}", KEY.load(Relaxed));
    }
}

/// One that never gives up is dropped after four rounds, as POSIX allows, and the successor's key is empty.
#[test]
fn a_key_that_is_always_set_again_is_not_the_successors() {
    static KEY: AtomicU32 = AtomicU32::new(0);
    static CALLS: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn for_ever(value: *mut c_void) {
        CALLS.fetch_add(1, Relaxed);
        set(KEY.load(Relaxed), value.addr());
    }
    KEY.store(key(for_ever), Relaxed);
    let mut stage = Single::new(Config::default());
    stage.run(|| set(KEY.load(Relaxed), 7));
    assert_eq!(CALLS.load(Relaxed), 4);
    // SAFETY: only whether the value is null is asked.
    stage.run(|| assert!(unsafe { libc::pthread_getspecific(KEY.load(Relaxed)) }.is_null()));
    assert_eq!(CALLS.load(Relaxed), 4, "the successor had nothing to destroy");
}

/// Whoever locks a robust mutex after its owner ended is told so, and the successor's list does not lead to it.
#[test]
fn robust_mutexes_are_left_as_those_of_a_dead_owner() {
    fn robust_mutex() -> *mut libc::pthread_mutex_t {
        // SAFETY: a page of its own, which is as aligned as a mutex must be and larger than one; zeros are attributes to be
        // initialised.
        unsafe {
            let page = libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&raw mut attributes);
            pthread_mutexattr_setrobust(&raw mut attributes, 1);
            libc::pthread_mutex_init(page.cast(), &raw const attributes);
            page.cast()
        }
    }
    let mut stage = Single::new(Config::default());
    let (first, second) = (robust_mutex(), robust_mutex());
    // SAFETY: both are initialised, and nobody else uses them.
    stage.run(|| unsafe {
        libc::pthread_mutex_lock(first);
        libc::pthread_mutex_lock(second);
    });
    for mutex in [first, second] {
        // SAFETY: it is initialised and mapped. Its owner is dead, for which a robust mutex is made.
        assert_eq!(unsafe { libc::pthread_mutex_trylock(mutex) }, libc::EOWNERDEAD);
    }
    // SAFETY: this thread owns the mutex by now, and nobody uses it again.
    unsafe { libc::munmap(first.cast(), 4096) };
    let third = robust_mutex();
    // SAFETY: it is initialised, and nobody else uses it.
    stage.run(|| unsafe {
        assert_eq!(libc::pthread_mutex_lock(third), 0);
        assert_eq!(libc::pthread_mutex_unlock(third), 0);
    });
}

/// `errno`, `h_errno`, `dlerror`, locale and cancellation are a new thread's.
#[test]
fn libc_s_state_is_a_new_threads() {
    let mut stage = Single::new(Config::default());
    // SAFETY: C strings and numbers; the locale is not freed while it is in use.
    stage.run(|| unsafe {
        set_errno(5);
        *__h_errno_location() = 6;
        assert!(libc::dlopen(c"/no/such/library".as_ptr(), libc::RTLD_NOW).is_null());
        let locale = libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), ptr::null_mut());
        libc::uselocale(locale);
        pthread_setcancelstate(1, ptr::null_mut());
        pthread_setcanceltype(1, ptr::null_mut());
    });
    // SAFETY: the addresses are the calling thread's own; what is written goes to locals.
    stage.run(|| unsafe {
        assert_eq!(errno(), 0, "errno");
        assert_eq!(*__h_errno_location(), 0, "h_errno");
        assert!(libc::dlerror().is_null(), "dlerror");
        assert_eq!(libc::uselocale(ptr::null_mut()).addr(), usize::MAX, "locale");
        assert_eq!(toupper(c_int::from(b'a')), c_int::from(b'A'), "ctype");
        let (mut state, mut kind) = (9, 9);
        pthread_setcancelstate(0, &raw mut state);
        pthread_setcanceltype(0, &raw mut kind);
        assert_eq!((state, kind), (0, 0), "cancellation");
    });
}

/// Locks that know their owner by its id know two bodies from each other, and from kernel threads.
#[test]
fn recursive_mutexes_belong_to_one_body() {
    // SAFETY: zeros are attributes and a mutex to be initialised; a mutex may be moved that nobody has locked.
    let mutex = Box::into_raw(Box::new(unsafe {
        let mut attributes = std::mem::zeroed();
        libc::pthread_mutexattr_init(&raw mut attributes);
        libc::pthread_mutexattr_settype(&raw mut attributes, libc::PTHREAD_MUTEX_RECURSIVE);
        let mut mutex = std::mem::zeroed();
        libc::pthread_mutex_init(&raw mut mutex, &raw const attributes);
        mutex
    }));
    let mut stage = Single::new(Config::default());
    // SAFETY: it is initialised, and its box lives to the end of the process.
    stage.run(|| unsafe {
        assert_eq!(libc::pthread_mutex_lock(mutex), 0);
        assert_eq!(libc::pthread_mutex_lock(mutex), 0, "its own again");
    });
    let mut other = stage.cache.take().unwrap();
    let taken = stage.cache.take().unwrap();
    // SAFETY: as above.
    single::on(&stage.me, &mut other, || unsafe {
        // The slot of the first body is `other`'s now, and so is its id: it may unlock. A third may not lock.
        assert_eq!(libc::pthread_mutex_trylock(mutex), 0);
        for _ in 0..3 {
            libc::pthread_mutex_unlock(mutex);
        }
        assert_eq!(libc::pthread_mutex_lock(mutex), 0);
    });
    let mut third = taken;
    // SAFETY: as above.
    single::on(&stage.me, &mut third, || unsafe {
        assert_eq!(libc::pthread_mutex_trylock(mutex), libc::EBUSY, "another body's");
    });
    // SAFETY: as above.
    assert_eq!(unsafe { libc::pthread_mutex_trylock(mutex) }, libc::EBUSY, "a kernel thread's");
    stage.cache.give(other);
    stage.cache.give(third);
}

/// `pthread_detach` and `pthread_self` on a body: it is not freed, and goes on.
#[test]
#[cfg_attr(raddle_asan, ignore = "AddressSanitizer checks the thread against its own list")]
fn detaching_oneself_frees_nothing() {
    let mut stage = Single::new(Config::default());
    for _ in 0..3 {
        // SAFETY: a body's TCB is not one that libc frees: that is what is tested.
        stage.run(|| unsafe {
            libc::pthread_detach(libc::pthread_self());
            assert_eq!(vec![1u8; 5000].iter().map(|&b| usize::from(b)).sum::<usize>(), 5000);
        });
    }
}

/// A thread-local that is touched by another's destructor is destroyed too, or at least not found by the successor.
#[test]
fn destructors_that_touch_other_thread_locals() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }
    struct Early;
    impl Drop for Early {
        fn drop(&mut self) {
            LATE.with(|_| ());
            SEEN.set(SEEN.get() + 1);
            DROPPED.fetch_add(1, Relaxed);
        }
    }
    thread_local! {
        static EARLY: Early = const { Early };
        static LATE: Late = const { Late };
        static SEEN: Cell<u32> = const { Cell::new(0) };
    }
    let mut stage = Single::new(Config::default());
    for round in 1..=10 {
        stage.run(|| {
            assert_eq!(SEEN.get(), 0);
            EARLY.with(|_| ());
        });
        assert_eq!(DROPPED.load(Relaxed), 2 * round);
    }
}

/// A closure that is large, or strictly aligned, is boxed and arrives whole.
#[test]
fn closures_of_every_shape_arrive() {
    #[repr(align(8192))]
    struct Strict;
    let mut stage = Single::new(Config { slot_bytes: 64 * 1024, ..Config::default() });
    let large = [3u8; 5_000];
    let strict = Strict;
    let sum = stage.run(move || large.iter().map(|&b| u64::from(b)).sum::<u64>());
    assert_eq!(sum, 15_000);
    stage.run(move || assert!(ptr::from_ref(&strict).addr().is_multiple_of(8192)));
}

/// The rounding mode and MXCSR are the creator's, not the predecessor's.
#[test]
fn float_control_is_the_creators() {
    unsafe extern "C" {
        // SAFETY: they take and give a number, and touch the calling thread's registers only.
        safe fn fesetround(mode: c_int) -> c_int;
        safe fn fegetround() -> c_int;
    }
    let mut stage = Single::new(Config::default());
    stage.run(|| assert_eq!(fesetround(0x400), 0));
    assert_eq!(fegetround(), 0, "the kernel thread's own");
    stage.run(|| assert_eq!(fegetround(), 0, "the successor's"));
}
