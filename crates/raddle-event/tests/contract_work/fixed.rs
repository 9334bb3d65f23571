//! Files that a queue has at hand. Where there is no such thing, `submit_fixed` is `submit`.

use crate::kit::{Kit, Setup, errno, pair, recv, send, write};
use raddle_event::{FixedFiles, Op, Operation};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

crate::cases![
    operations_over_fixed_files_do_what_others_do,
    who_is_not_in_the_table_goes_by_number,
    what_was_begun_before_a_removal_goes_on,
    who_is_removed_ends_when_it_is_closed,
    a_number_that_is_used_again_is_not_taken_for_the_old_file,
];

fn submit(kit: &mut Kit, op: Op) -> Operation {
    // SAFETY: as in the kit; what stands in a table is removed before its descriptor is closed.
    unsafe { kit.queue.submit_fixed(3, op) }.expect("submit")
}

/// Both have done as much.
fn both(kit: &mut Kit, operations: [Operation; 2], count: usize) {
    let mut left = operations.to_vec();
    while !left.is_empty() {
        for done in kit.wait().iter().filter_map(crate::kit::completion) {
            assert_eq!(done.result().unwrap(), count);
            left.retain(|operation| *operation != done.operation);
        }
    }
}

/// The table, with these in it; `None` where there is none.
fn table(kit: &Kit, files: &[&UnixStream]) -> Option<FixedFiles> {
    let table = kit.queue.fixed_files().ok()?;
    files.iter().for_each(|file| table.insert(file).expect("a place"));
    Some(table)
}

fn remove(table: &Option<FixedFiles>, file: impl AsFd) {
    table.iter().for_each(|table| table.remove(&file));
}

fn operations_over_fixed_files_do_what_others_do(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let table = table(&kit, &[&here, &there]);
    for round in 0..50u8 {
        let mut buffer = [0; 8];
        // Now and then something is there already.
        let early = (round % 2 == 0).then(|| submit(&mut kit, recv(&there, &mut buffer)));
        let message = [round; 5];
        let sending = submit(&mut kit, send(&here, &message));
        let receiving = early.unwrap_or_else(|| submit(&mut kit, recv(&there, &mut buffer)));
        both(&mut kit, [sending, receiving], 5);
        assert_eq!(&buffer[..5], &message);
    }
    let mut buffer = [0; 8];
    let receiving = submit(&mut kit, recv(&there, &mut buffer));
    assert!(kit.queue.cancel(receiving));
    assert_eq!(errno(kit.done(receiving)), Some(libc::ECANCELED));
    remove(&table, &here);
    remove(&table, &there);
}

fn who_is_not_in_the_table_goes_by_number(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0; 8];
    let receiving = submit(&mut kit, recv(&there, &mut buffer));
    kit.nothing();
    let sending = submit(&mut kit, send(&here, b"hello"));
    both(&mut kit, [sending, receiving], 5);
    // What is no descriptor at all is none.
    let op = Op::Send { socket: 1 << 29, buffer: b"x".as_ptr(), len: 1, flags: 0 };
    let sending = submit(&mut kit, op);
    assert_eq!(errno(kit.done(sending)), Some(libc::EBADF));
}

fn what_was_begun_before_a_removal_goes_on(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let table = table(&kit, &[&there]);
    let mut buffers = [[0; 8]; 2];
    let receiving = submit(&mut kit, recv(&there, &mut buffers[0]));
    kit.queue.flush().unwrap();
    // The kernel has not heard of this one yet.
    let late = submit(&mut kit, recv(&there, &mut buffers[1]));
    remove(&table, &there);
    kit.nothing();
    for _ in 0..2 {
        write(&here, b"x");
        kit.until(|event| crate::kit::completion(event).is_some_and(|done| done.result().is_ok()));
    }
    assert!(!kit.queue.cancel(receiving) && !kit.queue.cancel(late), "both have ended");
}

/// Whatever else is under way over fixed files.
fn who_is_removed_ends_when_it_is_closed(setup: Setup) {
    let mut kit = setup.kit();
    let (mut here, there) = pair();
    let (_silent, busy) = pair();
    let table = table(&kit, &[&busy, &there]);
    let mut buffer = [0; 8];
    submit(&mut kit, recv(&busy, &mut buffer));
    let sending = submit(&mut kit, send(&there, b"bye"));
    assert_eq!(kit.done(sending).unwrap(), 3);
    remove(&table, &there);
    drop(there);
    let mut rest = Vec::new();
    assert_eq!(here.read_to_end(&mut rest).expect("the end is there"), 3);
    remove(&table, &busy);
}

fn a_number_that_is_used_again_is_not_taken_for_the_old_file(setup: Setup) {
    let mut kit = setup.kit();
    let (old_peer, old) = pair();
    let (new_peer, new) = pair();
    let table = table(&kit, &[&old]);
    // The number of `old` is from here on the new file's.
    remove(&table, &old);
    crate::kit::replace(&old, &new);
    let sending = submit(&mut kit, send(&old, b"hello"));
    assert_eq!(kit.done(sending).unwrap(), 5);
    assert_eq!((crate::kit::drain(&new_peer), crate::kit::drain(&old_peer)), (5, 0));
    // And in its place in the table.
    table.iter().for_each(|table| table.insert(&old).expect("a place"));
    let sending = submit(&mut kit, send(&old, b"hi"));
    assert_eq!(kit.done(sending).unwrap(), 2);
    assert_eq!(crate::kit::drain(&new_peer), 2);
    remove(&table, &old);
}
