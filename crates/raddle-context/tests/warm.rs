//! Catches an allocation, or a body out of nowhere, where a scheduler takes and gives bodies; and the ways around a cache.

#![allow(clippy::undocumented_unsafe_blocks, reason = "a counting allocator, C calls, in a test")]

use raddle_context::{Arena, Config, KernelThread, Usage, system_call};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

/// Counts what anybody allocates or frees.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls() -> usize {
    CALLS.load(Relaxed)
}

fn slots(arena: &Arena) -> usize {
    let Usage { slots, .. } = arena.usage();
    slots
}

/// One test, as the counter is everybody's.
#[test]
fn what_a_scheduler_calls() {
    taken_warm();
    without_a_cache();
    in_a_forked_child();
    launched();
}

fn taken_warm() {
    let arena = Arena::new(Config::default()).unwrap();
    let (mut one, mut other) = (arena.cache(), arena.cache());
    assert!(one.take_warm().is_none(), "nothing was made");
    let many: Vec<_> = (0..200).map(|_| one.take().unwrap()).collect();
    assert!(one.take_warm().is_none(), "all are taken");
    let before = calls();
    let mut many = many.into_iter();
    many.by_ref().take(150).for_each(|body| one.give(body));
    // The other cache finds what this one has handed over.
    let mut taken = [const { None }; 200];
    let mut count = 0;
    while let Some(body) = other.take_warm() {
        taken[count] = Some(body);
        count += 1;
    }
    assert_eq!(calls(), before, "no allocation");
    assert!((50..150).contains(&count), "{count}");
    assert_eq!(slots(&arena), 200, "none was made");
    let numbers: HashSet<u32> = taken.iter().flatten().map(|body| body.number()).collect();
    assert_eq!(numbers.len(), count);
    taken.into_iter().flatten().for_each(|body| other.give(body));
    while let Some(body) = one.take_warm() {
        let _ = body.into_ref();
    }
    many.for_each(|body| one.give(body));
}

fn without_a_cache() {
    let arena = Arena::new(Config::default()).unwrap();
    let first = arena.make().unwrap();
    let second = arena.make().unwrap();
    assert_ne!(first.number(), second.number());
    let number = second.number();
    let before = calls();
    arena.give(first);
    arena.give(second);
    let again = arena.make().unwrap();
    assert_eq!(calls(), before, "no allocation");
    assert_eq!(again.number(), number, "last in, first out");
    assert_eq!(slots(&arena), 2);
    arena.give(again);
    assert!(arena.cache().take_warm().is_some());
}

fn in_a_forked_child() {
    let arena = Arena::new(Config::default()).unwrap();
    let mut cache = arena.cache();
    let body = cache.take().unwrap();
    cache.give(body);
    let child = unsafe { libc::fork() };
    if child == 0 {
        let before = calls();
        let none = cache.take_warm().is_none() && calls() == before;
        unsafe { libc::_exit(if none { 0 } else { 1 }) };
    }
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "a parent's body, or an allocation");
    assert!(cache.take_warm().is_some());
}

fn launched() {
    static ENTERED: AtomicU32 = AtomicU32::new(0);
    unsafe fn enters(_: *mut u8) {
        let me = KernelThread::enter().expect("a kernel thread");
        ENTERED.store(me.alternate_stack().ss_size as u32, Relaxed);
    }
    let arena = Arena::new(Config::default()).unwrap();
    let body = arena.make().unwrap().prepare();
    let before = calls();
    let launched = unsafe { KernelThread::launch(body, enters, ptr::null_mut(), None) };
    let launched = launched.map_err(|(error, _)| error).unwrap();
    launched.wait();
    assert_eq!(calls(), before, "no allocation");
    assert!(ENTERED.load(Relaxed) > 32 * 1024);
    assert_eq!(unsafe { system_call(libc::SYS_gettid, [0; 6]) }, unsafe { libc::gettid() }
        as isize);
    arena.give(launched.into_body().unwrap());
}
