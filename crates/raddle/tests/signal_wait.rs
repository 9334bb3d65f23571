//! `raddle::signal`: the kernel's signals reach whoever waits for them, once, and nobody else.

#[path = "signal_wait_work/actions.rs"]
mod actions;
mod io_kit;
#[path = "signal_wait_work/many.rs"]
mod many;
#[path = "stdio_work/redirected.rs"]
mod redirected;

use io_kit::{Kind, a_moment, cases, hears, main_with, on, signal_thrice, start, until};
use raddle::cancel::Token;
use raddle::io::{self, ErrorKind, Interest, Write, poll};
use raddle::signal::{self, Info, Signal, SignalSet, Signals};
use raddle::{thread, time};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn main() -> ExitCode {
    let cases = cases![
        each_signal_is_told_from_the_others,
        who_has_sent_it_and_what_came_with_it,
        a_childs_end_is_a_signal,
        who_waits_is_woken,
        what_comes_between_two_waits_is_kept,
        one_of_several_waiters_gets_it,
        each_of_several_listeners_gets_it,
        a_look_does_not_wait,
        a_wait_for_once,
        a_time_out_ends_a_wait_and_no_signal_is_lost,
        a_token_ends_a_wait_and_no_signal_is_lost,
        a_signal_between_threads_is_heard_and_the_wait_goes_on,
        it_is_a_source_among_others,
        one_that_is_dropped_hears_nothing_and_leaves_nothing,
        what_can_not_be_waited_for_is_refused,
        waits_hold_no_kernel_thread,
    ];
    let mut own = actions::cases();
    own.extend(many::cases());
    main_with(cases, own)
}

const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_secs(30);

/// Real-time signals are queued, each one.
pub(crate) fn real_time(number: i32) -> Signal {
    Signal::new(libc::SIGRTMIN() + number).expect("there are some thirty")
}

/// Sends this process a signal, as anybody could.
pub(crate) fn send(signal: Signal) {
    // SAFETY: no memory is involved; each test has taken the signal.
    assert_eq!(unsafe { libc::kill(std::process::id() as i32, signal.number()) }, 0);
}

/// The same with a value. The kernel keeps so many at most.
pub(crate) fn send_value(signal: Signal, value: i32) {
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value as u32 as usize) };
    // SAFETY: a number.
    while unsafe { libc::sigqueue(std::process::id() as i32, signal.number(), value) } != 0 {
        assert_eq!(io::Error::last_os_error().kind(), ErrorKind::WouldBlock);
        std::thread::yield_now();
    }
}

pub(crate) fn wait(signals: &Signals) -> Info {
    let result = time::timeout(LATE, || signals.wait());
    result.expect("it does not come").expect("a process of its own")
}

fn each_signal_is_told_from_the_others(_: Kind) {
    let all = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::PIPE,
        Signal::ALRM,
        Signal::TERM,
        Signal::CHLD,
        Signal::CONT,
        Signal::TSTP,
        Signal::WINCH,
        real_time(0),
        Signal::new(Signal::MAX).unwrap(),
    ];
    let signals = Signals::new(all.as_slice()).unwrap();
    assert_eq!(signals.signals(), SignalSet::from(all));
    for signal in all {
        send(signal);
        assert_eq!(wait(&signals).signal(), signal);
    }
    assert_eq!(signals.try_wait().unwrap(), None);
}

fn who_has_sent_it_and_what_came_with_it(_: Kind) {
    let signals = Signals::new([Signal::USR1, real_time(1)]).unwrap();
    let me = std::process::id();
    // SAFETY: no memory is involved.
    let user = unsafe { libc::getuid() };
    send(Signal::USR1);
    let info = wait(&signals);
    assert_eq!(
        (info.pid(), info.uid(), info.code(), info.value()),
        (Some(me), Some(user), libc::SI_USER, 0)
    );
    send_value(real_time(1), -77);
    let info = wait(&signals);
    assert_eq!((info.signal(), info.pid(), info.code()), (real_time(1), Some(me), libc::SI_QUEUE));
    assert_eq!(info.value(), -77);
    // From somebody else.
    let mut command = raddle::process::Command::new("sh");
    let mut child = command.args(["-c", "kill -USR1 $PPID"]).spawn().unwrap();
    assert_eq!(wait(&signals).pid(), Some(child.id()));
    assert!(child.wait().unwrap().success());
    // To a single kernel thread.
    // SAFETY: the signal is taken.
    unsafe { libc::raise(Signal::USR1.number()) };
    assert_eq!(wait(&signals).code(), libc::SI_TKILL);
}

fn a_childs_end_is_a_signal(_: Kind) {
    let signals = Signals::new(Signal::CHLD).unwrap();
    let mut command = raddle::process::Command::new("sh");
    let mut child = command.args(["-c", "exit 3"]).spawn().unwrap();
    let info = wait(&signals);
    assert_eq!((info.signal(), info.pid()), (Signal::CHLD, Some(child.id())));
    assert_eq!(info.code(), libc::CLD_EXITED);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

fn who_waits_is_woken(kind: Kind) {
    let signals = Arc::new(Signals::new([Signal::USR1, Signal::USR2]).unwrap());
    for signal in [Signal::USR1, Signal::USR2, Signal::USR1] {
        let waiter = start(kind, {
            let signals = signals.clone();
            move || wait(&signals).signal()
        });
        a_moment();
        send(signal);
        assert_eq!(waiter.join(), signal);
    }
}

fn what_comes_between_two_waits_is_kept(kind: Kind) {
    let signals = Arc::new(Signals::new([Signal::TERM, Signal::HUP, Signal::INT]).unwrap());
    send(Signal::HUP);
    assert_eq!(wait(&signals).signal(), Signal::HUP);
    // Nobody waits now, and none of them ends the process.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        send(signal);
    }
    let theirs = signals.clone();
    let first = on(kind, move || wait(&theirs).signal());
    let rest = [wait(&signals).signal(), wait(&signals).signal()];
    let all: SignalSet = [first, rest[0], rest[1]].into();
    assert_eq!(all, signals.signals());
}

fn one_of_several_waiters_gets_it(kind: Kind) {
    const WAITERS: i32 = 20;
    let signals = Arc::new(Signals::new(real_time(0)).unwrap());
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let signals = signals.clone();
            start(kind, move || wait(&signals).value())
        })
        .collect();
    a_moment();
    (0..WAITERS).for_each(|value| send_value(real_time(0), value));
    let mut values: Vec<i32> = waiters.into_iter().map(|waiter| waiter.join()).collect();
    values.sort();
    assert!(values.into_iter().eq(0..WAITERS));
    assert_eq!(signals.try_wait().unwrap(), None);
}

fn each_of_several_listeners_gets_it(kind: Kind) {
    let sets: [SignalSet; 3] =
        [Signal::USR1.into(), [Signal::USR1, Signal::USR2].into(), Signal::USR2.into()];
    let [one, both, other] = sets.map(|set| Arc::new(Signals::new(set).unwrap()));
    let waiters = [&one, &both].map(|signals| {
        let signals = signals.clone();
        start(kind, move || wait(&signals).signal())
    });
    a_moment();
    send(Signal::USR1);
    assert_eq!(waiters.map(|waiter| waiter.join()), [Signal::USR1; 2]);
    assert_eq!(other.try_wait().unwrap(), None);
    // That one of them goes changes nothing for the others.
    drop(one);
    send(Signal::USR2);
    assert_eq!([wait(&both), wait(&other)].map(|info| info.signal()), [Signal::USR2; 2]);
    send(Signal::USR1);
    assert_eq!(wait(&both).signal(), Signal::USR1);
}

fn a_look_does_not_wait(_: Kind) {
    let signals = Signals::new(Signal::USR2).unwrap();
    assert_eq!(signals.try_wait().unwrap(), None);
    send(Signal::USR2);
    let mut found = None;
    until(|| {
        found = signals.try_wait().unwrap();
        found.is_some()
    });
    assert_eq!(found.map(|info| info.signal()), Some(Signal::USR2));
}

fn a_wait_for_once(kind: Kind) {
    // Keeps the signals from ending the process before and after.
    std::mem::forget(Signals::new([Signal::INT, Signal::TERM]).unwrap());
    for signal in [Signal::TERM, Signal::INT] {
        let is_over = Arc::new(AtomicU32::new(0));
        let waiter = start(kind, {
            let is_over = is_over.clone();
            move || {
                let info = time::timeout(LATE, || signal::wait([Signal::TERM, Signal::INT]));
                is_over.store(1, Ordering::SeqCst);
                info.expect("it comes").unwrap().signal()
            }
        });
        while is_over.load(Ordering::SeqCst) == 0 {
            send(signal);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(waiter.join(), signal);
    }
}

fn a_time_out_ends_a_wait_and_no_signal_is_lost(_: Kind) {
    let signals = Signals::new(real_time(0)).unwrap();
    assert!(time::timeout(SOON, || signals.wait()).is_err());
    // Signals and time-outs at about the same time.
    let sender = std::thread::spawn(|| {
        for value in 0..200 {
            std::thread::sleep(Duration::from_micros(150));
            send_value(real_time(0), value);
        }
    });
    let mut values = Vec::new();
    while values.len() < 200 {
        if let Ok(info) = time::timeout(Duration::from_micros(150), || signals.wait()) {
            values.push(info.unwrap().value());
        }
    }
    sender.join().unwrap();
    values.sort();
    assert!(values.into_iter().eq(0..200));
}

fn a_token_ends_a_wait_and_no_signal_is_lost(kind: Kind) {
    let signals = Arc::new(Signals::new(Signal::USR1).unwrap());
    let token = Token::new();
    let waiter = start(kind, {
        let (signals, token) = (signals.clone(), token.clone());
        move || token.carry(|| signals.wait()).is_err()
    });
    a_moment();
    token.cancel();
    assert!(waiter.join());
    send(Signal::USR1);
    assert_eq!(wait(&signals).signal(), Signal::USR1);
    // With a token that was cancelled before, what is there is taken all the same, as nobody waits for it.
    send(Signal::USR1);
    until(|| poll(&[(&*signals, Interest::READ)], Some(Duration::ZERO)).unwrap().len() == 1);
    assert!(token.carry(|| signals.wait()).is_ok());
}

/// Those have the same numbers, and nothing else in common.
fn a_signal_between_threads_is_heard_and_the_wait_goes_on(_: Kind) {
    let signals = Signals::new(Signal::USR1).unwrap();
    let waiter = hears(move || wait(&signals).pid());
    signal_thrice(&waiter);
    send(Signal::USR1);
    let (waiter, heard) = waiter;
    assert_eq!(waiter.join().unwrap(), Some(std::process::id()));
    assert_eq!(heard.load(Ordering::Relaxed), 3);
}

fn it_is_a_source_among_others(kind: Kind) {
    let signals = Arc::new(Signals::new(Signal::USR2).unwrap());
    let (reader, mut writer) = io::pipe().unwrap();
    let reader = Arc::new(reader);
    let waits = || {
        let (signals, reader) = (signals.clone(), reader.clone());
        start(kind, move || {
            let sources = [(reader.as_fd(), Interest::READ), (signals.as_fd(), Interest::READ)];
            poll(&sources, Some(LATE)).unwrap()[0].index()
        })
    };
    let waiter = waits();
    a_moment();
    send(Signal::USR2);
    assert_eq!(waiter.join(), 1);
    assert_eq!(signals.try_wait().unwrap().map(|info| info.signal()), Some(Signal::USR2));
    let waiter = waits();
    a_moment();
    writer.write_all(b"x").unwrap();
    assert_eq!(waiter.join(), 0);
}

fn pipes() -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let target = |one: std::fs::DirEntry| std::fs::read_link(one.path());
    let is_pipe = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("pipe:");
    all.filter_map(|one| target(one.unwrap()).ok()).filter(is_pipe).count()
}

fn one_that_is_dropped_hears_nothing_and_leaves_nothing(_: Kind) {
    let both = [Signal::USR1, real_time(0)];
    let keeps = Signals::new(both).unwrap();
    drop(Signals::new(both).unwrap());
    let before = pipes();
    for round in 0..300 {
        let signals = Signals::new(both).unwrap();
        // What came for those who had its place before is not there.
        assert_eq!(signals.try_wait().unwrap(), None, "round {round}");
        send_value(real_time(0), round);
        send(Signal::USR1);
        // It has arrived when all who listen have it; one that is under way when nobody does ends the process.
        let came = [wait(&keeps).signal(), wait(&keeps).signal()];
        assert_eq!(SignalSet::from(came), both.into());
        if round % 3 == 0 {
            wait(&signals);
        }
    }
    assert_eq!(pipes(), before);
}

fn what_can_not_be_waited_for_is_refused(_: Kind) {
    let refused = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        32,
        33,
        // It preempts.
        libc::SIGURG,
    ];
    for number in refused {
        let signal = Signal::new(number).unwrap();
        for set in [SignalSet::from(signal), [Signal::USR1, signal].into()] {
            let error = Signals::new(set).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
            assert_eq!(signal::wait(set).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
    assert_eq!(Signals::new(SignalSet::EMPTY).unwrap_err().kind(), ErrorKind::InvalidInput);
    // That one was good is no reason to have taken it.
    assert_eq!(actions::action(Signal::USR1).sa_sigaction, libc::SIG_DFL);
}

fn waits_hold_no_kernel_thread(kind: Kind) {
    const WAITERS: i32 = 40;
    if kind == Kind::Kernel {
        return;
    }
    let workers = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        let names = tasks.filter_map(|task| name(task.unwrap()).ok());
        names.filter(|name| name.starts_with("raddle-worker")).count()
    };
    let signals = Arc::new(Signals::new(real_time(0)).unwrap());
    let before = workers();
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let signals = signals.clone();
            thread::spawn(move || wait(&signals).value())
        })
        .collect();
    thread::sleep(Duration::from_millis(100));
    let after = workers();
    (0..WAITERS).for_each(|value| send_value(real_time(0), value));
    let sum: i32 = waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum();
    assert_eq!(sum, (0..WAITERS).sum());
    assert!(after < before + WAITERS as usize / 4, "{before} workers, then {after}");
}
