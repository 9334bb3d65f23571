//! Every interleaving of those who wait at a bell with those who ring it, as the runtime does: a core's worker that is idle, a spare
//! worker, a kernel thread that sleeps, a thread that waits for a future.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test bell_loom`.
#![cfg(loom)]

mod sleeper_kit;

use loom::sync::atomic::{AtomicUsize, Ordering::*};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread::JoinHandle;
use raddle_core::bell::{Bell, Sleeps};
use raddle_core::park_token::ParkToken;
use raddle_core::state::{State, Woke};
use sleeper_kit::Sleeper;
use std::ptr::NonNull;

/// A bell with those who wait there in the kernel: whoever looks at the word and goes to sleep does so under the kernel's lock.
struct KernelBell {
    bell: Bell,
    /// How many wake-ups there were.
    kernel: Mutex<u32>,
    woken: Condvar,
}

impl KernelBell {
    fn new() -> KernelBell {
        KernelBell { bell: Bell::new(), kernel: Mutex::new(0), woken: Condvar::new() }
    }

    /// As `sys::futex::wait`, at the value for silence.
    fn wait(&self) {
        let mut wakes = self.kernel.lock().unwrap();
        let before = *wakes;
        if self.bell.is_rung() {
            return;
        }
        while *wakes == before {
            wakes = self.woken.wait(wakes).unwrap();
        }
    }

    /// As `sys::futex::wake`.
    fn wake(&self) {
        *self.kernel.lock().unwrap() += 1;
        self.woken.notify_all();
    }

    fn ring(&self) {
        if self.bell.ring() {
            self.wake();
        }
    }
}

fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model
}

fn start<T: 'static>(shared: &Arc<T>, work: impl FnOnce(&T) + 'static) -> JoinHandle<()> {
    let shared = shared.clone();
    loom::thread::spawn(move || work(&shared))
}

/// As `sched::worker::find_work` and `idle`: of two threads that are queued none is left while the worker sleeps.
#[test]
fn an_idle_worker_sleeps_over_nobody_who_is_queued() {
    struct Core {
        bell: KernelBell,
        queue: Mutex<Queue>,
    }
    #[derive(Default)]
    struct Queue {
        waiting: u32,
        is_idle: bool,
    }
    fn submit(core: &Core) {
        let was_idle = {
            let mut queue = core.queue.lock().unwrap();
            queue.waiting += 1;
            std::mem::take(&mut queue.is_idle)
        };
        if was_idle {
            core.bell.ring();
        }
    }
    bounded(3).check(|| {
        let core = Arc::new(Core { bell: KernelBell::new(), queue: Mutex::default() });
        let submitters = [start(&core, submit), start(&core, submit)];
        let mut done = 0;
        while done < 2 {
            core.bell.bell.silence_before_lock();
            let mut queue = core.queue.lock().unwrap();
            done += std::mem::take(&mut queue.waiting);
            queue.is_idle = done < 2;
            drop(queue);
            while done < 2 && !core.bell.bell.is_rung() {
                core.bell.wait();
            }
            core.queue.lock().unwrap().is_idle = false;
        }
        for submitter in submitters {
            submitter.join().unwrap();
        }
    });
}

/// As `sched::events::wait`: the same, of a worker that sleeps in its event queue, whose waker outlasts the look.
#[test]
fn a_worker_in_its_event_queue_sleeps_over_nobody_who_is_queued() {
    struct Core {
        bell: KernelBell,
        queue: Mutex<(u32, bool)>,
        is_woken: Mutex<bool>,
        wakes: Condvar,
    }
    fn submit(core: &Core) {
        let was_idle = {
            let mut queue = core.queue.lock().unwrap();
            queue.0 += 1;
            std::mem::take(&mut queue.1)
        };
        if !was_idle {
            return;
        }
        match core.bell.bell.ring_anywhere() {
            Sleeps::SeenTo => {}
            Sleeps::Here => core.bell.wake(),
            Sleeps::Elsewhere => {
                *core.is_woken.lock().unwrap() = true;
                core.wakes.notify_all();
            }
        }
    }
    bounded(3).check(|| {
        let core = Arc::new(Core {
            bell: KernelBell::new(),
            queue: Mutex::default(),
            is_woken: Mutex::default(),
            wakes: Condvar::new(),
        });
        let submitters = [start(&core, submit), start(&core, submit)];
        let mut done = 0;
        while done < 2 {
            core.bell.bell.silence_before_lock();
            let mut queue = core.queue.lock().unwrap();
            done += std::mem::take(&mut queue.0);
            queue.1 = done < 2;
            drop(queue);
            // The first sleep is in the event queue, others are at the word.
            while done < 2 && !core.bell.bell.is_rung() {
                if done == 1 {
                    core.bell.wait();
                } else if core.bell.bell.doze_elsewhere() {
                    let mut is_woken = core.is_woken.lock().unwrap();
                    while !*is_woken {
                        is_woken = core.wakes.wait(is_woken).unwrap();
                    }
                    *is_woken = false;
                    drop(is_woken);
                    core.bell.bell.rouse();
                }
            }
            core.queue.lock().unwrap().1 = false;
        }
        for submitter in submitters {
            submitter.join().unwrap();
        }
    });
}

/// As `sched::worker::wait_for_core`, with a ring that comes late, from when the worker had a core.
#[test]
fn a_spare_that_is_given_a_core_wakes_for_it() {
    struct Spare {
        bell: KernelBell,
        core: AtomicUsize,
    }
    bounded(3).check(|| {
        let spare = Arc::new(Spare { bell: KernelBell::new(), core: AtomicUsize::new(0) });
        let late = start(&spare, |spare| spare.bell.ring());
        let gives = start(&spare, |spare| {
            spare.core.store(1, Release);
            spare.bell.ring();
        });
        while spare.core.load(Acquire) == 0 {
            spare.bell.wait();
            spare.bell.bell.silence();
        }
        late.join().unwrap();
        gives.join().unwrap();
    });
}

/// As `park`, of a kernel thread: here whoever rings wakes in any case. With one who is late, and rings for nothing.
#[test]
fn a_kernel_thread_is_woken_from_each_sleep() {
    struct Foreign {
        bell: KernelBell,
        state: State,
    }
    bounded(3).check(|| {
        let foreign = Arc::new(Foreign { bell: KernelBell::new(), state: State::new() });
        for _ in 0..2 {
            let ticket = foreign.state.prepare();
            let wakes = start(&foreign, move |foreign| {
                if foreign.state.wake(ticket, 7) == Woke::Asleep {
                    let _: bool = foreign.bell.bell.ring();
                    foreign.bell.wake();
                }
            });
            if foreign.state.fall_asleep(ticket).is_ok() {
                while foreign.state.reason(ticket).is_none() {
                    foreign.bell.bell.silence();
                    if foreign.state.reason(ticket).is_none() {
                        foreign.bell.wait();
                    }
                }
            }
            assert_eq!(foreign.state.reason(ticket), Some(7));
            wakes.join().unwrap();
        }
    });
}

/// As `future::block_on`: the thread's token may be taken by a wait inside of `poll`, but not the wake-up with it.
#[test]
fn a_future_that_is_woken_is_polled_again() {
    struct Blocks {
        bell: Bell,
        token: ParkToken<Sleeper>,
        sleeper: Sleeper,
        is_ready: AtomicUsize,
    }
    loom::model(|| {
        let blocks = Arc::new(Blocks {
            bell: Bell::new(),
            token: ParkToken::new(NonNull::dangling()),
            sleeper: Sleeper::new(),
            is_ready: AtomicUsize::new(0),
        });
        let wakes = start(&blocks, |blocks| {
            blocks.is_ready.store(1, Relaxed);
            if blocks.bell.ring()
                && let Some((_, ticket)) = blocks.token.put()
            {
                blocks.sleeper.wake(ticket, 0);
            }
        });
        while blocks.is_ready.load(Relaxed) == 0 {
            // The poll takes the token, if it is there.
            blocks.token.take();
            while !blocks.bell.silence() {
                let ticket = blocks.sleeper.state.prepare();
                if blocks.token.park(NonNull::from(&blocks.sleeper), ticket) {
                    blocks.sleeper.park(ticket, || ());
                    blocks.token.back();
                } else {
                    let _ = blocks.sleeper.state.retract(ticket);
                }
            }
        }
        wakes.join().unwrap();
    });
}
