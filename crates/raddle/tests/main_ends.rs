//! How a program with `#[raddle::main]` ends: with what `main` returns, as a program of std's would; and, where the runtime can't start, with
//! one line that says why, and exit code 1.
//!
//! This binary is the program, run again with the name of one of its mains in the environment.

#[path = "../../raddle-context/tests/deadline/mod.rs"]
mod deadline;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, ExitCode, Output};

const PROGRAM: &str = "RADDLE_TEST_MAIN";

#[raddle::main]
fn returns() {
    println!("{}", raddle::thread::current().name().unwrap_or("none"));
}

#[raddle::main]
fn returns_a_code() -> ExitCode {
    ExitCode::from(7)
}

#[raddle::main]
fn returns_an_error() -> Result<(), std::num::ParseIntError> {
    raddle::thread::spawn(|| "seven".parse::<i32>()).join().unwrap().map(drop)
}

#[raddle::main]
fn panics() {
    panic!("on purpose");
}

#[raddle::main]
fn exits() {
    let exits: fn() = || std::process::exit(9);
    raddle::thread::spawn(exits).join().unwrap();
}

#[raddle::main(cores = 1, preemption = false, timer_slack = std::time::Duration::ZERO)]
fn with_settings() {
    println!("{}", raddle::thread::available_parallelism().unwrap());
}

#[raddle::main(dump_signal = None, trace = "/no/such/folder/trace.json")]
fn with_a_wrong_setting() {}

/// Starts the runtime with its first thread, as a program without the attribute does.
fn by_itself() -> ExitCode {
    match raddle::thread::Builder::new().spawn(|| ()) {
        Ok(thread) => thread.join().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => {
            println!("{:?}: {error}", error.kind());
            ExitCode::from(5)
        }
    }
}

/// By name.
type Main = (&'static str, fn() -> ExitCode);

const MAINS: [Main; 8] = [
    ("returns", returns),
    ("returns_a_code", returns_a_code),
    ("returns_an_error", returns_an_error),
    ("panics", panics),
    ("exits", exits),
    ("with_settings", with_settings),
    ("with_a_wrong_setting", with_a_wrong_setting),
    ("by_itself", by_itself),
];

fn run(main: &str, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PROGRAM, main).env("RUST_BACKTRACE", "0").envs(settings.iter().copied());
    deadline::output(&mut command, deadline::USUAL).unwrap()
}

/// The exit code, and the one line on the standard error that begins and goes on like this.
fn expect(output: &Output, code: i32, begins: &str, says: &str) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&output.stderr);
    let is_one_line = said.lines().count() == 1;
    if output.status.code() == Some(code)
        && is_one_line
        && said.starts_with(begins)
        && said.contains(says)
    {
        return Ok(());
    }
    Err(format!("not {code} and a line like {begins:?} {says:?}: {output:?}").into())
}

fn what_main_returns() -> Result<(), Failed> {
    for (main, code, out) in [
        ("returns", 0, "main\n"),
        ("returns_a_code", 7, ""),
        ("exits", 9, ""),
        ("with_settings", 0, "1\n"),
    ] {
        let output = run(main, &[]);
        assert_eq!(output.status.code(), Some(code), "{main}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), out, "{main}");
        assert!(output.stderr.is_empty(), "{main}: {output:?}");
    }
    expect(&run("returns_an_error", &[]), 1, "Error: ParseIntError", "InvalidDigit")?;
    let output = run("panics", &[]);
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"), "{output:?}");
    Ok(())
}

fn wrong_settings() -> Result<(), Failed> {
    for (name, value, says) in [
        ("RADDLE_CORES", "0", "give a number of cores from 1 to"),
        ("RADDLE_CORES", "two", "give a number of cores from 1 to"),
        ("RADDLE_CORES", "", "give a number of cores from 1 to"),
        ("RADDLE_SLICE", "4", "with its unit, like 4ms"),
        ("RADDLE_STACK", "100K", "give a power of two"),
        ("RADDLE_SIGNAL", "SIGKILL", "give SIGURG, SIGUSR1"),
        ("RADDLE_DUMP_SIGNAL", "SIGSEGV", "give SIGQUIT, SIGUSR1"),
        ("RADDLE_TIMER_SLACK", "1h", "with its unit"),
        ("RADDLE_TRACE_EVENTS", "100", "give a power of two"),
    ] {
        let begins = format!("raddle can't start: {name}={value}: ");
        expect(&run("returns", &[(name, value)]), 1, &begins, says)?;
        // Whoever starts it on the way gets the same as an error.
        let output = run("by_itself", &[(name, value)]);
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with(&format!("InvalidInput: {name}={value}: ")), "{said}");
    }
    let both = [("RADDLE_SIGNAL", "SIGUSR1"), ("RADDLE_DUMP_SIGNAL", "SIGUSR1")];
    expect(&run("returns", &both), 1, "raddle can't start: signal 10 can't both", "another")?;
    let begins = "raddle can't start: the trace can't be written to /no/such/folder/trace.json: ";
    expect(&run("with_a_wrong_setting", &[]), 1, begins, "No such file")
}

fn main() -> ExitCode {
    if let Ok(wanted) = std::env::var(PROGRAM) {
        return MAINS.iter().find(|main| main.0 == wanted).expect("a main's name").1();
    }
    let trials = vec![
        Trial::test("what_main_returns", what_main_returns),
        Trial::test("wrong_settings", wrong_settings),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
