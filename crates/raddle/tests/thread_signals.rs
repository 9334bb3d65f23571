//! Signals from thread to thread: each reaches its thread, wherever that is, and takes nothing from it. Each case runs in a process of its
//! own, with preemption and without.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;
mod signal_work;

use calls::{end_of, exit_now, fork};
use children::Case;
use raddle::cancel;
use raddle::sync::channel::bounded;
use raddle::sync::{Mutex, Semaphore};
use raddle::thread::signal::{self, Handler, Signal, SignalSet};
use raddle::thread::{self, Thread};
use raddle::time::{Duration, Instant};
use signal_work::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

fn main() -> ExitCode {
    const CASES: &[(&str, fn())] = &[
        ("to_one_that_runs", to_one_that_runs),
        ("to_one_that_is_queued", to_one_that_is_queued),
        ("to_one_that_has_not_begun", to_one_that_has_not_begun),
        ("to_one_that_has_ended", to_one_that_has_ended),
        ("to_one_that_waits_for_each_thing", waits::everywhere),
        ("deadlines_stay", waits::deadlines_stay),
        ("to_itself", to_itself),
        ("what_is_masked_stays_pending", what_is_masked_stays_pending),
        ("all_at_once", all_at_once),
        ("children_inherit", children_inherit),
        ("without_a_handler_nothing_happens", without_a_handler_nothing_happens),
        ("a_handler_waits", a_handler_waits),
        ("handlers_signal_others", handlers_signal_others),
        ("from_and_to_kernel_threads", from_and_to_kernel_threads),
        ("a_panic_unwinds_the_wait", a_panic_unwinds_the_wait),
        ("a_panic_leaves_the_rest", a_panic_leaves_the_rest),
        ("a_panic_waits_for_the_scope", a_panic_waits_for_the_scope),
        ("a_panic_in_a_send_drops_the_message", a_panic_in_a_send_drops_the_message),
        ("a_shield_holds_them_back", a_shield_holds_them_back),
        ("in_a_forked_child", in_a_forked_child),
        ("what_was_accepted_is_handled", what_was_accepted_is_handled),
        ("wakers_against_signals", races::wakers_against_signals),
        ("locks_against_signals", races::locks_against_signals),
        ("channels_against_signals", races::channels_against_signals),
        ("cancelling_against_signals", races::cancelling_against_signals),
    ];
    let preempted = CASES.iter().map(|&(name, run)| Case::new(name, run));
    let undisturbed = CASES.iter().map(|&(name, run)| {
        Case::new(format!("{name}_without_preemption"), move || {
            // SAFETY: the case's process has one thread, and has not begun.
            unsafe { std::env::set_var("RADDLE_SLICE", "off") };
            run();
        })
    });
    children::main(preempted.chain(undisturbed).collect())
}

fn to_one_that_runs() {
    let heard = Heard::new();
    let target = heard.listener(|heard| {
        while heard.count() == 0 {
            signal::check();
        }
    });
    send(&target, Signal::USR1);
    target.join().unwrap();
    assert_eq!(heard.count(), 1);
}

fn to_one_that_is_queued() {
    let heard = Heard::new();
    // More than there are cores: most of them are queued at any moment.
    let targets: Vec<_> = (0..50)
        .map(|_| {
            let heard = heard.clone();
            ready(move |is_ready| {
                let own = Heard::new();
                own.listen(Signal::USR2);
                heard.listen(Signal::USR1);
                is_ready();
                while own.count() == 0 {
                    thread::yield_now();
                }
            })
        })
        .collect();
    for target in &targets {
        send(target, Signal::USR1);
        send(target, Signal::USR2);
    }
    targets.into_iter().for_each(|target| target.join().unwrap());
    assert_eq!(heard.count(), 50);
}

fn to_one_that_has_not_begun() {
    thread::spawn(|| {
        let heard = Heard::new();
        heard.listen(Signal::USR1);
        let mut accepted = 0;
        for _ in 0..2_000 {
            let target = thread::spawn(|| ());
            accepted += u64::from(target.thread().send_signal(Signal::USR1).is_ok());
            target.join().unwrap();
        }
        assert!(accepted > 0);
        assert_eq!(heard.count(), accepted, "each that was accepted is handled before the end");
    })
    .join()
    .unwrap();
}

fn to_one_that_has_ended() {
    let target = thread::spawn(|| ());
    let handle = target.thread().clone();
    target.join().unwrap();
    for _ in 0..3 {
        let refused = handle.send_signal(Signal::USR1).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ESRCH));
    }
    let wrong = Signal::try_from(65).unwrap_err();
    assert_eq!(wrong.kind(), std::io::ErrorKind::InvalidInput);
    assert!(Signal::try_from(0).is_err() && Signal::try_from(-1).is_err());
}

fn to_itself() {
    let heard = Heard::new();
    let target = heard.listener(|heard| {
        for n in 1..=100 {
            thread::current().send_signal(Signal::USR1).unwrap();
            assert_eq!(heard.count(), n, "before the call returns");
        }
    });
    target.join().unwrap();
}

fn what_is_masked_stays_pending() {
    let heard = Heard::new();
    let theirs = heard.clone();
    let target = ready(move |is_ready| {
        let heard = theirs;
        heard.listen(Signal::USR1);
        assert_eq!(signal::block(Signal::USR1), SignalSet::EMPTY);
        is_ready();
        thread::park();
        assert_eq!(signal::pending(), Signal::USR1.into());
        thread::sleep(Duration::from_millis(1));
        signal::check();
        assert_eq!(heard.count(), 0);
        assert_eq!(signal::unblock(Signal::USR1), Signal::USR1.into());
        assert_eq!(heard.count(), 1, "before `unblock` returns, and once");
        assert!(signal::pending().is_empty());
    });
    (0..3).for_each(|_| send(&target, Signal::USR1));
    target.thread().unpark();
    target.join().unwrap();
}

fn all_at_once() {
    thread::spawn(|| {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        for signal in SignalSet::ALL.iter() {
            let order = order.clone();
            let note = Handler::new(move |signal| {
                assert!(signal::mask().contains(signal), "masked in its own handler");
                order.lock().unwrap().push(signal.number());
            });
            signal::set_handler(signal, Some(note));
        }
        let former = signal::set_mask(SignalSet::ALL);
        let me = thread::current();
        for signal in SignalSet::ALL.iter() {
            me.send_signal(signal).unwrap();
            me.send_signal(signal).unwrap();
        }
        assert_eq!(signal::pending(), SignalSet::ALL);
        assert_eq!(signal::set_mask(former), SignalSet::ALL);
        assert_eq!(*order.lock().unwrap(), (1..=64).collect::<Vec<i32>>());
        assert_eq!(signal::mask(), former);
    })
    .join()
    .unwrap();
}

fn children_inherit() {
    let heard = Heard::new();
    heard
        .listener(|heard| {
            signal::block(Signal::USR2);
            let child = thread::spawn(|| {
                assert_eq!(signal::mask(), Signal::USR2.into());
                thread::current().send_signal(Signal::USR1).unwrap();
                // Its own from here on.
                assert!(signal::set_handler(Signal::USR1, None).is_some());
                signal::unblock(Signal::USR2);
            });
            child.join().unwrap();
            assert_eq!((heard.count(), signal::mask()), (1, Signal::USR2.into()));
            thread::current().send_signal(Signal::USR1).unwrap();
            assert_eq!(heard.count(), 2);
        })
        .join()
        .unwrap();
    // From a kernel thread as well.
    heard.listen(Signal::USR2);
    let child = thread::spawn(|| thread::current().send_signal(Signal::USR2).unwrap());
    child.join().unwrap();
    assert_eq!(heard.count(), 3);
}

fn without_a_handler_nothing_happens() {
    let begun = Instant::now();
    let target = thread::spawn(|| thread::sleep(Duration::from_millis(20)));
    while target.thread().send_signal(Signal::USR1).is_ok() {
        std::thread::sleep(Duration::from_micros(100));
    }
    target.join().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

fn a_handler_waits() {
    let held = Arc::new(Mutex::new(0));
    let permits = Arc::new(Semaphore::new(0));
    let (begun, within) = (Heard::new(), Heard::new());
    let guard = held.lock().unwrap();
    let target = ready({
        let (held, permits) = (held.clone(), permits.clone());
        let (begun, within) = (begun.clone(), within.clone());
        move |is_ready| {
            let handle = Handler::new(move |_| {
                begun.count_one();
                *held.lock().unwrap() += 1;
                thread::sleep(Duration::from_millis(1));
                thread::park_timeout(Duration::from_millis(1));
                thread::spawn(thread::yield_now).join().unwrap();
            });
            signal::set_handler(Signal::USR1, Some(handle));
            within.listen(Signal::USR2);
            is_ready();
            permits.acquire().forget();
        }
    });
    send(&target, Signal::USR1);
    begun.wait_for(1, "a semaphore");
    a_moment();
    send(&target, Signal::USR2);
    within.wait_for(1, "a lock, in a handler");
    permits.add_permits(1);
    a_moment();
    assert!(!target.is_finished(), "its handler waits for the lock");
    drop(guard);
    target.join().unwrap();
    assert_eq!(*held.lock().unwrap(), 1);
}

fn handlers_signal_others() {
    const MEMBERS: usize = 7;
    const ROUNDS: u64 = 300;
    let ring: Arc<std::sync::Mutex<Vec<Thread>>> = Arc::default();
    let passed = Arc::new(AtomicU64::new(0));
    let over = Arc::new(Semaphore::new(0));
    let members: Vec<_> = (0..MEMBERS)
        .map(|seat| {
            let (ring, passed, over) = (ring.clone(), passed.clone(), over.clone());
            ready(move |is_ready| {
                let all_done = over.clone();
                let pass = Handler::new(move |signal| {
                    if passed.fetch_add(1, Relaxed) + 1 == ROUNDS * MEMBERS as u64 {
                        all_done.add_permits(MEMBERS + 1);
                        return;
                    }
                    let next = ring.lock().unwrap()[(seat + 1) % MEMBERS].clone();
                    next.send_signal(signal).unwrap();
                });
                signal::set_handler(Signal::USR1, Some(pass));
                is_ready();
                over.acquire().forget();
            })
        })
        .collect();
    ring.lock().unwrap().extend(members.iter().map(|member| member.thread().clone()));
    send(&members[0], Signal::USR1);
    over.acquire().forget();
    members.into_iter().for_each(|member| member.join().unwrap());
    assert_eq!(passed.load(Relaxed), ROUNDS * MEMBERS as u64);
}

fn from_and_to_kernel_threads() {
    let me = thread::current();
    let refused = me.send_signal(Signal::USR1).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
    let heard = Heard::new();
    let target = heard.listener(|heard| {
        while heard.count() < 40 {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let handle = target.thread().clone();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (handle, heard) = (handle.clone(), heard.clone());
            std::thread::spawn(move || {
                while heard.count() < 40 && handle.send_signal(Signal::USR1).is_ok() {
                    std::thread::sleep(Duration::from_micros(200));
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    target.join().unwrap();
    assert!(heard.count() >= 40);
}

fn a_panic_unwinds_the_wait() {
    let lock = Arc::new(Mutex::new(0));
    let (held, theirs) = (lock.lock().unwrap(), lock.clone());
    let has_caught = Arc::new(AtomicBool::new(false));
    let tells = has_caught.clone();
    let target = ready(move |is_ready| {
        signal::set_handler(Signal::USR1, Some(Handler::new(|_| panic_quietly(7))));
        is_ready();
        let caught = catch_unwind(AssertUnwindSafe(|| drop(theirs.lock()))).unwrap_err();
        assert_eq!(caught.downcast_ref(), Some(&7));
        assert!(signal::mask().is_empty(), "as it was before");
        tells.store(true, Release);
        thread::sleep(Duration::from_secs(3600));
    });
    a_moment();
    send(&target, Signal::USR1);
    wait_until(|| has_caught.load(Acquire));
    drop(held);
    assert_eq!(*lock.lock().unwrap(), 0, "whoever unwound did not have it, nor is in its queue");
    send(&target, Signal::USR1);
    assert_eq!(target.join().unwrap_err().downcast_ref(), Some(&7));
}

fn a_panic_leaves_the_rest() {
    let heard = Heard::new();
    let target = heard.listener(|heard| {
        signal::set_handler(Signal::new(1).unwrap(), Some(Handler::new(|_| panic_quietly(1))));
        signal::set_mask(SignalSet::ALL);
        let me = thread::current();
        me.send_signal(Signal::new(1).unwrap()).unwrap();
        me.send_signal(Signal::USR1).unwrap();
        let unmask = || signal::set_mask(SignalSet::EMPTY);
        assert!(catch_unwind(unmask).is_err());
        assert_eq!((heard.count(), signal::pending()), (0, Signal::USR1.into()));
        thread::yield_now();
        assert_eq!(heard.count(), 1, "the next safe point");
    });
    target.join().unwrap();
    // At the end of the function a panic is the result.
    let was_sent = Arc::new(AtomicBool::new(false));
    let theirs = was_sent.clone();
    let last = ready(move |is_ready| {
        signal::set_handler(Signal::USR1, Some(Handler::new(|_| panic_quietly(2))));
        // No safe point from here to the end.
        is_ready();
        while !theirs.load(Acquire) {}
    });
    send(&last, Signal::USR1);
    was_sent.store(true, Release);
    assert_eq!(last.join().unwrap_err().downcast_ref(), Some(&2));
}

fn a_panic_in_a_send_drops_the_message() {
    for capacity in [0, 1] {
        let alive = Arc::new(());
        let (sender, receiver) = bounded::<Arc<()>>(capacity);
        (0..capacity).for_each(|_| sender.send(Arc::new(())).unwrap());
        let message = alive.clone();
        let target = ready(move |is_ready| {
            signal::set_handler(Signal::USR1, Some(Handler::new(|_| panic_quietly(3))));
            is_ready();
            drop(sender.send(message));
        });
        a_moment();
        send(&target, Signal::USR1);
        assert!(target.join().is_err());
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(receiver.len(), capacity);
    }
}

fn a_shield_holds_them_back() {
    let heard = Heard::new();
    let theirs = heard.clone();
    let target = ready(move |is_ready| {
        let heard = theirs;
        heard.listen(Signal::USR1);
        cancel::shield(|| {
            is_ready();
            let begun = Instant::now();
            thread::sleep(Duration::from_millis(30));
            assert!(begun.elapsed() >= Duration::from_millis(30));
            thread::yield_now();
            signal::check();
            assert_eq!(heard.count(), 0);
        });
        signal::check();
        assert_eq!(heard.count(), 1);
    });
    (0..100).for_each(|_| send(&target, Signal::USR1));
    target.join().unwrap();
}

/// Threads that end while they are sent signals: whatever was accepted has been handled when they are joined.
fn what_was_accepted_is_handled() {
    for round in 0..300 {
        let heard = Heard::new();
        let target = heard.listener(move |_| spin(round * 20));
        let is_over = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (handle, is_over) = (target.thread().clone(), is_over.clone());
                thread::spawn(move || {
                    let mut accepted = 0_u64;
                    while handle.send_signal(Signal::USR1).is_ok() {
                        accepted += 1;
                        if is_over.load(Relaxed) {
                            break;
                        }
                        spin(50);
                    }
                    accepted
                })
            })
            .collect();
        target.join().unwrap();
        let count = heard.count();
        is_over.store(true, Relaxed);
        let accepted: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert!(count <= accepted, "nothing comes out of nowhere");
        assert!(accepted == 0 || count > 0, "accepted and not handled");
        assert_eq!(heard.count(), count, "nothing after the end");
    }
}

/// Threads that borrow go on when a handler panics: the panic waits for them.
fn a_panic_waits_for_the_scope() {
    let permits = Arc::new(Semaphore::new(0));
    let theirs = permits.clone();
    let target = ready(move |is_ready| {
        signal::set_handler(Signal::USR1, Some(Handler::new(|_| panic_quietly(4))));
        let mut borrowed = 0;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    signal::set_handler(Signal::USR1, None);
                    theirs.acquire().forget();
                    borrowed = 1;
                });
                is_ready();
            });
        }));
        (borrowed, caught.unwrap_err().downcast_ref() == Some(&4))
    });
    for _ in 0..5 {
        a_moment();
        send(&target, Signal::USR1);
    }
    a_moment();
    assert!(!target.is_finished());
    permits.add_permits(1);
    assert_eq!(target.join().unwrap(), (1, true));
}

/// The thread that forked goes on in the child, as a kernel thread does; it can still signal itself.
fn in_a_forked_child() {
    let heard = Heard::new();
    let target = heard.listener(|heard| {
        let child = fork();
        if child == 0 {
            let was_sent = thread::current().send_signal(Signal::USR1).is_ok();
            thread::sleep(Duration::from_millis(1));
            thread::yield_now();
            exit_now(if was_sent && heard.count() == 1 { 0 } else { 1 });
        }
        assert!(end_of(child).success(), "it heard itself");
        assert_eq!(heard.count(), 0, "that was the child's");
    });
    target.join().unwrap();
}
