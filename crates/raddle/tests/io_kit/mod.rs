//! Cases of input and output: each runs on a raddle thread and on a kernel thread, on each backend of the event queue, where io_uring is
//! forbidden, as in containers, and with a single core; each of these in a process of its own.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../../../raddle-context/tests/children/mod.rs"]
mod children;

pub(crate) use children::Case;
use raddle::thread::{
    self,
    signal::{Handler, Signal, set_handler},
};
use raddle_event::{BackendKind, Config, Queue};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A kind of thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Raddle,
    Kernel,
}

/// What the event queue is to stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    Forced(BackendKind),
    /// `io_uring_setup` says `EPERM`.
    Forbidden,
    /// What there is, and a single core: whoever waits must leave it to the others.
    OneCore,
}

impl Ground {
    const ALL: [Ground; 5] = [
        Ground::Forced(BackendKind::IoUring),
        Ground::Forced(BackendKind::Epoll),
        Ground::Forced(BackendKind::Poll),
        Ground::Forbidden,
        Ground::OneCore,
    ];

    fn name(self) -> String {
        match self {
            Ground::Forced(kind) => kind.to_string(),
            Ground::Forbidden => "forbidden".to_owned(),
            Ground::OneCore => "one_core".to_owned(),
        }
    }

    /// Why it can't be had here.
    fn missing(self) -> Option<String> {
        match self {
            Ground::Forced(kind) => {
                let config = Config { backend: Some(kind), ..Config::default() };
                Queue::new(&config).err().map(|error| error.to_string())
            }
            Ground::Forbidden => filter(libc::SYS_io_uring_setup, libc::EPERM, vec![]).err(),
            Ground::OneCore => None,
        }
    }

    /// Before the runtime starts, and any thread.
    fn prepare(self) {
        match self {
            // SAFETY: the process has one thread.
            Ground::Forced(kind) => unsafe {
                std::env::set_var("RADDLE_EVENT", kind.to_string());
            },
            Ground::Forbidden => forbid(libc::SYS_io_uring_setup),
            // SAFETY: the process has one thread.
            Ground::OneCore => unsafe { std::env::set_var("RADDLE_CORES", "1") },
        }
    }
}

/// Makes a system call fail with `EPERM` from here on.
pub(crate) fn forbid(call: libc::c_long) {
    refuse(call, libc::EPERM, vec![]);
}

/// Makes a system call fail with `error` from here on: always, or where one of `rules` matches its arguments. Before there is another thread.
pub(crate) fn refuse(call: libc::c_long, error: i32, rules: Vec<SeccompRule>) {
    let program = filter(call, error, rules).expect("it was made before");
    seccompiler::apply_filter(&program).expect("seccomp");
}

pub(crate) fn filter(
    call: libc::c_long,
    error: i32,
    rules: Vec<SeccompRule>,
) -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
    let rules = BTreeMap::from([(call, rules)]);
    let action = SeccompAction::Errno(error as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())
}

/// A case that runs once on each ground, with either kind of thread.
pub(crate) struct Everywhere {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Kind),
    /// Before there is another thread.
    pub(crate) before: fn(),
    pub(crate) missing: Option<String>,
}

impl Everywhere {
    /// Without what seccomp filters need, it counts as ignored.
    pub(crate) fn with_filter(mut self, before: fn()) -> Everywhere {
        self.before = before;
        self.missing = self.missing.or(Ground::Forbidden.missing());
        self
    }
}

/// `main` of a test.
pub(crate) fn main(cases: Vec<Everywhere>) -> ExitCode {
    main_with(cases, Vec::new())
}

/// The same, with cases that set up their process themselves.
pub(crate) fn main_with(cases: Vec<Everywhere>, mut all: Vec<Case>) -> ExitCode {
    // Whoever has started this in the background may have had them ignored, and that is inherited.
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: no handler, and the process has one thread so far.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    for ground in Ground::ALL {
        let missing = ground.missing();
        for case in &cases {
            let (before, run) = (case.before, case.run);
            let name = format!("{}_on_{}", case.name, ground.name());
            let one = Case::new(name, move || {
                ground.prepare();
                before();
                for kind in [Kind::Raddle, Kind::Kernel] {
                    on(kind, move || run(kind));
                }
            });
            all.push(one.unless(missing.clone()).unless(case.missing.clone()));
        }
    }
    children::main(all)
}

/// The cases of a test: functions by their names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        vec![$(crate::io_kit::Everywhere {
            name: stringify!($name),
            run: $name,
            before: || (),
            missing: None,
        }),*]
    };
}
pub(crate) use cases;

/// Runs `body` on a thread of that kind, and waits for it.
pub(crate) fn on<T: Send + 'static>(kind: Kind, body: impl FnOnce() -> T + Send + 'static) -> T {
    let result = match kind {
        Kind::Raddle => raddle::thread::spawn(body).join(),
        Kind::Kernel => std::thread::spawn(body).join(),
    };
    match result {
        Ok(value) => value,
        Err(payload) => {
            eprintln!("fails on a thread of kind {kind:?}");
            std::panic::resume_unwind(payload)
        }
    }
}

/// A thread of either kind that was started.
pub(crate) enum Started<T> {
    Raddle(raddle::thread::JoinHandle<T>),
    Kernel(std::thread::JoinHandle<T>),
}

/// Starts `body` on a thread of that kind.
pub(crate) fn start<T: Send + 'static>(
    kind: Kind,
    body: impl FnOnce() -> T + Send + 'static,
) -> Started<T> {
    match kind {
        Kind::Raddle => Started::Raddle(raddle::thread::spawn(body)),
        Kind::Kernel => Started::Kernel(std::thread::spawn(body)),
    }
}

impl<T> Started<T> {
    pub(crate) fn join(self) -> T {
        let result = match self {
            Started::Raddle(thread) => thread.join(),
            Started::Kernel(thread) => thread.join(),
        };
        result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Started::Raddle(thread) => thread.is_finished(),
            Started::Kernel(thread) => thread.is_finished(),
        }
    }
}

/// A raddle thread that does `body` and hears `SIGUSR1` from other threads meanwhile; how often, is counted. It has its handler when this returns: a
/// signal without one is nobody's.
pub(crate) fn hears<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> (raddle::thread::JoinHandle<T>, Arc<AtomicU32>) {
    let heard = Arc::new(AtomicU32::new(0));
    let (tell, told) = mpsc::channel();
    let thread = raddle::thread::spawn({
        let heard = heard.clone();
        move || {
            let count = move |_| {
                heard.fetch_add(1, Ordering::Relaxed);
            };
            set_handler(Signal::USR1, Some(Handler::new(count)));
            tell.send(()).expect("somebody waits for that");
            body()
        }
    });
    told.recv().expect("it does nothing else before");
    (thread, heard)
}

/// Signals such a thread three times, while it waits.
pub(crate) fn signal_thrice<T>((thread, heard): &(raddle::thread::JoinHandle<T>, Arc<AtomicU32>)) {
    for count in 1..=3 {
        a_moment();
        thread.thread().send_signal(Signal::USR1).expect("it waits");
        until(|| heard.load(Ordering::Relaxed) == count);
    }
}

/// A path that nobody else has, in a directory on a disk. Removed with all that is there when it is dropped. For who may not write where the build is, it is
/// among everybody's temporary files.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let places = [PathBuf::from(env!("CARGO_TARGET_TMPDIR")), std::env::temp_dir()];
        let path = places.into_iter().map(|place| place.join(&name)).find(|path| {
            let _ = std::fs::remove_dir_all(path);
            std::fs::create_dir_all(path).is_ok()
        });
        Scratch(path.expect("a directory for the test's files"))
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes a file out of the page cache, as far as the kernel does so.
pub(crate) fn make_cold(path: &std::path::Path) {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path).expect("a file");
    file.sync_all().expect("it reaches the disk");
    // SAFETY: no memory is involved.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_ne_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Long enough for another thread to have begun to wait, mostly.
pub(crate) fn a_moment() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Waits until `is_so`.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "it does not happen");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A thread that sleeps shortly, again and again: what is returned ends it, and says how often it has slept.
pub(crate) fn neighbour() -> impl FnOnce() -> u64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let neighbour = thread::spawn({
        let is_over = is_over.clone();
        move || {
            let mut turns = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(100));
                turns += 1;
            }
            turns
        }
    });
    move || {
        is_over.store(true, Ordering::Relaxed);
        neighbour.join().expect("it only sleeps")
    }
}
