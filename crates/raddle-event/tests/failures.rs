//! What a kernel or container may lack, made to fail by a seccomp filter in a child process: the next backend or channel
//! is taken, what failed is said with its errno, and the queue works.

#[path = "../../raddle-context/tests/deadline/mod.rs"]
mod deadline;
mod kit;

use kit::{Kit, pair, recv, write};
use libc::{EPERM, c_long};
use libtest_mimic::{Arguments, Failed, Trial};
use raddle_event::{BackendKind, Config, Events, Op, Queue, What};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

/// Tells a child which case it is.
const CHILD: &str = "RADDLE_EVENT_FAILURES_CHILD";

/// A system call that fails, and how; perhaps only where an argument has a value.
struct Fails {
    call: c_long,
    errno: i32,
    argument: Option<(u8, u64)>,
}

const fn fails(call: c_long, errno: i32) -> Fails {
    Fails { call, errno, argument: None }
}

/// What a child says of its queue: `BACKEND WAKE`, or its error; and what else must be in its output.
struct Case {
    name: &'static str,
    fails: &'static [Fails],
    environment: &'static [(&'static str, &'static str)],
    says: &'static str,
    warns: &'static [&'static str],
}

/// Without descriptors but the first three, a pipe that is made first reads from this one.
const FIRST_FREE: u64 = 3;

const NO_RING: Fails = fails(libc::SYS_io_uring_setup, EPERM);
const NO_EVENTFD: Fails = fails(libc::SYS_eventfd2, libc::ENOSYS);

const CASES: &[Case] = &[
    Case {
        name: "nothing_fails",
        fails: &[],
        environment: &[],
        says: "io_uring eventfd",
        warns: &[],
    },
    Case {
        name: "a_container_forbids_io_uring",
        fails: &[NO_RING],
        environment: &[],
        says: "epoll eventfd",
        warns: &["not io_uring: io_uring_setup: Operation not permitted (os error 1)"],
    },
    Case {
        name: "a_kernel_without_io_uring",
        fails: &[fails(libc::SYS_io_uring_setup, libc::ENOSYS)],
        environment: &[],
        says: "epoll eventfd",
        warns: &["not io_uring: io_uring_setup: Function not implemented (os error 38)"],
    },
    Case {
        name: "a_ring_that_can_be_made_but_not_entered",
        fails: &[fails(libc::SYS_io_uring_enter, EPERM)],
        environment: &[],
        says: "epoll eventfd",
        warns: &["not io_uring: io_uring_enter: Operation not permitted (os error 1)"],
    },
    Case {
        name: "a_ring_that_can_not_be_asked",
        fails: &[fails(libc::SYS_io_uring_register, EPERM)],
        environment: &[],
        says: "epoll eventfd",
        warns: &["not io_uring: IORING_REGISTER_PROBE: Operation not permitted (os error 1)"],
    },
    Case {
        name: "neither_io_uring_nor_epoll",
        fails: &[NO_RING, fails(libc::SYS_epoll_create1, libc::ENOSYS)],
        environment: &[],
        says: "poll eventfd",
        warns: &[
            "not io_uring: ",
            "not epoll: epoll_create1: Function not implemented (os error 38)",
        ],
    },
    Case {
        name: "an_old_epoll_without_pwait2",
        fails: &[NO_RING, fails(libc::SYS_epoll_pwait2, libc::ENOSYS)],
        environment: &[],
        says: "epoll eventfd",
        warns: &[],
    },
    Case {
        name: "no_eventfd",
        fails: &[NO_EVENTFD],
        environment: &[],
        says: "io_uring pipe",
        warns: &["not io_uring with eventfd: opening it: Function not implemented (os error 38)"],
    },
    Case {
        name: "neither_eventfd_nor_pipe",
        fails: &[NO_EVENTFD, fails(libc::SYS_pipe2, libc::EMFILE)],
        environment: &[],
        says: "io_uring socketpair",
        warns: &["with eventfd: ", "with pipe: opening it: Too many open files (os error 24)"],
    },
    Case {
        name: "neither_eventfd_nor_pipe_nor_socketpair",
        fails: &[NO_EVENTFD, fails(libc::SYS_pipe2, EPERM), fails(libc::SYS_socketpair, EPERM)],
        environment: &[],
        says: "io_uring tcp",
        warns: &["with socketpair: opening it: Operation not permitted (os error 1)"],
    },
    Case {
        name: "a_pipe_that_can_not_be_polled",
        fails: &[
            NO_EVENTFD,
            Fails { call: libc::SYS_epoll_ctl, errno: EPERM, argument: Some((2, FIRST_FREE)) },
        ],
        environment: &[("RADDLE_EVENT", "epoll")],
        says: "epoll socketpair",
        warns: &[
            "not epoll with pipe: epoll_ctl on the wake channel: Operation not permitted (os error 1)",
        ],
    },
    Case {
        name: "no_channel_at_all",
        fails: &[
            NO_EVENTFD,
            fails(libc::SYS_pipe2, EPERM),
            fails(libc::SYS_socketpair, EPERM),
            fails(libc::SYS_socket, EPERM),
        ],
        environment: &[],
        says: "error: no event queue works here: io_uring with eventfd: opening it: Function not implemented",
        warns: &[],
    },
    Case {
        name: "a_forced_backend_that_fails_is_not_replaced",
        fails: &[NO_RING],
        environment: &[("RADDLE_EVENT", "io_uring")],
        says: "error: no event queue works here (as RADDLE_EVENT says): io_uring: io_uring_setup: Operation not permitted (os error 1)",
        warns: &[],
    },
    Case {
        name: "both_can_be_forced",
        fails: &[],
        environment: &[("RADDLE_EVENT", "poll"), ("RADDLE_WAKE", "tcp")],
        says: "poll tcp",
        warns: &[],
    },
    Case {
        name: "a_backend_that_nobody_knows",
        fails: &[],
        environment: &[("RADDLE_EVENT", "kqueue")],
        says: "error: RADDLE_EVENT=kqueue: give one of io_uring, epoll, poll",
        warns: &[],
    },
    Case {
        name: "a_wake_channel_that_nobody_knows",
        fails: &[],
        environment: &[("RADDLE_WAKE", "")],
        says: "error: RADDLE_WAKE=: give one of eventfd, pipe, socketpair, tcp",
        warns: &[],
    },
    Case {
        name: "files_without_a_way_to_read_without_waiting",
        fails: &[
            NO_RING,
            fails(libc::SYS_preadv2, libc::ENOSYS),
            fails(libc::SYS_pwritev2, libc::ENOSYS),
            fails(451, libc::ENOSYS),
        ],
        environment: &[],
        says: "epoll eventfd",
        warns: &[],
    },
    Case {
        name: "no_more_threads_for_helpers",
        fails: &[
            NO_RING,
            fails(libc::SYS_preadv2, libc::ENOSYS),
            fails(libc::SYS_clone3, libc::EAGAIN),
            fails(libc::SYS_clone, libc::EAGAIN),
        ],
        environment: &[],
        says: "epoll eventfd",
        warns: &["no helper thread for disk operations"],
    },
];

fn main() {
    if let Ok(name) = std::env::var(CHILD) {
        if name == REFUSED {
            return what_the_kernel_refuses_comes_later();
        }
        return child(CASES.iter().find(|case| case.name == name).expect("a known case"));
    }
    let arguments = Arguments::from_args();
    let filters = filter(CASES[1].fails);
    if filters.is_err() {
        eprintln!("ignored: seccomp filters can't be made here");
    }
    let ring = Queue::new(&Config { backend: Some(BackendKind::IoUring), ..Config::default() });
    if let Err(error) = &ring {
        eprintln!("ignored where io_uring is needed: {error}");
    }
    let needs_ring = |case: &Case| {
        let ring_calls = [libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
        case.says.starts_with("io_uring")
            || case.fails.iter().any(|fails| ring_calls.contains(&fails.call))
    };
    let trial = |case: &'static Case| {
        let lacks = filters.is_err() || ring.is_err() && needs_ring(case);
        Trial::test(case.name, move || run(case)).with_ignored_flag(lacks)
    };
    let mut trials: Vec<Trial> = CASES.iter().map(trial).collect();
    let refused = Trial::test(REFUSED, || run_alone(REFUSED));
    trials.push(refused.with_ignored_flag(filters.is_err() || ring.is_err()));
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(case: &Case) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("RADDLE_EVENT").env_remove("RADDLE_WAKE").env(CHILD, case.name);
    command.envs(case.environment.iter().copied());
    let output = deadline::output(&mut command, deadline::USUAL)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let is_said = text.lines().any(|line| line.starts_with(case.says));
    let is_warned = case.warns.iter().all(|warning| text.contains(warning));
    if output.status.success() && is_said && is_warned {
        return Ok(());
    }
    Err(format!("{}: expected {:?} and {:?}, got:\n{text}", output.status, case.says, case.warns)
        .into())
}

/// Runs a child that says nothing if all is well.
fn run_alone(name: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("RADDLE_EVENT").env_remove("RADDLE_WAKE").env(CHILD, name);
    let output = deadline::output(&mut command, deadline::USUAL)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

const REFUSED: &str = "what_the_kernel_refuses_comes_later";

/// For want of memory the kernel may take no more requests. Nobody spins, and when it has some again all of them are done.
fn what_the_kernel_refuses_comes_later() {
    const NO_MEMORY: &[Fails] = &[fails(libc::SYS_io_uring_enter, libc::EAGAIN)];
    const MANY: usize = 20;
    let config =
        Config { backend: Some(BackendKind::IoUring), ring_entries: 4, ..Config::default() };
    let queue = Queue::new(&config).expect("a ring");
    let mut kit = Kit { queue, events: Events::with_capacity(64) };
    let pairs: Vec<_> = (0..MANY).map(|_| pair()).collect();
    let mut buffers = [[0u8; 4]; MANY];
    // One that is taken before, and is to be given up.
    let mut early = [0; 4];
    let (_here, there) = pair();
    let early = kit.submit(99, recv(&there, &mut early));
    kit.queue.flush().expect("it has memory still");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Of this thread only.
            for program in filter(NO_MEMORY).expect("it was made before") {
                seccompiler::apply_filter(&program).expect("seccomp");
            }
            for (key, ((_, there), buffer)) in pairs.iter().zip(&mut buffers).enumerate() {
                kit.submit(key as u64, recv(there, buffer));
            }
            assert!(kit.queue.cancel(early));
            kit.queue.flush().expect("what passes is not reported");
            // To wait is to try again, and to end in time.
            let count = kit.queue.wait(&mut kit.events, Some(Duration::from_millis(20)));
            assert_eq!(count.expect("what passes is not reported"), 0);
        });
    });
    pairs.iter().for_each(|(here, _)| write(here, b"x"));
    let mut is_done = [false; MANY];
    let mut is_early_done = false;
    while is_done.contains(&false) || !is_early_done {
        for event in kit.wait() {
            let done = kit::completion(&event).expect("nothing else is asked for");
            if done.operation == early {
                assert_eq!(kit::errno(done.result()), Some(libc::ECANCELED));
                is_early_done = true;
                continue;
            }
            assert_eq!(done.result().expect("recv"), 1);
            let was_done = std::mem::replace(&mut is_done[event.key as usize], true);
            assert!(!was_done, "twice");
        }
    }
}

fn filter(fails: &[Fails]) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let one = |fails: &Fails| {
        let rules = match fails.argument {
            None => vec![],
            Some((index, value)) => {
                let equal = SeccompCmpOp::Eq;
                let condition =
                    SeccompCondition::new(index, SeccompCmpArgLen::Dword, equal, value)?;
                vec![SeccompRule::new(vec![condition])?]
            }
        };
        let action = SeccompAction::Errno(fails.errno as u32);
        let rules = BTreeMap::from([(fails.call, rules)]);
        SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)?.try_into()
    };
    fails.iter().map(one).collect()
}

/// Says on stderr what is logged.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

fn child(case: &Case) {
    // SAFETY: closes what it may have inherited; nothing here uses it.
    unsafe { libc::close_range(FIRST_FREE as u32, u32::MAX, 0) };
    log::set_logger(&Logger).expect("the first");
    log::set_max_level(log::LevelFilter::Warn);
    for program in filter(case.fails).expect("it was made before") {
        seccompiler::apply_filter(&program).expect("seccomp");
    }
    match Queue::new(&Config::default()) {
        Ok(queue) => {
            println!("{} {}", queue.report().backend, queue.report().wake);
            exercise(Kit { queue, events: Events::with_capacity(16) }, case);
        }
        Err(error) => println!("error: {error}"),
    }
}

/// A bit of everything.
fn exercise(mut kit: Kit, case: &Case) {
    kit.queue.waker().wake();
    assert_eq!(kit.one().what, What::Woken);
    kit.queue.timer_after(1, Duration::from_micros(300));
    assert!(matches!(kit.one().what, What::Expired(_, 1)));
    let file = File::open("/proc/self/exe").expect("a file");
    let mut bytes = [0; 4];
    let op =
        Op::Read { file: file.as_raw_fd(), buffer: bytes.as_mut_ptr(), len: 4, offset: Some(0) };
    assert_eq!(kit.perform(op).expect("read"), 4);
    assert_eq!(&bytes, b"\x7fELF");
    if case.fails.iter().any(|fails| fails.call == libc::SYS_socketpair) {
        return;
    }
    let (here, there) = pair();
    let mut buffer = [0; 8];
    let receiving = kit.submit(2, recv(&there, &mut buffer));
    kit.nothing();
    write(&here, b"hello");
    assert_eq!(kit.done(receiving).expect("recv"), 5);
    let op = Op::SendFile { to: here.as_raw_fd(), file: file.as_raw_fd(), offset: 0, len: 1000 };
    assert_eq!(kit.perform(op).expect("sendfile"), 1000);
}
