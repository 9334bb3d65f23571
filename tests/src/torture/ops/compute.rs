//! What stands in registers, and what the kernel keeps for a kernel thread: right again after each preemption.

use super::super::kernel;
use super::super::work::{Expected, expected};
use super::super::world::Actor;
use raddle::thread;
use std::collections::HashMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{LazyLock, Mutex, OnceLock};

/// A sum that stays in vector registers, so that one that changes shows in the result.
#[inline(never)]
fn sum_up(rounds: u64) -> [f64; 8] {
    let mut sums = [1.0f64; 8];
    let factors: [f64; 8] =
        black_box([1.000_1, 0.999_7, 1.000_3, 0.999_9, 1.000_7, 0.999_1, 1.000_5, 0.999_5]);
    for n in 0..rounds {
        for lane in 0..8 {
            sums[lane] = sums[lane] * factors[lane] + (n % 7) as f64;
        }
    }
    sums
}

pub(super) fn float(actor: &mut Actor) {
    const ROUNDS: u64 = 60_000;
    static ONCE: OnceLock<[u64; 8]> = OnceLock::new();
    let wanted = ONCE.get_or_init(|| sum_up(black_box(ROUNDS)).map(f64::to_bits));
    let found = sum_up(black_box(ROUNDS)).map(f64::to_bits);
    actor.world.check(found == *wanted, "vector registers changed");
}

pub(super) fn integers(actor: &mut Actor) {
    let seed = actor.random.next_u64();
    let run = |rounds: u64| {
        let (mut a, mut b, mut c, mut d) = (seed, !seed, seed.rotate_left(13), seed ^ 0x5555);
        let (mut e, mut f) = (seed.swap_bytes(), seed.reverse_bits());
        for _ in 0..rounds {
            a = a.wrapping_add(b).rotate_left(5);
            b ^= c.wrapping_mul(3);
            c = c.wrapping_add(d ^ e);
            d = d.rotate_right(7) ^ f;
            e = e.wrapping_sub(a);
            f = f.wrapping_mul(5).wrapping_add(1);
        }
        (a, b, c, d, e, f)
    };
    let rounds = black_box(20_000 + actor.random.below(50_000));
    actor.world.check(run(rounds) == run(rounds), "registers changed");
}

pub(super) fn errno(actor: &mut Actor) {
    let mine = 1 + actor.random.below(2_000_000_000) as i32;
    kernel::set_errno(mine);
    let mut x = mine as u64;
    for n in 0..20u64 {
        for _ in 0..1_000 {
            x = black_box(x.wrapping_mul(5) ^ n);
        }
        let found = kernel::errno();
        if found != mine {
            actor.world.fail(format_args!("errno was {mine} and became {found} by itself"));
        }
    }
}

/// The mask that workers have.
static MASK: OnceLock<u64> = OnceLock::new();
/// Whose alternate stack is whose, by the ids of kernel threads.
static STACKS: LazyLock<Mutex<HashMap<i32, Stack>>> = LazyLock::new(Mutex::default);

/// Workers end, and their stacks and ids become others'.
#[derive(Clone, Copy)]
struct Stack {
    at: usize,
    /// When its kernel thread began, if that still is.
    since: Option<u64>,
}

/// The kernel thread and its alternate stack, asked without a migration in between.
fn stack_here() -> (i32, usize) {
    loop {
        let before = kernel::kernel_thread();
        let stack = kernel::alternate_stack();
        if kernel::kernel_thread() == before {
            return (before, stack);
        }
    }
}

pub(super) fn signal_state(actor: &mut Actor) {
    let mask = kernel::signal_mask();
    let usual = *MASK.get_or_init(|| mask);
    if mask != usual {
        actor.world.fail(format_args!("the signal mask is {mask:#x}, not {usual:#x}"));
    }
    // Each kernel thread is looked at many times: a cheap look without the table first.
    for _ in 0..20 {
        let (id, stack) = stack_here();
        if stack == 0 {
            actor.world.fail(format_args!("kernel thread {id} has no alternate stack"));
        }
        let Ok(mut stacks) = STACKS.try_lock() else { continue };
        let since = || kernel::began_at(id);
        let known = *stacks.entry(id).or_insert_with(|| Stack { at: stack, since: since() });
        let shared = stacks
            .iter()
            .find(|&(other, its)| its.at == stack && *other != id)
            .map(|(other, its)| (*other, *its));
        drop(stacks);
        if known.at == stack && shared.is_none() {
            continue;
        }
        // Of one that has ended, or away and back between the questions: ask again before it counts.
        let shared = shared.filter(|(other, its)| is_its_own(*other, *its));
        let is_other = known.at != stack && is_its_own(id, known);
        let wrong = (0..50).filter(|_| stack_here() == (id, stack)).count();
        if wrong > 25 && (is_other || shared.is_some()) {
            let (known, shared) = (known.at, shared.map(|(other, _)| other));
            actor.world.fail(format_args!(
                "kernel thread {id} has alternate stack {stack:#x}; its own was {known:#x}, and {shared:?} has the same"
            ));
        }
        STACKS.lock().map(|mut stacks| stacks.retain(|&id, its| is_its_own(id, *its))).ok();
    }
}

/// Whether the kernel thread of that id is the one that the stack was seen with.
fn is_its_own(id: i32, stack: Stack) -> bool {
    stack.since.is_some() && kernel::began_at(id) == stack.since
}

pub(super) fn unwind(actor: &mut Actor) {
    struct Undone<'a>(&'a std::cell::Cell<u64>);
    impl Drop for Undone<'_> {
        fn drop(&mut self) {
            thread::yield_now();
            self.0.set(self.0.get() + 1);
        }
    }
    fn fall(depth: u64, undone: &std::cell::Cell<u64>) {
        let _undone = Undone(undone);
        if depth == 0 {
            panic_any(Expected(9));
        }
        fall(depth - 1, undone);
    }
    let depth = actor.random.below(30);
    let undone = std::cell::Cell::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| fall(depth, &undone)));
    let is_right = matches!(result, Err(payload) if expected(&*payload) == Some(9));
    actor.world.check(is_right && undone.get() == depth + 1, "a panic did not unwind all frames");
    actor.world.check(!std::thread::panicking(), "a caught panic goes on");
}

pub(super) fn backtrace(actor: &mut Actor) {
    let found = std::backtrace::Backtrace::force_capture();
    let is_right = found.status() == std::backtrace::BacktraceStatus::Captured;
    actor.world.check(is_right, "no backtrace was captured");
}
