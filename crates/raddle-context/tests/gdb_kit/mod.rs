//! Running gdb from a test, so that what it says can be read by a program.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use libtest_mimic::Failed;
use std::process::Command;

/// Gives gdb, or what starts it, the settings of a run without a terminal.
pub fn in_batch(gdb: &mut Command) {
    gdb.args(["-nx", "-q", "-batch"]);
    for setting in [
        "set debuginfod enabled off",
        "set width 0",
        "set height 0",
        "set confirm off",
        "set print thread-events off",
        "set print frame-arguments none",
        "handle SIGURG nostop noprint pass",
    ] {
        gdb.args(["-iex", setting]);
    }
}

/// What it said, on either output.
pub fn said(command: &mut Command) -> std::io::Result<String> {
    let out = command.output()?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// None of what gdb said may be about a stack, a thread or a script that it can't make sense of.
pub fn without_complaints(text: String) -> Result<String, Failed> {
    for complaint in [
        "corrupt stack",
        "previous frame",
        "Backtrace stopped",
        "Cannot find user-level thread",
        "Cannot find new threads",
        "couldn't activate thread debugging",
        "Cannot access memory",
        "internal-error",
        "Python Exception",
    ] {
        if text.contains(complaint) {
            return Err(format!("gdb says {complaint:?}:\n{text}").into());
        }
    }
    Ok(text)
}

/// Whether a process that aborts leaves a core file where it runs.
pub fn kernel_writes_cores() -> Result<(), String> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let pattern = pattern.trim();
    if pattern.is_empty() || pattern.starts_with(['|', '/', '@']) {
        return Err(format!("/proc/sys/kernel/core_pattern is {pattern:?}, not a plain file name"));
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes its argument.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    if limit.rlim_max != libc::RLIM_INFINITY {
        return Err(format!("core files are limited to {} bytes", limit.rlim_max));
    }
    Ok(())
}
