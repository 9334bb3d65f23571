//! gdb: backtraces of bodies end by themselves at `first_entry`, live and in core files, and its own idea of threads stays whole.

use crate::scenarios::OTHERS;
use crate::{Named, in_order, scratch, tool};
use crate::{deadline, gdb_kit};
use libtest_mimic::Failed;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

pub(crate) const TRIALS: &[Named] = &[
    ("deep_in_a_body", deep_in_a_body),
    ("in_an_action_on_a_resumed_body", in_an_action_on_a_resumed_body),
    ("in_an_action_on_a_fresh_body", in_an_action_on_a_fresh_body),
    ("in_a_signal_handler", in_a_signal_handler),
    ("in_a_handler_that_was_away", in_a_handler_that_was_away),
    ("on_several_kernel_threads", on_several_kernel_threads),
    ("finish_and_next_over_a_switch", finish_and_next_over_a_switch),
];

pub(crate) const GCORE_TRIALS: &[Named] = &[("a_core_file_of_gcore", a_core_file_of_gcore)];

pub(crate) const CORE_TRIALS: &[Named] =
    &[("a_core_file_of_the_kernel", a_core_file_of_the_kernel)];

/// Frames that every scenario goes through.
const CHAIN: [&str; 3] = ["raddle_test_inner", "raddle_test_middle", "raddle_test_outer"];

/// Whether gdb is there and may trace, tried on a program that does nothing.
pub(crate) fn usable() -> Result<(), String> {
    let text = gdb_kit::said(gdb("").args(["-ex", "run", "/bin/true"]))
        .map_err(|error| error.to_string())?;
    if text.contains("exited normally") {
        return Ok(());
    }
    Err(text.lines().last().unwrap_or("gdb says nothing").to_owned())
}

/// Whether a core file can hold all of this program's memory.
pub(crate) fn no_shadow_memory() -> Result<(), String> {
    if cfg!(raddle_asan) {
        return Err(
            "AddressSanitizer's shadow memory, terabytes, does not go into core files".into()
        );
    }
    Ok(())
}

/// Whether a process that aborts leaves a core file where it runs.
pub(crate) fn kernel_writes_cores() -> Result<(), String> {
    no_shadow_memory()?;
    gdb_kit::kernel_writes_cores()
}

fn gdb(scenario: &str) -> Command {
    let mut command = tool("gdb", scenario);
    gdb_kit::in_batch(&mut command);
    command
}

/// Lets gdb run `scenario` to `raddle_test_stop` and then do `commands`; what it said.
fn at_stop(scenario: &str, commands: &[&str]) -> Result<String, Failed> {
    let all = [&["break raddle_test_stop", "run"], commands].concat();
    say(scenario, &all, None)
}

/// What gdb says to `commands`. None of it may be about a stack or a thread that it can't make sense of.
fn say(scenario: &str, commands: &[&str], core: Option<&Path>) -> Result<String, Failed> {
    let mut command = gdb(scenario);
    for one in commands {
        command.args(["-ex", one]);
    }
    gdb_kit::without_complaints(gdb_kit::said(command.arg(std::env::current_exe()?).args(core))?)
}

/// The functions of the frames in `text`, innermost first, without the modules that they are in.
fn functions(text: &str) -> Vec<&str> {
    text.lines().filter_map(function).collect()
}

/// Of `#12 0x0000555555579b97 in raddle_context::arch::x86_64::first_entry::hd6bba452938bbbf8 ()`: `first_entry`.
fn function(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let rest = rest.trim_start();
    let rest = match rest.split_once(" in ") {
        Some((address, rest)) if address.starts_with("0x") => rest,
        _ => rest,
    };
    if rest.starts_with("<signal handler called>") {
        return Some("<signal handler called>");
    }
    let name = rest.split(" (").next()?.split('<').next()?;
    let mut parts = name.rsplit("::");
    let last = parts.next()?;
    let is_hash = last.len() == 17 && last.starts_with('h');
    if is_hash { parts.next() } else { Some(last) }
}

/// The backtrace in `text` must have `wanted` in this order and end with the last of them.
fn expect(text: &str, wanted: &[&str]) -> Result<(), Failed> {
    if in_order(&functions(text), wanted) {
        return Ok(());
    }
    Err(format!("not a backtrace that goes {wanted:?}:\n{text}").into())
}

fn deep_in_a_body() -> Result<(), Failed> {
    let text = at_stop("nested", &["backtrace"])?;
    expect(&text, &["raddle_test_stop", CHAIN[0], CHAIN[1], CHAIN[2], "first_entry"])
}

fn in_an_action_on_a_resumed_body() -> Result<(), Failed> {
    let text = at_stop("after_on_resumed", &["backtrace"])?;
    let action = ["raddle_test_stop", "raddle_test_action", "switch"];
    expect(&text, &[&action[..], &CHAIN, &["first_entry"]].concat())
}

fn in_an_action_on_a_fresh_body() -> Result<(), Failed> {
    let text = at_stop("after_on_fresh", &["backtrace"])?;
    let wanted = ["raddle_test_stop", "raddle_test_action", "switch_body", "first_entry"];
    if functions(&text) != wanted {
        return Err(format!("not a backtrace of {wanted:?}:\n{text}").into());
    }
    Ok(())
}

fn in_a_signal_handler() -> Result<(), Failed> {
    let text = at_stop("handler", &["backtrace"])?;
    let handler = ["raddle_test_stop", "raddle_test_handler", "<signal handler called>"];
    expect(&text, &[&handler[..], &["raddle_test_spin"], &CHAIN, &["first_entry"]].concat())
}

fn in_a_handler_that_was_away() -> Result<(), Failed> {
    let text = at_stop("handler_resumed", &["backtrace"])?;
    let action = ["raddle_test_stop", "raddle_test_action", "switch_body", "raddle_test_preempt"];
    let handler = ["<signal handler called>", "raddle_test_spin"];
    expect(&text, &[&action[..], &handler, &CHAIN, &["first_entry"]].concat())
}

/// gdb asks libthread_db which `pthread_t` each kernel thread has: here those of bodies.
fn on_several_kernel_threads() -> Result<(), Failed> {
    let text = at_stop("threads", &["info threads", "thread apply all backtrace"])?;
    if !text.contains("Thread debugging using libthread_db enabled") {
        return Err(format!("gdb works without libthread_db:\n{text}").into());
    }
    // "Thread 2 (Thread 0x7fff1ff7f640 (LWP 16107) "name"):" stands before each backtrace.
    let on_bodies: Vec<&str> =
        text.split("\nThread ").filter(|one| one.contains(CHAIN[0])).collect();
    if on_bodies.len() != OTHERS as usize + 1 {
        return Err(format!("{} kernel threads are on bodies:\n{text}", on_bodies.len()).into());
    }
    on_bodies.iter().try_for_each(|one| expect(one, &[&CHAIN[..], &["first_entry"]].concat()))
}

/// `finish` from a function that switches away; another body comes by the same place in between.
fn finish_and_next_over_a_switch() -> Result<(), Failed> {
    let commands = [
        "tbreak raddle_test_inner",
        "run",
        "print/x $fs_base",
        "finish",
        "print/x $fs_base",
        "backtrace",
        "continue",
    ];
    let text = say("away_and_back", &commands, None)?;
    expect(&text, &[CHAIN[1], CHAIN[2], "first_entry"])?;
    let bases: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('$'))
        .filter_map(|line| Some(line.split_once(" = ")?.1))
        .collect();
    let same = bases.len() == 2 && bases[0] == bases[1];
    if !same || functions(&text).contains(&CHAIN[0]) || !text.contains("exited normally") {
        return Err(format!("finish did not end in the function's caller:\n{text}").into());
    }
    Ok(())
}

/// gdb 13 reads memory for a core file in pieces of 1 MiB and gives up a mapping at the first that it can't read whole:
/// installed guards, which lie inside a mapping, make its own core files useless. Protected ones don't, nor does the kernel mind.
fn a_core_file_of_gcore() -> Result<(), Failed> {
    let core = scratch("gcore");
    let gcore = format!("generate-core-file {}", core.display());
    at_stop("crowd_protected", &[&gcore])?;
    let text = say("", &["backtrace"], Some(&core));
    let _ = std::fs::remove_file(&core);
    expect(&text?, &["raddle_test_stop", CHAIN[0], CHAIN[1], CHAIN[2], "first_entry"])
}

fn a_core_file_of_the_kernel() -> Result<(), Failed> {
    let place = scratch("cores");
    std::fs::create_dir_all(&place)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(crate::SCENARIO, "crowd_aborts").current_dir(&place);
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
            let core = std::fs::read_dir(&place)?.next().ok_or("no core file was written")??;
            say("", &["backtrace"], Some(&core.path()))
        });
    std::fs::remove_dir_all(&place)?;
    expect(&result?, &["abort", CHAIN[0], CHAIN[1], CHAIN[2], "first_entry"])
}
