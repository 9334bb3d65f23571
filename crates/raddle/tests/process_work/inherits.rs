//! What a child inherits: from a raddle thread the same as from the program's first thread with `std`, before there was a runtime.

use crate::io_kit::{Case, Kind, on};
use raddle::process::Command;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the kernel tells of a process, as far as it passes from parent to child.
const SCRIPT: &str = "grep -E '^(Sig|Shd|Cap|NoNewPrivs|Seccomp:|Cpus_allowed:|Umask)' /proc/$$/status | grep -v SigQ
    echo timers $(cat /proc/$$/timerslack_ns)
    echo scheduler $(cut -d' ' -f 18,19,40,41 /proc/$$/stat)
    exec ls /proc/self/fd";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("a_child_inherits_what_one_of_stds_does", as_of_std),
        Case::new("exec_leaves_nothing_of_the_runtime", || {
            on(Kind::Raddle, || {
                let error = Command::new("/bin/sh").args(["-c", SCRIPT]).exec();
                panic!("{error}");
            });
        })
        .checked(|child| {
            let plain = child.stdout.contains("timers 50000\n")
                && child.stdout.contains("SigBlk:\t0000000000000000\n");
            child.expect(child.status.success() && plain, "a program like any other")
        }),
    ]
}

fn said(output: std::io::Result<Output>) -> String {
    let output = output.expect("a shell");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The shell that tells. `forks`: std starts it by `fork(2)`, not by `posix_spawn(3)`, which sets libc's own signals otherwise.
fn shell(forks: bool) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", SCRIPT]);
    if forks {
        // SAFETY: it does nothing. But for it, std does not fork.
        unsafe { command.pre_exec(|| Ok(())) };
    }
    command
}

fn as_of_std() {
    // With the first thread libc takes a signal for itself.
    std::thread::spawn(|| ()).join().unwrap();
    // A signal that the program has blocked for its own reasons stays blocked in children, as with std.
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: fills a set, and blocks what is in it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR2);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
    let expected = [false, true].map(|forks| said(shell(forks).output()));
    assert!(expected[0].contains("SigBlk:\t0000000000000800"), "{expected:?}");
    // Threads that compute, so that there is somebody to preempt, and preemption signals are under way.
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let computing: Vec<_> = (0..8)
        .map(|_| {
            raddle::thread::spawn(|| {
                while !IS_OVER.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            })
        })
        .collect();
    for kind in [Kind::Raddle, Kind::Kernel] {
        for forks in [false, true] {
            let expected = expected[usize::from(forks)].clone();
            on(kind, move || {
                for _ in 0..10 {
                    let mut command = Command::new("/bin/sh");
                    command.args(["-c", SCRIPT]);
                    if forks {
                        // SAFETY: it does nothing. But for it, std does not fork.
                        unsafe { command.pre_exec(|| Ok(())) };
                    }
                    let found = said(command.output());
                    assert_eq!(found, expected, "on a thread of kind {kind:?}, forks: {forks}");
                }
            });
        }
    }
    // Of std's own children a forked one is the same, if a raddle thread starts it.
    on(Kind::Raddle, move || assert_eq!(said(shell(true).output()), expected[1]));
    IS_OVER.store(true, Ordering::Relaxed);
    computing.into_iter().for_each(|thread| thread.join().unwrap());
}
