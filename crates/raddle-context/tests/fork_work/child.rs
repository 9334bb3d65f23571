//! Forking from a test, and what the child has to be able to do.

#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use super::calls::{alarm, end_of, errno, exit_now, fork, pthread_self, set_errno};
use super::single::Single;
use raddle_context::{Config, KernelThread, running};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hint::black_box;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Forks, and ends the child with what `child` comes to: 0, 101 after a panic, SIGALRM if it hangs.
pub fn forked(child: impl FnOnce()) -> i32 {
    let id = fork();
    if id == 0 {
        alarm(10);
        let outcome = catch_unwind(AssertUnwindSafe(child));
        exit_now(if outcome.is_ok() { 0 } else { 101 });
    }
    id
}

#[track_caller]
pub fn is_well(id: i32) {
    let status = end_of(id);
    assert!(status.success(), "the forked child ended with {status}");
}

thread_local! {
    pub static WORD: Cell<u64> = const { Cell::new(0x5eed) };
    static MAP: RefCell<HashMap<u64, String>> = RefCell::default();
}

/// Memory, thread-locals and threads, wherever this runs.
pub fn live() {
    let mut blocks = Vec::new();
    for n in 0..200 {
        blocks.push(vec![n as u8; 1 << (n % 16)]);
        MAP.with_borrow_mut(|map| map.insert(n, format!("value {n}")));
    }
    blocks.swap(3, 100);
    assert!(blocks.iter().all(|block| block.iter().all(|byte| *byte == block[0])));
    drop(blocks);
    // SAFETY: the block is written, read and freed within its size, once.
    unsafe {
        let block = libc::malloc(1 << 20).cast::<u8>();
        block.write_bytes(7, 1 << 20);
        assert_eq!(block.add((1 << 20) - 1).read(), 7);
        libc::free(block.cast());
    }
    set_errno(99);
    assert_eq!(format!("{:.2}", black_box(2.0f64).sqrt()), "1.41");
    assert!(MAP.with_borrow(|map| map.len() >= 200 && map[&7] == "value 7"));
    assert!(catch_unwind(|| std::panic::resume_unwind(Box::new(3))).is_err());
    let threads: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                assert!(running().is_none());
                assert_eq!(WORD.replace(n), 0x5eed);
                std::thread::sleep(Duration::from_millis(1));
                WORD.get()
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), n as u64);
    }
    assert_eq!(errno(), 99);
}

/// A new arena on the calling kernel thread, and bodies of it with all that bodies have.
pub fn live_on_new_bodies() {
    let mut single = Single::new(Config::default());
    live_on_bodies(&mut single);
}

pub fn live_on_bodies(single: &mut Single) {
    for n in 0..5 {
        single.run(|| {
            assert_eq!(WORD.replace(n), 0x5eed, "a new body's thread-local");
            live();
            assert_eq!(WORD.get(), n);
        });
    }
}

/// What the child of a forking body does: it is still on the body, whose `WORD` is `word`.
pub fn live_in_the_child(number: u32, word: u64) {
    let body = running().expect("the child is on the body");
    assert_eq!(body.number(), number);
    assert_eq!(pthread_self(), body.thread_pointer());
    assert_eq!(WORD.get(), word, "the body's thread-local");
    live();
    assert_eq!(WORD.get(), word);
    let refused = KernelThread::enter().expect_err("this is a body");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    // Its next threads may have the stacks of the parent's.
    for _ in 0..2 {
        std::thread::spawn(live_on_new_bodies).join().unwrap();
    }
    live();
}
