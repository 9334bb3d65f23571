//! Every interleaving of a worker whose item sleeps, or that becomes idle, with items that come: none is left while nobody runs.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test gauge_loom`.
#![cfg(loom)]

use loom::sync::{Arc, Mutex};
use loom::thread::JoinHandle;
use raddle_core::gauge::Gauge;

/// A pool as the runtime has it: a list under a lock, and idle workers under another, which is taken inside of the first.
struct Pool {
    gauge: Gauge,
    items: Mutex<usize>,
    idle: Mutex<Idle>,
}

struct Idle {
    idle: usize,
    /// Were woken, and count as running.
    woken: usize,
}

impl Pool {
    /// One runs, and so many are idle.
    fn new(idle: usize) -> Arc<Pool> {
        let gauge = Gauge::new(1);
        gauge.one_runs();
        Arc::new(Pool { gauge, items: Mutex::new(0), idle: Mutex::new(Idle { idle, woken: 0 }) })
    }

    fn wake_one(&self) {
        let mut idle = self.idle.lock().unwrap();
        if idle.idle > 0 && self.gauge.needs_more() {
            self.gauge.one_runs();
            idle.idle -= 1;
            idle.woken += 1;
        }
    }

    fn queue(&self) {
        let mut items = self.items.lock().unwrap();
        *items += 1;
        if self.gauge.item_comes() {
            self.wake_one();
        }
    }

    /// In the scheduler: without the lock of the list.
    fn sleep(&self) {
        if self.gauge.one_stops() {
            self.wake_one();
        }
    }

    /// A worker's way from one item to the next. True if it has become idle.
    fn go_on(&self) -> bool {
        loop {
            {
                let mut items = self.items.lock().unwrap();
                if self.gauge.keeps_working() {
                    *items -= 1;
                    self.gauge.item_goes();
                    continue;
                }
            }
            let mut idle = self.idle.lock().unwrap();
            if self.gauge.one_stops() {
                self.gauge.one_runs();
                continue;
            }
            idle.idle += 1;
            return true;
        }
    }
}

fn start(pool: &Arc<Pool>, act: impl FnOnce(&Pool) + 'static) -> JoinHandle<()> {
    let pool = pool.clone();
    loom::thread::spawn(move || act(&pool))
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn an_item_that_comes_as_the_only_one_falls_asleep_is_taken() {
    check(|| {
        let pool = Pool::new(1);
        let sleeper = start(&pool, Pool::sleep);
        pool.queue();
        sleeper.join().unwrap();
        assert_eq!(pool.idle.lock().unwrap().woken, 1, "an item is left, and nobody runs");
    });
}

#[test]
fn two_that_come_wake_one() {
    check(|| {
        let pool = Pool::new(2);
        let (sleeper, other) = (start(&pool, Pool::sleep), start(&pool, Pool::queue));
        pool.queue();
        sleeper.join().unwrap();
        other.join().unwrap();
        assert_eq!(pool.idle.lock().unwrap().woken, 1, "one is to run at a time");
    });
}

#[test]
fn an_item_that_comes_as_a_worker_becomes_idle_is_taken() {
    check(|| {
        let pool = Pool::new(0);
        let worker = start(&pool, |pool| assert!(pool.go_on()));
        pool.queue();
        worker.join().unwrap();
        let items = *pool.items.lock().unwrap();
        assert_eq!(items, pool.idle.lock().unwrap().woken, "an item is left, and nobody runs");
    });
}

#[test]
fn a_worker_that_becomes_idle_as_another_falls_asleep_leaves_no_item() {
    check(|| {
        let pool = Pool::new(0);
        // A second one has woken from its item's sleep.
        pool.gauge.one_runs();
        pool.queue();
        let sleeper = start(&pool, Pool::sleep);
        // With two that run it becomes idle; with itself alone it takes the item before that.
        pool.go_on();
        sleeper.join().unwrap();
        let items = *pool.items.lock().unwrap();
        assert_eq!(items, pool.idle.lock().unwrap().woken, "an item is left, and nobody runs");
    });
}
