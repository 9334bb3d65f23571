//! Many signals: all arrive, beside threads that compute, switch and wait, and more than there is room for.

use crate::io_kit::{Case, until};
use crate::{LATE, real_time, send, send_value, wait};
use raddle::signal::{Signal, Signals};
use raddle::thread;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("each_of_thousands_arrives_beside_load", thousands),
        Case::new("a_flood_loses_no_kind", flood),
    ]
}

static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Threads of all sorts, whom signals interrupt wherever they are.
fn load() -> Vec<thread::JoinHandle<()>> {
    let is_over = || IS_OVER.load(Ordering::Relaxed);
    let mut threads = Vec::new();
    for _ in 0..3 {
        threads.push(thread::spawn(move || {
            while !is_over() {
                std::hint::black_box(vec![1u8; 5000]);
            }
        }));
        threads.push(thread::spawn(move || {
            while !is_over() {
                thread::sleep(Duration::from_micros(50));
            }
        }));
        let (mut here, mut there) = raddle::net::UnixStream::pair().unwrap();
        threads.push(thread::spawn(move || {
            let mut byte = [0];
            while there.read(&mut byte).unwrap() > 0 {
                there.write_all(&byte).unwrap();
            }
        }));
        threads.push(thread::spawn(move || {
            while !is_over() {
                here.write_all(b"x").unwrap();
                here.read_exact(&mut [0]).unwrap();
            }
        }));
    }
    threads
}

fn thousands() {
    const EACH: i32 = 3000;
    static TAKEN: AtomicI32 = AtomicI32::new(0);
    let signals = Arc::new(Signals::new([real_time(0), real_time(1), real_time(2)]).unwrap());
    let load = load();
    let senders: Vec<_> = (0..3)
        .map(|number| {
            std::thread::spawn(move || {
                for value in 0..EACH {
                    // There is no room for all at once.
                    while 3 * value > TAKEN.load(Ordering::Relaxed) + 1500 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    send_value(real_time(number), value);
                }
            })
        })
        .collect();
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let signals = signals.clone();
            thread::spawn(move || {
                let mut got = Vec::new();
                let mut silence = Instant::now();
                while TAKEN.load(Ordering::Relaxed) < 3 * EACH {
                    let soon = Duration::from_millis(100);
                    if let Ok(info) = raddle::time::timeout(soon, || signals.wait()) {
                        let info = info.unwrap();
                        TAKEN.fetch_add(1, Ordering::Relaxed);
                        got.push((info.signal(), info.value()));
                        silence = Instant::now();
                    }
                    assert!(silence.elapsed() < LATE, "{} came", TAKEN.load(Ordering::Relaxed));
                }
                got
            })
        })
        .collect();
    let all: Vec<_> = waiters.into_iter().flat_map(|waiter| waiter.join().unwrap()).collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    IS_OVER.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(signals.try_wait().unwrap(), None);
    assert_eq!(all.len(), 3 * EACH as usize);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "none came twice");
}

fn flood() {
    let signals = Signals::new([real_time(0), Signal::USR1, Signal::TERM]).unwrap();
    (0..6000).for_each(|value| send_value(real_time(0), value));
    send(Signal::USR1);
    send(Signal::TERM);
    let mut seen = BTreeSet::new();
    let mut count = 0;
    until(|| {
        while let Some(info) = signals.try_wait().unwrap() {
            count += 1;
            seen.insert(info.signal());
        }
        seen.len() == 3
    });
    assert!(count > 2000, "only {count} had room");
    // It is as good as new. Of the flood, some may still be under way.
    send_value(real_time(0), 7777);
    while wait(&signals).value() != 7777 {}
    std::mem::forget(signals);
}
