//! The storm: thousands of bodies do at once whatever a thread may do, migrate at every tick, and check that each finds
//! its own state again. Seeded: the same seed gives every body the same things to do (when it is preempted is the
//! machine's affair).

#![allow(dead_code, reason = "each storm uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

pub mod native;

use super::calls::{errno, gettid, set_errno};
use super::harness::{self, Join, Run, spawn, yield_now};
use native::Library;
use raddle_core::random::Random;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

unsafe extern "C" {
    // SAFETY: they take and give a number, and touch the calling thread's registers only.
    safe fn fesetround(mode: c_int) -> c_int;
    safe fn fegetround() -> c_int;
}

const ROUNDINGS: [c_int; 4] = [0, 0x400, 0x800, 0xc00];

#[derive(Clone, Copy)]
struct Cxx {
    throw: unsafe extern "C" fn(c_int, c_int) -> c_int,
    touch: unsafe extern "C" fn() -> c_long,
    map: unsafe extern "C" fn(c_int) -> c_int,
    constructed: unsafe extern "C" fn() -> c_long,
    destroyed: unsafe extern "C" fn() -> c_long,
}

static CXX: OnceLock<Option<Cxx>> = OnceLock::new();
static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();

/// Letter boxes: blocks that one body allocated wait here for another to check and free.
const BOXES: usize = 256;
static RUST_BOXES: [AtomicPtr<Letter>; BOXES] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; BOXES];
static C_BOXES: [AtomicPtr<u8>; BOXES] = [const { AtomicPtr::new(std::ptr::null_mut()) }; BOXES];

struct Letter {
    fill: u8,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tally {
    locals_made: AtomicU64,
    locals_dropped: AtomicU64,
    key_values_set: AtomicU64,
    key_values_destroyed: AtomicU64,
    letters: AtomicU64,
    panics: AtomicU64,
    steps: AtomicU64,
    touched: AtomicU64,
}

static TALLY: Tally = Tally {
    locals_made: AtomicU64::new(0),
    locals_dropped: AtomicU64::new(0),
    key_values_set: AtomicU64::new(0),
    key_values_destroyed: AtomicU64::new(0),
    letters: AtomicU64::new(0),
    panics: AtomicU64::new(0),
    steps: AtomicU64::new(0),
    touched: AtomicU64::new(0),
};

/// A thread-local that counts its own end.
struct Own {
    name: String,
    map: HashMap<u64, String>,
}

impl Drop for Own {
    fn drop(&mut self) {
        assert!(self.map.values().all(|v| v.starts_with(&self.name)), "another body's strings");
        TALLY.locals_dropped.fetch_add(1, Relaxed);
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static IMAGE: Cell<u64> = const { Cell::new(0x5eed) };
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Storm {
    pub seed: u64,
    pub length: Duration,
    pub at_once: usize,
    pub run: Run,
}

/// Runs the storm; panics where something is not as it must be.
pub fn storm(what: Storm) {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<Thrown>().is_none() {
            default_hook(info);
        }
    }));
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the key is written to a local; the destructor has the signature that is asked for.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(key_destructor)) }, 0);
        key
    });
    let Storm { seed, length, at_once, run } = what;
    let stats = harness::run(run, move || {
        let mut random = Random::from_seed(seed);
        // Opened by a body, while bodies exist: libstdc++ brings initial-exec TLS of its own.
        let waiting: Vec<_> =
            (0..32).map(|_| spawn(|| (0..100).for_each(|_| yield_now()))).collect();
        CXX.get_or_init(open_cxx);
        waiting.into_iter().for_each(|one| one.join().unwrap());

        let start = Instant::now();
        let mut bodies: Vec<(u64, Join<u64>)> = Vec::new();
        let mut number = 0;
        while start.elapsed() < length {
            while bodies.len() < at_once {
                number += 1;
                let body_seed = random.next_u64();
                bodies.push((number, spawn(move || one_body(number, body_seed))));
            }
            let take = random.below(bodies.len() as u64) as usize;
            check_end(bodies.swap_remove(take));
        }
        bodies.into_iter().for_each(check_end);
        empty_boxes();
    });
    let t = &TALLY;
    assert_eq!(
        t.locals_made.load(Relaxed),
        t.locals_dropped.load(Relaxed),
        "thread-locals dropped"
    );
    assert_eq!(
        t.key_values_set.load(Relaxed),
        t.key_values_destroyed.load(Relaxed),
        "pthread keys' destructors"
    );
    let mut cxx_locals = 0;
    if let Some(Some(cxx)) = CXX.get() {
        // SAFETY: `storm.cpp` has them with that signature, and stays open.
        let (made, gone) = unsafe { ((cxx.constructed)(), (cxx.destroyed)()) };
        assert_eq!(made, gone, "C++ thread_locals destroyed");
        assert_eq!(made as u64, t.touched.load(Relaxed), "each body had its own C++ thread_local");
        cxx_locals = made;
    }
    println!(
        "{} bodies, {} steps, {} letters, {} panics, {cxx_locals} C++ thread_locals; {} switches, {} preemptions, \
         {} migrations, {} spare workers, {} at once, in {:.1} s",
        stats.bodies,
        t.steps.load(Relaxed),
        t.letters.load(Relaxed),
        t.panics.load(Relaxed),
        stats.switches,
        stats.preemptions,
        stats.migrations,
        stats.spares,
        stats.most_stalled,
        stats.elapsed.as_secs_f64(),
    );
    assert!(t.steps.load(Relaxed) > 0 && stats.preemptions > 0, "the storm did nothing");
}

/// The payload of the storm's own panics.
struct Thrown(u64);

fn open_cxx() -> Option<Cxx> {
    native::compiler()?;
    let library = Library::open(&native::library("storm.cpp", &["-std=c++17"]));
    // SAFETY: `storm.cpp` has them with the signatures of `Cxx`'s fields.
    unsafe {
        Some(Cxx {
            throw: library.function("storm_throw"),
            touch: library.function("storm_touch"),
            map: library.function("storm_map"),
            constructed: library.function("storm_constructed"),
            destroyed: library.function("storm_destroyed"),
        })
    }
}

fn check_end((number, join): (u64, Join<u64>)) {
    match join.join() {
        Ok(value) => assert_eq!(value, number),
        Err(payload) => match payload.downcast_ref::<Thrown>() {
            Some(thrown) => assert_eq!(thrown.0, number, "another body's panic"),
            None => std::panic::resume_unwind(payload),
        },
    }
}

/// One body's life: it starts as a new thread must, does some things in an order that the seed gives, and ends, one in eight by
/// a panic.
fn one_body(number: u64, seed: u64) -> u64 {
    starts_as_new();
    let mut random = Random::from_seed(seed);
    let rounding = ROUNDINGS[random.below(4) as usize];
    assert_eq!(fesetround(rounding), 0);
    let mut own_touches = 0;
    for step in 0..random.below(24) {
        TALLY.steps.fetch_add(1, Relaxed);
        STEPS.set(STEPS.get() + 1);
        match random.below(12) {
            0 => own_strings(number, &mut random),
            1 => send_and_receive(&mut random),
            2 => panic_and_catch(number, &mut random),
            3 => cxx(&mut random, &mut own_touches),
            4 => vectors(random.next_u64()),
            5 => deep(number, 20 + random.below(60)),
            6 => {
                let children: Vec<_> = (0..random.below(4)).map(|n| spawn(move || n * 3)).collect();
                for (n, child) in children.into_iter().enumerate() {
                    assert_eq!(child.join().unwrap(), n as u64 * 3);
                }
            }
            7 => keys(number),
            8 => bounds(),
            9 => locale(&mut random),
            10 => compute(random.below(200_000)),
            _ => yield_now(),
        }
        assert_eq!(fegetround(), rounding, "the rounding mode");
        assert_eq!(STEPS.get(), step + 1, "a thread-local counter");
        let mine = step as c_int + 1000;
        set_errno(mine);
        if random.one_in(2) {
            yield_now();
        }
        assert_eq!(errno(), mine, "errno");
    }
    if random.one_in(8) {
        TALLY.panics.fetch_add(1, Relaxed);
        std::panic::panic_any(Thrown(number));
    }
    number
}

fn starts_as_new() {
    assert_eq!(STEPS.get(), 0, "a new body's zero-initialised thread-local");
    assert_eq!(IMAGE.get(), 0x5eed, "a new body's initialised thread-local");
    IMAGE.set(1);
    OWN.with_borrow(|own| assert!(own.is_none(), "a new body's lazy thread-local"));
    assert_eq!(errno(), 0, "a new body's errno");
    assert_eq!(fegetround(), 0, "a new body's rounding mode");
    let key = *KEY.get().expect("made first");
    // SAFETY: only whether the value is null is asked.
    assert!(unsafe { libc::pthread_getspecific(key) }.is_null(), "a new body's key");
    assert_eq!(format!("{:.1}", 2.5f64), "2.5");
}

fn own_strings(number: u64, random: &mut Random) {
    let name = format!("{number}-");
    OWN.with_borrow_mut(|own| {
        let own = own.get_or_insert_with(|| {
            TALLY.locals_made.fetch_add(1, Relaxed);
            Own { name: name.clone(), map: HashMap::new() }
        });
        for _ in 0..50 {
            let key = random.below(256);
            own.map.insert(key, format!("{name}{key}"));
        }
        for (key, value) in &own.map {
            assert_eq!(*value, format!("{name}{key}"));
        }
    });
}

/// Puts a block into a letter box and frees whatever was there: allocated by another body, in another arena of malloc's.
fn send_and_receive(random: &mut Random) {
    for _ in 0..20 {
        TALLY.letters.fetch_add(2, Relaxed);
        let fill = random.next_u64() as u8;
        let size = 1 << random.below(15);
        let letter = Box::into_raw(Box::new(Letter { fill, bytes: vec![fill; size] }));
        let old = RUST_BOXES[random.below(BOXES as u64) as usize].swap(letter, AcqRel);
        if !old.is_null() {
            // SAFETY: it was a box when it was put into the letter box, and whoever swaps it out has it alone.
            let letter = unsafe { Box::from_raw(old) };
            assert!(letter.bytes.iter().all(|&b| b == letter.fill), "a letter was overwritten");
        }
        let size = 16 + random.below(3000) as usize;
        // SAFETY: the block is `size` bytes, 16 or more, and aligned for a `usize`.
        let block = unsafe {
            let block = libc::malloc(size).cast::<u8>();
            assert!(!block.is_null());
            block.cast::<usize>().write(size);
            block.add(8).write_bytes(fill, size - 8);
            block
        };
        free_block(C_BOXES[random.below(BOXES as u64) as usize].swap(block, AcqRel));
    }
}

fn free_block(block: *mut u8) {
    if block.is_null() {
        return;
    }
    // SAFETY: whoever swaps a block out of its letter box has it alone; its first word is its size, and all of it was written.
    unsafe {
        let size = block.cast::<usize>().read();
        let bytes = std::slice::from_raw_parts(block.add(8), size - 8);
        assert!(bytes.iter().all(|b| *b == bytes[0]), "a block was overwritten");
        libc::free(block.cast());
    }
}

fn empty_boxes() {
    for letter in &RUST_BOXES {
        let old = letter.swap(std::ptr::null_mut(), AcqRel);
        if !old.is_null() {
            // SAFETY: as above, in `send_and_receive`.
            drop(unsafe { Box::from_raw(old) });
        }
    }
    C_BOXES.iter().for_each(|block| free_block(block.swap(std::ptr::null_mut(), AcqRel)));
}

fn panic_and_catch(number: u64, random: &mut Random) {
    TALLY.panics.fetch_add(1, Relaxed);
    let depth = random.below(20);
    fn fall(depth: u64, number: u64) {
        let guard = Box::new([depth; 8]);
        if depth == 0 {
            std::panic::panic_any(Thrown(number));
        }
        fall(depth - 1, number);
        assert!(guard.iter().all(|&d| d == depth));
    }
    let payload = std::panic::catch_unwind(|| fall(depth, number)).unwrap_err();
    assert_eq!(payload.downcast_ref::<Thrown>().expect("the storm's own").0, number);
}

fn cxx(random: &mut Random, own_touches: &mut c_long) {
    let Some(Some(cxx)) = CXX.get() else { return };
    // SAFETY: `storm.cpp` has them with that signature; what is thrown in there is caught in there.
    unsafe {
        assert_eq!(
            (cxx.throw)(random.below(20) as c_int, random.below(1000) as c_int),
            1,
            "C++ throw"
        );
        if *own_touches == 0 {
            TALLY.touched.fetch_add(1, Relaxed);
        }
        *own_touches += 1;
        assert_eq!((cxx.touch)(), *own_touches, "C++ thread_local");
        assert_eq!((cxx.map)(random.below(1000) as c_int), 1, "C++ map");
    }
}

/// A pattern kept in vector registers over a few ticks' time.
fn vectors(seed: u64) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { vectors_avx2(seed) };
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn vectors_avx2(seed: u64) {
    use std::arch::x86_64::*;
    let mut lanes = [0u64; 4];
    let mut vectors: [__m256i; 8] =
        std::array::from_fn(|n| _mm256_set1_epi64x(seed.wrapping_add(n as u64) as i64));
    let mut scalars: [u64; 8] = std::array::from_fn(|n| seed.wrapping_add(n as u64));
    for round in 0..3000u64 {
        for n in 0..8 {
            let step = _mm256_set1_epi64x((round ^ n as u64) as i64);
            vectors[n] = _mm256_xor_si256(
                _mm256_add_epi64(vectors[n], step),
                _mm256_slli_epi64(vectors[n], 7),
            );
            let s = scalars[n];
            scalars[n] = s.wrapping_add(round ^ n as u64) ^ (s << 7);
        }
    }
    for n in 0..8 {
        // SAFETY: 32 bytes go to an array of that size; unaligned is allowed.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vectors[n]) };
        assert_eq!(lanes, [scalars[n]; 4], "vector registers");
    }
}

/// Frames over many pages, each checked on the way back.
fn deep(number: u64, depth: u64) {
    let frame = std::hint::black_box([number ^ depth; 128]);
    if depth > 0 {
        deep(number, depth - 1);
    }
    assert!(
        std::hint::black_box(&frame).iter().all(|&word| word == number ^ depth),
        "a stack frame"
    );
}

unsafe extern "C" fn key_destructor(value: *mut c_void) {
    // SAFETY: the key's values are boxes of a `u64`, or null, for which no destructor is called.
    drop(unsafe { Box::from_raw(value.cast::<u64>()) });
    TALLY.key_values_destroyed.fetch_add(1, Relaxed);
}

fn keys(number: u64) {
    let key = *KEY.get().expect("made first");
    // SAFETY: the value is null or this body's own box, as above.
    unsafe {
        let value = libc::pthread_getspecific(key).cast::<u64>();
        if value.is_null() {
            TALLY.key_values_set.fetch_add(1, Relaxed);
            libc::pthread_setspecific(key, Box::into_raw(Box::new(number)).cast());
        } else {
            assert_eq!(*value, number, "another body's key");
        }
    }
}

/// `pthread_getattr_np` knows this body's stack.
fn bounds() {
    let here = 0u8;
    // SAFETY: zeros are attributes to be filled; each call writes to locals only.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes), 0);
        let (mut low, mut bytes) = (std::ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut bytes);
        libc::pthread_attr_destroy(&raw mut attributes);
        let here = (&raw const here).addr();
        assert!(
            (low.addr()..low.addr() + bytes).contains(&here),
            "{here:#x} outside the reported stack"
        );
    }
}

/// A locale of its own, left in place one time in two: the next body must start with the global one.
fn locale(random: &mut Random) {
    // SAFETY: the locale is this body's own. It is freed once, when nobody uses it any more.
    unsafe {
        let new = libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), std::ptr::null_mut());
        let old = libc::uselocale(new);
        yield_now();
        assert_eq!(libc::uselocale(std::ptr::null_mut()), new, "the locale");
        libc::uselocale(old);
        if random.one_in(2) {
            // Freed and still in use would be an error: a duplicate of the global one is left in use, and leaks.
            static LEFT: AtomicUsize = AtomicUsize::new(0);
            if LEFT.fetch_add(1, Relaxed) < 1000 {
                libc::uselocale(libc::duplocale(new));
            }
        }
        libc::freelocale(new);
    }
}

/// Work without calls, for the signal to hit; notes whether the kernel thread changed.
fn compute(rounds: u64) {
    let before = gettid();
    let mut x = rounds | 1;
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    std::hint::black_box((x, before));
}
