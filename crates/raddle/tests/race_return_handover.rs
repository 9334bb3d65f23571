//! A thread that is blocked in the kernel returns just as its core is given away. Catches a thread that goes on with a core that somebody else
//! has by then, one that nobody queues again, and a doubt of the monitor's that is never settled: a byte comes through a pipe about
//! when the monitor looks for the first, the second and the third time.

#![allow(unsafe_code, reason = "raw reads of a pipe")]

mod race_kit;

use race_kit::{compute_for, play};
use raddle::thread;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::Duration;

#[test]
fn return_against_hand_over() {
    play("return_against_hand_over", |random| {
        let stop = Arc::new(AtomicBool::new(false));
        let readings = Arc::new(AtomicU32::new(0));
        // The cores are wanted.
        let computes: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || {
                    while !stop.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let mut pipes = Vec::new();
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (mut reader, writer) = std::io::pipe().unwrap();
                pipes.push(writer);
                let readings = readings.clone();
                thread::spawn(move || {
                    let mut sum = 0;
                    let mut byte = [0];
                    while reader.read(&mut byte).unwrap() == 1 {
                        sum += u32::from(byte[0]);
                        // Into the runtime at once, or after a while outside, without a core perhaps.
                        match byte[0] % 4 {
                            0 => thread::yield_now(),
                            // Inside, without leaving its core: that must not be taken from under it.
                            1 => (0..10).for_each(|_| drop(thread::spawn(|| ()))),
                            2 => compute_for(Duration::from_micros(300)),
                            _ => {}
                        }
                        readings.fetch_add(1, Relaxed);
                    }
                    sum
                })
            })
            .collect();
        let mut sums = [0; 4];
        for _ in 0..15 {
            // Steps are 1 ms, the second look comes 0.2 ms after the first.
            std::thread::sleep(Duration::from_micros(800 + random.below(1_200)));
            for (sum, pipe) in sums.iter_mut().zip(&mut pipes) {
                let byte = random.below(200) as u8;
                *sum += u32::from(byte);
                pipe.write_all(&[byte]).unwrap();
                race_kit::dawdle(race_kit::delay(random));
            }
        }
        drop(pipes);
        for (reader, sum) in readers.into_iter().zip(sums) {
            assert_eq!(reader.join().unwrap(), sum);
        }
        assert_eq!(readings.load(Relaxed), 60);
        stop.store(true, Relaxed);
        computes.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// The core goes by the thread's own word, as the monitor may be about to take it.
#[test]
fn announced_against_found_out() {
    play("announced_against_found_out", |random| {
        let delays: Vec<_> = (0..6).map(|_| 500 + random.below(1_500)).collect();
        let threads: Vec<_> = delays
            .into_iter()
            .map(|us| {
                thread::spawn(move || {
                    for _ in 0..3 {
                        // SAFETY: sleeps, in the kernel.
                        unsafe { libc::usleep(us as u32) };
                        raddle::blocking(|| compute_for(Duration::from_micros(us / 8)));
                        raddle::blocking(|| ());
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
