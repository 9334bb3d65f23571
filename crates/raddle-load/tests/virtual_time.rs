//! Figures in virtual time, where they can be computed beforehand: on the fake host nothing takes time but what is told to.
//!
//! A histogram is right to 0.1 %, and that is all that figures may be off. raddle's timers have ticks, so all times here are multiples of them.

#[path = "../../raddle/tests/fake_host/mod.rs"]
mod fake_host;
mod kit;

use fake_host::Settings;
use kit::{ANSWER, answering, listen, plan, read_head};
use raddle::time::{Duration, Instant, sleep, sleep_until};
use raddle_core::wheel::TICK_NS;
use raddle_load::{CannotBegin, End, Outcome, Pace, Plan, Run, Spacing, Step, Times};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// About a millisecond, in ticks of raddle's timers.
const MS: u64 = 30 * TICK_NS;

fn ms(count: u64) -> Duration {
    Duration::from_nanos(count * MS)
}

/// Runs the plan, with intervals of 1,000 and a grace of 2,000 of these milliseconds.
fn run(make: impl FnOnce() -> Plan + Send + 'static) -> Outcome {
    let outcome = Settings::new(1).run(|| {
        // From here on the clock shows whole ticks.
        sleep(Duration::from_nanos(1));
        let mut plan = make();
        (plan.interval, plan.grace) = (ms(1_000), ms(2_000));
        Run::new(plan).run(|_| ())
    });
    outcome.result.expect("nobody waits for ever").expect("the server is there")
}

/// One request in so many milliseconds.
fn every(count: u64) -> Option<Pace> {
    let rate = 1e9 / (count * MS) as f64;
    Some(Pace { rate, spacing: Spacing::Even, ramp: Duration::ZERO })
}

/// All percentiles are those of these values, in nanoseconds.
fn assert_are(times: &Times, mut expected: Vec<u64>) {
    expected.sort_unstable();
    assert_eq!(times.count(), expected.len() as u64);
    for tenths in 1..=1000 {
        let rank = (expected.len() * tenths).div_ceil(1000).max(1);
        let (value, found) = (expected[rank - 1], times.percentile(tenths as f64 / 10.0));
        assert!(found.abs_diff(value) <= value / 1000 + 1, "{tenths}: {found}, not {value}");
    }
}

#[test]
fn a_fixed_delay_is_what_is_measured() {
    for pace in [None, every(10)] {
        let outcome = run(move || {
            let at = answering(|| sleep(ms(5)));
            let mut plan = plan(at);
            (plan.pace, plan.time) = (pace, Some(ms(20_000)));
            plan
        });
        let expected = if pace.is_some() { 2_000 } else { 4_000 };
        assert_are(&outcome.figures.latency(), vec![5 * MS; expected]);
        assert_are(&outcome.figures.first_byte, vec![5 * MS; expected]);
        assert_eq!((outcome.took, &outcome.end), (ms(20_000), &End::Done));
        assert_eq!(outcome.rate(), expected as f64 / ms(20_000).as_secs_f64());
        assert_eq!(outcome.intervals.len(), 20);
        // One may come at the very end of an interval.
        let each = expected as u64 / 20;
        assert!(outcome.intervals.iter().all(|one| one.answers.abs_diff(each) <= 1));
        assert!(
            outcome.warnings().iter().all(|warning| warning.starts_with("the generator was")),
            "of this machine"
        );
    }
}

/// Each eighth answer takes ten times as long: the 87.5th percentile is where the one ends and the other begins.
#[test]
fn two_delays_are_told_apart() {
    for pace in [None, every(40)] {
        let outcome = run(move || {
            let asked = AtomicU64::new(0);
            let at = answering(move || {
                let is_long = asked.fetch_add(1, Relaxed) % 8 == 7;
                sleep(ms(if is_long { 20 } else { 2 }));
            });
            let mut plan = plan(at);
            (plan.pace, plan.requests, plan.time) = (pace, Some(800), None);
            plan
        });
        let latency = outcome.figures.latency();
        assert_are(&latency, [vec![2 * MS; 700], vec![20 * MS; 100]].concat());
        let around = [87.5, 87.6].map(|percent| latency.percentile(percent) > 10 * MS);
        assert_eq!(around, [false, true]);
    }
}

/// What the first of two bytes takes, and both.
#[test]
fn the_first_byte_and_the_last_are_told_apart() {
    let outcome = run(|| {
        let at = listen(|mut stream| {
            while read_head(&mut stream) {
                sleep(ms(2));
                stream.write_all(&ANSWER[..9]).unwrap();
                sleep(ms(7));
                stream.write_all(&ANSWER[9..]).unwrap();
            }
        });
        let mut plan = plan(at);
        (plan.requests, plan.time) = (Some(50), None);
        plan
    });
    assert_are(&outcome.figures.first_byte, vec![2 * MS; 50]);
    assert_are(&outcome.figures.latency(), vec![9 * MS; 50]);
    assert_eq!(outcome.took, ms(450));
}

/// For half a second in each five nobody is answered. In an open loop all who come then are late; a closed loop meets it once, and that is what
/// is called coordinated omission.
#[test]
fn a_stall_is_seen_by_an_open_loop() {
    const STALL: u64 = 500 * MS;
    const PERIOD: u64 = 5_000 * MS;
    let stalling = || {
        let begun = Instant::now();
        answering(move || {
            sleep(ms(1));
            let since = begun.elapsed().as_nanos() as u64;
            if since % PERIOD < STALL {
                sleep_until(begun + Duration::from_nanos(since - since % PERIOD + STALL));
            }
        })
    };
    let open = run(move || {
        let mut plan = plan(stalling());
        (plan.pace, plan.connections, plan.time) = (every(5), 200, Some(ms(10_000)));
        plan
    });
    let expected = (0..2_000).map(|number| {
        let due = number * 5 * MS;
        let ready = due + MS;
        let stalled = ready % PERIOD < STALL;
        if stalled { ready - ready % PERIOD + STALL - due } else { MS }
    });
    assert_are(&open.figures.latency(), expected.collect());
    assert!(open.figures.latency().percentile(95.0) > 100 * MS);
    let closed = run(move || {
        let mut plan = plan(stalling());
        plan.time = Some(ms(10_000));
        plan
    });
    let seen = closed.figures.latency().percentile(99.9);
    assert!(seen.abs_diff(MS) < MS / 1000, "{seen}: that is all that it can see");
}

/// Twice as many come as the one connection can serve: the wait for it is in the latency, and told apart.
#[test]
fn waiting_for_a_connection_counts() {
    let outcome = run(|| {
        let at = answering(|| sleep(ms(40)));
        let mut plan = plan(at);
        (plan.pace, plan.requests, plan.time) = (every(20), Some(100), None);
        plan
    });
    // Due at 20 n, served from 40 n to 40 (n + 1).
    assert_are(&outcome.figures.latency(), (0..100).map(|n| (40 + 20 * n) * MS).collect());
    assert_are(&outcome.figures.slip, (0..100).map(|n| 20 * n * MS).collect());
    assert_are(&outcome.figures.service, vec![40 * MS; 100]);
    assert!(outcome.warnings().iter().any(|warning| warning.contains("for a connection")));
}

#[test]
fn what_begins_in_the_warm_up_does_not_count() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let outcome = run(|| {
        // Slow at first.
        let at = answering(|| {
            let is_early = ASKED.fetch_add(1, Relaxed) < 10;
            sleep(ms(if is_early { 100 } else { 10 }));
        });
        let mut plan = plan(at);
        (plan.warm_up, plan.time) = (ms(1_000), Some(ms(2_000)));
        plan
    });
    assert_are(&outcome.figures.latency(), vec![10 * MS; 200]);
    assert_eq!((outcome.took, outcome.intervals.len()), (ms(2_000), 2));
}

#[test]
fn a_request_without_an_answer_is_told() {
    let outcome = run(|| {
        let at = answering(|| sleep(Duration::from_secs(3600)));
        let mut plan = plan(at);
        (plan.connections, plan.time) = (3, Some(ms(5_000)));
        plan
    });
    assert_eq!((outcome.figures.answers(), outcome.figures.unfinished), (0, 3));
    // The grace belongs to it.
    assert_eq!(outcome.figures.unfinished_age, 7_000 * MS);
    assert!(
        outcome.warnings().iter().any(|warning| warning.starts_with("3 requests had no answer"))
    );
}

#[test]
fn patience_ends() {
    let outcome = run(|| {
        let at = answering(|| sleep(Duration::from_secs(3600)));
        let mut plan = plan(at);
        (plan.requests, plan.time, plan.patience) = (Some(4), None, ms(1_000));
        plan
    });
    let (failure, count) = outcome.figures.failures.first_key_value().unwrap();
    assert_eq!((failure.step, *count, outcome.took), (Step::Timeout, 4, ms(4_000)));
}

/// A server that ends midway: what was measured is kept, and the run does not go on for nothing.
#[test]
fn a_server_that_dies_ends_the_run() {
    let outcome = run(|| {
        let listener = raddle::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        raddle::thread::spawn(move || {
            // The one that only looks whether it is there.
            drop(listener.accept().unwrap());
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            for _ in 0..100 {
                assert!(read_head(&mut stream));
                sleep(ms(10));
                stream.write_all(ANSWER).unwrap();
            }
        });
        let mut plan = plan(at);
        plan.time = Some(Duration::from_secs(3600));
        plan
    });
    assert_are(&outcome.figures.latency(), vec![10 * MS; 100]);
    let End::Gone(failure) = &outcome.end else { panic!("{:?}", outcome.end) };
    assert_eq!((failure.step, failure.errno), (Step::Connect, Some(111)));
    assert!(outcome.took < ms(10_000), "{:?}", outcome.took);
    // However the end of the connection is met.
    let ends = [Step::Closed, Step::Receive, Step::Send];
    assert!(outcome.figures.failures.keys().any(|one| ends.contains(&one.step)));
}

#[test]
fn who_is_not_there_is_told_at_once() {
    let outcome = Settings::new(1).run(|| {
        let plan = plan("127.0.0.1:9".parse().unwrap());
        Run::new(plan).run(|_| ()).map(|_| ())
    });
    let error = outcome.result.unwrap().unwrap_err();
    assert!(matches!(&error, CannotBegin::Unreachable(..)));
    let expected = "http://127.0.0.1:9/: connect: Connection refused (ECONNREFUSED, 111)";
    assert_eq!(error.to_string(), expected);
}

/// The same seed asks at the same moments.
#[test]
fn a_seed_is_a_run() {
    let latencies = |seed| {
        let outcome = run(move || {
            let at = answering(|| sleep(ms(7)));
            let mut plan = plan(at);
            (plan.seed, plan.requests, plan.time) = (seed, Some(500), None);
            plan.pace = Some(Pace { rate: 120.0, spacing: Spacing::Poisson, ramp: Duration::ZERO });
            plan
        });
        outcome.figures.latency().steps().collect::<Vec<_>>()
    };
    assert_eq!(latencies(7), latencies(7));
    assert_ne!(latencies(7), latencies(8));
}
