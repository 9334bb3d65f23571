//! Where items run, which only the inside can see.

use super::{Builder, Work};
use crate::machine::ThreadRef;
use crate::sched::enter::Here;
use crate::thread;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn core_index() -> usize {
    Here::enter().expect("on a raddle thread").place().core().index
}

/// Threads that compute on all cores, so that whoever may be taken over is.
fn hogs(is_over: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<()>> {
    let cores = thread::available_parallelism().unwrap().get();
    (0..cores + 1)
        .map(|number| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let mut turns = 0u32;
                while !is_over.load(Ordering::Relaxed) {
                    turns += 1;
                    // Some leave their core idle now and then: it looks for others to take over.
                    if number % 2 == 0 && turns.is_multiple_of(20_000) {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect()
}

#[test]
fn items_of_a_bound_queue_run_on_their_core_whatever_they_do() {
    let queue = Builder::new("bound").bound().build().unwrap();
    let cores = thread::available_parallelism().unwrap().get();
    let is_over = Arc::new(AtomicBool::new(false));
    let hogs = hogs(&is_over);
    let (elsewhere, looks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let deadline = Instant::now() + Duration::from_millis(400);
    while Instant::now() < deadline {
        for core in 0..cores {
            let (elsewhere, looks) = (elsewhere.clone(), looks.clone());
            queue.queue_on(core, move || {
                let look = || {
                    looks.fetch_add(1, Ordering::Relaxed);
                    elsewhere.fetch_add(usize::from(core_index() != core), Ordering::Relaxed);
                };
                look();
                thread::yield_now();
                look();
                thread::sleep(Duration::from_micros(50));
                look();
                let (mut reads, mut writes) = io::pipe().unwrap();
                let writer = thread::spawn(move || {
                    thread::sleep(Duration::from_micros(300));
                    writes.write_all(b"x").unwrap();
                });
                reads.read_exact(&mut [0]).unwrap();
                look();
                writer.join().unwrap();
                look();
            });
        }
        queue.flush().unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
    assert_eq!(elsewhere.load(Ordering::Relaxed), 0);
    assert!(looks.load(Ordering::Relaxed) >= 5 * cores);
}

#[test]
fn what_is_queued_on_a_thread_of_raddles_goes_to_its_core() {
    let queue = Arc::new(Builder::new("bound").bound().build().unwrap());
    let apart = Arc::new(AtomicUsize::new(0));
    for _ in 0..50 {
        let (queue, apart) = (queue.clone(), apart.clone());
        thread::spawn(move || {
            let _here = Here::enter().expect("on a raddle thread");
            let here = core_index();
            let there = Arc::new(AtomicUsize::new(usize::MAX));
            let seen = there.clone();
            let work = Work::new(move |_| seen.store(core_index(), Ordering::SeqCst));
            // As long as the thread is inside it stays where it is.
            assert!(queue.queue_work(&work));
            drop(_here);
            work.flush().unwrap();
            apart.fetch_add(usize::from(there.load(Ordering::SeqCst) != here), Ordering::Relaxed);
        })
        .join()
        .unwrap();
    }
    assert_eq!(apart.load(Ordering::Relaxed), 0);
}

/// A worker that ends is bound no longer: its body may be any thread's next.
#[test]
fn threads_that_are_no_workers_are_not_bound() {
    let queue = Builder::new("bound").bound().build().unwrap();
    (0..100).for_each(|_| queue.queue_on(0, || thread::sleep(Duration::from_millis(1))));
    queue.flush().unwrap();
    for _ in 0..200 {
        let is_bound = || ThreadRef::running().expect("on one").block().link.is_bound();
        assert!(!thread::spawn(is_bound).join().unwrap());
    }
    let is_bound = || ThreadRef::running().expect("on one").block().link.is_bound();
    let (send, receive) = std::sync::mpsc::channel();
    queue.queue_on(0, move || send.send(is_bound()).unwrap());
    assert!(receive.recv().unwrap());
}
