//! Catches workers that lose the nice value of their process: those that are made in place of blocked ones would stand behind everybody else's
//! threads.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;

use calls::geteuid;
use children::Case;
use raddle::thread;
use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

fn main() -> ExitCode {
    let not_root = (geteuid() != 0).then_some("only root may be nice to itself");
    children::main(vec![
        Case::new("before_others", || workers_have(-5)).unless(not_root),
        Case::new("behind_others", || workers_have(5)),
    ])
}

fn workers_have(nice: i32) {
    // SAFETY: numbers only. The process has one thread so far.
    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }, 0);
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors into an array of that size.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [reader, writer] = ends;
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    // More of them block in the kernel than there were workers, so that the monitor makes some.
    let blocked: Vec<_> = (0..12)
        .map(|_| {
            thread::spawn(move || {
                BEGUN.fetch_add(1, Ordering::Relaxed);
                let mut byte = 0u8;
                // SAFETY: writes a byte into a live one.
                unsafe { libc::read(reader, (&raw mut byte).cast(), 1) }
            })
        })
        .collect();
    // It may run before some of them: when all have begun, workers were made in their place.
    let count = || {
        while BEGUN.load(Ordering::Relaxed) < 12 {
            thread::yield_now();
        }
        nice_values()
    };
    let counted = thread::spawn(count).join().unwrap();
    // SAFETY: reads bytes that live.
    assert_eq!(unsafe { libc::write(writer, [0u8; 12].as_ptr().cast(), 12) }, 12);
    blocked.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 1));
    assert!(counted.len() > 12, "{counted:?}");
    assert!(counted.iter().all(|(_, found)| *found == nice), "{counted:?}");
}

/// Of all kernel threads of this process: their names, and what they have.
fn nice_values() -> Vec<(String, i32)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    stats
        .map(|stat| {
            let (name, rest) = stat.rsplit_once(") ").unwrap();
            // The nineteenth field; the state, which is first here, is the third.
            (name.to_owned(), rest.split(' ').nth(16).unwrap().parse().unwrap())
        })
        .collect()
}
