//! Threads of every kind, which do what threads do while somebody else changes the process's credentials: they compute, sleep, give
//! way, allocate, and block in the kernel. Each looks that nothing of its own was touched.

#![allow(unreachable_pub, reason = "a module that a test includes, not a crate")]

use super::calls::{errno, pipe, read, set_errno, write};
use raddle::thread;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

thread_local!(static OWN: Cell<i32> = const { Cell::new(0) });

/// What runs, until it is told to end.
pub struct Load {
    end: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
    raddles: Vec<thread::JoinHandle<()>>,
    plain: Vec<std::thread::JoinHandle<()>>,
    /// The ends of pipes into which those that block in `read` wait to be written.
    pipes: Vec<i32>,
}

impl Load {
    /// Raddle threads and kernel threads.
    pub fn start() -> Load {
        let mut load = Load::start_plain();
        for number in 0..4 {
            load.raddle(number, compute);
            load.raddle(number, give_way);
            load.raddle(number, allocate);
            load.raddle(number, |_| thread::sleep(Duration::from_millis(1)));
        }
        for _ in 0..3 {
            let [read_end, write_end] = pipe();
            load.pipes.push(write_end);
            load.raddles.push(thread::spawn(move || read_one(read_end)));
        }
        load
    }

    /// Kernel threads only.
    pub fn start_plain() -> Load {
        let mut load = Load {
            end: Arc::default(),
            turns: Arc::default(),
            raddles: Vec::new(),
            plain: Vec::new(),
            pipes: Vec::new(),
        };
        for number in 0..2 {
            load.kernel_thread(number, compute);
            load.kernel_thread(number, |_| std::thread::sleep(Duration::from_millis(1)));
            let [read_end, write_end] = pipe();
            load.pipes.push(write_end);
            load.plain.push(std::thread::spawn(move || read_one(read_end)));
        }
        load
    }

    fn raddle(&mut self, number: i32, turn: fn(i32)) {
        let (end, turns) = (self.end.clone(), self.turns.clone());
        self.raddles.push(thread::spawn(move || repeat(number, turn, &end, &turns)));
    }

    fn kernel_thread(&mut self, number: i32, turn: fn(i32)) {
        let (end, turns) = (self.end.clone(), self.turns.clone());
        self.plain.push(std::thread::spawn(move || repeat(number, turn, &end, &turns)));
    }

    /// Ends them all. Each must have got somewhere.
    pub fn end(self) {
        self.end.store(true, Relaxed);
        for pipe in self.pipes {
            assert_eq!(write(pipe, &[7]), 1);
        }
        for thread in self.raddles {
            thread.join().unwrap();
        }
        for thread in self.plain {
            thread.join().unwrap();
        }
        assert!(self.turns.load(Relaxed) > 0);
    }
}

fn repeat(number: i32, turn: fn(i32), end: &AtomicBool, turns: &AtomicU64) {
    let own = number + 1000;
    OWN.set(own);
    while !end.load(Relaxed) {
        set_errno(own);
        turn(number);
        assert_eq!(OWN.get(), own, "a thread-local changed");
        turns.fetch_add(1, Relaxed);
    }
}

/// Nothing in it sets `errno`, so it must be as it was.
fn compute(number: i32) {
    let (mut sum, mut float) = (number as u64, 1.0f64);
    for step in 0..20_000u64 {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(step));
        float = black_box(float * 1.000_001);
    }
    assert!((float - 1.000_001f64.powi(20_000)).abs() < 1e-6);
    assert_eq!(errno(), number + 1000, "errno changed");
}

fn give_way(number: i32) {
    for _ in 0..100 {
        thread::yield_now();
    }
    assert_eq!(errno(), number + 1000, "errno changed");
}

fn allocate(number: i32) {
    let texts: Vec<String> = (0..50).map(|count| format!("{number} {count}")).collect();
    assert_eq!(texts[49], format!("{number} 49"));
}

/// Blocks in the kernel until there is a byte. A signal in between restarts the call.
fn read_one(from: i32) {
    let mut byte = [0u8];
    assert_eq!(read(from, &mut byte), 1, "{}", std::io::Error::last_os_error());
    assert_eq!(byte, [7]);
}
