//! A signal lists all threads: what each does, what it waits for, where it is; and the program goes on.
//!
//! Each test runs this test's own binary again, as a program with known threads, and sends it the signal.

#[path = "../../raddle-context/tests/deadline/mod.rs"]
mod deadline;

use raddle::thread::{self, Builder};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Names the program that this process shall be.
const PROGRAM: &str = "RADDLE_DUMP_PROGRAM";

/// What the programs are, by the names in the environment. Not a test of its own.
#[test]
fn program() {
    match std::env::var(PROGRAM).as_deref() {
        Ok("mixed") => mixed(),
        Ok("storm") => storm(),
        Ok("stuck") => stuck(),
        Ok("handled") => handled(),
        Ok("waits") => waits(),
        Ok("nothing") => {
            thread::spawn(say_ready).join().unwrap();
            let _ = std::io::stdin().read(&mut [0]);
        }
        _ => {}
    }
}

fn say_ready() {
    println!("ready {}", std::process::id());
    std::io::stdout().flush().unwrap();
}

#[inline(never)]
fn dump_test_park() {
    thread::park();
    black_box(());
}

/// Never ends.
#[inline(never)]
fn dump_test_compute(running: &AtomicBool) {
    running.store(true, Release);
    let mut x = 1u64;
    loop {
        x = black_box(x.wrapping_mul(3));
    }
}

#[inline(never)]
fn dump_test_read(descriptor: i32) {
    let mut byte = 0u8;
    // SAFETY: reads into a local; the descriptor is open.
    unsafe { libc::read(descriptor, (&raw mut byte).cast(), 1) };
    black_box(());
}

#[inline(never)]
fn dump_test_sleep() {
    raddle::time::sleep(Duration::from_secs(1000));
    black_box(());
}

#[inline(never)]
fn dump_test_lock(lock: &std::sync::Mutex<u32>) {
    *lock.lock().unwrap() += 1;
    black_box(());
}

fn named(name: impl Into<String>, main: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    Builder::new().name(name.into()).spawn(main).unwrap()
}

static COMPUTES: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Ends when the standard input does; the threads that wait must then still work.
fn mixed() {
    let parked: Vec<_> = (0..100).map(|i| named(format!("parked-{i}"), dump_test_park)).collect();
    for (i, running) in COMPUTES.iter().take(2).enumerate() {
        drop(named(format!("computes-{i}"), || dump_test_compute(running)));
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let descriptor = theirs.as_raw_fd();
    let reads = named("reads", move || dump_test_read(descriptor));
    drop(named("sleeps", dump_test_sleep));
    static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
    let held = LOCK.lock().unwrap();
    let locks = named("locks", || dump_test_lock(&LOCK));
    while !COMPUTES[..2].iter().all(|running| running.load(Acquire)) {
        std::thread::yield_now();
    }
    say_ready();
    let _ = std::io::stdin().read(&mut [0]);
    (&ours).write_all(&[1]).unwrap();
    reads.join().unwrap();
    drop(held);
    locks.join().unwrap();
    for thread in parked {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    println!("went on");
    drop(theirs);
}

/// Threads that compute, switch, sleep, wake each other, start and end; counted.
fn storm() {
    raddle::runtime::Builder::new().cores(2).slice(Duration::from_micros(100)).start().unwrap();
    static ROUNDS: AtomicU32 = AtomicU32::new(0);
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    /// A signal frame that returns on another kernel thread than it came on would give that one its alternate stack.
    fn alternate_stack_is_its_own() {
        static SEEN: std::sync::Mutex<BTreeMap<i32, usize>> =
            std::sync::Mutex::new(BTreeMap::new());
        // SAFETY: both only tell.
        let (before, stack, after) = unsafe {
            let mut stack = std::mem::zeroed::<libc::stack_t>();
            let before = libc::gettid();
            assert_eq!(libc::sigaltstack(std::ptr::null(), &raw mut stack), 0);
            (before, stack.ss_sp.addr(), libc::gettid())
        };
        if before == after {
            let first = *SEEN.lock().unwrap().entry(before).or_insert(stack);
            assert_eq!(first, stack, "kernel thread {before} has another's alternate stack");
        }
    }
    fn storm_of(seed: u64) {
        let mut x = seed;
        while !ENOUGH.load(Relaxed) {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
            alternate_stack_is_its_own();
            match x >> 61 {
                0 => raddle::time::sleep(Duration::from_micros(x >> 32 & 127)),
                1 => thread::spawn(|| black_box(vec![1u8; 100])).join().map(drop).unwrap(),
                2 => thread::yield_now(),
                3 => {
                    let waits = thread::spawn(thread::park);
                    waits.thread().unpark();
                    waits.join().unwrap();
                }
                _ => drop(black_box((0..2000).map(|i| i ^ x).collect::<Vec<_>>())),
            }
            ROUNDS.fetch_add(1, Relaxed);
        }
    }
    let all: Vec<_> =
        (0..16).map(|i| named(format!("storm-{i}"), move || storm_of(i * 7919 + 1))).collect();
    say_ready();
    let _ = std::io::stdin().read(&mut [0]);
    ENOUGH.store(true, Relaxed);
    all.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(ROUNDS.load(Relaxed) > 16);
    println!("went on");
}

/// Without preemption: every core is in an endless loop, and one thread waits for ever.
fn stuck() {
    for (i, running) in COMPUTES.iter().enumerate() {
        drop(named(format!("computes-{i}"), || dump_test_compute(running)));
    }
    while COMPUTES.iter().filter(|running| running.load(Acquire)).count() < 2 {
        std::thread::yield_now();
    }
    say_ready();
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

/// One or two threads that wait for each thing that can be waited for, with names that say which.
fn waits() {
    use raddle::sync::{
        Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, channel, mpsc,
    };
    static MUTEX: Mutex<()> = Mutex::new(());
    static LOCK: RwLock<()> = RwLock::new(());
    static READ: RwLock<()> = RwLock::new(());
    static NEVER: Condvar = Condvar::new();
    static SOMETIMES: Condvar = Condvar::new();
    static OTHER: Mutex<()> = Mutex::new(());
    static MOVED: Mutex<()> = Mutex::new(());
    static SEMAPHORE: Semaphore = Semaphore::new(0);
    static BARRIER: Barrier = Barrier::new(2);
    static ONCE: Once = Once::new();
    static ONCE_LOCK: OnceLock<()> = OnceLock::new();
    static LAZY: LazyLock<()> = LazyLock::new(thread::park);
    let held = (MUTEX.lock().unwrap(), LOCK.write().unwrap(), READ.read().unwrap());
    let start = |name: &str, main: fn()| drop(named(name, main));
    start("mutex", || drop(MUTEX.lock()));
    start("read", || drop(LOCK.read()));
    start("write", || drop(READ.write()));
    start("condvar", || drop(NEVER.wait(OTHER.lock().unwrap())));
    start("moved", || drop(SOMETIMES.wait(MOVED.lock().unwrap())));
    start("semaphore", || SEMAPHORE.acquire().forget());
    start("barrier", || _ = BARRIER.wait());
    start("once-first", || ONCE.call_once(thread::park));
    start("lazy-first", || *LAZY);
    start("once-lock", || *ONCE_LOCK.wait());
    start("future", || raddle::future::block_on(std::future::pending()));
    start("scope", || thread::scope(|scope| drop(scope.spawn(thread::park))));
    start("timed", || drop(SEMAPHORE.acquire_timeout(Duration::from_secs(1000))));
    let ended = named("ended", thread::park);
    drop(named("join", || ended.join().unwrap()));
    let (send, receive) = channel::bounded::<u8>(1);
    let (send_zero, receive_zero) = channel::bounded::<u8>(0);
    let (full, kept) = channel::bounded::<u8>(1);
    let (never, nothing) = mpsc::channel::<u8>();
    let (select_send, selects) = channel::bounded::<u8>(1);
    full.send(1).unwrap();
    drop(named("receive", move || _ = receive.recv()));
    drop(named("receive-0", move || _ = receive_zero.recv()));
    drop(named("send", move || _ = full.send(2)));
    drop(named("mpsc", move || _ = nothing.recv()));
    drop(named("select", move || {
        raddle::select! { recv(selects) -> _ => (), }
    }));
    // Behind those that were first.
    std::thread::sleep(Duration::from_millis(100));
    start("once", || ONCE.call_once(|| ()));
    start("lazy", || *LAZY);
    let moved = MOVED.lock().unwrap();
    SOMETIMES.notify_all();
    std::thread::sleep(Duration::from_millis(200));
    say_ready();
    let _ = std::io::stdin().read(&mut [0]);
    drop((held, moved, send, send_zero, kept, never, select_send));
    std::process::exit(0);
}

/// The program has a handler of its own.
fn handled() {
    extern "C" fn own(_: i32) {
        const SAID: &[u8] = b"the program's own handler\n";
        // SAFETY: writes constant bytes.
        unsafe { libc::write(2, SAID.as_ptr().cast(), SAID.len()) };
    }
    // SAFETY: the handler only writes.
    unsafe { libc::signal(libc::SIGQUIT, own as *const () as libc::sighandler_t) };
    match raddle::Runtime::get() {
        Ok(_) => thread::spawn(say_ready).join().unwrap(),
        Err(error) => {
            eprintln!("raddle can't start: {error}");
            say_ready();
        }
    }
    let _ = std::io::stdin().read(&mut [0]);
}

/// A program that runs.
struct Program {
    child: Child,
    id: i32,
    /// Until it is to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    lines: mpsc::Receiver<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(name: &str, settings: &[(&str, &str)]) -> Program {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program", "--nocapture", "--test-threads", "1"]);
        command.env_remove("RADDLE_DUMP_SIGNAL").env(PROGRAM, name).env("RADDLE_CORES", "2");
        command.envs(settings.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A shell without job control has what it starts in the background ignore this one, and who ignores it passes that on.
        // SAFETY: one call, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGQUIT, libc::SIG_DFL);
                Ok(())
            })
        };
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        let mut line = String::new();
        while !line.contains("ready ") {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the program did not start");
        }
        let id = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Program { stdin: child.stdin.take(), child, id, stdout, lines }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::kill(self.id, signal) }, 0);
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(Duration::from_secs(30)).ok()
    }

    /// The next list, paragraph by paragraph: the header first.
    fn list(&self) -> Vec<String> {
        let mut paragraphs: Vec<String> = Vec::new();
        loop {
            let line =
                self.line().unwrap_or_else(|| panic!("no end of the list after {paragraphs:#?}"));
            if line == "raddle: end of the list" {
                assert!(paragraphs[0].starts_with("raddle: "), "{paragraphs:#?}");
                return paragraphs;
            }
            match paragraphs.last_mut() {
                Some(last) if line.starts_with(' ') => *last += &format!("\n{line}"),
                _ => paragraphs.push(line),
            }
        }
    }

    fn ask(&self) -> Vec<String> {
        self.signal(libc::SIGQUIT);
        self.list()
    }

    /// Asks until all `parts` are listed: on a busy machine threads take a while to come to their places, and one may be inside the runtime all
    /// the time that a list waits for it.
    fn ask_for(&self, parts: &[&str]) -> Vec<String> {
        self.ask_until(&format!("all of {parts:?}"), |list| {
            parts.iter().all(|part| is_there(list, part))
        })
    }

    /// Asks until a list is as `wanted`.
    fn ask_until(&self, wanted: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let list = self.ask();
            if is_so(&list) {
                return list;
            }
            assert!(begun.elapsed() < deadline::USUAL, "no list has {wanted}: {list:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets it end: what it said at its end, and how it ended.
    fn end(mut self) -> (String, ExitStatus) {
        drop(self.stdin.take());
        // What it says at its end fits into the pipe.
        let status = deadline::wait(&mut self.child, deadline::USUAL).unwrap();
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (said, status)
    }
}

/// Whether any paragraph has it.
fn is_there(list: &[String], part: &str) -> bool {
    list.iter().any(|one| one.contains(part))
}

/// The paragraph of a thread.
#[track_caller]
fn of<'a>(list: &'a [String], name: &str) -> &'a str {
    let name = format!("\"{name}\"");
    list.iter().find(|one| one.contains(&name)).unwrap_or_else(|| panic!("no {name} in {list:#?}"))
}

/// It must contain all of it, in this order.
#[track_caller]
fn says(paragraph: &str, parts: &[&str]) {
    let mut rest = paragraph;
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("no {part:?} where it should be in {paragraph}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn every_thread_is_listed_with_what_it_does_and_where_and_goes_on() {
    let program = Program::start("mixed", &[]);
    for _ in 0..2 {
        let wanted = [
            "100 threads like this",
            "blocked in the kernel (read)",
            "sleeping, for",
            "waiting on a futex",
        ];
        // Two computing threads on two cores, and main outside: at least one runs, the other perhaps was preempted. Who computes may be in the kernel
        // as well when it is looked at: in a page fault, or on its way back from a signal; or in that signal's handler, to be preempted or go on. Who
        // was preempted in it does not show it.
        let computes = |list: &[String], name| {
            list.iter().any(|one| {
                let is_able = one.contains("\n  running on core") || one.contains("\n  ready");
                is_able && one.contains(name) && !one.contains("on_signal")
            })
        };
        let list = program.ask_until("all of them at their places", |list| {
            wanted.iter().all(|part| is_there(list, part))
                && ["\"computes-0\"", "\"computes-1\""].iter().all(|name| computes(list, name))
        });
        println!("{}", list.join("\n"));
        says(&list[0], &[" 105 threads of process ", "; 2 cores, "]);
        let parked =
            list.iter().find(|one| one.contains("100 threads like this")).expect("a group");
        says(parked, &["\"parked-0\" (id ", "\"parked-4\"", ", ... and 95 more\n  parked, for "]);
        // Only complete debug information names the modules of inlined functions.
        says(
            parked,
            &["#0 ", "park", " at ", "thread/current.rs:", "dump_test_park", " at ", "dump.rs:"],
        );
        for part in ["sched", "first_entry", "spawn", "catch_unwind", "call_once"] {
            assert!(!parked.contains(part), "{part} in {parked}");
        }
        for name in ["computes-0", "computes-1"] {
            says(of(&list, name), &["#0 ", "dump_test_compute"]);
        }
        says(of(&list, "reads"), &["blocked in the kernel (read),", "#0 ", "read"]);
        says(
            of(&list, "sleeps"),
            &["sleeping, for ", ", at most 16 min ", " more", "dump_test_sleep"],
        );
        says(of(&list, "locks"), &["waiting on a futex at 0x", ", for ", "dump_test_lock"]);
    }
    let (said, status) = program.end();
    assert!(said.contains("went on") && status.success(), "{said}, {status}");
}

#[test]
fn every_wait_says_what_for() {
    let program = Program::start("waits", &[]);
    let list = program.ask();
    for (name, said) in [
        ("mutex", "waiting for a mutex at 0x"),
        ("read", "waiting for a reader-writer lock, to read at 0x"),
        ("write", "waiting for a reader-writer lock, to write at 0x"),
        ("condvar", "waiting on a condition variable at 0x"),
        ("moved", "waiting for a mutex at 0x"),
        ("semaphore", "waiting for a semaphore at 0x"),
        ("timed", "waiting for a semaphore at 0x"),
        ("barrier", "waiting at a barrier at 0x"),
        ("once", "waiting for a first use to end at 0x"),
        ("lazy", "waiting for a first use to end at 0x"),
        ("once-lock", "waiting for a first use to end at 0x"),
        ("future", "waiting for a future, for "),
        ("scope", "waiting for the end of a scope's threads, for "),
        ("join", "waiting for a thread's end (id "),
        ("receive", "receiving from a channel at 0x"),
        ("receive-0", "receiving from a channel at 0x"),
        ("mpsc", "receiving from a channel at 0x"),
        ("send", "sending to a channel at 0x"),
        ("select", "selecting among channels, for "),
        ("ended", "parked, for "),
    ] {
        let paragraph = of(&list, name);
        assert!(paragraph.contains(&format!("\n  {said}")), "{said}: {paragraph}");
    }
    let joined = of(&list, "ended").split("(id ").nth(1).unwrap().split(')').next().unwrap();
    says(of(&list, "join"), &["waiting for a thread's end (id ", joined, ")"]);
    says(of(&list, "timed"), &[", at most 16 min "]);
    assert!(program.end().1.success());
}

#[test]
fn a_storm_goes_on_while_it_is_listed_again_and_again() {
    let program = Program::start("storm", &[]);
    let begun = Instant::now();
    let mut lists = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        let list = program.ask();
        let all = |part| list.iter().map(|one| one.matches(part).count()).sum::<usize>();
        // Those past a group's first five have no name, nor has a thread that was inside the runtime all the time.
        let more = list.iter().filter_map(|one| {
            one.split("... and ").nth(1)?.split(' ').next()?.parse::<usize>().ok()
        });
        let nameless = all("of an unknown id") + more.sum::<usize>();
        assert!(all("\"storm-") + nameless >= 16, "{list:#?}");
        lists += 1;
    }
    println!("{lists} lists");
    let (said, status) = program.end();
    assert!(said.contains("went on") && status.success(), "{said}, {status}");
}

#[test]
fn threads_are_listed_when_every_core_is_stuck() {
    let program = Program::start("stuck", &[("RADDLE_SLICE", "off")]);
    let list = program.ask_for(&["\n  running on core"]);
    let running = list.iter().filter(|one| one.contains("\n  running on core")).collect::<Vec<_>>();
    assert!(!running.is_empty(), "{list:#?}");
    running.iter().for_each(|one| says(one, &["dump_test_compute"]));
    let waits =
        list.iter().find(|one| one.contains("ready, 1st of 1 on core ")).expect("one is ready");
    assert!(!waits.contains('#'), "it has not run: {waits}");
    assert!(program.end().1.success());
}

#[test]
fn two_requests_at_once_are_answered_and_none_is_lost() {
    let program = Program::start("mixed", &[]);
    for _ in 0..10 {
        program.signal(libc::SIGQUIT);
        program.list();
    }
    program.signal(libc::SIGQUIT);
    program.signal(libc::SIGQUIT);
    program.list();
    assert!(program.end().1.success());
}

#[test]
fn the_signal_can_be_another() {
    let program = Program::start("nothing", &[("RADDLE_DUMP_SIGNAL", "SIGUSR2")]);
    program.signal(libc::SIGUSR2);
    // The one that has just been joined may still be leaving its stack.
    says(&program.list()[0], &["raddle: ", " of process ", "; 2 cores, "]);
    // SIGQUIT is not raddle's then: it kills.
    program.signal(libc::SIGQUIT);
    use std::os::unix::process::ExitStatusExt;
    let (_, status) = program.end();
    assert_eq!(status.signal(), Some(libc::SIGQUIT), "{status}");
}

#[test]
fn a_handler_of_the_programs_own_stays_in_place() {
    let program = Program::start("handled", &[]);
    program.signal(libc::SIGQUIT);
    assert_eq!(program.line().as_deref(), Some("the program's own handler"));
    assert!(program.end().1.success());
    let program = Program::start("handled", &[("RADDLE_DUMP_SIGNAL", "QUIT")]);
    let line = program.line().unwrap_or_default();
    says(&line, &["raddle can't start: signal 3 shall list", "the program has a handler"]);
}

#[test]
fn wrong_settings_are_said_in_one_line() {
    use raddle::runtime::Builder;
    for (builder, line) in [
        (Builder::new().dump_signal(Some(libc::SIGKILL)), "dump_signal is 9; give SIGQUIT, "),
        (
            Builder::new().signal(libc::SIGUSR1).dump_signal(Some(libc::SIGUSR1)),
            "signal 10 can't both preempt threads and list them; give ",
        ),
    ] {
        let error = builder.start().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.starts_with(line) && !text.contains('\n'), "{text}");
    }
}
