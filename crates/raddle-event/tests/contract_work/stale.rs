//! Stale events: descriptors that are closed while registered, and numbers that are used again.

use super::readiness::ready;
use crate::kit::{Kit, Setup, drain, pair, replace, write};
use raddle_event::{Event, Interest, Mode, Op};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

crate::cases![
    a_closed_number_that_is_used_again_is_not_reported_under_the_old_key,
    a_closed_number_that_is_registered_anew_has_the_new_key_only,
    a_file_that_lives_on_elsewhere_does_not_report_for_the_new_owner,
    orphans_do_not_keep_a_queue_awake,
    modifying_what_was_closed_and_replaced_fails,
    operations_on_a_reused_number_are_not_taken_for_the_old_one,
    an_operation_on_a_reused_number_waits_for_the_new_file,
    closing_through_the_queue_ends_all,
    random_closing_and_reopening_never_confuses_keys,
];

const MODES: [Mode; 3] = [Mode::Level, Mode::Edge, Mode::OneShot];

fn a_closed_number_that_is_used_again_is_not_reported_under_the_old_key(setup: Setup) {
    for mode in MODES {
        let mut kit = setup.kit();
        let ((_old_peer, old), (new_peer, new)) = (pair(), pair());
        kit.queue.register(&old, 1, Interest::READ, mode).unwrap();
        kit.nothing();
        replace(&old, &new);
        write(&new_peer, b"x");
        kit.nothing();
    }
}

fn a_closed_number_that_is_registered_anew_has_the_new_key_only(setup: Setup) {
    for mode in MODES {
        let mut kit = setup.kit();
        let ((old_peer, old), (new_peer, new)) = (pair(), pair());
        let stale = kit.queue.register(&old, 1, Interest::READ, mode).unwrap();
        write(&old_peer, b"x");
        assert_eq!(kit.one().key, 1);
        replace(&old, &new);
        kit.queue.register(&old, 2, Interest::READ, mode).unwrap();
        kit.nothing();
        assert!(!kit.queue.remove(stale));
        write(&new_peer, b"x");
        assert_eq!(kit.one().key, 2);
    }
}

/// The file of the old registration is still open under a second number, and goes on to be ready.
fn a_file_that_lives_on_elsewhere_does_not_report_for_the_new_owner(setup: Setup) {
    for mode in MODES {
        let mut kit = setup.kit();
        let ((old_peer, old), (new_peer, new)) = (pair(), pair());
        let copy = old.try_clone().unwrap();
        kit.queue.register(&old, 1, Interest::READ, mode).unwrap();
        replace(&old, &new);
        let registration = kit.queue.register(&old, 2, Interest::READ, mode).unwrap();
        write(&old_peer, b"x");
        kit.nothing();
        write(&new_peer, b"x");
        assert_eq!(kit.one().key, 2);
        drain(&old);
        kit.queue.modify(registration, Interest::READ, mode).unwrap();
        kit.nothing();
        write(&new_peer, b"y");
        assert_eq!(kit.one().key, 2, "also after the orphan was found out");
        assert_eq!(drain(&copy), 1, "the orphan's data is its own");
    }
}

/// Of an orphan that is ready for ever, a queue must not go round in circles.
fn orphans_do_not_keep_a_queue_awake(setup: Setup) {
    let mut kit = setup.kit();
    let ((old_peer, old), (_new_peer, new)) = (pair(), pair());
    let _copy = old.try_clone().unwrap();
    let registration = kit.queue.register(&old, 1, Interest::READ, Mode::Level).unwrap();
    write(&old_peer, b"x");
    replace(&old, &new);
    kit.queue.remove(registration);
    kit.nothing();
    let before = cpu_time();
    kit.queue.wait(&mut kit.events, Some(std::time::Duration::from_millis(100))).unwrap();
    assert!(kit.events.is_empty());
    let used = cpu_time() - before;
    assert!(used < 50_000_000, "{used} ns of processor time in 100 ms of sleep");
}

fn cpu_time() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn modifying_what_was_closed_and_replaced_fails(setup: Setup) {
    let mut kit = setup.kit();
    let ((_old_peer, old), (new_peer, new)) = (pair(), pair());
    let registration = kit.queue.register(&old, 1, Interest::READ, Mode::OneShot).unwrap();
    replace(&old, &new);
    write(&new_peer, b"x");
    let error = kit.queue.modify(registration, Interest::READ, Mode::Level).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    kit.nothing();
}

fn operations_on_a_reused_number_are_not_taken_for_the_old_one(setup: Setup) {
    for mode in MODES {
        let mut kit = setup.kit();
        let ((_old_peer, old), (new_peer, new)) = (pair(), pair());
        kit.queue.register(&old, 1, Interest::READ, mode).unwrap();
        replace(&old, &new);
        let mut buffer = [0; 8];
        let operation = kit.submit(2, crate::kit::recv(&old, &mut buffer));
        kit.nothing();
        write(&new_peer, b"new");
        assert_eq!(kit.done(operation).unwrap(), 3);
        write(&new_peer, b"more");
        kit.nothing();
    }
}

/// Somebody waited on the old file for the same thing, and was cancelled: what the kernel was told then is of no use now.
fn an_operation_on_a_reused_number_waits_for_the_new_file(setup: Setup) {
    let mut kit = setup.kit();
    let ((_old_peer, old), (new_peer, new)) = (pair(), pair());
    let mut buffer = [0; 8];
    let before = kit.submit(1, crate::kit::recv(&old, &mut buffer));
    kit.nothing();
    kit.queue.cancel_and_wait(before).expect("in flight").unwrap_err();
    replace(&old, &new);
    let operation = kit.submit(2, crate::kit::recv(&old, &mut buffer));
    kit.nothing();
    write(&new_peer, b"new");
    assert_eq!(kit.done(operation).unwrap(), 3);
}

fn closing_through_the_queue_ends_all(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0; 8];
    let registration = kit.queue.register(&there, 1, Interest::READ, Mode::Level).unwrap();
    let receiving = kit.submit(2, crate::kit::recv(&there, &mut buffer));
    kit.nothing();
    let closing = kit.submit(3, Op::Close { file: there.into_raw_fd() });
    let mut results = std::collections::BTreeMap::new();
    while results.len() < 2 {
        for event in kit.wait() {
            let done = crate::kit::completion(&event).expect("the registration has ended");
            results.insert(event.key, done);
        }
    }
    assert_eq!((results[&2].operation, results[&3].operation), (receiving, closing));
    assert_eq!(crate::kit::errno(results[&2].result()), Some(libc::ECANCELED));
    assert_eq!(results[&3].result().unwrap(), 0);
    assert!(!kit.queue.remove(registration));
    // The connection has really ended.
    let mut bytes = [0; 8];
    let end = kit.perform(crate::kit::recv(&here, &mut bytes));
    assert_eq!(end.unwrap(), 0);
}

/// A few numbers that always name something, and are replaced at random; each file that was ever registered is known by its key.
fn random_closing_and_reopening_never_confuses_keys(setup: Setup) {
    let seed =
        std::env::var("RADDLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    println!("RADDLE_SEED={seed}");
    let mut random = raddle_core::random::Random::from_seed(seed);
    let mut kit = setup.kit();
    let mut places: Vec<(UnixStream, UnixStream)> = (0..16).map(|_| pair()).collect();
    // Of each place: the key under which its present file is registered.
    let mut keys: Vec<Option<u64>> = vec![None; places.len()];
    for key in 1..600 {
        let at = random.below(places.len() as u64) as usize;
        match random.below(4) {
            0 => {
                let (peer, new) = pair();
                replace(&places[at].1, &new);
                (places[at].0, keys[at]) = (peer, None);
            }
            1 => {
                let mode = MODES[random.below(3) as usize];
                kit.queue.register(&places[at].1, key, Interest::READ, mode).unwrap();
                keys[at] = Some(key);
            }
            _ => write(&places[at].0, b"x"),
        }
        if random.below(4) == 0 {
            check(&mut kit, &places, &keys);
        }
    }
}

fn check(kit: &mut Kit, places: &[(UnixStream, UnixStream)], keys: &[Option<u64>]) {
    kit.queue.wait(&mut kit.events, Some(std::time::Duration::ZERO)).unwrap();
    let events: Vec<Event> = kit.events.iter().copied().collect();
    for event in events {
        assert!(ready(&event).is_readable());
        let at = keys.iter().position(|key| *key == Some(event.key));
        let at = at.unwrap_or_else(|| panic!("a stale event: {event:?}, known are {keys:?}"));
        assert!(places[at].1.as_raw_fd() >= 0);
        assert!(drain(&places[at].1) > 0, "{event:?}, and nothing is there");
    }
}
