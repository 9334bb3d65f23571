//! Readiness: level, edge, one-shot, and what is said of it.

use crate::kit::{Setup, drain, pair, write};
use raddle_event::{Event, Interest, Mode, Readiness, What};
use std::io::Write;
use std::os::fd::AsRawFd;

crate::cases![
    level_reports_as_long_as_it_is_ready,
    edge_reports_each_arrival_after_the_descriptor_was_emptied,
    edge_reports_room_after_the_descriptor_was_full,
    one_shot_reports_once_until_modified,
    one_shot_modified_between_finding_and_reporting_is_reported_once,
    only_what_was_asked_for_is_reported,
    interest_can_be_changed,
    a_hangup_is_reported_unasked,
    what_was_removed_is_not_reported_even_if_it_was_found,
    registering_again_ends_the_registration_before,
    a_small_batch_loses_nothing,
    a_pipe_without_reader_is_an_error,
    a_file_on_a_disk_is_refused,
    a_number_that_is_no_descriptor_is_refused,
    the_same_socket_may_be_registered_and_operated_on,
];

pub(crate) fn ready(event: &Event) -> Readiness {
    match event.what {
        What::Ready(ready) => ready,
        other => panic!("not a readiness: {other:?}"),
    }
}

fn level_reports_as_long_as_it_is_ready(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    kit.queue.register(&there, 7, Interest::READ, Mode::Level).unwrap();
    kit.nothing();
    write(&here, b"x");
    for _ in 0..3 {
        let event = kit.one();
        assert_eq!(event.key, 7);
        assert!(ready(&event).is_readable() && !ready(&event).is_writable());
    }
    drain(&there);
    kit.nothing();
    write(&here, b"y");
    kit.one();
}

fn edge_reports_each_arrival_after_the_descriptor_was_emptied(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    kit.queue.register(&there, 7, Interest::READ, Mode::Edge).unwrap();
    for _ in 0..20 {
        write(&here, b"x");
        assert!(ready(&kit.one()).is_readable());
        assert_eq!(drain(&there), 1);
    }
    kit.nothing();
    // Between the last EWOULDBLOCK and the wait: the edge that is easily lost.
    write(&here, b"x");
    kit.one();
}

fn edge_reports_room_after_the_descriptor_was_full(setup: Setup) {
    let mut kit = setup.kit();
    let (mut here, there) = pair();
    kit.queue.register(&here, 7, Interest::WRITE, Mode::Edge).unwrap();
    assert!(ready(&kit.one()).is_writable());
    for _ in 0..3 {
        while here.write(&[0; 4096]).is_ok() {}
        drain(&there);
        assert!(ready(&kit.until(|event| event.key == 7)).is_writable());
    }
}

fn one_shot_reports_once_until_modified(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let registration = kit.queue.register(&there, 7, Interest::READ, Mode::OneShot).unwrap();
    write(&here, b"x");
    kit.one();
    write(&here, b"x");
    kit.nothing();
    kit.queue.modify(registration, Interest::READ, Mode::OneShot).unwrap();
    kit.one();
    kit.nothing();
}

fn one_shot_modified_between_finding_and_reporting_is_reported_once(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let pairs = [pair(), pair()];
    let registrations: Vec<_> = pairs
        .iter()
        .zip(0..)
        .map(|((_, there), key)| {
            kit.queue.register(there, key, Interest::READ, Mode::OneShot).unwrap()
        })
        .collect();
    pairs.iter().for_each(|(here, _)| write(here, b"x"));
    // Both were found; the batch had room for one.
    let other = 1 - kit.one().key;
    kit.queue.modify(registrations[other as usize], Interest::READ, Mode::OneShot).unwrap();
    assert_eq!(kit.one().key, other);
    kit.nothing();
}

fn only_what_was_asked_for_is_reported(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    write(&here, b"x");
    kit.queue.register(&there, 1, Interest::WRITE, Mode::Level).unwrap();
    assert!(ready(&kit.one()).is_writable() && !ready(&kit.one()).is_readable());
    let (_here, there) = pair();
    kit.queue.register(&there, 2, Interest::READ, Mode::Level).unwrap();
    kit.nothing_but(|event| event.key == 1);
}

fn interest_can_be_changed(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let registration = kit.queue.register(&there, 7, Interest::READ, Mode::Level).unwrap();
    kit.nothing();
    kit.queue.modify(registration, Interest::READ | Interest::WRITE, Mode::Level).unwrap();
    assert!(ready(&kit.one()).is_writable());
    write(&here, b"x");
    let both = kit.until(|event| ready(event).is_readable());
    assert!(ready(&both).is_writable());
    kit.queue.modify(registration, Interest::WRITE, Mode::OneShot).unwrap();
    let event = kit.one();
    assert!(ready(&event).is_writable() && !ready(&event).is_readable(), "{event:?}");
    kit.nothing();
}

fn a_hangup_is_reported_unasked(setup: Setup) {
    let mut kit = setup.kit();
    for mode in [Mode::Level, Mode::Edge, Mode::OneShot] {
        let (here, there) = pair();
        let registration = kit.queue.register(&there, 7, Interest::READ, mode).unwrap();
        kit.nothing();
        drop(here);
        let event = kit.one();
        assert!(ready(&event).is_readable() && ready(&event).is_hangup(), "{event:?}");
        assert!(kit.queue.remove(registration));
    }
}

fn what_was_removed_is_not_reported_even_if_it_was_found(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let pairs = [pair(), pair(), pair()];
    let registrations: Vec<_> = (0..3)
        .map(|key| {
            kit.queue.register(&pairs[key].1, key as u64, Interest::READ, Mode::Level).unwrap()
        })
        .collect();
    pairs.iter().for_each(|(here, _)| write(here, b"x"));
    // All three were found; the batch had room for one.
    kit.one();
    for registration in &registrations {
        assert!(kit.queue.remove(*registration));
        assert!(!kit.queue.remove(*registration), "it has ended");
    }
    kit.nothing();
    let error = kit.queue.modify(registrations[0], Interest::READ, Mode::Level).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
}

fn registering_again_ends_the_registration_before(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let first = kit.queue.register(&there, 1, Interest::READ, Mode::Level).unwrap();
    write(&here, b"x");
    assert_eq!(kit.one().key, 1);
    kit.queue.register(&there, 2, Interest::READ, Mode::Level).unwrap();
    for _ in 0..3 {
        assert_eq!(kit.one().key, 2);
    }
    assert!(!kit.queue.remove(first));
    assert_eq!(kit.one().key, 2);
}

fn a_small_batch_loses_nothing(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 7);
    let pairs: Vec<_> = (0..400).map(|_| pair()).collect();
    for (key, (here, there)) in pairs.iter().enumerate() {
        kit.queue.register(there, key as u64, Interest::READ, Mode::OneShot).unwrap();
        write(here, b"x");
    }
    let mut seen = vec![0; pairs.len()];
    while seen.contains(&0) {
        let events = kit.wait();
        assert!(events.len() <= 7);
        events.iter().for_each(|event| seen[event.key as usize] += 1);
    }
    assert!(seen.iter().all(|count| *count == 1));
    kit.nothing();
}

fn a_pipe_without_reader_is_an_error(setup: Setup) {
    let mut kit = setup.kit();
    let (reader, writer) = std::io::pipe().unwrap();
    kit.queue.register(&writer, 7, Interest::WRITE, Mode::OneShot).unwrap();
    assert!(!ready(&kit.one()).is_error());
    kit.nothing();
    let registration = kit.queue.register(&writer, 8, Interest::WRITE, Mode::Level).unwrap();
    drop(reader);
    let event = kit.until(|event| ready(event).is_error());
    assert!(event.key == 8 && ready(&event).is_writable());
    kit.queue.remove(registration);
}

fn a_file_on_a_disk_is_refused(setup: Setup) {
    let mut kit = setup.kit();
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let error = kit.queue.register(&file, 7, Interest::READ, Mode::Level).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    // It left nothing behind.
    let (here, there) = pair();
    kit.queue.register(&there, 1, Interest::READ, Mode::Level).unwrap();
    write(&here, b"x");
    assert_eq!(kit.one().key, 1);
}

fn a_number_that_is_no_descriptor_is_refused(setup: Setup) {
    let mut kit = setup.kit();
    // SAFETY: it is given to a call that has to refuse it.
    let none = unsafe { std::os::fd::BorrowedFd::borrow_raw(900_000) };
    let error = kit.queue.register(none, 7, Interest::READ, Mode::Level).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    assert_eq!(none.as_raw_fd(), 900_000);
    kit.nothing();
}

fn the_same_socket_may_be_registered_and_operated_on(setup: Setup) {
    for mode in [Mode::Level, Mode::Edge, Mode::OneShot] {
        let mut kit = setup.kit();
        let (here, there) = pair();
        kit.queue.register(&there, 1, Interest::WRITE, mode).unwrap();
        assert!(ready(&kit.one()).is_writable());
        let mut buffer = [0; 8];
        let operation = kit.submit(2, crate::kit::recv(&there, &mut buffer));
        kit.nothing_but(|event| event.key == 1);
        write(&here, b"hello");
        assert_eq!(kit.done(operation).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        kit.nothing_but(|event| event.key == 1);
    }
}
