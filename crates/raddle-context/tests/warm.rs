//! Catches an allocation, or a body out of nowhere, where a scheduler takes and gives bodies; and the ways around a cache.

mod calls;

use raddle_context::{Arena, Config, KernelThread, Usage, system_call};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

/// Counts what anybody allocates or frees.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
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
    let before = allocations();
    let mut many = many.into_iter();
    many.by_ref().take(150).for_each(|body| one.give(body));
    // The other cache finds what this one has handed over.
    let mut taken = [const { None }; 200];
    let mut count = 0;
    while let Some(body) = other.take_warm() {
        taken[count] = Some(body);
        count += 1;
    }
    assert_eq!(allocations(), before, "no allocation");
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
    let before = allocations();
    arena.give(first);
    arena.give(second);
    let again = arena.make().unwrap();
    assert_eq!(allocations(), before, "no allocation");
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
    let child = calls::fork();
    if child == 0 {
        let before = allocations();
        let none = cache.take_warm().is_none() && allocations() == before;
        calls::exit_now(if none { 0 } else { 1 });
    }
    assert!(calls::end_of(child).success(), "a parent's body, or an allocation");
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
    let before = allocations();
    // SAFETY: `enters` uses nothing of its argument; the thread is waited for below, and the arena lives longer.
    let launched = unsafe { KernelThread::launch(body, enters, ptr::null_mut(), None) };
    let launched = launched.map_err(|(error, _)| error).unwrap();
    launched.wait();
    assert_eq!(allocations(), before, "no allocation");
    assert!(ENTERED.load(Relaxed) > 32 * 1024);
    // SAFETY: it takes nothing.
    assert_eq!(unsafe { system_call(libc::SYS_gettid, [0; 6]) }, calls::gettid() as isize);
    arena.give(launched.into_body().unwrap());
}
