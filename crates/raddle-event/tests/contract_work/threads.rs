//! Other threads: those who wake a queue, and those who own it one after the other.

use crate::kit::{PATIENCE, Setup, errno, pair, recv, write};
use raddle_event::{Interest, Mode, WAKE_KEY, What};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

crate::cases![
    a_wake_ends_a_wait,
    a_wake_before_the_wait_is_kept,
    wakes_coalesce,
    a_storm_of_wakes_loses_none,
    wakes_do_not_starve_others_in_a_batch_of_one,
    a_waker_outlives_the_queue,
    a_queue_goes_from_thread_to_thread,
    what_a_thread_submitted_goes_on_after_its_end,
];

fn a_wake_ends_a_wait(setup: Setup) {
    let mut kit = setup.kit();
    for _ in 0..20 {
        let waker = kit.queue.waker();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            waker.wake();
        });
        let event = kit.one();
        assert_eq!((event.key, event.what), (WAKE_KEY, What::Woken));
        other.join().unwrap();
    }
    kit.nothing();
}

fn a_wake_before_the_wait_is_kept(setup: Setup) {
    let mut kit = setup.kit();
    kit.queue.waker().wake();
    assert_eq!(kit.one().what, What::Woken);
    kit.queue.waker().wake();
    assert_eq!(kit.queue.harvest(&mut kit.events).unwrap(), 1);
    kit.nothing();
}

fn wakes_coalesce(setup: Setup) {
    let mut kit = setup.kit();
    let waker = kit.queue.waker();
    (0..1000).for_each(|_| waker.wake());
    assert_eq!(kit.one().what, What::Woken);
    kit.nothing();
}

/// Each thread counts, then wakes; the queue waits until it has seen all counts. A lost wake would be a time-out.
fn a_storm_of_wakes_loses_none(setup: Setup) {
    const THREADS: u64 = 4;
    const EACH: u64 = 2000;
    let mut kit = setup.kit();
    let count = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (waker, count) = (kit.queue.waker(), count.clone());
            thread::spawn(move || {
                for _ in 0..EACH {
                    count.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                }
            })
        })
        .collect();
    while count.load(Ordering::Relaxed) < THREADS * EACH {
        assert!(kit.wait().iter().all(|event| event.what == What::Woken));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    kit.queue.harvest(&mut kit.events).unwrap();
    kit.nothing();
}

fn wakes_do_not_starve_others_in_a_batch_of_one(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let (here, there) = pair();
    kit.queue.register(&there, 1, Interest::READ, Mode::Level).unwrap();
    kit.queue.timer_every(2, Instant::now(), Duration::from_nanos(1));
    write(&here, b"x");
    let waker = kit.queue.waker();
    let mut seen = [false; 3];
    let start = Instant::now();
    while seen.contains(&false) {
        assert!(start.elapsed() < PATIENCE, "{seen:?}");
        // Between any two events there is one.
        waker.wake();
        let event = kit.one();
        seen[if event.key == WAKE_KEY { 0 } else { event.key as usize }] = true;
    }
}

fn a_waker_outlives_the_queue(setup: Setup) {
    let kit = setup.kit();
    let waker = kit.queue.waker();
    drop(kit);
    waker.wake();
    waker.clone().wake();
}

fn a_queue_goes_from_thread_to_thread(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    for round in 0..20u8 {
        let mut buffer = [0; 4];
        // Submitted on one thread, which ends; waited for on a second; sent by this one.
        let operation = thread::scope(|scope| {
            let submit = scope.spawn(|| {
                let operation = kit.submit(1, recv(&there, &mut buffer));
                kit.queue.flush().unwrap();
                operation
            });
            submit.join().unwrap()
        });
        thread::scope(|scope| {
            let wait = scope.spawn(|| kit.done(operation).unwrap());
            write(&here, &[round]);
            assert_eq!(wait.join().unwrap(), 1);
        });
        assert_eq!(buffer[0], round);
    }
}

/// The kernel gives up what an ended thread has submitted; nobody has asked for that, and nobody sees it.
fn what_a_thread_submitted_goes_on_after_its_end(setup: Setup) {
    let mut kit = setup.kit();
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    let mut buffers = vec![[0u8; 4]; pairs.len()];
    let mut operations = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for ((_, there), buffer) in pairs.iter().zip(&mut buffers) {
                operations.push(kit.submit(1, recv(there, buffer)));
            }
            kit.queue.flush().unwrap();
        });
    });
    thread::sleep(Duration::from_millis(5));
    assert!(kit.queue.cancel(operations[0]));
    assert_eq!(errno(kit.done(operations[0])), Some(libc::ECANCELED));
    kit.nothing();
    pairs.iter().for_each(|(here, _)| write(here, b"x"));
    let start = Instant::now();
    let mut done = 0;
    while done < pairs.len() - 1 {
        assert!(start.elapsed() < PATIENCE);
        for event in kit.wait() {
            assert_eq!(crate::kit::completion(&event).unwrap().result().unwrap(), 1);
            done += 1;
        }
    }
    assert!(buffers[1..].iter().all(|buffer| buffer[0] == b'x'));
}
