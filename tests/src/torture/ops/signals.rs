//! Signals between threads: each that was accepted is handled before its thread ends, one at a time exactly once, and no wait loses
//! anything to them.

use super::super::work::spin;
use super::super::world::Actor;
use raddle::sync::channel::bounded;
use raddle::sync::{Mutex, Semaphore};
use raddle::thread::signal::{self, Handler, Signal};
use raddle::thread::{self, JoinHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What those who are sent signals share with whoever sends them.
#[derive(Default)]
struct Shared {
    handled: AtomicU64,
    is_over: AtomicBool,
    lock: Mutex<u64>,
}

pub(super) fn signal(actor: &mut Actor) {
    let one_at_a_time = actor.random.one_in(2);
    let way = actor.random.below(6);
    let shared = Arc::new(Shared::default());
    let permits = Arc::new(Semaphore::new(0));
    let target = target(way, shared.clone(), permits.clone());
    let handled = || shared.handled.load(Ordering::Acquire);
    let mut accepted = 0;
    let mut held = 0;
    for _ in 0..actor.between(1, 30) {
        if target.thread().send_signal(Signal::USR2).is_err() {
            break;
        }
        accepted += 1;
        if way == 3
            && let Ok(mut rounds) = shared.lock.lock()
        {
            // The other one waits for it meanwhile, perhaps.
            (*rounds, held) = (*rounds + 1, held + 1);
            spin(actor.random.below(2_000));
        }
        if one_at_a_time {
            while handled() < accepted {
                thread::sleep(Duration::from_micros(20));
            }
            actor.step();
        }
        spin(actor.random.below(2_000));
    }
    shared.is_over.store(true, Ordering::Release);
    permits.add_permits(1);
    target.thread().unpark();
    let Ok(taken) = target.join() else {
        actor.world.fail(format_args!("a signal disturbed a wait"));
    };
    let rounds = shared.lock.lock().map_or(0, |rounds| *rounds);
    actor.world.check(rounds == held + taken, "a lock was had by two");
    let handled = handled();
    let is_right = if one_at_a_time {
        handled == accepted
    } else {
        handled <= accepted && (accepted == 0 || handled > 0)
    };
    actor.world.check(is_right, "a signal was lost, or came twice");
}

/// A thread that handles signals from its first moment on, while it waits in one way or another. It says how often it had the lock.
fn target(way: u64, shared: Arc<Shared>, permits: Arc<Semaphore>) -> JoinHandle<u64> {
    let (tell, told) = bounded::<()>(0);
    let thread = thread::spawn(move || {
        let of_handler = shared.clone();
        let handler = Handler::new(move |_| {
            of_handler.handled.fetch_add(1, Ordering::Release);
            // Handlers wait as well, now and then.
            match of_handler.handled.load(Ordering::Relaxed) % 4 {
                0 => thread::sleep(Duration::from_micros(30)),
                1 => thread::yield_now(),
                _ => {}
            }
        });
        signal::set_handler(Signal::USR2, Some(handler));
        tell.send(()).expect("whoever started this listens");
        let mut taken = 0;
        let is_over = || shared.is_over.load(Ordering::Acquire);
        let (_never, from_never) = bounded::<u64>(0);
        match way {
            0 => permits.acquire().forget(),
            1 => {
                while !is_over() {
                    thread::park();
                }
            }
            2 => {
                while !is_over() {
                    _ = from_never.recv_timeout(Duration::from_micros(200));
                }
            }
            3 => {
                while !is_over() {
                    if let Ok(mut rounds) = shared.lock.lock() {
                        (*rounds, taken) = (*rounds + 1, taken + 1);
                    }
                    thread::sleep(Duration::from_micros(50));
                }
            }
            4 => {
                let inner = permits.clone();
                let child = thread::spawn(move || {
                    signal::set_handler(Signal::USR2, None);
                    inner.acquire().forget();
                });
                child.join().expect("nobody signals it");
            }
            _ => {
                while !is_over() {
                    signal::block(Signal::USR2);
                    spin(500);
                    signal::unblock(Signal::USR2);
                    thread::yield_now();
                }
            }
        }
        taken
    });
    // From here on it listens.
    let _ = told.recv();
    thread
}
