//! Catches threads that get a second slice within a round because they happen to sleep as the first one ends: two that wake each other
//! in turn, and never wait for long, once kept a core to themselves for forty slices of one that computes beside them.

mod used_time;

use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use used_time::{used, wait_for_use};

/// Time that is used while the caller runs: gaps are others'.
fn run_until(stop: &AtomicBool) -> Duration {
    let mut ran = Duration::ZERO;
    let mut last = used();
    while !stop.load(Relaxed) {
        let now = used();
        if now - last < Duration::from_micros(300) {
            ran += now - last;
        }
        last = now;
    }
    ran
}

#[test]
fn one_that_computes_gets_its_share_beside_two_that_wake_each_other() {
    raddle::runtime::Builder::new().cores(1).start().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let players: Vec<_> = (0..2)
        .map(|_| {
            let (stop, turns) = (stop.clone(), turns.clone());
            let (tell, other) = std::sync::mpsc::channel::<thread::Thread>();
            let player = thread::spawn(move || {
                let other = other.recv().unwrap();
                while !stop.load(Relaxed) {
                    turns.fetch_add(1, Relaxed);
                    other.unpark();
                    thread::park_timeout(Duration::from_millis(50));
                }
            });
            (player, tell)
        })
        .collect();
    players[0].1.send(players[1].0.thread().clone()).unwrap();
    players[1].1.send(players[0].0.thread().clone()).unwrap();
    let computes = thread::spawn({
        let stop = stop.clone();
        move || run_until(&stop)
    });
    wait_for_use(Duration::from_millis(1500));
    stop.store(true, Relaxed);
    let ran = computes.join().unwrap();
    players.into_iter().for_each(|(player, _)| player.join().unwrap());
    let turns = turns.load(Relaxed);
    println!("of 1.5 s the thread that computes got {ran:?}; the others took {turns} turns");
    // A third, were it exact.
    assert!(ran > Duration::from_millis(200), "of 1.5 s it got {ran:?}");
    assert!(turns > 100, "{turns}");
}
