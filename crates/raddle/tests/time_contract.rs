//! Moments, sleeping, tickers.

use raddle::cancel::Token;
use raddle::time::{Duration, Instant, MissedTicks, Ticker, sleep, sleep_until};
use std::collections::HashSet;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// On a raddle thread and on a plain one.
fn on_both(body: fn()) {
    raddle::thread::spawn(body).join().unwrap();
    body();
}

#[test]
fn moments_compute_as_stds_do() {
    let now = Instant::now();
    let later = now + ms(5);
    assert_eq!(later - now, ms(5));
    assert_eq!(now - later, Duration::ZERO, "as in std: saturating");
    assert_eq!(later.duration_since(now), ms(5));
    assert_eq!(now.checked_duration_since(later), None);
    assert_eq!(later.checked_duration_since(now), Some(ms(5)));
    assert_eq!(now.saturating_duration_since(later), Duration::ZERO);
    assert_eq!(later - ms(5), now);
    let mut moved = now;
    moved += ms(7);
    moved -= ms(2);
    assert_eq!(moved, later);
    assert_eq!(now.checked_add(Duration::MAX), None);
    assert_eq!(now.checked_sub(Duration::from_secs(1 << 40)), None);
    assert!(now < later && later.max(now) == later);
    assert_eq!(HashSet::from([now, later, now]).len(), 2);
    assert!(format!("{now:?}").starts_with("Instant("));
    assert_eq!((later).elapsed(), Duration::ZERO, "not yet");
    assert!(Instant::now() >= now && now.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_moment_too_far_away_is_a_panic() {
    let now = Instant::now();
    assert!(std::panic::catch_unwind(|| now + Duration::MAX).is_err());
    assert!(std::panic::catch_unwind(|| now - Duration::MAX).is_err());
}

#[test]
fn nobody_wakes_too_early() {
    on_both(|| {
        for us in [0, 1, 100, 1000, 7000] {
            let (start, time) = (Instant::now(), Duration::from_micros(us));
            sleep(time);
            assert!(start.elapsed() >= time);
            let deadline = Instant::now() + time;
            sleep_until(deadline);
            assert!(Instant::now() >= deadline);
        }
        sleep_until(Instant::now() - ms(5));
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let start = Instant::now() + ms(20);
    let (sender, receiver) = raddle::sync::channel::unbounded();
    let threads: Vec<_> = [30, 0, 20, 10]
        .map(|late| {
            let sender = sender.clone();
            raddle::thread::spawn(move || {
                sleep_until(start + ms(late));
                sender.send((late, Instant::now() - start)).unwrap();
            })
        })
        .into();
    threads.into_iter().for_each(|thread: raddle::thread::JoinHandle<()>| thread.join().unwrap());
    for (late, woke) in receiver.try_iter() {
        assert!(woke >= ms(late), "{late} ms: after {woke:?}");
    }
}

#[test]
fn a_ticker_does_not_drift() {
    on_both(|| {
        let start = Instant::now();
        let mut ticker = Ticker::new(ms(4)).missed_ticks(MissedTicks::Burst);
        let planned: Vec<_> = (0..5)
            .map(|_| {
                sleep(ms(1));
                ticker.tick()
            })
            .collect();
        assert!(planned.windows(2).all(|pair| pair[1] - pair[0] == ms(4)), "{planned:?}");
        assert!(start.elapsed() >= ms(20));
        assert_eq!(ticker.period(), ms(4));
    });
}

#[test]
fn missed_ticks_come_as_was_asked() {
    let late = |policy| {
        let mut ticker = Ticker::new(ms(4)).missed_ticks(policy);
        let first = ticker.tick();
        sleep(ms(21));
        let at_once = Instant::now();
        let second = ticker.tick() - first;
        // The first may itself be so late that ticks were missed.
        assert!(if policy == MissedTicks::Burst { second == ms(4) } else { second >= ms(4) });
        assert!(at_once.elapsed() < ms(100), "it was due");
        let woke = Instant::now();
        (first, woke, ticker.tick())
    };
    let (first, _, third) = late(MissedTicks::Burst);
    assert_eq!(third - first, ms(8));
    let (first, woke, third) = late(MissedTicks::Skip);
    assert!(
        third >= first + ms(24) && (third - first).as_nanos() % ms(4).as_nanos() == 0,
        "{first:?} {third:?}"
    );
    assert!(third + ms(4) >= woke);
    let (first, _, third) = late(MissedTicks::Delay);
    assert!(third - first >= ms(25));
    let mut ticker = Ticker::new(ms(10));
    sleep(ms(5));
    let reset = Instant::now();
    ticker.reset();
    assert!(ticker.tick() >= reset + ms(10));
}

#[test]
#[should_panic(expected = "a ticker needs a period")]
fn a_ticker_without_a_period_is_refused() {
    let _ = Ticker::new(Duration::ZERO);
}

#[test]
fn a_sleeper_can_be_cancelled() {
    on_both(|| {
        let token = Token::new();
        let other = token.clone();
        let start = Instant::now();
        let canceller = raddle::thread::spawn(move || {
            sleep(ms(10));
            other.cancel();
        });
        assert!(token.carry(|| sleep(Duration::MAX)).is_err());
        assert!(start.elapsed() >= ms(10) && start.elapsed() < Duration::from_secs(60));
        canceller.join().unwrap();
    });
}
