//! Timers: in order, never early, counted.

use crate::kit::{Setup, pair, write};
use raddle_core::random::Random;
use raddle_event::{Event, Interest, Mode, What};
use std::time::{Duration, Instant};

crate::cases![
    timers_come_in_order_and_never_early,
    a_period_counts_what_was_missed_and_does_not_drift,
    a_cancelled_timer_does_not_come,
    what_has_passed_comes_at_once,
    a_time_out_is_never_early,
    a_time_out_beyond_all_clocks_is_none,
    timers_do_not_starve_others_in_a_batch_of_one,
];

fn times(event: &Event) -> u64 {
    match event.what {
        What::Expired(_, times) => times,
        other => panic!("not a timer: {other:?}"),
    }
}

fn timers_come_in_order_and_never_early(setup: Setup) {
    let mut random = Random::from_seed(7);
    let mut kit = setup.kit();
    let start = Instant::now();
    let deadlines: Vec<Duration> =
        (0..100).map(|_| Duration::from_micros(random.below(30_000))).collect();
    for (key, deadline) in deadlines.iter().enumerate() {
        kit.queue.timer_at(key as u64, start + *deadline);
    }
    let mut order = Vec::new();
    while order.len() < deadlines.len() {
        for event in kit.wait() {
            assert_eq!(times(&event), 1);
            assert!(start.elapsed() >= deadlines[event.key as usize], "early");
            order.push(deadlines[event.key as usize]);
        }
    }
    // Exact to a tick of 33 us.
    let tick = Duration::from_micros(33);
    assert!(order.windows(2).all(|two| two[0] <= two[1] + tick), "{order:?}");
    kit.nothing();
}

fn a_period_counts_what_was_missed_and_does_not_drift(setup: Setup) {
    let mut kit = setup.kit();
    let (start, period) = (Instant::now(), Duration::from_millis(2));
    let ticker = kit.queue.timer_every(9, start + period, period);
    let mut seen = 0;
    while seen < 10 {
        seen += times(&kit.one());
        assert!(start.elapsed() >= period * seen as u32, "early");
    }
    std::thread::sleep(period * 5);
    let missed = times(&kit.one());
    assert!(missed >= 4, "{missed}");
    seen += missed;
    let due = (start.elapsed().as_nanos() / period.as_nanos()) as u64;
    assert!(seen <= due);
    assert!(kit.queue.cancel_timer(ticker));
    kit.nothing();
}

fn a_cancelled_timer_does_not_come(setup: Setup) {
    let mut kit = setup.kit();
    let timer = kit.queue.timer_after(1, Duration::from_millis(3));
    let kept = kit.queue.timer_after(2, Duration::from_millis(3));
    assert!(kit.queue.cancel_timer(timer));
    assert!(!kit.queue.cancel_timer(timer));
    assert_eq!(kit.one().key, 2);
    assert!(!kit.queue.cancel_timer(kept), "it has come");
    // The place is used again; the old name is not its name.
    let again = kit.queue.timer_after(3, Duration::from_millis(1));
    assert!(!kit.queue.cancel_timer(timer) && !kit.queue.cancel_timer(kept));
    assert_eq!(kit.one().key, 3);
    assert!(!kit.queue.cancel_timer(again));
}

fn what_has_passed_comes_at_once(setup: Setup) {
    let mut kit = setup.kit();
    kit.queue.timer_at(1, Instant::now() - Duration::from_secs(1));
    kit.queue.timer_after(2, Duration::ZERO);
    kit.queue.timer_after(3, Duration::MAX);
    let mut keys: Vec<u64> = Vec::new();
    while keys.len() < 2 {
        keys.extend(kit.wait().iter().map(|event| event.key));
    }
    keys.sort_unstable();
    assert_eq!(keys, [1, 2]);
    kit.nothing();
}

fn a_time_out_is_never_early(setup: Setup) {
    let mut kit = setup.kit();
    for us in [1, 50, 999, 1001, 2500] {
        let (start, timeout) = (Instant::now(), Duration::from_micros(us));
        assert_eq!(kit.queue.wait(&mut kit.events, Some(timeout)).unwrap(), 0);
        assert!(start.elapsed() >= timeout, "{us} us: {:?}", start.elapsed());
    }
    assert_eq!(kit.queue.wait(&mut kit.events, Some(Duration::ZERO)).unwrap(), 0);
}

fn a_time_out_beyond_all_clocks_is_none(setup: Setup) {
    let mut kit = setup.kit();
    for timeout in [Duration::MAX, Duration::from_secs(1 << 60), Duration::from_secs(1 << 33)] {
        let waker = kit.queue.waker();
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2));
            waker.wake();
        });
        assert_eq!(kit.queue.wait(&mut kit.events, Some(timeout)).unwrap(), 1);
        other.join().unwrap();
    }
}

fn timers_do_not_starve_others_in_a_batch_of_one(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let (here, there) = pair();
    kit.queue.register(&there, 1, Interest::READ, Mode::Level).unwrap();
    // Both are due nearly always: the timer is exact to 33 us.
    kit.queue.timer_every(2, Instant::now(), Duration::from_nanos(1));
    write(&here, b"x");
    let mut counts = [0; 3];
    for _ in 0..200 {
        counts[kit.one().key as usize] += 1;
        std::thread::sleep(Duration::from_micros(20));
    }
    assert!(counts[1] >= 20 && counts[2] >= 20, "{counts:?}");
}
