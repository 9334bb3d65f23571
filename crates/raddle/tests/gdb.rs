//! gdb with `gdb/raddle.py`: lists raddle's threads and shows their stacks, live and in core files.
//!
//! gdb looks at this test's own binary, run again with the name of a scenario in the environment.

#[path = "../../raddle-context/tests/deadline/mod.rs"]
mod deadline;
#[path = "../../raddle-context/tests/gdb_kit/mod.rs"]
mod gdb_kit;

use gdb_kit::{kernel_writes_cores, said};
use libtest_mimic::{Arguments, Failed, Trial};
use raddle::thread::{self, Builder};
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::Duration;

/// Whether this process is the program that gdb looks at: "stops" or "aborts".
const SCENARIO: &str = "RADDLE_GDB_SCENARIO";

fn main() -> ExitCode {
    if let Ok(end) = std::env::var(SCENARIO) {
        scenario(&end);
        return ExitCode::SUCCESS;
    }
    let trials = [
        group(
            &[
                ("threads_are_listed", threads_are_listed as fn() -> Result<(), Failed>),
                ("backtraces_of_all_kinds", backtraces_of_all_kinds),
                ("frames_inlined_where_gdb_stopped", frames_inlined_where_gdb_stopped),
                ("a_command_sees_the_threads_frame", a_command_sees_the_threads_frame),
                ("commands_on_many_and_lists_of_some", commands_on_many_and_lists_of_some),
                ("the_program_goes_on_unharmed", the_program_goes_on_unharmed),
                ("the_program_carries_the_script", the_program_carries_the_script),
                ("what_is_wrong_is_said", what_is_wrong_is_said),
                ("a_librarys_frame_is_its_callers", a_librarys_frame_is_its_callers),
            ],
            usable(),
        ),
        group(&[("a_core_file", a_core_file)], usable().and_then(|()| kernel_writes_cores())),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit_code()
}

/// A trial by its name.
type Named = (&'static str, fn() -> Result<(), Failed>);

fn group(trials: &[Named], usable: Result<(), String>) -> Vec<Trial> {
    if let Err(why) = &usable {
        let names: Vec<_> = trials.iter().map(|trial| trial.0).collect();
        println!("gdb: {} skipped: {why}", names.join(", "));
    }
    let trial = |&(name, run): &Named| Trial::test(name, run).with_ignored_flag(usable.is_err());
    trials.iter().map(trial).collect()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn raddle_gdb_parks() {
    thread::park();
    black_box(());
}

static COMPUTING: AtomicU32 = AtomicU32::new(0);
static ENOUGH: AtomicBool = AtomicBool::new(false);

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn raddle_gdb_computes() {
    COMPUTING.fetch_add(1, AcqRel);
    while !ENOUGH.load(Acquire) {
        black_box(());
    }
}

/// The debugger's breakpoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn raddle_gdb_stop() {
    black_box(());
}

/// Where gdb stops in functions that every build inlines: it counts a frame for each of the two.
#[inline(always)]
fn raddle_gdb_inlined() {
    #[inline(always)]
    fn raddle_gdb_inlined_deep() {
        // An instruction of its own to stop at.
        std::hint::spin_loop();
    }
    raddle_gdb_inlined_deep();
}

/// Three parked threads, six that compute on two cores, one that is stopped on or aborts.
fn scenario(end: &str) {
    raddle::runtime::Builder::new().cores(2).stack_size(65_536).start().unwrap();
    fn call(function: extern "C" fn()) {
        function();
        black_box(());
    }
    let named = |name: String, main: fn()| Builder::new().name(name).spawn(main).unwrap();
    let parked: Vec<_> =
        (0..3).map(|i| named(format!("parks-{i}"), || call(raddle_gdb_parks))).collect();
    let computing: Vec<_> =
        (0..6).map(|i| named(format!("computes-{i}"), || call(raddle_gdb_computes))).collect();
    while COMPUTING.load(Acquire) < 6 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(50));
    let aborts = end == "aborts";
    let last = Builder::new().name("stops".into()).spawn(move || {
        if aborts {
            std::process::abort();
        }
        call(raddle_gdb_stop);
        raddle_gdb_inlined();
    });
    last.unwrap().join().unwrap();
    ENOUGH.store(true, Release);
    for thread in computing {
        thread.join().unwrap();
    }
    for thread in parked {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

fn script() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/gdb/raddle.py").into()
}

fn gdb() -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120", "gdb"]).env(SCENARIO, "stops");
    gdb_kit::in_batch(&mut command);
    command
}

/// Whether gdb is there, has Python, and may trace.
fn usable() -> Result<(), String> {
    let said = said(gdb().args(["-ex", "python print('py' + 'thon')", "-ex", "run", "/bin/true"]))
        .map_err(|error| error.to_string())?;
    match (said.contains("exited normally"), said.contains("python\n")) {
        (true, true) => Ok(()),
        (true, false) => Err("gdb was built without Python".into()),
        _ => Err(said.lines().last().unwrap_or("gdb says nothing").to_owned()),
    }
}

/// What gdb says to `commands`, which come after the script. None of it may be about a stack that it can't make sense of.
fn say(commands: &[&str], core: Option<&Path>) -> Result<String, Failed> {
    let mut command = gdb();
    command.args(["-ex", &format!("source {}", script())]);
    for one in commands {
        command.args(["-ex", one]);
    }
    gdb_kit::without_complaints(said(command.arg(std::env::current_exe()?).args(core))?)
}

fn at_stop(commands: &[&str]) -> Result<String, Failed> {
    say(&[&["break raddle_gdb_stop", "run"], commands].concat(), None)
}

/// The lines of the list, one for each thread: id, and the whole line.
fn listed(text: &str) -> Vec<(u64, &str)> {
    let start = text.lines().skip_while(|line| !line.starts_with("Id     Name"));
    let lines = start.skip(1).take_while(|line| !line.ends_with("raddle threads."));
    lines.filter_map(|line| Some((line.split(' ').next()?.parse().ok()?, line))).collect()
}

fn expect(is_so: bool, what: &str, text: &str) -> Result<(), Failed> {
    if is_so { Ok(()) } else { Err(format!("{what}:\n{text}").into()) }
}

/// The list must have all ten, doing what they do.
fn check_list(text: &str) -> Result<(), Failed> {
    let list = listed(text);
    expect(list.len() == 10, "not ten threads", text)?;
    let of = |name: &'static str| {
        list.iter().map(|(_, line)| *line).filter(move |line| line.contains(name))
    };
    let all_parked =
        of("parks-").all(|line| line.contains(" parked ") && line.contains("/thread/current.rs:"));
    expect(of("parks-").count() == 3 && all_parked, "threads that park", text)?;
    let computes = of("computes-").all(|line| line.contains("raddle_gdb_computes"));
    expect(of("computes-").count() == 6 && computes, "threads that compute", text)?;
    // A worker that gdb stops looks blocked, and may have lost its core; one that is caught between two threads runs neither.
    let count = |state: &str| list.iter().filter(|(_, line)| line.contains(state)).count();
    let (running, ready, between) = (count(" running "), count(" ready "), count(" on its way "));
    let all = running + ready + between;
    expect(running >= 1 && ready >= 1 && all == 7, "some running and some ready", text)
}

fn threads_are_listed() -> Result<(), Failed> {
    let text = at_stop(&["info raddle threads"])?;
    check_list(&text)?;
    let stopped = listed(&text).into_iter().find(|(_, line)| line.contains(" stops "));
    expect(
        stopped.is_some_and(|(_, line)| {
            line.contains(" running ") && line.contains("raddle_gdb_stop")
        }),
        "the thread at the breakpoint",
        &text,
    )
}

/// Parked, preempted by a signal, and running threads: from the program's function to the thread's first frame.
fn check_backtraces(backtraces: &[(&str, String)]) -> Result<(), Failed> {
    for (name, text) in backtraces {
        let function =
            if name.starts_with("parks") { "raddle_gdb_parks" } else { "raddle_gdb_computes" };
        let at = text.find(function);
        let is_whole = at.is_some_and(|at| text[at..].contains("first_entry"));
        expect(is_whole && text.contains("#0  "), &format!("no whole backtrace of {name}"), text)?;
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        let others = ["raddle_gdb_stop", "raddle_gdb_inlined", "abort"];
        let is_own = |line: &&str| !others.iter().any(|other| line.contains(other));
        expect(lines.iter().all(is_own), "another thread's frames", text)?;
        let switched_away = !name.starts_with("parks") || lines[0].contains("switch (");
        expect(switched_away, "a thread that parks is not in the switch", text)?;
        let in_order =
            lines.iter().enumerate().all(|(at, line)| line.starts_with(&format!("#{at} ")));
        expect(in_order, "frames are not numbered from 0", text)?;
    }
    Ok(())
}

/// The list, and the threads that park or compute with their backtraces.
struct Looked {
    list: String,
    backtraces: Vec<(&'static str, String)>,
}

/// What `look` gets.
fn backtraces(look: impl Fn(&[&str]) -> Result<String, Failed>) -> Result<Looked, Failed> {
    const NAMES: [&str; 9] = [
        "parks-0",
        "parks-1",
        "parks-2",
        "computes-0",
        "computes-1",
        "computes-2",
        "computes-3",
        "computes-4",
        "computes-5",
    ];
    // Ids count from 1 in the order of spawning.
    let mut commands = vec!["info raddle threads".to_owned()];
    for id in 1..=NAMES.len() {
        commands.push("echo ---\\n".into());
        commands.push(format!("raddle thread {id} bt"));
    }
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let text = look(&commands)?;
    let parts: Vec<&str> = text.split("---\n").collect();
    expect(parts.len() == 10 && listed(parts[0]).len() == 10, "ten parts", &text)?;
    let backtraces = NAMES.iter().zip(&parts[1..]).map(|(name, part)| (*name, (*part).to_owned()));
    Ok(Looked { list: parts[0].to_owned(), backtraces: backtraces.collect() })
}

fn backtraces_of_all_kinds() -> Result<(), Failed> {
    let looked = backtraces(at_stop)?;
    check_list(&looked.list)?;
    check_backtraces(&looked.backtraces)?;
    // At least one of those that compute was preempted: its stack has the kernel's frame.
    let all: String = looked.backtraces.into_iter().map(|(_, text)| text).collect();
    expect(all.contains("<signal handler called>"), "no preempted thread", &all)
}

/// As it mostly is in optimised programs: gdb's own place, in front of a thread's frames, is several frames.
fn frames_inlined_where_gdb_stopped() -> Result<(), Failed> {
    // With only line tables for debug information gdb knows functions without the modules that they are in.
    let stop = [
        "break gdb::raddle_gdb_inlined::raddle_gdb_inlined_deep",
        "break raddle_gdb_inlined_deep",
        "run",
        "backtrace 2",
    ];
    let looked = backtraces(|commands| say(&[&stop, commands].concat(), None))?;
    let own: Vec<_> = looked.list.lines().filter(|line| line.starts_with('#')).collect();
    let is_inlined = own.len() == 2 && own.iter().all(|line| line.contains("raddle_gdb_inlined"));
    expect(is_inlined, "gdb did not stop in inlined functions", &looked.list)?;
    check_list(&looked.list)?;
    check_backtraces(&looked.backtraces)
}

fn a_command_sees_the_threads_frame() -> Result<(), Failed> {
    let text = at_stop(&["raddle thread 1 apply frame", "raddle thread 1 bt 2", "frame"])?;
    let frames: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
    // After the breakpoint's own line, which has no number: one frame, two frames, and where gdb was.
    let is_so = frames.len() == 4
        && !frames[0].contains("raddle_gdb_stop")
        && frames[1].starts_with("#0  ")
        && frames[2].starts_with("#1  ")
        && frames[3].contains("raddle_gdb_stop");
    expect(is_so, "one frame, two frames, and back", &text)
}

fn commands_on_many_and_lists_of_some() -> Result<(), Failed> {
    let all = at_stop(&["raddle thread apply all bt 1"])?;
    let heads = all.lines().filter(|line| line.starts_with("Raddle thread ")).count();
    let frames = all.lines().filter(|line| line.starts_with("#0 ")).count();
    expect(heads == 10 && frames == 10, "ten threads, a frame of each", &all)?;
    let two = at_stop(&["raddle thread apply 1 3 frame", "info raddle threads parks-"])?;
    let is_so = two.contains("Raddle thread 1 \"parks-0\" (parked):")
        && two.contains("Raddle thread 3 \"parks-2\" (parked):")
        && !two.contains("Raddle thread 2");
    expect(is_so, "two threads", &two)?;
    let is_so = two.contains("3 of 10 raddle threads.") && listed(&two).len() == 3;
    expect(is_so, "a list of three", &two)
}

fn the_program_goes_on_unharmed() -> Result<(), Failed> {
    // The breakpoint goes before the program does: a thread that is preempted before gdb has stepped it over one comes to it again, on
    // another kernel thread, and gdb stops a second time.
    let text = at_stop(&[
        "info raddle threads",
        "raddle thread 2 bt",
        "raddle thread 5 bt",
        "delete",
        "continue",
    ])?;
    expect(text.contains("exited normally"), "the program did not end", &text)
}

/// Without `source`: gdb finds the script in the program, if it may.
fn the_program_carries_the_script() -> Result<(), Failed> {
    let text = said(
        gdb()
            .args(["-iex", "add-auto-load-safe-path /"])
            .args(["-ex", "break raddle_gdb_stop", "-ex", "run", "-ex", "info raddle threads"])
            .arg(std::env::current_exe()?),
    )?;
    expect(text.contains("10 raddle threads."), "no list", &text)
}

fn what_is_wrong_is_said() -> Result<(), Failed> {
    let text = at_stop(&["raddle thread 99 bt"])?;
    expect(text.contains("There is no raddle thread with id 99"), "an unknown id", &text)?;
    for wrong in ["1 jump", "one bt", "apply all", "apply bt"] {
        let text = at_stop(&[&format!("raddle thread {wrong}")])?;
        expect(text.contains("Usage: raddle thread ID bt"), "an unknown verb", &text)?;
    }
    let text = at_stop(&["raddle thread 1 bt nonsense"])?;
    expect(text.lines().any(|line| line.starts_with("No symbol")), "a wrong argument", &text)?;
    let text = said(gdb().args([
        "-ex",
        &format!("source {}", script()),
        "-ex",
        "info raddle threads",
        "/bin/true",
    ]))?;
    expect(text.contains("it does not use raddle, or was stripped"), "another program", &text)
}

/// The list shows the first frame outside the runtime. Where a thread stands, a core file may catch it anywhere: in a vector's
/// function, called by the handler of the signal that preempts, it once named the vector. Of a thread that spins it once named the
/// atomic's load, which stood under its short name in an optimised build.
fn a_librarys_frame_is_its_callers() -> Result<(), Failed> {
    const VECTOR: &str = "Frame('as_slice<u8>', '/rustc/0/library/alloc/src/vec/mod.rs')";
    const LOAD: &str = "Frame('atomic_load<u8>', '/rustc/0/library/core/src/sync/atomic.rs')";
    const HANDLER: &str = "Frame('raddle_context::preempt::on_signal'), Frame('__restore_rt')";
    const SHARED: &str = "Frame('__pthread_kill', None, True)";
    const RUNTIME: &str = "Frame('short', '/home/raddle/src/sched/core.rs')";
    const OWN: &str = "Frame('own', '/home/own/src/main.rs')";
    let cases = [
        (OWN.to_owned(), "own"),
        (format!("{VECTOR}, {OWN}"), "as_slice<u8>"),
        (format!("{SHARED}, {OWN}"), "__pthread_kill"),
        (format!("Frame('core::hint::spin_loop'), {OWN}"), "own"),
        (format!("{LOAD}, {OWN}"), "own"),
        (format!("{LOAD}, {RUNTIME}, {SHARED}, {LOAD}, {OWN}"), "__pthread_kill"),
        (format!("{VECTOR}, {HANDLER}, {OWN}"), "own"),
        (format!("{SHARED}, {VECTOR}, {HANDLER}, {VECTOR}, {OWN}"), "as_slice<u8>"),
        (format!("{SHARED}, {RUNTIME}, {OWN}"), "own"),
        (format!("Frame(None), {RUNTIME}, {SHARED}"), "__pthread_kill"),
    ];
    let commands: Vec<_> = cases
        .iter()
        .map(|(frames, _)| format!("python print('found', first_outside([{frames}]).said)"))
        .collect();
    let text = say(&commands.iter().map(String::as_str).collect::<Vec<_>>(), None)?;
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("found ")).collect();
    let expected: Vec<_> = cases.iter().map(|(_, name)| *name).collect();
    expect(found == expected, &format!("expected {expected:?}"), &text)
}

fn a_core_file() -> Result<(), Failed> {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("gdb-cores-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(SCENARIO, "aborts").current_dir(&place);
    // SAFETY: only a system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit =
                libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
            match libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let result =
        deadline::output(&mut command, deadline::USUAL).map_err(Failed::from).and_then(|_| {
            let core = std::fs::read_dir(&place)?.next().ok_or("no core file was written")??.path();
            backtraces(|commands| say(commands, Some(&core)))
        });
    std::fs::remove_dir_all(&place)?;
    let looked = result?;
    check_list(&looked.list)?;
    check_backtraces(&looked.backtraces)
}
