//! Catches a body that costs too much: a million of them suspended at once, counted in resident memory, page tables, heap and
//! mappings; and a burst whose memory does not go back.
//!
//! `RADDLE_BODIES=100000` makes fewer. So does a machine without the memory for a million, and the test says so.

mod calls;

use calls::{errno, set_errno};
use raddle_context::{
    After, Arena, Body, BodyRef, Config, Context, Departure, Hooks, KernelThread, Outcome, running,
    switch,
};
use std::time::Instant;

/// The bars of the issue: bytes a body in all, and mappings.
const BYTES: usize = 12 * 1024;
const MAPPINGS: usize = 1000;

const HOOKS: Hooks = Hooks { arrive, settle, depart };

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(_: BodyRef, outcome: Outcome) {
    outcome.unwrap();
}

unsafe fn depart(body: BodyRef) -> Departure {
    Departure { to: home(body), after: After::nothing() }
}

/// The control block: where to go.
fn home(body: BodyRef) -> *mut Context {
    // SAFETY: the block is written before the body starts.
    unsafe { body.control().cast::<*mut Context>().read() }
}

fn leave() {
    let me = running().expect("called on a body");
    // SAFETY: one kernel thread, no signals: the body runs, and whoever entered it is suspended in its own context, which stays where
    // it is.
    unsafe { switch(me.context(), home(me), After::nothing()) };
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    resident: usize,
    page_tables: usize,
    mappings: usize,
}

fn taken() -> Taken {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |key: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    };
    // Resident memory includes the heap's, where libc keeps each body's DTV and malloc cache.
    Taken {
        resident: kib("VmRSS:"),
        page_tables: kib("VmPTE:"),
        mappings: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
    }
}

fn how_many() -> usize {
    if let Ok(text) = std::env::var("RADDLE_BODIES") {
        return text.parse().unwrap_or_else(|_| panic!("RADDLE_BODIES={text}: not a whole number"));
    }
    if cfg!(raddle_asan) {
        println!(
            "AddressSanitizer's shadow and quarantine are counted with the bodies: a few, and no bars on bytes"
        );
        return 10_000;
    }
    let wanted = 1_000_000;
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:")).unwrap();
    let available: usize = line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024;
    let fits = (available / 5 * 4 / BYTES).min(wanted);
    if fits < wanted {
        println!("only {} MiB are available: {fits} bodies in place of {wanted}", available >> 20);
    }
    fits
}

#[test]
fn a_million_bodies_cost_at_most_twelve_kib_each() {
    let count = how_many();
    let me = KernelThread::enter().unwrap();
    let arena = Arena::new(Config::default()).unwrap();
    let mut cache = arena.cache();
    let mut bodies: Vec<Body> = Vec::with_capacity(count);
    // The vector's own pages are not the bodies'.
    bodies.spare_capacity_mut().iter_mut().step_by(64).for_each(|place| {
        // SAFETY: the place is within the vector's capacity; whatever is there is overwritten when it is used.
        unsafe { place.as_mut_ptr().cast::<u8>().write_volatile(0) };
    });
    // SAFETY: the body is started and saved, and nobody else runs it; `me` is the calling kernel thread.
    let run = |body: &Body| unsafe { switch(me.context(), body.context(), After::nothing()) };

    let before = taken();
    let start = Instant::now();
    for n in 0..count {
        let mut body = cache.take().unwrap();
        // SAFETY: the body is fresh, and an arena's blocks have room for a pointer. Its code stays on this kernel thread and owns what
        // it uses.
        unsafe {
            body.control().cast().write(me.context());
            body.start(
                move || {
                    let text = n.to_string();
                    leave();
                    assert_eq!(text.parse(), Ok(n));
                },
                HOOKS,
            );
        }
        run(&body);
        bodies.push(body);
    }
    let spawned = start.elapsed();
    let after = taken();
    let each = |from: fn(Taken) -> usize| (from(after) - from(before)) as f64 / count as f64;
    let resident = each(|t| t.resident);
    let page_tables = each(|t| t.page_tables);
    let mappings = after.mappings - before.mappings;
    println!(
        "{count} suspended bodies, each with a string on the heap: {resident:.0} bytes resident (heap included) and \
         {page_tables:.0} of page tables each, {mappings} mappings more, made and run in {:.1} s",
        spawned.as_secs_f64()
    );
    bodies.iter().for_each(run);
    bodies.into_iter().for_each(|body| cache.give(body));
    let burst = taken();
    let start = Instant::now();
    drop(cache);
    let trimmed = arena.trim(100);
    let trimming = start.elapsed();
    let rest = taken();
    let kept = rest.resident.saturating_sub(before.resident);
    println!(
        "after they ended: {} MiB more than before; {trimmed:?} in {:.1} s; then {} MiB and {} MiB of page tables",
        (burst.resident - before.resident) >> 20,
        trimming.as_secs_f64(),
        kept >> 20,
        rest.page_tables >> 20,
    );
    if cfg!(raddle_asan) {
        return;
    }
    assert!(resident + page_tables <= BYTES as f64, "a body takes more than {BYTES} bytes");
    assert!(mappings < MAPPINGS, "{mappings} mappings");
    assert!(trimmed.whole >= count / 10 * 9, "most bodies can be given back whole: {trimmed:?}");
    assert!(kept < burst.resident / 4, "{kept} bytes are still resident after the burst");
    assert!(
        rest.page_tables < burst.page_tables / 4,
        "{} bytes of page tables are still there after the burst",
        rest.page_tables
    );
}

/// A body that puts on a husk has a working allocator cache, and nothing of its predecessor's is visible.
#[test]
fn stripped_slots_serve_again() {
    let me = KernelThread::enter().unwrap();
    let arena = Arena::new(Config::default()).unwrap();
    for round in 0..5 {
        let mut cache = arena.cache();
        let mut bodies: Vec<Body> = (0..500).map(|_| cache.take().unwrap()).collect();
        for body in &mut bodies {
            // SAFETY: as above.
            unsafe {
                body.control().cast().write(me.context());
                body.start(
                    || {
                        assert_eq!(errno(), 0);
                        let kept: Vec<String> = (0..50).map(|n| n.to_string()).collect();
                        let dropped: Vec<Vec<u8>> = (0..50).map(|n| vec![1; n * 10]).collect();
                        drop(dropped);
                        leave();
                        set_errno(7);
                        assert_eq!(kept.concat().len(), 90);
                    },
                    HOOKS,
                );
            }
        }
        for _ in 0..2 {
            for body in &bodies {
                // SAFETY: as above, in `run`.
                unsafe { switch(me.context(), body.context(), After::nothing()) };
            }
        }
        bodies.into_iter().for_each(|body| cache.give(body));
        drop(cache);
        let trimmed = arena.trim(0);
        assert_eq!(trimmed.whole + trimmed.stacks, 500, "round {round}: {trimmed:?}");
        assert_eq!(arena.usage().slots, trimmed.stacks);
    }
}
