//! Thread-locals, malloc, strings, stacks: each thread finds its own.

use super::super::kernel::Filled;
use super::super::work::spin;
use super::super::world::{Actor, World};
use raddle::thread;
use raddle_core::random::Random;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
    static TABLE: RefCell<HashMap<u64, String>> = RefCell::new(HashMap::new());
    static COUNTED: RefCell<Option<Counted>> = const { RefCell::new(None) };
}

pub(super) fn thread_local(actor: &mut Actor) {
    let mine = actor.random.next_u64() | 1;
    OWN.set(mine);
    spin(actor.random.below(30_000));
    actor.world.check(OWN.get() == mine, "a thread found another's thread-local");
    let child = thread::spawn(move || {
        let before = OWN.replace(mine ^ 2);
        thread::yield_now();
        (before, OWN.get())
    });
    let is_right = matches!(child.join(), Ok((0, own)) if own == mine ^ 2);
    actor.world.check(is_right, "a new thread's thread-local is not new");
    actor.world.check(OWN.get() == mine, "a thread lost its thread-local");
}

/// Counts itself, twice: when it is made and when it goes, which may be only once.
struct Counted {
    world: &'static World,
    is_gone: bool,
}

impl Counted {
    fn new(world: &'static World) -> Counted {
        world.locals[0].fetch_add(1, Ordering::Relaxed);
        Counted { world, is_gone: false }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.world.check(!self.is_gone, "a thread-local was destroyed twice");
        self.is_gone = true;
        // A destructor may wait.
        thread::yield_now();
        self.world.locals[1].fetch_add(1, Ordering::Release);
    }
}

/// Joining waits for destructors of thread-locals.
pub(super) fn destructors(actor: &mut Actor) {
    struct Says(std::sync::Arc<std::sync::atomic::AtomicU64>);
    impl Drop for Says {
        fn drop(&mut self) {
            spin(2_000);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread_local!(static SAYS: RefCell<Option<Says>> = const { RefCell::new(None) });
    let world = actor.world;
    let said = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
    let theirs = said.clone();
    let child = thread::spawn(move || {
        COUNTED.with(|counted| {
            world.check(counted.borrow().is_none(), "a new thread found another's thread-local");
            *counted.borrow_mut() = Some(Counted::new(world));
        });
        SAYS.with(|says| *says.borrow_mut() = Some(Says(theirs)));
    });
    actor.world.check(child.join().is_ok(), "a thread with thread-locals failed");
    actor.world.check(said.load(Ordering::Relaxed) == 1, "a join did not wait for a destructor");
}

/// A size: mostly small, now and then beyond malloc's threshold for mappings.
fn size(random: &mut Random) -> usize {
    match random.below(20) {
        0 => random.below(300_000) as usize,
        1..=4 => random.below(8_000) as usize,
        _ => random.below(500) as usize,
    }
}

pub(super) fn malloc(actor: &mut Actor) {
    let mut held: Vec<Filled> = Vec::new();
    for _ in 0..actor.between(1, 80) {
        let random = &mut actor.random;
        match random.below(4) {
            0 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                let gone = held.swap_remove(at);
                actor.world.check(gone.is_whole(), "memory of malloc's was overwritten");
            }
            1 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                let size = size(random);
                actor.world.check(held[at].is_whole(), "memory of malloc's was overwritten");
                held[at].resize(size);
            }
            _ => held.push(Filled::new(size(random), random.next_u64() as u8)),
        }
    }
    actor.world.check(held.iter().all(Filled::is_whole), "memory of malloc's was overwritten");
}

/// What one thread takes, others free.
pub(super) fn malloc_crossed(actor: &mut Actor) {
    let mut held = Vec::new();
    for _ in 0..actor.between(1, 60) {
        held.push(Filled::new(size(&mut actor.random), actor.random.next_u64() as u8));
    }
    let child = thread::spawn(move || held.iter().all(Filled::is_whole));
    actor
        .world
        .check(matches!(child.join(), Ok(true)), "memory that was handed over was overwritten");
}

pub(super) fn format(actor: &mut Actor) {
    let (a, b) = (actor.random.next_u64(), actor.random.below(1_000) as f64 / 8.0);
    let mut text = String::new();
    for _ in 0..actor.between(1, 20) {
        text.clear();
        let _ = write!(text, "{a:#x} {b:.3} {:?}", Some(&a));
    }
    let parsed = text.split(' ').next().and_then(|hex| u64::from_str_radix(&hex[2..], 16).ok());
    actor.world.check(parsed == Some(a), "a formatted number is another one");
}

/// The table stays with the thread from one call to the next.
pub(super) fn hash_map(actor: &mut Actor) {
    TABLE.with(|table| {
        let mut table = table.borrow_mut();
        for _ in 0..actor.between(1, 60) {
            let key = actor.random.below(200);
            if actor.random.one_in(3) {
                table.remove(&key);
            } else {
                table.insert(key, format!("{}/{key}", actor.index));
            }
        }
        let is_right = table.iter().all(|(key, value)| *value == format!("{}/{key}", actor.index));
        actor.world.check(is_right, "a thread's table holds another's entries");
    });
}

/// Touches a hundred KiB of stack, and finds it as it was on the way back.
pub(super) fn recursion(actor: &mut Actor) {
    fn descend(left: u64, seed: u64) -> bool {
        let mut frame = [0u64; 120];
        frame.iter_mut().enumerate().for_each(|(n, word)| *word = seed ^ n as u64 ^ left);
        let frame = std::hint::black_box(&mut frame);
        let below = left == 0 || descend(left - 1, seed.wrapping_mul(31));
        if left.is_multiple_of(32) {
            thread::yield_now();
        }
        below && frame.iter().enumerate().all(|(n, word)| *word == seed ^ n as u64 ^ left)
    }
    let depth = actor.between(1, 95);
    let seed = actor.random.next_u64();
    actor.world.check(descend(depth, seed), "a stack was overwritten");
}
