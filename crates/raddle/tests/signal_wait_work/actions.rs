//! What signals do while nobody listens, and what those see of it who have no part in it: former handlers, children, forked processes.

use crate::io_kit::{Case, Kind, on, until};
use crate::redirected::Redirected;
use crate::{real_time, send, wait};
use raddle::io::{ErrorKind, Read};
use raddle::process::{Command, Stdio};
use raddle::signal::{Signal, Signals};
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("before_it_does_what_it_does_by_default", || {
            both(|| drop(Signals::new(Signal::USR1).unwrap()));
            send(Signal::TERM);
            unreachable!("it has ended");
        })
        .checked(|child| child.expect(child.signal() == Some(libc::SIGTERM), "SIGTERM ends it")),
        Case::new("afterwards_it_does_what_it_does_by_default", || {
            both(|| {
                let signals = Signals::new([Signal::TERM, Signal::USR1]).unwrap();
                send(Signal::TERM);
                assert_eq!(wait(&signals).signal(), Signal::TERM);
            });
            println!("was heard");
            send(Signal::TERM);
            unreachable!("it has ended");
        })
        .checked(|child| {
            let is_right = child.signal() == Some(libc::SIGTERM) && child.stdout == "was heard\n";
            child.expect(is_right, "the first SIGTERM is heard, the second ends it")
        }),
        Case::new("an_action_comes_back_as_it_was", an_action_comes_back),
        Case::new("a_handler_that_was_installed_meanwhile_stays", a_later_handler_stays),
        Case::new("the_signal_that_lists_threads_is_lent", || {
            both(|| {
                let signals = Signals::new(Signal::QUIT).unwrap();
                send(Signal::QUIT);
                assert_eq!(wait(&signals).signal(), Signal::QUIT);
            });
            eprintln!("lists now");
            let (list, writer) = std::io::pipe().unwrap();
            let redirected = Redirected::new(libc::STDERR_FILENO, writer);
            send(Signal::QUIT);
            // The list comes when it comes.
            let lines = BufReader::new(list).lines().map_while(Result::ok);
            let list: Vec<_> = lines.take_while(|line| line != "raddle: end of the list").collect();
            drop(redirected);
            list.iter().for_each(|line| eprintln!("{line}"));
        })
        .checked(|child| {
            let (before, after) = child.stderr.split_once("lists now\n").unwrap_or_default();
            let is_right = !before.contains("raddle:") && after.starts_with("raddle: ");
            child.expect(child.status.success() && is_right, "one list, afterwards")
        }),
        Case::new("children_inherit_nothing_of_it", children_inherit_nothing),
        Case::new("a_forked_child_is_as_if_nobody_listened", in_a_forked_child),
        Case::new("a_simulated_host_has_no_signals", simulated),
    ]
}

/// On a thread of either kind, one after the other.
fn both(body: fn()) {
    on(Kind::Raddle, body);
    on(Kind::Kernel, body);
}

pub(crate) fn action(signal: Signal) -> libc::sigaction {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: writes the structure.
    unsafe {
        libc::sigaction(signal.number(), ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

static CALLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    CALLED.fetch_add(1, Ordering::SeqCst);
}

fn install(signal: Signal) {
    let mut action = action(signal);
    action.sa_sigaction = count as *const () as usize;
    action.sa_flags = libc::SA_NODEFER;
    // SAFETY: the handler counts.
    unsafe {
        libc::sigaddset(&raw mut action.sa_mask, libc::SIGWINCH);
        libc::sigaction(signal.number(), &raw const action, ptr::null_mut());
    }
}

fn an_action_comes_back() {
    install(Signal::USR1);
    both(|| {
        CALLED.store(0, Ordering::SeqCst);
        let two = [0, 1].map(|_| Signals::new([Signal::USR1, Signal::HUP]).unwrap());
        send(Signal::USR1);
        two.iter().for_each(|signals| assert_eq!(wait(signals).signal(), Signal::USR1));
        let [one, other] = two;
        drop(one);
        send(Signal::USR1);
        assert_eq!(wait(&other).signal(), Signal::USR1);
        assert_eq!(CALLED.load(Ordering::SeqCst), 0, "it is not the former handler's for the time");
        drop(other);
        send(Signal::USR1);
        until(|| CALLED.load(Ordering::SeqCst) == 1);
        let now = action(Signal::USR1);
        assert_eq!(now.sa_flags & libc::SA_NODEFER, libc::SA_NODEFER);
        // SAFETY: reads a set.
        assert_eq!(unsafe { libc::sigismember(&raw const now.sa_mask, libc::SIGWINCH) }, 1);
        assert_eq!(action(Signal::HUP).sa_sigaction, libc::SIG_DFL);
    });
}

fn a_later_handler_stays() {
    both(|| {
        CALLED.store(0, Ordering::SeqCst);
        let signals = Signals::new(Signal::USR2).unwrap();
        install(Signal::USR2);
        send(Signal::USR2);
        until(|| CALLED.load(Ordering::SeqCst) == 1);
        assert_eq!(signals.try_wait().unwrap(), None);
        drop(signals);
        send(Signal::USR2);
        until(|| CALLED.load(Ordering::SeqCst) == 2);
    });
}

/// Neither a mask nor an action: whoever listens for SIGTERM can end its children with it.
fn children_inherit_nothing() {
    const MASKS: [&str; 3] = ["-E", "SigBlk|SigIgn", "/proc/self/status"];
    // With the first thread libc takes a signal for itself.
    std::thread::spawn(|| ()).join().unwrap();
    let before = std::process::Command::new("grep").args(MASKS).output().unwrap().stdout;
    let _signals = Signals::new([Signal::TERM, Signal::INT, Signal::HUP, real_time(0)]).unwrap();
    for kind in [Kind::Raddle, Kind::Kernel] {
        let before = before.clone();
        on(kind, move || {
            assert_eq!(Command::new("grep").args(MASKS).output().unwrap().stdout, before);
            let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
            // SAFETY: a child that was not waited for.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
            let mut child = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
            // SAFETY: as above.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        });
    }
}

/// A signal that it is sent does not appear in the parent, whose pipes it has.
fn in_a_forked_child() {
    let signals = Signals::new([Signal::TERM, Signal::WINCH]).unwrap();
    let signals = on(Kind::Raddle, move || {
        // SAFETY: it ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            send(Signal::WINCH);
            send(Signal::TERM);
            // SAFETY: as above.
            unsafe { libc::_exit(1) };
        }
        assert_eq!(ended(child) & 0x7f, libc::SIGTERM, "nobody listens there");
        // SAFETY: for the rest of its life it has a runtime of its own.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_right = std::panic::catch_unwind(|| {
                assert_eq!(signals.wait().unwrap_err().kind(), ErrorKind::Unsupported);
                assert_eq!(signals.try_wait().unwrap_err().kind(), ErrorKind::Unsupported);
                let own = Signals::new([Signal::TERM, Signal::USR1]).unwrap();
                send(Signal::USR1);
                send(Signal::TERM);
                let both = [wait(&own).signal(), wait(&own).signal()];
                assert!(both.contains(&Signal::TERM) && both.contains(&Signal::USR1));
            });
            drop(signals);
            // SAFETY: nothing is tidied up.
            unsafe { libc::_exit(i32::from(is_right.is_err())) };
        }
        assert_eq!(ended(child), 0);
        signals
    });
    assert_eq!(signals.try_wait().unwrap(), None, "those were the children's");
    send(Signal::WINCH);
    assert_eq!(wait(&signals).signal(), Signal::WINCH);
    // One that was forked and has not executed anything yet, as a signal to the group finds it.
    let mut command = Command::new("cat");
    // SAFETY: it sends itself a signal.
    unsafe {
        command.pre_exec(|| {
            libc::raise(libc::SIGWINCH);
            Ok(())
        })
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.stdout.take().unwrap().read(&mut [0]).unwrap(), 0);
    assert!(child.wait().unwrap().success());
    assert_eq!(signals.try_wait().unwrap(), None);
}

fn ended(child: i32) -> i32 {
    let mut status = -1;
    // SAFETY: a local is written to.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    status
}

fn simulated() {
    struct Standstill;
    impl raddle::host::Host for Standstill {
        fn now_ns(&self) -> u64 {
            1
        }
        fn choose(&self, _: usize) -> usize {
            0
        }
        fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
            assert!(deadline_ns.is_none(), "nobody has a deadline");
            false
        }
    }
    let errors = raddle::runtime::simulate(Box::new(Standstill), || {
        [Signals::new(Signal::TERM).unwrap_err(), raddle::signal::wait(Signal::TERM).unwrap_err()]
    });
    assert!(errors.unwrap().iter().all(|error| error.kind() == ErrorKind::Unsupported));
}
