//! A thread that blocks in the kernel does not stop the others: announced, or found out.

#![allow(unsafe_code, reason = "raw reads of a pipe")]

use raddle::thread;
use std::io::{PipeReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn read_one(from: &mut PipeReader) {
    let mut byte = [0];
    from.read_exact(&mut byte).unwrap();
}

/// More threads than cores block in raw reads; one that sleeps goes on all the time.
fn others_run_on_while_all_cores_block(block: fn(&mut PipeReader)) {
    let count = 2 * thread::available_parallelism().unwrap().get();
    let mut writers = Vec::new();
    let blocked: Vec<_> = (0..count)
        .map(|_| {
            let (mut reader, writer) = std::io::pipe().unwrap();
            writers.push(writer);
            thread::spawn(move || block(&mut reader))
        })
        .collect();
    let ticks = thread::spawn(|| {
        let start = Instant::now();
        (0..50).for_each(|_| thread::sleep(Duration::from_millis(1)));
        start.elapsed()
    });
    let elapsed = ticks.join().unwrap();
    assert!(elapsed < Duration::from_secs(5), "50 sleeps of 1 ms took {elapsed:?}");
    writers.iter_mut().for_each(|writer| writer.write_all(&[1]).unwrap());
    blocked.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_raw_read_on_every_core() {
    others_run_on_while_all_cores_block(read_one);
}

#[test]
fn a_raw_read_that_was_announced() {
    others_run_on_while_all_cores_block(|reader| raddle::blocking(|| read_one(reader)));
}

#[test]
fn a_panic_in_an_announced_call_comes_back_to_a_core() {
    let outcome = thread::spawn(|| {
        let caught = std::panic::catch_unwind(|| {
            raddle::blocking(|| std::panic::resume_unwind(Box::new(9)))
        });
        thread::yield_now();
        caught.unwrap_err().downcast_ref() == Some(&9)
    });
    assert!(outcome.join().unwrap());
}

/// Each takes its worker along, one after the other and faster than new ones are made: whoever makes them must not be used up as well.
#[test]
fn hundreds_block_unannounced_and_the_last_one_runs() {
    const THREADS: usize = 250;
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..THREADS {
        let (mut reader, writer) = std::io::pipe().unwrap();
        writers.push(writer);
        readers.push(thread::spawn(move || read_one(&mut reader)));
    }
    let (done, last) = std::sync::mpsc::channel();
    let last_one = thread::spawn(move || done.send(()).unwrap());
    assert!(last.recv_timeout(Duration::from_secs(60)).is_ok(), "it waits for a worker for ever");
    writers.iter_mut().for_each(|writer| writer.write_all(&[1]).unwrap());
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    last_one.join().unwrap();
}

#[test]
fn announced_calls_by_the_thousand_among_threads_that_compute() {
    let stop = Arc::new(AtomicBool::new(false));
    let total = Arc::new(Mutex::new(0));
    let hogs: Vec<_> = (0..2)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let total = total.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    raddle::blocking(|| *total.lock().unwrap() += 1);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    stop.store(true, Relaxed);
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
    assert_eq!(*total.lock().unwrap(), 1600);
}
