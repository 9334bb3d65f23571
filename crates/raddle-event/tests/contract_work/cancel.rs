//! Cancelling: it ends in any case, once, and then the memory is free.

use crate::kit::{Setup, completion, drain, errno, pair, recv, recv_raw, write};
use raddle_core::random::Random;
use raddle_event::{Events, Operation, Queue};
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::time::Duration;

crate::cases![
    what_waits_ends_with_ecanceled_and_its_buffer_is_left_alone,
    what_was_done_is_not_cancelled,
    before_it_was_given_to_the_kernel,
    and_waiting_reports_nothing,
    others_on_the_same_socket_go_on,
    a_dropped_queue_has_let_go_of_all_buffers,
    at_random_while_data_comes_nothing_is_written_after_the_end,
];

fn what_waits_ends_with_ecanceled_and_its_buffer_is_left_alone(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0xaa; 8];
    let operation = kit.submit(1, recv(&there, &mut buffer));
    kit.nothing();
    assert!(kit.queue.cancel(operation));
    assert_eq!(errno(kit.done(operation)), Some(libc::ECANCELED));
    assert!(!kit.queue.cancel(operation));
    write(&here, b"late");
    kit.nothing();
    assert_eq!(buffer, [0xaa; 8]);
    assert_eq!(drain(&there), 4, "nobody has taken it");
}

fn what_was_done_is_not_cancelled(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    write(&here, b"early");
    let mut buffer = [0; 8];
    let operation = kit.submit(1, recv(&there, &mut buffer));
    // With io_uring it has not begun here: it may be cancelled, but not be done by half.
    kit.queue.cancel(operation);
    match kit.done(operation) {
        Ok(count) => assert_eq!((count, &buffer[..5]), (5, &b"early"[..])),
        Err(_) => assert_eq!(drain(&there), 5),
    }
    assert!(!kit.queue.cancel(operation));
    assert!(kit.queue.cancel_and_wait(operation).is_none());
}

fn before_it_was_given_to_the_kernel(setup: Setup) {
    let mut kit = setup.kit();
    let (_here, there) = pair();
    let mut buffer = [0; 8];
    for _ in 0..100 {
        let operation = kit.submit(1, recv(&there, &mut buffer));
        assert!(kit.queue.cancel(operation));
        assert_eq!(errno(kit.done(operation)), Some(libc::ECANCELED));
    }
    kit.nothing();
    assert_eq!(kit.queue.in_flight(), 0);
}

fn and_waiting_reports_nothing(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0xaa; 8];
    for is_flushed in [false, true] {
        let operation = kit.submit(1, recv(&there, &mut buffer));
        if is_flushed {
            kit.queue.flush().unwrap();
        }
        let result = kit.queue.cancel_and_wait(operation).expect("it was in flight");
        assert_eq!(errno(result), Some(libc::ECANCELED));
        assert!(kit.queue.cancel_and_wait(operation).is_none());
        assert_eq!(kit.queue.in_flight(), 0);
    }
    write(&here, b"late");
    kit.nothing();
    assert_eq!(buffer, [0xaa; 8]);
    // Events that are found meanwhile are not lost.
    let (other_here, other) = pair();
    let mut other_buffer = [0; 8];
    let kept = kit.submit(2, recv(&other, &mut other_buffer));
    drain(&there);
    let waiting = kit.submit(1, recv(&there, &mut buffer));
    kit.queue.flush().unwrap();
    write(&other_here, b"x");
    kit.queue.cancel_and_wait(waiting).expect("it was in flight").unwrap_err();
    assert_eq!(kit.done(kept).unwrap(), 1);
}

fn others_on_the_same_socket_go_on(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffers = [[0u8; 1]; 5];
    let operations: Vec<Operation> = buffers
        .iter_mut()
        .enumerate()
        .map(|(key, buffer)| kit.submit(key as u64, recv(&there, buffer)))
        .collect();
    kit.nothing();
    for at in [0, 2, 4] {
        assert!(kit.queue.cancel(operations[at]));
    }
    let mut ended = Vec::new();
    while ended.len() < 3 {
        ended.extend(kit.wait().iter().map(|event| event.key));
    }
    ended.sort_unstable();
    assert_eq!(ended, [0, 2, 4]);
    write(&here, b"ab");
    let mut ended = Vec::new();
    while ended.len() < 2 {
        ended.extend(kit.wait().iter().map(|event| event.key));
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
    assert_eq!(
        u32::from(buffers[1][0]) + u32::from(buffers[3][0]),
        u32::from(b'a') + u32::from(b'b')
    );
}

fn a_dropped_queue_has_let_go_of_all_buffers(setup: Setup) {
    let pairs: Vec<_> = (0..50).map(|_| pair()).collect();
    let mut buffers = vec![[0xaa; 8]; pairs.len()];
    let mut kit = setup.kit();
    for (at, ((_, there), buffer)) in pairs.iter().zip(&mut buffers).enumerate() {
        kit.submit(at as u64, recv(there, buffer));
        if at == 25 {
            kit.queue.flush().unwrap();
        }
    }
    drop(kit);
    pairs.iter().for_each(|(here, _)| write(here, b"late"));
    std::thread::sleep(Duration::from_millis(5));
    assert!(buffers.iter().all(|buffer| *buffer == [0xaa; 8]));
    assert!(pairs.iter().all(|(_, there)| drain(there) == 4));
}

/// Another thread sends all the time. Whoever has ended gets its buffer painted, and the paint must stay.
fn at_random_while_data_comes_nothing_is_written_after_the_end(setup: Setup) {
    const PAINT: [u8; 16] = [0xaa; 16];
    let seed =
        std::env::var("RADDLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0xca9ce1);
    println!("RADDLE_SEED={seed}");
    let mut random = Random::from_seed(seed);
    let pairs: Vec<_> = (0..8).map(|_| pair()).collect();
    let senders: Vec<_> = pairs.iter().map(|(here, _)| here.try_clone().unwrap()).collect();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sender = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for mut sender in &senders {
                    let _ = std::io::Write::write(&mut sender, &[1; 3]);
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        })
    };
    let mut queue = Queue::new(&setup.config()).unwrap();
    let mut events = Events::with_capacity(64);
    // Boxes: addresses that stay. By key, those in flight; the others are painted.
    let mut buffers: Vec<Box<[u8; 16]>> = (0..64).map(|_| Box::new(PAINT)).collect();
    let mut flying: BTreeMap<u64, Operation> = BTreeMap::new();
    for round in 0..400 {
        for _ in 0..4 {
            let key = random.below(64);
            match flying.get(&key) {
                None => {
                    let socket = pairs[random.below(8) as usize].1.as_raw_fd();
                    let op = recv_raw(socket, buffers[key as usize].as_mut_ptr(), 16);
                    // SAFETY: buffers and sockets outlive the queue.
                    flying.insert(key, unsafe { queue.submit(key, op) }.unwrap());
                }
                Some(operation) if random.below(3) == 0 => {
                    queue.cancel_and_wait(*operation).expect("it is in flight").ok();
                    *buffers[key as usize] = PAINT;
                    flying.remove(&key);
                }
                Some(operation) => {
                    queue.cancel(*operation);
                }
            }
        }
        queue.wait(&mut events, Some(Duration::from_micros(100))).unwrap();
        for event in &events {
            let done = completion(event).expect("only operations");
            assert_eq!(flying.remove(&event.key), Some(done.operation), "round {round}");
            *buffers[event.key as usize] = PAINT;
        }
        for (key, buffer) in buffers.iter().enumerate() {
            assert!(
                flying.contains_key(&(key as u64)) || **buffer == PAINT,
                "round {round}, buffer {key}"
            );
        }
    }
    drop(queue);
    buffers.iter_mut().for_each(|buffer| **buffer = PAINT);
    std::thread::sleep(Duration::from_millis(2));
    assert!(buffers.iter().all(|buffer| **buffer == PAINT));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    sender.join().unwrap();
}
