//! Catches a wait for the loader's lock where its holder could never go on: a body that was switched away from inside
//! `dl_iterate_phdr`, and a forked child that inherits the lock.

mod calls;
mod harness;
mod stage;

use calls::{alarm, ended, exit_now, fork};
use harness::{Run, run, spawn, yield_now};
use stage::{Stage, leave};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

type Callback = unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int;

unsafe extern "C" fn inside(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    leave();
    1
}

unsafe extern "C" fn look_away(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    0
}

/// Calls it while the loader's lock is held.
fn with_the_lock(callback: Callback) {
    // SAFETY: neither callback looks at its arguments, nor unwinds.
    unsafe { libc::dl_iterate_phdr(Some(callback), ptr::null_mut()) };
}

/// While one body is away in the middle of a callback, another ends: its end needs no lock.
#[test]
fn a_body_ends_while_another_holds_the_lock() {
    let mut stage = Stage::new();
    let warm = stage.cast(|| ());
    assert!(stage.finish(warm));
    let holder = stage.cast(|| with_the_lock(inside));
    let ends = stage.cast(leave);
    assert!(stage.enter(&ends), "it has begun, and will end below");
    assert!(stage.enter(&holder), "it is away, and holds the lock");
    assert!(!stage.enter(&ends), "it has ended");
    assert!(stage.finish(holder));
}

/// While one body is away in the middle of a callback, another begins on a TLS block that was used before: no library came or went,
/// so it needs no lock.
#[test]
fn a_recycled_body_begins_while_another_holds_the_lock() {
    thread_local!(static WORD: Cell<u32> = const { Cell::new(3) });
    let mut stage = Stage::new();
    for _ in 0..2 {
        let used = stage.cast(|| WORD.set(4));
        assert!(stage.finish(used));
    }
    let recycled = stage.cast(|| assert_eq!(WORD.replace(5), 3, "a new thread's"));
    let holder = stage.cast(|| with_the_lock(inside));
    assert!(stage.enter(&holder), "it is away, and holds the lock");
    assert!(stage.finish(recycled));
    assert!(stage.finish(holder));
}

/// Children forked while bodies come and go can use the loader.
#[test]
fn forked_children_do_not_inherit_the_lock() {
    let forks = if cfg!(debug_assertions) { 60 } else { 150 };
    run(Run { workers: 2, ..Run::default() }, move || {
        let until = spawn(move || {
            for round in 0..forks {
                let child = fork();
                if child == 0 {
                    alarm(5);
                    with_the_lock(look_away);
                    exit_now(0);
                }
                let status = loop {
                    match ended(child) {
                        Some(status) => break status,
                        None => yield_now(),
                    }
                };
                assert!(status.success(), "child {round} hung, or died: {status}");
            }
        });
        let start = Instant::now();
        let busy: Vec<_> = (0..4)
            .map(|_| {
                spawn(move || {
                    while start.elapsed() < Duration::from_millis(700) {
                        spawn(|| ()).join().unwrap();
                    }
                })
            })
            .collect();
        until.join().unwrap();
        busy.into_iter().for_each(|one| one.join().unwrap());
    });
}
