//! `unpark`, `cancel` and a late deadline against a thread that is just ending, whose body the next thread runs on. Catches a waker that reaches the
//! next thread on the same body (its sleep would end too early), and a record or a token's list that is used after it is freed.

mod race_kit;

use race_kit::{Line, delay, play};
use raddle::cancel::Token;
use raddle::thread;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn exit_against_unpark() {
    play("exit_against_unpark", |random| {
        let line = Arc::new(Line::of(3));
        let delays: [u64; 3] = std::array::from_fn(|_| delay(random));
        let token = Token::new();
        let ends = thread::spawn({
            let (line, token) = (line.clone(), token.clone());
            move || {
                token.carry(|| {
                    line.meet(delays[0]);
                    thread::park_timeout(Duration::from_micros(delays[1] % 30));
                })
            }
        });
        let ending = ends.thread().clone();
        let unparks = race_kit::spawn_either(random, {
            let line = line.clone();
            move || {
                line.meet(delays[1]);
                for _ in 0..20 {
                    ending.unpark();
                }
                ending
            }
        });
        let cancels = race_kit::spawn_either(random, move || {
            line.meet(delays[2]);
            token.cancel();
        });
        let _ = ends.join().unwrap();
        // On the body of the one that ended, most likely: nobody's token is for it, and it was not cancelled.
        let next = thread::spawn(|| {
            let began = Instant::now();
            thread::park_timeout(Duration::from_micros(200));
            let parked = began.elapsed();
            thread::sleep(Duration::from_micros(100));
            parked
        });
        let parked = next.join().unwrap();
        let ended = unparks();
        cancels();
        assert!(parked >= Duration::from_micros(200), "woken after {parked:?}");
        ended.unpark();
        assert!(ended.name().is_none());
    });
}
