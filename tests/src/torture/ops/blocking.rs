//! Calls that block the kernel thread, and calls under libc's locks: the core goes to another worker meanwhile.

use super::super::kernel;
use super::super::work::spin;
use super::super::world::Actor;
use raddle::thread;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// A read that waits for what another thread writes later.
pub(super) fn pipe(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let Some((from, to)) = kernel::pipe() else { return };
    let count = actor.between(1, 4) as u8;
    let delay = Duration::from_micros(actor.random.below(3_000));
    let writer = thread::spawn(move || {
        (0..count).all(|n| {
            thread::sleep(delay);
            kernel::write_byte(to.as_raw_fd(), n)
        })
    });
    for n in 0..count {
        let byte = kernel::read_byte(from.as_raw_fd());
        if byte != i32::from(n) {
            actor.world.fail(format_args!("read(2) of a pipe gave {byte}, not {n}"));
        }
        actor.step();
    }
    actor.world.check(matches!(writer.join(), Ok(true)), "a writer failed");
}

pub(super) fn poll(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let Some((from, to)) = kernel::pipe() else { return };
    let delay = Duration::from_micros(actor.random.below(2_000));
    let writer = thread::spawn(move || {
        thread::sleep(delay);
        kernel::write_byte(to.as_raw_fd(), 1);
        to
    });
    // A preemption cuts it short: EINTR is among its answers.
    while kernel::poll_input(from.as_raw_fd(), 10_000) <= 0 {
        actor.step();
    }
    actor.world.check(kernel::read_byte(from.as_raw_fd()) == 1, "poll(2) said what is not so");
    actor.world.check(writer.join().is_ok(), "a writer failed");
}

pub(super) fn nanosleep(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    let wanted = Duration::from_nanos(actor.random.below(4_000_000));
    let begun = Instant::now();
    kernel::nanosleep(wanted.as_nanos() as i64);
    let took = begun.elapsed();
    actor.world.check(took >= wanted, "nanosleep(2) ended early");
}

pub(super) fn usleep(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    kernel::usleep(actor.random.below(2_000) as u32);
}

pub(super) fn file(actor: &mut Actor) {
    let path =
        std::env::temp_dir().join(format!("raddle-torture-{}-{}", std::process::id(), actor.index));
    let byte = actor.random.next_u64() as u8;
    let size = actor.between(1, 20_000) as usize;
    let done = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(&vec![byte; size])?;
            if actor.random.one_in(20) {
                file.sync_all()?;
            }
            file.seek(SeekFrom::Start(0))?;
            let mut back = Vec::new();
            file.read_to_end(&mut back)?;
            Ok(back.len() == size && back.iter().all(|&one| one == byte))
        });
    let _ = std::fs::remove_file(&path);
    match done {
        Ok(is_right) => actor.world.check(is_right, "a file holds what nobody wrote"),
        Err(error) => actor.world.fail(format_args!("a file: {error}")),
    }
}

/// Under the loader's lock.
pub(super) fn modules(actor: &mut Actor) {
    for _ in 0..actor.between(1, 20) {
        actor.world.check(kernel::modules() >= 3, "modules are missing");
    }
    spin(500);
}

/// The loader's lock, for longer; a module that comes and goes while others make thread-local storage.
pub(super) fn library(actor: &mut Actor) {
    let found = kernel::open_library(c"libresolv.so.2", c"__res_search")
        || kernel::open_library(c"libresolv.so.2", c"res_query")
        || kernel::open_library(c"libresolv.so.2", c"ns_name_pton");
    actor.world.check(found, "dlopen failed");
}
