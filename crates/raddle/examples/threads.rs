//! 100,000 threads at once, each with its own thread-locals: they sleep, count under a lock, and are joined.
//!
//!     cargo run --release -p raddle --example threads [THREADS]

use raddle::sync::Mutex;
use raddle::thread;
use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local!(static MINE: Cell<usize> = const { Cell::new(0) });

#[raddle::main]
fn main() -> ExitCode {
    let count = match std::env::args().nth(1).map(|text| text.parse::<usize>()) {
        None => 100_000,
        Some(Ok(count)) if count > 0 => count,
        Some(_) => {
            eprintln!("usage: threads [THREADS]; THREADS is a number above 0, 100000 by default");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let total = Arc::new(Mutex::new(0usize));
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let total = total.clone();
            thread::spawn(move || {
                MINE.set(number);
                thread::sleep(Duration::from_secs(1));
                // Perhaps on another kernel thread by now: the thread-local came along.
                assert_eq!(MINE.get(), number);
                *total.lock().unwrap() += 1;
            })
        })
        .collect();
    println!("spawned {count} threads in {:.0?}", start.elapsed());
    println!("on {} kernel threads, in {} mappings", lines_of("task"), lines_of("maps"));
    let resident_kib = resident_kib();
    println!("{resident_kib} KiB resident: {} bytes for each thread", resident_kib * 1024 / count);
    for thread in threads {
        thread.join().unwrap();
    }
    println!(
        "all {} woke, counted and ended after {:.2?}",
        *total.lock().unwrap(),
        start.elapsed()
    );
    ExitCode::SUCCESS
}

fn lines_of(what: &str) -> usize {
    let path = std::path::Path::new("/proc/self").join(what);
    match std::fs::read_dir(&path) {
        Ok(entries) => entries.count(),
        Err(_) => std::fs::read_to_string(path).map_or(0, |text| text.lines().count()),
    }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
