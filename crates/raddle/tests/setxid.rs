//! Catches credentials that only some kernel threads have, callers that wait for ever, and threads that come to harm, when `setuid` or
//! one of its kin is called in a process with raddle threads. Each case is a process of its own: what it gives up is gone.
//!
//! An alarm ends a case after a minute: a hang is what these tests are about.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;
#[path = "setxid_work/credentials.rs"]
mod credentials;
#[path = "setxid_work/load.rs"]
mod load;
#[path = "setxid_work/ring.rs"]
mod ring;

use calls::{alarm, end_of, exit_now, fork, geteuid, pipe, read, write};
use children::Case;
use credentials::*;
use load::Load;
use raddle::thread;
use std::ffi::{c_int, c_void};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let not_root = (geteuid() != 0).then_some("only root changes its credentials and back");
    let no_ring = ring::Ring::new().is_err().then_some("io_uring can't be used here");
    let case = |name: &str, run: fn()| {
        let run = move || {
            alarm(60);
            run();
        };
        Case::new(name, run).unless(not_root)
    };
    children::main(vec![
        case("from_a_raddle_thread", from_a_raddle_thread),
        case("from_a_kernel_thread", from_a_kernel_thread),
        case("from_several_at_once", from_several_at_once),
        case("on_one_core", on_one_core),
        case("every_call", every_call),
        case("groups", groups),
        case("refused", refused),
        case("without_raddle_threads", without_raddle_threads),
        case("alone", alone),
        case("while_threads_come_and_go", while_threads_come_and_go),
        case("more_threads_than_slots", more_threads_than_slots),
        case("in_a_forked_child", in_a_forked_child),
        case("in_a_child_that_shares_memory", in_a_child_that_shares_memory),
        case("in_a_command", in_a_command),
        case("a_thread_that_blocks_signals", a_thread_that_blocks_signals).checked(|child| {
            child.expect(child.status.success(), "it succeeds")?;
            let said = child.stderr.contains("which does not take signal 33");
            child.expect(said, "the caller says whom it waits for")
        }),
        case("threads_that_disagree", threads_that_disagree).checked(|child| {
            child.expect(child.signal() == Some(libc::SIGABRT), "it aborts")?;
            let said = child.stderr.contains("raddle: fatal: credentials changed on kernel thread");
            child.expect(said, "it says why")
        }),
        case("after_the_main_thread", after_the_main_thread),
        case("behind_chroot", behind_chroot),
        case("without_proc", without_proc),
        case("beside_workers_of_io_uring", beside_workers_of_io_uring).unless(no_ring),
        case("libcs_own_broadcast", libcs_own_broadcast),
    ])
}

/// For a while, or some rounds.
fn rounds(mut round: impl FnMut()) {
    let begin = Instant::now();
    for _ in 0..400 {
        round();
        if begin.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
}

fn from_a_raddle_thread() {
    let load = Load::start();
    thread::spawn(|| rounds(there_and_back)).join().unwrap();
    load.end();
}

fn from_a_kernel_thread() {
    let load = Load::start();
    rounds(there_and_back);
    load.end();
}

/// With one core, whoever waits for the lock or for answers must not keep the others from running.
fn on_one_core() {
    raddle::runtime::Builder::new().cores(1).start().unwrap();
    let load = Load::start();
    let callers: Vec<_> =
        (0..3).map(|_| thread::spawn(|| rounds(|| become_effectively(0)))).collect();
    for caller in callers {
        caller.join().unwrap();
    }
    thread::spawn(there_and_back).join().unwrap();
    load.end();
}

fn from_several_at_once() {
    let load = Load::start();
    // Changes of the effective group among these two are anybody's to make, whoever is the effective user just then.
    succeeds(setresgid(0, OTHER, OTHER));
    let users = || rounds(|| [OTHER, 0].into_iter().for_each(become_effectively));
    let groups = || {
        rounds(|| {
            for group in [0, OTHER] {
                succeeds(setegid(group));
            }
        });
    };
    let raddles = [thread::spawn(users), thread::spawn(users), thread::spawn(groups)];
    let plain = [std::thread::spawn(users), std::thread::spawn(groups), std::thread::spawn(groups)];
    raddles.into_iter().for_each(|caller| caller.join().unwrap());
    plain.into_iter().for_each(|caller| caller.join().unwrap());
    let end = agreed();
    assert!(end.contains("Uid: 0 0 0 0"), "{end}");
    assert!(end.contains(&format!("Gid: 0 {OTHER} {OTHER} {OTHER}")), "{end}");
    load.end();
}

fn every_call() {
    let load = Load::start();
    let expect = |gid: &str, uid: &str| {
        let all = agreed();
        assert!(
            all.contains(&format!("Gid: {gid};")) && all.contains(&format!("Uid: {uid};")),
            "{all}"
        );
    };
    thread::spawn(move || {
        let same = u32::MAX;
        succeeds(setegid(1));
        expect("0 1 0 1", "0 0 0 0");
        succeeds(setregid(2, 3));
        expect("2 3 3 3", "0 0 0 0");
        succeeds(setresgid(4, same, 5));
        expect("4 3 5 3", "0 0 0 0");
        succeeds(setgid(6));
        expect("6 6 6 6", "0 0 0 0");
        succeeds(setresuid(1, 0, 2));
        expect("6 6 6 6", "1 0 2 0");
        succeeds(setreuid(same, 2));
        expect("6 6 6 6", "1 2 2 2");
        // The two change places: what is done twice to a thread must not undo it.
        succeeds(setreuid(2, 1));
        expect("6 6 6 6", "2 1 1 1");
        succeeds(setuid(2));
        expect("6 6 6 6", "2 2 1 2");
        succeeds(seteuid(1));
        expect("6 6 6 6", "2 1 1 1");
    })
    .join()
    .unwrap();
    load.end();
}

fn groups() {
    let load = Load::start();
    thread::spawn(|| {
        let many: Vec<u32> = (1..300).collect();
        for groups in [&[5, 7, 9][..], &many, &[]] {
            succeeds(setgroups(groups));
            let names = groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            let all = agreed();
            assert!(all.ends_with(format!("Groups: {names}").trim()), "{all}");
        }
        succeeds(initgroups_of_root(17));
        let all = agreed();
        assert!(all.contains("Groups: ") && all.contains("17"), "{all}");
    })
    .join()
    .unwrap();
    load.end();
}

fn refused() {
    let load = Load::start();
    let refused = || {
        let before = of_all_threads();
        for _ in 0..20 {
            fails_with(setuid(0), libc::EPERM);
            fails_with(seteuid(7), libc::EPERM);
            fails_with(setreuid(7, 7), libc::EPERM);
            fails_with(setresuid(0, 0, 0), libc::EPERM);
            fails_with(setgid(7), libc::EPERM);
            fails_with(setregid(7, 7), libc::EPERM);
            fails_with(setresgid(7, 7, 7), libc::EPERM);
            fails_with(setgroups(&[OTHER]), libc::EPERM);
            fails_with(initgroups_of_root(0), libc::EPERM);
            fails_with(seteuid(u32::MAX), libc::EINVAL);
            fails_with(setegid(u32::MAX), libc::EINVAL);
        }
        for (thread, lines) in of_all_threads() {
            assert_eq!(before.get(&thread).unwrap_or(&lines), &lines);
        }
    };
    // SAFETY: the call refuses so large a number before it reads any id.
    fails_with(unsafe { libc::setgroups(usize::MAX / 8, ptr::null()) }, libc::EINVAL);
    succeeds(setuid(OTHER));
    assert_eq!(agreed_users(), format!("Uid: {OTHER} {OTHER} {OTHER} {OTHER}"));
    thread::spawn(refused).join().unwrap();
    refused();
    load.end();
}

fn without_raddle_threads() {
    let load = Load::start_plain();
    rounds(there_and_back);
    load.end();
}

/// A process of one thread: no signal, no lock.
fn alone() {
    there_and_back();
    assert_eq!(of_all_threads().len(), 1);
    succeeds(setuid(OTHER));
    fails_with(seteuid(0), libc::EPERM);
}

fn while_threads_come_and_go() {
    let end = Arc::new(AtomicBool::new(false));
    let load = Load::start();
    let makers: Vec<_> = (0..3)
        .map(|_| {
            let end = end.clone();
            std::thread::spawn(move || {
                while !end.load(Relaxed) {
                    let inner = std::thread::spawn(|| std::thread::spawn(|| ()));
                    // Some are joined, others left to themselves.
                    drop(inner.join().unwrap());
                }
            })
        })
        .collect();
    let blocker = {
        let end = end.clone();
        // Each takes a worker out of service for a while: new ones are launched.
        thread::spawn(move || {
            while !end.load(Relaxed) {
                let blocked: Vec<_> = (0..8)
                    .map(|_| thread::spawn(|| std::thread::sleep(Duration::from_millis(3))))
                    .collect();
                blocked.into_iter().for_each(|thread| thread.join().unwrap());
            }
        })
    };
    thread::spawn(|| rounds(there_and_back)).join().unwrap();
    end.store(true, Relaxed);
    makers.into_iter().for_each(|maker| maker.join().unwrap());
    blocker.join().unwrap();
    load.end();
}

fn more_threads_than_slots() {
    let load = Load::start();
    let [read_end, write_end] = pipe();
    let read_end = Arc::new(read_end);
    let readers: Vec<_> = (0..300)
        .map(|_| {
            let read_end = read_end.clone();
            std::thread::spawn(move || {
                assert_eq!(read(*read_end, &mut [0]), 1);
            })
        })
        .collect();
    thread::spawn(|| (0..20).for_each(|_| there_and_back())).join().unwrap();
    assert_eq!(write(write_end, &[0; 300]), 300);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    load.end();
}

fn ended_well(child: libc::pid_t) {
    let status = end_of(child);
    assert!(status.success(), "the child ended with {status}");
}

/// Children are made in the midst of others' changes: the lock may be anybody's.
fn in_a_forked_child() {
    let load = Load::start();
    let end = Arc::new(AtomicBool::new(false));
    let changing: Vec<_> = (0..2)
        .map(|_| {
            let end = end.clone();
            std::thread::spawn(move || {
                while !end.load(Relaxed) {
                    become_effectively(0);
                }
            })
        })
        .collect();
    // Few: while others compute, the kernel may take a second to bury a child whose /proc was read, and answers no signal meanwhile.
    let fork = || {
        for _ in 0..5 {
            match fork() {
                0 => {
                    alarm(5);
                    // First with another thread, then alone.
                    let (end, wait) = std::sync::mpsc::channel::<()>();
                    let other = std::thread::spawn(move || wait.recv().unwrap_err());
                    become_effectively(OTHER);
                    assert_eq!(of_all_threads().len(), 2);
                    assert_eq!(agreed_users(), format!("Uid: 0 {OTHER} 0 {OTHER}"));
                    drop(end);
                    other.join().unwrap();
                    become_effectively(0);
                    succeeds(setuid(OTHER));
                    fails_with(setuid(0), libc::EPERM);
                    exit_now(0);
                }
                child => ended_well(child),
            }
        }
    };
    thread::spawn(fork).join().unwrap();
    fork();
    end.store(true, Relaxed);
    changing.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(agreed_users(), "Uid: 0 0 0 0");
    load.end();
}

/// As after `vfork`: the parent's thread is suspended, and its memory is the child's.
fn in_a_child_that_shares_memory() {
    static CHILDREN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn child(_: *mut c_void) -> c_int {
        let result = setgid(OTHER) | setuid(OTHER);
        let user = geteuid();
        CHILDREN.fetch_add(u32::from(result == 0 && user == OTHER), Relaxed);
        0
    }
    let load = Load::start();
    let end = Arc::new(AtomicBool::new(false));
    let changing = {
        let end = end.clone();
        std::thread::spawn(move || {
            while !end.load(Relaxed) {
                become_effectively(0);
            }
        })
    };
    let make = || {
        let mut stack = vec![0u128; 4096];
        let top = stack.as_mut_ptr_range().end;
        for _ in 0..50 {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: the child runs `child` on a stack of its own, whose top is aligned; this thread is suspended until the child has
            // ended.
            ended_well(unsafe { libc::clone(child, top.cast(), flags, ptr::null_mut()) });
        }
    };
    make();
    std::thread::spawn(make).join().unwrap();
    end.store(true, Relaxed);
    changing.join().unwrap();
    assert_eq!(CHILDREN.load(Relaxed), 100);
    assert_eq!(agreed_users(), "Uid: 0 0 0 0");
    load.end();
}

/// std calls `setgroups`, `setgid` and `setuid` in the child.
fn in_a_command() {
    let load = Load::start();
    let run = || {
        let output = Command::new("/bin/sh")
            .args(["-c", "grep -E '^(Uid|Gid):' /proc/self/status"])
            .uid(OTHER)
            .gid(OTHER)
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let ids: Vec<&str> = text.split_whitespace().filter(|word| !word.ends_with(':')).collect();
        assert_eq!(ids, ["65534"; 8], "{text}");
    };
    thread::spawn(move || (0..5).for_each(|_| run())).join().unwrap();
    assert_eq!(agreed_users(), "Uid: 0 0 0 0");
    load.end();
}

/// It can't be reached before it lets signals through again, and the caller must not return before it has changed.
fn a_thread_that_blocks_signals() {
    let load = Load::start();
    let is_blocked = Arc::new(AtomicBool::new(false));
    let time = Duration::from_millis(6000);
    let blocking = {
        let is_blocked = is_blocked.clone();
        std::thread::spawn(move || {
            let (all, mut former) = (u64::MAX, 0u64);
            // SAFETY: the kernel reads and writes a mask of eight bytes, where the callers' are locals, or nothing.
            let set = |new: *const u64, old: *mut u64| unsafe {
                libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, 8)
            };
            assert_eq!(set(&raw const all, &raw mut former), 0);
            is_blocked.store(true, Release);
            std::thread::sleep(time);
            set(&raw const former, ptr::null_mut());
        })
    };
    while !is_blocked.load(Acquire) {
        std::thread::yield_now();
    }
    let begin = Instant::now();
    thread::spawn(there_and_back).join().unwrap();
    assert!(begin.elapsed() > time - Duration::from_millis(500), "{:?}", begin.elapsed());
    blocking.join().unwrap();
    load.end();
}

/// A kernel thread that has given up root for itself alone can't follow.
fn threads_that_disagree() {
    let load = Load::start();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // SAFETY: numbers only, for the calling kernel thread alone: what libc keeps of the others does not know of it, which the case
        // is about.
        unsafe { libc::syscall(libc::SYS_setresuid, 7, 7, 7) };
        tell.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    });
    told.recv().unwrap();
    thread::spawn(|| become_effectively(OTHER)).join().unwrap();
    load.end();
}

/// The main thread has ended before the others: the kernel lists it to the end, and it answers nobody.
fn after_the_main_thread() {
    let _ends_the_process = thread::spawn(|| {
        let is_ended = || {
            let id = std::process::id();
            let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap();
            stat.contains(") Z ")
        };
        while !is_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        (0..20).for_each(|_| there_and_back());
        exit_now(0);
    });
    // SAFETY: the main thread ends without going back to Rust. Nothing refers to its stack: what the other thread uses is its own.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

fn enter_empty_root() {
    let folder = std::env::temp_dir().join(format!("raddle-setxid-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chroot(&folder).unwrap();
    std::env::set_current_dir("/").unwrap();
    assert!(std::fs::read_dir("/proc").is_err());
}

/// The effective user of each kernel thread, told by itself: there is no `/proc` to ask.
fn look_without_proc(threads: usize, expected: u32) {
    let looks = (0..threads).map(|_| thread::spawn(geteuid));
    let looks: Vec<_> = looks.collect();
    looks.into_iter().for_each(|look| assert_eq!(look.join().unwrap(), expected));
}

/// What a server does at its start, after its runtime: the threads are found through what was opened before.
fn behind_chroot() {
    let load = Load::start();
    let tasks = std::fs::File::open("/proc/self/task").unwrap();
    thread::spawn(enter_empty_root).join().unwrap();
    let begin = Instant::now();
    thread::spawn(|| {
        succeeds(setgroups(&[]));
        succeeds(setgid(OTHER));
        succeeds(setuid(OTHER));
    })
    .join()
    .unwrap();
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}: /proc was not kept");
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open.
    succeeds(unsafe { libc::fchdir(tasks.as_raw_fd()) });
    for entry in std::fs::read_dir(".").unwrap() {
        let status = std::fs::read_to_string(entry.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
        assert!(status.contains("Gid:\t65534\t65534\t65534\t65534"), "{status}");
    }
    load.end();
}

/// Not even what was kept: all ids are tried.
fn without_proc() {
    let load = Load::start();
    let is_kept = |descriptor: &i32| {
        std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
            .is_ok_and(|to| to.as_os_str() == "/proc")
    };
    let kept: Vec<i32> = (3..100).filter(is_kept).collect();
    assert_eq!(kept.len(), 1);
    // SAFETY: raddle's own descriptor goes: its next use fails, which the case is about, as nothing is opened in its place before the
    // folder below.
    unsafe { libc::close(kept[0]) };
    let tasks = std::fs::File::open("/proc/self/task").unwrap();
    enter_empty_root();
    thread::spawn(|| succeeds(setresuid(OTHER, OTHER, OTHER))).join().unwrap();
    look_without_proc(20, OTHER);
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open.
    succeeds(unsafe { libc::fchdir(tasks.as_raw_fd()) });
    for entry in std::fs::read_dir(".").unwrap() {
        let status = std::fs::read_to_string(entry.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
    }
    load.end();
}

/// They are listed among the process's threads, and block all signals for ever.
fn beside_workers_of_io_uring() {
    let load = Load::start();
    let [read_end, _write_end] = pipe();
    let ring = ring::Ring::new().unwrap();
    ring.read_on_a_worker(read_end);
    let has_worker = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks
            .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("iou-wrk")).count() > 0
    };
    while !has_worker() {
        std::thread::sleep(Duration::from_millis(1));
    }
    thread::spawn(|| (0..20).for_each(|_| there_and_back())).join().unwrap();
    assert!(has_worker());
    load.end();
}

/// A library that was opened so that it does not see the program's definitions calls libc's. Without raddle threads that
/// works as ever, also when the handler of the signal is raddle's.
fn libcs_own_broadcast() {
    let load = Load::start_plain();
    // SAFETY: libc's function of that name has that signature.
    let libcs = unsafe {
        let libcs = libc::dlsym(libc::RTLD_NEXT, c"seteuid".as_ptr());
        std::mem::transmute::<*mut c_void, extern "C" fn(u32) -> c_int>(libcs)
    };
    assert_ne!(libcs as usize, libc::seteuid as *const () as usize, "the program's is libc's");
    rounds(|| {
        there_and_back();
        succeeds(libcs(OTHER));
        assert_eq!(agreed_users(), format!("Uid: 0 {OTHER} 0 {OTHER}"));
        succeeds(libcs(0));
    });
    load.end();
}
