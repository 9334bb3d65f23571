//! A trace tells what happened: programs with a known story are run as child processes with `RADDLE_TRACE`, and their traces
//! are read back, checked as any trace must be (spans that follow one another, arrows between things that exist, cores and
//! threads that agree), and then for their story.

#[path = "../../raddle-context/tests/calls/mod.rs"]
mod calls;
#[path = "../../raddle-context/tests/deadline/mod.rs"]
mod deadline;
mod trace_work;
#[allow(dead_code, reason = "shared with other tests")]
mod used_time;

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use trace_work::{CORES, KERNEL_THREADS, Span, THREADS, Trace};
use used_time::used;

/// Says to the child which story it is to act.
const STORY: &str = "RADDLE_TEST_STORY";

/// Runs this test binary again, as the actor of `story`. The trace's path is the test's own.
fn act(story: &str, settings: &[(&str, &str)]) -> (Output, PathBuf) {
    let path =
        std::env::temp_dir().join(format!("raddle-trace-{}-{story}.json", std::process::id()));
    let _ = fs::remove_file(&path);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]).env(STORY, story);
    command.env("RADDLE_TRACE", &path).envs(settings.iter().copied());
    (deadline::output(&mut command, deadline::USUAL).unwrap(), path)
}

/// The trace of a child that came to a good end.
fn trace_of(story: &str, settings: &[(&str, &str)]) -> (Trace, String) {
    let (output, path) = act(story, settings);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{story}: {}\n{errors}", output.status);
    (read(&path), errors)
}

fn read(path: &Path) -> Trace {
    let text = fs::read_to_string(path).unwrap();
    let trace = Trace::parse(&text);
    match std::env::var_os("RADDLE_TEST_KEEP") {
        Some(_) => println!("kept {}", path.display()),
        None => fs::remove_file(path).unwrap(),
    }
    trace
}

#[test]
fn actor() {
    let Ok(story) = std::env::var(STORY) else { return };
    match story.as_str() {
        "ping_pong" => ping_pong(),
        "hogs" => hogs(),
        "crowd" => crowd(),
        "blocked" => blocked(),
        "overflow" => overflow(),
        "outside" => outside(),
        "operations" => operations(),
        "exit_inside" => raddle::runtime::run(|| std::process::exit(7)),
        "abort" => abort(),
        "fork" => fork(),
        "untraced" => untraced(),
        "builder" => builder(),
        "panics" => panics(),
        _ => raddle::runtime::run(|| ()),
    }
}

fn spawn(name: &str, main: impl FnOnce() + Send + 'static) -> raddle::thread::JoinHandle<()> {
    raddle::thread::Builder::new().name(name.into()).spawn(main).unwrap()
}

fn compute(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

const ROUNDS: usize = 50;
const AWKWARD: &str = "po\"ng\\\n\u{1}\u{2028} 乒乓";

fn ping_pong() {
    raddle::runtime::run(|| {
        let (to_pong, from_ping) = raddle::sync::mpsc::channel::<usize>();
        let (to_ping, from_pong) = raddle::sync::mpsc::channel::<usize>();
        let ping = spawn("ping", move || {
            for round in 0..ROUNDS {
                to_pong.send(round).unwrap();
                from_pong.recv().unwrap();
            }
        });
        let pong = spawn(AWKWARD, move || {
            for round in from_ping {
                to_ping.send(round).unwrap();
            }
        });
        ping.join().unwrap();
        pong.join().unwrap();
        raddle::thread::sleep(Duration::from_millis(3));
    });
}

#[test]
fn two_threads_that_wait_for_each_other() {
    let (trace, errors) = trace_of("ping_pong", &[("RADDLE_CORES", "1")]);
    assert!(!errors.contains("raddle:"), "{errors}");
    let (ping, pong) = (trace.thread("ping"), trace.thread(AWKWARD));
    let main = trace.thread("main");
    let turns: Vec<u64> =
        trace.spans(CORES, 0).iter().filter_map(|span| span.number("thread")).collect();
    let turns: Vec<u64> = turns.into_iter().filter(|&thread| thread != main).collect();
    let arrows = trace.arrows();
    for (id, other) in [(ping, pong), (pong, ping)] {
        let spans = trace.spans(THREADS, id);
        let waits: Vec<_> =
            spans.iter().filter(|span| span.name == "receiving from a channel").collect();
        // Preempted or blocked between its sending and its receiving, a thread finds the answer there when it goes on. Else each round
        // has its wait, and at the end there is one for a message that doesn't come.
        let interruptions = trace.interruptions(id);
        let most = waits.len() + interruptions;
        assert!(most + 1 >= ROUNDS && waits.len() <= ROUNDS + 1, "{interruptions} and {waits:?}");
        let running = spans.iter().filter(|span| span.name == "running").count();
        assert_eq!(running, waits.len() + interruptions + 1, "{spans:?}");
        for wait in &waits {
            assert_eq!(
                (wait.text("ended"), wait.number("by_thread")),
                ("ready", Some(other)),
                "{wait:?}"
            );
            assert!(wait.text("at").contains("sync/"), "{wait:?}");
        }
        let woken = arrows.iter().filter(|arrow| **arrow == ((THREADS, other), (THREADS, id)));
        assert_eq!(woken.count(), waits.len(), "{arrows:?}");
        // They take turns on the core: whoever waits comes back after the other.
        let alternations = turns.windows(2).filter(|pair| *pair == [other, id]).count();
        assert!(alternations >= waits.len(), "{turns:?}");
    }
    let spans = trace.spans(THREADS, main);
    // Where the user's code waits, not where raddle does. Interrupted, it may come when nothing is left to wait for.
    let joins = |span: &&Span| span.name == "waiting for a thread's end";
    let first = spans.iter().find(joins).map(|join| join.text("at"));
    assert!(
        first.is_some_and(|at| at.ends_with(&here("ping.join()"))) || trace.interruptions(main) > 0,
        "{spans:?}"
    );
    // Its 3 ms begin after the last join. On a busy machine they may be over before it has fallen asleep.
    let joined = spans.iter().rfind(joins).map_or(spans[0].start, |join| join.end);
    let nap = spans.iter().find(|span| span.name == "sleeping");
    if let Some(nap) = nap {
        assert_eq!(nap.text("ended"), "timed out");
        assert!(nap.text("at").ends_with(&here("from_millis(3)")));
    }
    let slept = nap.unwrap_or(&spans[spans.len() - 1]).end - joined;
    assert!(slept >= 2_900_000, "{spans:?}");
}

/// Where in this file a text stands first.
fn here(text: &str) -> String {
    let line = include_str!("trace.rs").lines().position(|line| line.contains(text)).unwrap() + 1;
    format!("tests/trace.rs:{line}")
}

fn hogs() {
    raddle::runtime::run(|| {
        let hogs = ["hog 1", "hog 2"].map(|name| spawn(name, || while used().as_millis() < 100 {}));
        for hog in hogs {
            hog.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_computes_is_preempted() {
    let (trace, _) = trace_of("hogs", &[("RADDLE_CORES", "1"), ("RADDLE_SLICE", "2ms")]);
    let preempted = trace.marks("preempted");
    assert!(preempted.len() >= 4, "{preempted:?}");
    assert!(trace.marks("signal").len() >= preempted.len());
    for name in ["hog 1", "hog 2"] {
        let spans = trace.spans(THREADS, trace.thread(name));
        let mut turns = 0;
        for pair in spans.windows(2) {
            if pair[0].name == "running" && pair[0].text("then") == "preempted" {
                assert_eq!(pair[1].name, "ready", "{pair:?}");
                assert_eq!(pair[0].end, pair[1].start, "{pair:?}");
                turns += 1;
            }
        }
        assert!(turns >= 2, "{spans:?}");
        assert_eq!(spans.last().unwrap().text("then"), "ended");
    }
}

fn crowd() {
    raddle::runtime::run(|| {
        let crowd: Vec<_> = (0..20)
            .map(|at| spawn(&format!("crowd {at}"), || compute(Duration::from_millis(1))))
            .collect();
        compute(Duration::from_millis(5));
        for one in crowd {
            one.join().unwrap();
        }
    });
}

#[test]
fn an_idle_core_steals() {
    let (trace, _) = trace_of("crowd", &[("RADDLE_CORES", "2")]);
    let steals = trace.marks("steal");
    assert!(!steals.is_empty());
    for steal in &steals {
        let thief = steal["tid"].as_u64().unwrap();
        assert_eq!(steal["args"]["from_core"].as_u64(), Some(1 - thief));
        let first = steal["args"]["thread"].as_u64().unwrap();
        // It runs at once, on the thief's core.
        let at = trace.ns(&steal["ts"]);
        let span = trace
            .spans(THREADS, first)
            .into_iter()
            .find(|span| span.start >= at && span.name == "running");
        let span = span.unwrap_or_else(|| panic!("{steal:?}"));
        assert_eq!(span.number("core"), Some(thief), "{steal:?} {span:?}");
    }
    let counts = |core: u64| trace.counter(&format!("ready on core {core}"));
    // How many were left for the other core is a matter of who was faster.
    assert!(counts(0).max(counts(1)) >= 2, "{} {}", counts(0), counts(1));
}

fn blocked() {
    raddle::runtime::run(|| {
        let (mut from, mut to) = std::io::pipe().unwrap();
        let reader = spawn("reader", move || from.read_exact(&mut [0; 1]).unwrap());
        let worker = spawn("other", || compute(Duration::from_millis(20)));
        worker.join().unwrap();
        to.write_all(&[1]).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_blocked_worker_is_replaced() {
    let (trace, _) = trace_of("blocked", &[("RADDLE_CORES", "1")]);
    let handed_over = trace.marks("hand-over");
    assert!(!handed_over.is_empty());
    let reader = trace.thread("reader");
    let mark =
        handed_over.iter().find(|mark| mark["args"]["thread"].as_u64() == Some(reader)).unwrap();
    let spans = trace.spans(THREADS, reader);
    let at = spans.iter().position(|span| span.name == "blocked in the kernel").unwrap();
    let blocked = &spans[at];
    assert_eq!(blocked.start, trace.ns(&mark["ts"]));
    assert_eq!(blocked.number("worker"), mark["args"]["from_worker"].as_u64());
    assert_eq!(spans[at - 1].text("then"), "blocked in the kernel");
    let after: Vec<&str> = spans[at + 1..].iter().map(|span| span.name.as_str()).collect();
    assert_eq!(after, ["ready", "running"], "it came back and ended");
    // Meanwhile the other one ran, on the worker that the core was given to.
    let ran = trace.spans(THREADS, trace.thread("other"));
    let ran = ran.iter().find(|span| span.name == "running").unwrap();
    assert!(ran.start >= blocked.start && ran.end <= blocked.end, "{ran:?} {blocked:?}");
    assert_eq!(ran.number("worker"), mark["args"]["to_worker"].as_u64());
}

fn overflow() {
    raddle::runtime::run(|| {
        spawn("early", || ()).join().unwrap();
        let other = spawn("yields", || (0..5000).for_each(|_| raddle::thread::yield_now()));
        (0..5000).for_each(|_| raddle::thread::yield_now());
        other.join().unwrap();
        spawn("last", || ()).join().unwrap();
    });
}

#[test]
fn the_newest_are_kept_and_the_rest_is_counted() {
    let settings = [("RADDLE_CORES", "1"), ("RADDLE_TRACE_EVENTS", "64")];
    let (trace, errors) = trace_of("overflow", &settings);
    let lost = trace.head("events_lost").as_u64().unwrap();
    assert!(lost > 5000, "{lost}");
    assert_eq!(trace.head("events_per_core").as_u64(), Some(63));
    let line: Vec<&str> = errors.lines().filter(|line| line.starts_with("raddle:")).collect();
    assert_eq!(line.len(), 1, "{errors}");
    assert!(
        line[0].contains(&format!("{lost} older ones are lost (RADDLE_TRACE_EVENTS")),
        "{line:?}"
    );
    let last = trace.spans(THREADS, trace.thread("last"));
    assert_eq!(last.last().unwrap().text("then"), "ended");
    assert!(trace.head("complete_from_us").as_u64().unwrap() > 0);
    // Not a word of what is gone.
    assert!(trace.find_thread("early").is_none());
}

fn outside() {
    let (send, receive) = mpsc::channel();
    let sleeper = spawn("sleeper", move || {
        send.send(raddle::thread::current()).unwrap();
        raddle::thread::park();
    });
    let thread = receive.recv().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let waker = std::thread::Builder::new().name("alarm".into());
    waker
        .spawn(move || {
            thread.unpark();
            std::thread::sleep(Duration::from_millis(100))
        })
        .unwrap();
    sleeper.join().unwrap();
}

#[test]
fn a_kernel_thread_that_wakes_has_a_track() {
    let (trace, _) = trace_of("outside", &[("RADDLE_CORES", "1")]);
    let sleeper = trace.thread("sleeper");
    let alarm = trace.find(KERNEL_THREADS, "alarm").unwrap();
    assert!(trace.arrows().contains(&((KERNEL_THREADS, alarm), (THREADS, sleeper))));
    let spans = trace.spans(THREADS, sleeper);
    let park = spans.iter().find(|span| span.name == "parked").unwrap();
    assert_eq!(park.number("by_kernel_thread"), Some(alarm));
    assert!(park.text("at").ends_with(&here("thread::park()")), "{park:?}");
}

/// A read that waits for its bytes, and one that is told that there will be none in time.
fn operations() {
    raddle::runtime::run(|| {
        let (mut here, mut there) = raddle::net::UnixStream::pair().unwrap();
        let reader = spawn("reader", move || {
            let mut bytes = [0; 16];
            assert_eq!(there.read(&mut bytes).unwrap(), 5);
            there.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert!(there.read(&mut bytes).is_err());
            println!("descriptor {}", there.as_raw_fd());
        });
        raddle::thread::sleep(Duration::from_millis(2));
        here.write_all(b"hello").unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn operations_that_were_waited_for_say_what_they_came_to() {
    let (output, path) = act("operations", &[("RADDLE_CORES", "1")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let descriptor = said.split("descriptor ").nth(1).unwrap().split_whitespace().next().unwrap();
    let descriptor: u64 = descriptor.parse().unwrap();
    let trace = read(&path);
    let reader = trace.thread("reader");
    let marks: Vec<_> = trace.marks_on(THREADS, reader).collect();
    let done = marks.iter().filter(|mark| mark["name"] == "reading: done").collect::<Vec<_>>();
    assert_eq!(done.len(), 2, "{marks:?}");
    assert_eq!(done[0]["args"], serde_json::json!({"descriptor": descriptor, "result": 5}));
    let cancelled = serde_json::json!({"descriptor": descriptor, "errno": libc::ECANCELED});
    assert_eq!(done[1]["args"], cancelled);
}

#[test]
fn an_exit_on_a_raddle_thread_writes_too() {
    let (output, path) = act("exit_inside", &[]);
    assert_eq!(output.status.code(), Some(7));
    let trace = read(&path);
    let spans = trace.spans(THREADS, trace.thread("main"));
    assert_eq!(spans.last().unwrap().text("then"), "?", "it ran until the end");
}

fn abort() {
    raddle::runtime::run(|| {
        spawn("before", || ()).join().unwrap();
        raddle::Runtime::get().unwrap().write_trace().unwrap();
        let short = || raddle::Runtime::get().unwrap().write_trace().unwrap();
        spawn("again", short).join().unwrap();
        calls::exit_now(3)
    });
}

#[test]
fn a_trace_can_be_written_before_the_end_and_twice() {
    let (output, path) = act("abort", &[]);
    assert_eq!(output.status.code(), Some(3));
    let trace = read(&path);
    trace.thread("before");
    trace.thread("again");
}

fn fork() {
    raddle::runtime::run(|| {
        spawn("parent's", || ()).join().unwrap();
        let child = calls::fork();
        if child == 0 {
            spawn("child's", || ()).join().unwrap();
            std::process::exit(0);
        }
        assert!(calls::end_of(child).success());
        println!("child {child}.");
    });
}

#[test]
fn a_forked_child_has_a_file_of_its_own() {
    let (output, path) = act("fork", &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let child = text.split("child ").nth(1).unwrap().split('.').next().unwrap();
    let trace = read(&path);
    trace.thread("parent's");
    assert!(trace.find_thread("child's").is_none());
    let trace = read(Path::new(&format!("{}.{child}", path.display())));
    trace.thread("child's");
    assert!(trace.find_thread("parent's").is_none());
}

#[test]
fn a_path_may_name_the_process() {
    let (output, path) = act("nothing", &[("RADDLE_TRACE", "/tmp/raddle-trace-%p.json")]);
    assert!(output.status.success(), "{output:?}");
    assert!(!path.exists());
    let named = |entry: &fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("raddle-trace-").is_some_and(|rest| {
            rest.strip_suffix(".json").is_some_and(|id| id.parse::<u32>().is_ok())
        })
    };
    let files: Vec<_> = fs::read_dir("/tmp").unwrap().flatten().filter(named).collect();
    assert!(!files.is_empty());
    for file in files {
        read(&file.path()).thread("main");
    }
}

fn untraced() {
    // SAFETY: nobody else reads or writes the environment now.
    unsafe { std::env::remove_var("RADDLE_TRACE") };
    let error = raddle::Runtime::get().unwrap().write_trace().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("RADDLE_TRACE"), "{error}");
}

#[test]
fn without_a_trace_there_is_nothing_to_write() {
    let (output, path) = act("untraced", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(!path.exists());
}

fn builder() {
    let path = PathBuf::from(std::env::var_os("RADDLE_TRACE").unwrap()).with_extension("builder");
    raddle::runtime::Builder::new().cores(1).trace(path).start().unwrap();
    raddle::runtime::run(|| ());
}

#[test]
fn a_builder_goes_before_the_environment() {
    let (output, path) = act("builder", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(!path.exists());
    read(&path.with_extension("builder")).thread("main");
}

fn panics() {
    let caught = raddle::runtime::run(|| spawn("fails", || panic!("on purpose")).join().is_err());
    assert!(caught);
}

#[test]
fn a_thread_that_panics_has_an_end() {
    let (trace, _) = trace_of("panics", &[]);
    let spans = trace.spans(THREADS, trace.thread("fails"));
    assert_eq!(spans.last().unwrap().text("then"), "ended");
}

#[test]
fn what_can_not_be_is_said_at_the_start_in_one_line() {
    for (name, value, expected) in [
        (
            "RADDLE_TRACE",
            "/nowhere/out.json",
            "the trace can't be written to /nowhere/out.json: No such file",
        ),
        ("RADDLE_TRACE", "/tmp", "the trace can't be written to /tmp: Is a directory"),
        ("RADDLE_TRACE", "", "RADDLE_TRACE=: give the name of a file"),
        (
            "RADDLE_TRACE_EVENTS",
            "1000",
            "RADDLE_TRACE_EVENTS=1000: give a power of two from 16 to 16777216",
        ),
        ("RADDLE_TRACE_EVENTS", "many", "RADDLE_TRACE_EVENTS=many: give a power of two"),
    ] {
        let (output, path) = act("nothing", &[(name, value)]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = errors.lines().filter(|line| line.contains(expected)).count();
        assert!(!output.status.success() && lines == 1, "{name}={value}: {errors}");
        assert!(!path.exists());
    }
}

#[test]
fn a_full_disk_is_said_and_no_more() {
    let (output, _) = act("nothing", &[("RADDLE_TRACE", "/dev/full")]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("raddle: the trace could not be written to /dev/full: No space left"),
        "{errors}"
    );
}

#[test]
fn a_value_is_read_back() {
    assert_eq!(
        Trace::parse("{\"otherData\":{\"a\":1},\"traceEvents\":[]}").head("a"),
        &Value::from(1)
    );
}
