//! Time and channels on a simulated host: deadlines are virtual, and what a select takes is the same in every run of a seed.

mod fake_host;

use fake_host::run;
use raddle::sync::channel::{self, RecvTimeoutError, after, tick};
use raddle::time::{Duration, Instant, Ticker, sleep, sleep_until, timeout};
use raddle::{select, thread};

const HOUR: Duration = Duration::from_secs(3600);

/// Timers are exact to 33 us, also on virtual time; here a dozen waits add up.
fn is_about(passed: Duration, expected: Duration) -> bool {
    passed >= expected && passed < expected + Duration::from_millis(1)
}

#[test]
fn whatever_waits_for_the_clock_waits_for_the_hosts() {
    let real = std::time::Instant::now();
    let (passed, _) = run(3, || {
        let start = Instant::now();
        sleep(HOUR);
        assert!(is_about(start.elapsed(), HOUR));
        sleep_until(start + 2 * HOUR);
        assert!(is_about(after(HOUR).recv().unwrap() - start, 3 * HOUR));
        assert!(timeout(HOUR, || sleep(9 * HOUR)).is_err());
        let (_sender, receiver) = channel::bounded::<u8>(0);
        assert_eq!(receiver.recv_timeout(HOUR), Err(RecvTimeoutError::Timeout));
        let mut ticker = Ticker::new(HOUR);
        ticker.tick();
        let ticks = tick(HOUR);
        let mut count = 0;
        let late = after(Duration::from_secs(5 * 3600 + 1));
        loop {
            select! {
                recv(ticks) -> _ => count += 1,
                recv(late) -> _ => break,
            }
        }
        select! { recv(receiver) -> _ => unreachable!(), default(HOUR) => {} }
        (count, start.elapsed())
    });
    let (count, passed) = passed.unwrap();
    assert_eq!(count, 5);
    assert!(is_about(passed, 12 * HOUR + Duration::from_secs(1)), "{passed:?}");
    assert!(real.elapsed() < Duration::from_secs(30));
}

/// Selects with several arms that are ready, under time-outs: says what each took.
fn choices() -> Vec<u32> {
    let channels: Vec<_> = (0..3).map(|_| channel::bounded::<u32>(2)).collect();
    let senders: Vec<_> = channels
        .iter()
        .enumerate()
        .map(|(id, (sender, _))| {
            let sender = sender.clone();
            thread::spawn(move || {
                for n in 0..20 {
                    sender.send(id as u32 * 100 + n).unwrap();
                    sleep(Duration::from_millis(u64::from(n) % 3));
                }
            })
        })
        .collect();
    let receivers: Vec<_> = channels.into_iter().map(|(_, receiver)| receiver).collect();
    let (a, b, c) = (&receivers[0], &receivers[1], &receivers[2]);
    let mut taken = Vec::new();
    while taken.len() < 60 {
        select! {
            recv(a) -> message => taken.extend(message.ok()),
            recv(b) -> message => taken.extend(message.ok()),
            recv(c) -> message => taken.extend(message.ok()),
            default(Duration::from_millis(1)) => {}
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    taken
}

#[test]
fn selects_choose_the_same_for_the_same_seed() {
    for seed in 0..10 {
        let (first, trace) = run(seed, choices);
        let (second, again) = run(seed, choices);
        assert_eq!(first.unwrap(), second.unwrap(), "seed {seed}");
        assert_eq!(trace, again, "seed {seed}");
    }
}
