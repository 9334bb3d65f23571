//! Threads end while others steal. Catches a joiner that is not woken, a body that is given back while it still runs, a result that is
//! seen before it is written, and counts that drift: joiners come before, at and after the end.

mod race_kit;

use race_kit::{Line, delay, play};
use raddle::thread;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn exit_against_join() {
    play("exit_against_join", |random| {
        let line = Arc::new(Line::of(2));
        let (mine, its) = (delay(random), delay(random));
        let ends = thread::spawn({
            let line = line.clone();
            move || {
                line.meet(its);
                Box::new(its)
            }
        });
        let joins = race_kit::spawn_either(random, move || {
            line.meet(mine);
            *ends.join().unwrap()
        });
        assert_eq!(joins(), its);
    });
}

#[test]
fn exit_against_steal() {
    fn tree(depth: u32, delays: [u64; 4]) -> u32 {
        if depth == 0 {
            race_kit::dawdle(delays[0] / 4);
            return 1;
        }
        let children: Vec<_> = (0..4)
            .map(|n| {
                race_kit::dawdle(delays[n] / 16);
                thread::spawn(move || tree(depth - 1, delays))
            })
            .collect();
        children.into_iter().rev().map(|child| child.join().unwrap()).sum()
    }
    play("exit_against_steal", |random| {
        let delays = std::array::from_fn(|_| delay(random));
        assert_eq!(thread::spawn(move || tree(4, delays)).join().unwrap(), 256);
        // A joiner goes on before the count says so.
        let runtime = raddle::runtime::Runtime::get().unwrap();
        let began = Instant::now();
        while runtime.counters().threads > 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", runtime.counters());
            std::thread::yield_now();
        }
    });
}
