//! `raddle::process` against `std::process`: the same programs, the same ends, the same errors; and who waits holds nobody up.

#[path = "process_work/inherits.rs"]
mod inherits;
mod io_kit;

use io_kit::{Case, Kind, Scratch, a_moment, cases, filter, forbid, main_with, on};
use io_kit::{hears, signal_thrice, start, until};
use raddle::cancel::Token;
use raddle::io::{self, ErrorKind, Read, Write};
use raddle::process::{Child, Command, ExitStatus, Output, Stdio};
use raddle::{fs, thread, time};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn main() -> ExitCode {
    let cases = cases![
        how_it_ends_is_told,
        arguments_and_environment_arrive,
        what_std_has_for_unix,
        what_was_noted_can_be_asked,
        errors_are_those_of_std,
        streams_are_what_was_chosen,
        output_leaves_the_command_as_it_was,
        megabytes_there_and_back,
        both_streams_are_read_as_they_come,
        a_wait_closes_the_input,
        a_wait_can_be_repeated,
        a_look_does_not_wait,
        who_was_killed_is_still_waited_for,
        a_token_ends_a_wait_and_the_child_goes_on,
        a_time_out_ends_a_wait_and_the_child_goes_on,
        a_signal_is_heard_and_the_wait_goes_on,
        waits_hold_no_kernel_thread,
        many_start_at_once,
        who_was_waited_for_by_others_is_an_error,
        children_and_streams_of_std,
        exec_says_why_not,
        a_start_is_not_cut_short,
    ];
    let mut own = inherits::cases();
    own.extend([
        without_pidfd("looks_where_the_kernel_tells_nothing", || {
            how_it_ends_is_told(Kind::Raddle);
            a_time_out_ends_a_wait_and_the_child_goes_on(Kind::Raddle);
            a_token_ends_a_wait_and_the_child_goes_on(Kind::Kernel);
        }),
        Case::new("nobody_is_left_to_wait_for_where_sigchld_is_ignored", || {
            // SAFETY: no handler is installed.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            for kind in [Kind::Raddle, Kind::Kernel] {
                let error = on(kind, || shell("exit 3").status().unwrap_err());
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            }
        }),
        Case::new("a_forked_child_starts_children_of_its_own", in_a_forked_child),
        Case::new("a_simulated_host_has_no_processes", simulated),
    ]);
    main_with(cases, own)
}

fn without_pidfd(name: &str, body: fn()) -> Case {
    let case = Case::new(name, move || {
        forbid(libc::SYS_pidfd_open);
        on(Kind::Raddle, body);
    });
    case.unless(filter(libc::SYS_pidfd_open, libc::EPERM, vec![]).err())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// Standard output of a script that succeeds, without the last line's end.
fn says(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim_end().to_owned()
}

fn how_it_ends_is_told(_: Kind) {
    assert!(shell("exit 0").status().unwrap().success());
    assert_eq!(shell("exit 3").status().unwrap().code(), Some(3));
    let killed = shell("kill -TERM $$").status().unwrap();
    assert_eq!((killed.code(), killed.signal()), (None, Some(libc::SIGTERM)));
    assert_eq!(shell("sleep 0.02; exit 4").status().unwrap().code(), Some(4));
    let mut child = shell("sleep 0.02; exit 5").spawn().unwrap();
    assert_ne!(child.id(), std::process::id());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

fn arguments_and_environment_arrive(_: Kind) {
    let mut command = shell("printf '%s|' \"$@\" \"$A\" \"$B\" \"${HOME-none}\"");
    command.arg("zero").args(["one two", "*", ""]).env("A", "a").envs([("B", "b"), ("C", "c")]);
    assert_eq!(says(command.env_remove("HOME")), "one two|*||a|b|none|");
    let mut command = Command::new("/usr/bin/env");
    assert_eq!(says(command.env("GONE", "x").env_clear().env("LEFT", "y")), "LEFT=y");
    assert_eq!(says(Command::new("/bin/pwd").current_dir("/usr")), "/usr");
    // By the name, in the path that the child is to have.
    let path = std::env::var("PATH").unwrap();
    assert_eq!(says(Command::new("echo").arg("found").env("PATH", path)), "found");
}

fn what_std_has_for_unix(_: Kind) {
    assert_eq!(
        says(shell("cat /proc/$$/cmdline | tr '\\0' ' '").arg0("renamed")).split(' ').next(),
        Some("renamed")
    );
    let group = "cut -d' ' -f 5 /proc/$$/stat; echo $$";
    let mut own = shell(group);
    let said = says(own.process_group(0));
    let mut lines = said.lines();
    assert_eq!(lines.next(), lines.next(), "a group of its own");
    // SAFETY: no memory is involved.
    let (user, others) = unsafe { (libc::getuid(), libc::getgid()) };
    let ids = "id -u; id -g";
    assert_eq!(says(shell(ids).uid(user).gid(others)), format!("{user}\n{others}"));
    if user == 0 {
        assert_eq!(says(shell(ids).uid(65_534).gid(65_533)), "65534\n65533");
    }
    let mut command = shell("umask");
    // SAFETY: `umask` may be called after a fork.
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o27);
            Ok(())
        })
    };
    // Each time anew.
    for _ in 0..2 {
        assert_eq!(says(&mut command), "0027");
    }
}

fn what_was_noted_can_be_asked(_: Kind) {
    let mut command = Command::new("program");
    command.args(["a", "b c"]).env("SET", "1").env_remove("GONE").current_dir("/");
    let mut std = std::process::Command::new("program");
    std.args(["a", "b c"]).env("SET", "1").env_remove("GONE").current_dir("/");
    assert_eq!(command.get_program(), std.get_program());
    assert!(command.get_args().eq(std.get_args()));
    assert!(command.get_envs().eq(std.get_envs()));
    assert_eq!(command.get_current_dir(), std.get_current_dir());
    assert_eq!(format!("{command:?}"), format!("{std:?}"));
}

fn errors_are_those_of_std(_: Kind) {
    let scratch = Scratch::new();
    let no_program = scratch.file("text", b"\x7fnot a program");
    let forbidden = no_program.to_str().unwrap().to_owned();
    std::fs::set_permissions(&no_program, PermissionsExt::from_mode(0o600)).unwrap();
    let is_program = scratch.file("binary", b"\x7fELF and nothing more");
    std::fs::set_permissions(&is_program, PermissionsExt::from_mode(0o700)).unwrap();
    let broken = is_program.to_str().unwrap();
    for program in ["/no/such/program", "no such name", "/", "", &forbidden, broken, "a\0b"] {
        let ours = Command::new(program).spawn().unwrap_err();
        let stds = std::process::Command::new(program).spawn().unwrap_err();
        assert_eq!(ours.kind(), stds.kind(), "{program:?}");
        assert_eq!(ours.raw_os_error(), stds.raw_os_error(), "{program:?}");
        assert_eq!(ours.to_string(), stds.to_string());
        if program == broken {
            // Who forks takes it for a script.
            continue;
        }
        let mut command = Command::new(program);
        // SAFETY: it does nothing.
        unsafe { command.pre_exec(|| Ok(())) };
        assert_eq!(command.status().unwrap_err().kind(), stds.kind(), "{program:?}");
    }
    let mut nowhere = Command::new("/bin/true");
    assert_eq!(nowhere.current_dir("/no/such").output().unwrap_err().kind(), ErrorKind::NotFound);
    let mut command = Command::new("/bin/true");
    // SAFETY: a number.
    unsafe { command.pre_exec(|| Err(io::Error::from_raw_os_error(libc::EDOM))) };
    assert_eq!(command.spawn().unwrap_err().raw_os_error(), Some(libc::EDOM));
}

fn streams_are_what_was_chosen(_: Kind) {
    let scratch = Scratch::new();
    let input = fs::File::open(scratch.file("in", b"from a file")).unwrap();
    let path = scratch.0.join("out");
    let output = fs::File::create(&path).unwrap();
    let status = Command::new("cat").stdin(input).stdout(output).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read(&path).unwrap(), b"from a file");
    // A pipe of ours, given away.
    let (mut reader, writer) = io::pipe().unwrap();
    let mut command = shell("echo one; echo two >&2");
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
    child.wait().unwrap();
    // One child's output is another one's input.
    let mut first = Command::new("echo").arg("piped").stdout(Stdio::piped()).spawn().unwrap();
    let second = Command::new("cat").stdin(first.stdout.take().unwrap()).output().unwrap();
    assert_eq!(second.stdout, b"piped\n");
    assert!(first.wait().unwrap().success());
    // A child's ends are in the mode in which they were made, whoever uses them.
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let flags = |fd: &dyn std::os::fd::AsRawFd| {
        // SAFETY: no memory is involved.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK }
    };
    assert_eq!(flags(child.stdin.as_ref().unwrap()), 0);
    assert_eq!(flags(child.stdout.as_ref().unwrap()), 0);
    assert!(child.wait_with_output().unwrap().status.success());
}

fn output_leaves_the_command_as_it_was(_: Kind) {
    let mut command = shell("cat; echo out; echo err >&2");
    for _ in 0..2 {
        let output = command.output().unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }
    let mut silent = shell("echo out; echo err >&2");
    let output = silent.stdout(Stdio::null()).output().unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], &b"err\n"[..]));
    // As a status, its streams are this process's again.
    let mut command =
        shell("[ /proc/$$/fd/2 -ef /proc/$PPID/fd/2 ] && [ /proc/$$/fd/0 -ef /proc/$PPID/fd/0 ]");
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(command.status().unwrap().code(), Some(0));
}

fn megabytes_there_and_back(kind: Kind) {
    let content = io_kit::pattern(3 << 20);
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = start(kind, {
        let content = content.clone();
        move || stdin.write_all(&content).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    writer.join();
    assert!(output.stdout == content && output.status.success());
}

/// More than a pipe holds, on both, by turns and at once: whoever reads one after the other hangs.
fn both_streams_are_read_as_they_come(_: Kind) {
    let script =
        "for i in 1 2 3; do head -c 200000 /dev/zero >&2; head -c 300000 /dev/zero; done; exit 6";
    let output = shell(script).output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (900_000, 600_000));
    assert_eq!(output.status.code(), Some(6));
    let script = "head -c 500000 /dev/zero >&2 & head -c 700000 /dev/zero; wait";
    let output = shell(script).output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (700_000, 500_000));
    // One ends long before the other.
    let output = shell("exec >&-; sleep 0.01; echo late >&2").output().unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], &b"late\n"[..]));
}

fn a_wait_closes_the_input(_: Kind) {
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"all of it").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(child.stdin.is_none());
}

fn a_wait_can_be_repeated(_: Kind) {
    let mut child = shell("exit 7").spawn().unwrap();
    for _ in 0..3 {
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(child.try_wait().unwrap().and_then(|status| status.code()), Some(7));
    }
    // Nobody is there to be killed any more, which is as well.
    child.kill().unwrap();
}

fn a_look_does_not_wait(_: Kind) {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    assert!(child.stdin.is_some(), "a look closes nothing");
    drop(child.stdin.take());
    let mut status = None;
    until(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.is_some_and(|status| status.success()));
}

fn sleeper() -> Child {
    Command::new("sleep").arg("3600").spawn().unwrap()
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGKILL)
}

fn who_was_killed_is_still_waited_for(_: Kind) {
    let mut child = sleeper();
    child.kill().unwrap();
    assert!(was_killed(child.wait().unwrap()));
}

fn a_token_ends_a_wait_and_the_child_goes_on(kind: Kind) {
    let token = Token::new();
    let waiter = start(kind, {
        let token = token.clone();
        move || {
            let mut child = sleeper();
            assert!(token.carry(|| child.wait()).is_err(), "an hour is not over");
            assert!(child.try_wait().unwrap().is_none(), "it goes on");
            child.kill().unwrap();
            was_killed(child.wait().unwrap())
        }
    });
    a_moment();
    token.cancel();
    assert!(waiter.join());
}

fn a_time_out_ends_a_wait_and_the_child_goes_on(_: Kind) {
    let soon = Duration::from_millis(5);
    let mut child = sleeper();
    for _ in 0..3 {
        assert!(time::timeout(soon, || child.wait()).is_err());
    }
    child.kill().unwrap();
    assert!(time::timeout(Duration::from_secs(30), || child.wait()).unwrap().is_ok_and(was_killed));
    // So it is with what else waits. Starting is not cut short, and may take long on a busy machine; nobody can end these, so they have no stream of ours.
    let mut command = Command::new("sleep");
    command.arg("5").stdout(Stdio::null()).stderr(Stdio::null());
    assert!(time::timeout(soon, || command.status()).is_err());
    assert!(time::timeout(soon, || Command::new("sleep").arg("5").output()).is_err());
}

/// Signals from thread to thread reach raddle's threads only.
fn a_signal_is_heard_and_the_wait_goes_on(_: Kind) {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let waiter = hears(move || child.wait().unwrap());
    signal_thrice(&waiter);
    drop(stdin);
    assert!(waiter.0.join().unwrap().success());
}

/// So many kernel threads have this process's runtime.
fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks
        .filter_map(|task| name(task.unwrap()).ok())
        .filter(|name| name.starts_with("raddle-worker"))
        .count()
}

fn waits_hold_no_kernel_thread(kind: Kind) {
    const CHILDREN: usize = 40;
    if kind == Kind::Kernel {
        return;
    }
    let before = workers();
    let (mut inputs, mut waiters) = (Vec::new(), Vec::new());
    let has_ended = Arc::new(AtomicBool::new(false));
    for index in 0..CHILDREN {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        inputs.push(child.stdin.take());
        let has_ended = has_ended.clone();
        waiters.push(thread::spawn(move || {
            // Half of them wait for its output first.
            let status = if index % 2 == 0 {
                child.wait()
            } else {
                child.wait_with_output().map(|output| output.status)
            };
            assert!(has_ended.load(Ordering::Relaxed), "nobody has closed its input");
            status.unwrap().success()
        }));
    }
    // Long enough for the monitor to have replaced each of them, if they were blocked.
    thread::sleep(Duration::from_millis(100));
    let after = workers();
    has_ended.store(true, Ordering::Relaxed);
    drop(inputs);
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
    assert!(after < before + CHILDREN / 4, "{before} workers, then {after}");
}

fn many_start_at_once(kind: Kind) {
    let starters: Vec<_> = (0..30u8)
        .map(|number| {
            start(kind, move || shell(&format!("exit {number}")).status().unwrap().code())
        })
        .collect();
    for (number, starter) in starters.into_iter().enumerate() {
        assert_eq!(starter.join(), Some(number as i32));
    }
}

fn who_was_waited_for_by_others_is_an_error(_: Kind) {
    let mut child = shell("exit 1").spawn().unwrap();
    // SAFETY: nobody wants to know how.
    unsafe { libc::waitpid(child.id() as i32, std::ptr::null_mut(), 0) };
    assert_eq!(child.wait().unwrap_err().raw_os_error(), Some(libc::ECHILD));
}

fn children_and_streams_of_std(_: Kind) {
    let mut command = std::process::Command::new("cat");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Child::from(child);
    let mut stdin = std::process::ChildStdin::from(child.stdin.take().unwrap());
    std::io::Write::write_all(&mut stdin, b"x").unwrap();
    child.stdin = Some(stdin.into());
    let child = std::process::Child::from(child);
    assert!(child.stdin.is_some() && child.stdout.is_some() && child.stderr.is_none());
    assert_eq!(Child::from(child).wait_with_output().unwrap().stdout, b"x");
}

fn exec_says_why_not(_: Kind) {
    assert_eq!(Command::new("/no/such/program").exec().kind(), ErrorKind::NotFound);
    let stds = std::process::Command::new("/").exec();
    assert_eq!(Command::new("/").exec().raw_os_error(), stds.raw_os_error());
    assert!(shell("true").status().unwrap().success(), "all is as before");
}

/// A token that was cancelled already would end any wait: so the child is known to whoever has started it.
fn a_start_is_not_cut_short(_: Kind) {
    let token = Token::new();
    let mut child = None;
    let result = token.carry(|| {
        let mut command = Command::new("sleep");
        // Those that wait for their turn may go: nothing has begun.
        token.cancel();
        child = Some(command.arg("3600").spawn().unwrap());
        child.as_mut().map(Child::wait)
    });
    assert!(result.is_err(), "an hour is not over");
    let mut child = child.expect("it was started");
    child.kill().unwrap();
    assert!(was_killed(child.wait().unwrap()));
}

/// There the parent's launchers are not, though their list is.
fn in_a_forked_child() {
    for kind in [Kind::Raddle, Kind::Kernel] {
        on(kind, || {
            assert!(shell("exit 0").status().unwrap().success());
            // SAFETY: what the child does below is for a runtime of its own.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let is_right = shell("echo x").output().is_ok_and(|output| output.stdout == b"x\n");
                let of_thread = thread::spawn(|| shell("exit 5").status().unwrap().code());
                let is_right = is_right && of_thread.join().unwrap() == Some(5);
                // SAFETY: nothing is tidied up.
                unsafe { libc::_exit(i32::from(!is_right)) };
            }
            let mut status = 1;
            // SAFETY: a local is written to.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        });
    }
}

fn simulated() {
    struct Standstill;
    impl raddle::host::Host for Standstill {
        fn now_ns(&self) -> u64 {
            1
        }
        fn choose(&self, _: usize) -> usize {
            0
        }
        fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
            assert!(deadline_ns.is_none(), "nobody has a deadline");
            false
        }
    }
    let errors = raddle::runtime::simulate(Box::new(Standstill), || {
        let mut command = Command::new("/bin/true");
        [
            command.spawn().unwrap_err(),
            command.status().unwrap_err(),
            command.output().unwrap_err(),
            command.exec(),
        ]
    });
    assert!(errors.unwrap().iter().all(|error| error.kind() == ErrorKind::Unsupported));
}
