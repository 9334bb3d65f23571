//! `unpark` against `park`, with and without a time-out. Catches a token that is put between the look at it and the sleep, and is seen by
//! neither side; one that is taken twice; a time-out that takes a token with it which the thread was never told of.

mod race_kit;

use race_kit::{Line, delay, play, spawn_either};
use raddle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn unpark_against_park() {
    play("unpark_against_park", |random| {
        let line = Arc::new(Line::of(2));
        let told = Arc::new(AtomicU32::new(0));
        let (mine, its) = (delay(random), delay(random));
        let times_out = random.one_in(3);
        let (tell, hear) = std::sync::mpsc::channel();
        let parks = spawn_either(random, {
            let (line, told) = (line.clone(), told.clone());
            move || {
                tell.send(thread::current()).unwrap();
                line.meet(its);
                while told.load(SeqCst) == 0 {
                    if times_out {
                        thread::park_timeout(Duration::from_micros(its % 50));
                    } else {
                        // Lost, the token leaves it here for ever.
                        thread::park();
                    }
                }
            }
        });
        let parked = hear.recv().unwrap();
        let wakes = spawn_either(random, move || {
            line.meet(mine);
            told.store(1, SeqCst);
            parked.unpark();
        });
        wakes();
        parks();
    });
}

/// Each turn is one token: nobody runs ahead of the other by more.
#[test]
fn tokens_go_back_and_forth() {
    play("tokens_go_back_and_forth", |random| {
        const TURNS: u32 = 300;
        let turn = Arc::new(AtomicU32::new(0));
        let mut tells = Vec::new();
        let players: Vec<_> = (0..2)
            .map(|me| {
                let turn = turn.clone();
                let (tell, other) = std::sync::mpsc::channel::<thread::Thread>();
                let delays = [delay(random), delay(random), 0, 1];
                let player = thread::spawn(move || {
                    let other = other.recv().unwrap();
                    for n in 0..TURNS {
                        while turn.load(SeqCst) % 2 != me {
                            thread::park();
                        }
                        race_kit::dawdle(delays[n as usize % 4] / 8);
                        turn.fetch_add(1, SeqCst);
                        other.unpark();
                    }
                });
                tells.push(tell);
                player
            })
            .collect();
        tells[0].send(players[1].thread().clone()).unwrap();
        tells[1].send(players[0].thread().clone()).unwrap();
        players.into_iter().for_each(|player| player.join().unwrap());
        assert_eq!(turn.load(SeqCst), 2 * TURNS);
    });
}
