//! Threads that were just made are kept by their core without a lock, and so is their spawner while they run before it; meanwhile thieves come,
//! the core is given away, threads are listed. Catches one that runs twice, or before it has left its stack, and one that nobody finds.

#![allow(unsafe_code, reason = "calls libc")]

mod race_kit;

use race_kit::{dawdle, delay, play};
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Bursts, of which some threads compute and some spawn themselves: each runs once, and no spawner runs on two cores at once.
#[test]
fn burst_against_thieves() {
    play("burst_against_thieves", |random| {
        let spawners: Vec<_> = (0..4)
            .map(|_| {
                let (burst, computes) = (1 + random.below(60) as usize, delay(random));
                let every = 1 + random.below(20) as usize;
                thread::spawn(move || {
                    let runs = AtomicBool::new(true);
                    let ran: Arc<Vec<AtomicBool>> =
                        Arc::new((0..burst).map(|_| false.into()).collect());
                    let children: Vec<_> = (0..burst)
                        .map(|n| {
                            let ran = ran.clone();
                            assert!(runs.swap(false, SeqCst), "it ran twice");
                            let child = thread::spawn(move || {
                                assert!(!ran[n].swap(true, SeqCst), "it runs twice");
                                match n % every {
                                    0 => dawdle(computes),
                                    1 => thread::spawn(|| ()).join().unwrap(),
                                    2 => thread::yield_now(),
                                    _ => {}
                                }
                            });
                            assert!(!runs.swap(true, SeqCst), "it runs twice");
                            child
                        })
                        .collect();
                    children.into_iter().for_each(|child| child.join().unwrap());
                    assert!(ran.iter().all(|ran| ran.load(SeqCst)));
                })
            })
            .collect();
        spawners.into_iter().for_each(|spawner| spawner.join().unwrap());
    });
}

/// The spawner computes until all that it has spawned have run: elsewhere, or after it was preempted.
#[test]
fn spawner_that_computes_on() {
    play("spawner_that_computes_on", |random| {
        let (burst, later) = (1 + random.below(15) as usize, delay(random) / 8);
        let spawner = thread::spawn(move || {
            let ran = Arc::new(AtomicUsize::new(0));
            let children: Vec<_> = (0..burst)
                .map(|_| {
                    dawdle(later);
                    let ran = ran.clone();
                    thread::spawn(move || ran.fetch_add(1, SeqCst))
                })
                .collect();
            while ran.load(SeqCst) < burst {
                std::hint::spin_loop();
            }
            children.into_iter().for_each(|child| _ = child.join().unwrap());
        });
        spawner.join().unwrap();
    });
}

/// The spawner waits in the kernel, where nobody sees it, for the last that it has spawned: the core goes to another worker, with them.
#[test]
fn spawner_that_blocks() {
    play("spawner_that_blocks", |random| {
        let burst = 1 + random.below(15) as usize;
        let spawner = thread::spawn(move || {
            let mut ends = [0; 2];
            // SAFETY: room for two descriptors.
            assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
            let [input, output] = ends;
            let children: Vec<_> = (0..burst)
                .map(|n| {
                    thread::spawn(move || {
                        // SAFETY: a byte of its own.
                        let wrote = n + 1 < burst
                            || unsafe { libc::write(output, [1_u8].as_ptr().cast(), 1) } == 1;
                        assert!(wrote);
                    })
                })
                .collect();
            let mut byte = 0_u8;
            loop {
                // SAFETY: room for a byte.
                match unsafe { libc::read(input, (&raw mut byte).cast(), 1) } {
                    1 => break,
                    -1 if std::io::Error::last_os_error().kind()
                        == std::io::ErrorKind::Interrupted => {}
                    read => panic!("read {read}"),
                }
            }
            children.into_iter().for_each(|child| child.join().unwrap());
            for end in ends {
                // SAFETY: its own, and not used any more.
                unsafe { libc::close(end) };
            }
        });
        spawner.join().unwrap();
    });
}
