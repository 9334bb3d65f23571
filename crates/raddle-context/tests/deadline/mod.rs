//! A deadline for the programs that a test runs as its children: of one that hangs it tells where all threads stand, and ends it.
//!
//! gdb tells it, where it is installed and may; the kernel otherwise.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use std::fs;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Enough for whatever takes a second or two, on a machine that is busy with other things.
pub const USUAL: Duration = Duration::from_secs(60);

/// As [`Command::output`], until `limit` is over.
pub fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn()?, limit)
}

/// As [`Child::wait_with_output`], until `limit` is over. At least one of the child's outputs is a pipe.
pub fn finish(mut child: Child, limit: Duration) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take().map(Said::by), child.stderr.take().map(Said::by));
    let status = wait(&mut child, limit);
    let [stdout, stderr] = [stdout, stderr].map(|said| said.map_or_else(Vec::new, Said::all));
    let status = status.inspect_err(|_| {
        let [stdout, stderr] = [&stdout, &stderr].map(|bytes| String::from_utf8_lossy(bytes));
        eprintln!("--- its stdout\n{stdout}\n--- its stderr\n{stderr}");
    })?;
    Ok(Output { status, stdout, stderr })
}

/// As [`Child::wait`]. When `limit` is over, the threads' stacks go to the standard error, the child and its descendants are
/// ended, and the error is of kind `TimedOut`.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begin.elapsed() > limit {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let family = family(child.id());
    let told = format!("process {} has not ended after {} s", child.id(), limit.as_secs());
    eprintln!("{told}; its threads and those of its descendants:");
    family.iter().for_each(|&process| tell(process));
    send("KILL", &family);
    child.wait()?;
    Err(io::Error::new(io::ErrorKind::TimedOut, told))
}

/// What comes out of a pipe, read as it comes.
struct Said {
    text: Arc<Mutex<Vec<u8>>>,
    /// Its other end is dropped at the pipe's end.
    ended: Receiver<()>,
}

impl Said {
    fn by(mut pipe: impl Read + Send + 'static) -> Said {
        struct To(Arc<Mutex<Vec<u8>>>);
        impl Write for To {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("nobody panics with it").write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let (alive, ended) = mpsc::channel();
        let mut to = To(text.clone());
        std::thread::spawn(move || {
            let _ = io::copy(&mut pipe, &mut to);
            drop(alive);
        });
        Said { text, ended }
    }

    /// All of it, once the child has ended. A descendant that lives on may hold the pipe open: then what has come so far.
    fn all(self) -> Vec<u8> {
        let _ = self.ended.recv_timeout(Duration::from_secs(10));
        std::mem::take(&mut *self.text.lock().expect("nobody panics with it"))
    }
}

/// A process and its descendants.
fn family(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            // Behind the name in parentheses, which may have some itself: the state, the parent.
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut family = vec![process];
    let mut next = 0;
    while let Some(&one) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == one).map(|(id, _)| *id));
        next += 1;
    }
    family
}

/// Says on the standard error where the threads of a process stand.
fn tell(process: u32) {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    eprintln!("--- {process}: {}", String::from_utf8_lossy(&line).replace('\0', " "));
    eprintln!("{}", by_gdb(process).unwrap_or_else(|| by_the_kernel(process)));
    if handles_sigquit(process) {
        // raddle's programs then list their own threads, on their standard error.
        send("QUIT", &[process]);
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn by_gdb(process: u32) -> Option<String> {
    let mut gdb = Command::new("timeout");
    gdb.args(["-k", "5", "60", "gdb", "-nx", "-q", "-batch", "-p", &process.to_string()]);
    for setting in ["debuginfod enabled off", "width 0", "print frame-arguments none"] {
        gdb.args(["-iex", &format!("set {setting}")]);
    }
    let said = gdb.args(["-ex", "thread apply all backtrace 20"]).output().ok()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let lines = said.lines().filter(|line| line.starts_with("Thread ") || line.starts_with('#'));
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

fn by_the_kernel(process: u32) -> String {
    let mut text = String::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let of = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let state = of("status").lines().find(|line| line.starts_with("State")).map(str::to_owned);
        let (name, state) = (of("comm"), state.unwrap_or_default());
        text += &format!("Thread {:?} ({}) {state}", task.file_name(), name.trim());
        text += &format!(", system call {}{}", of("syscall"), of("stack"));
    }
    text
}

fn handles_sigquit(process: u32) -> bool {
    const SIGQUIT: u32 = 3;
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught >> (SIGQUIT - 1) & 1 == 1)
}

/// Sends a signal, by its name. Who is gone by now is gone.
fn send(signal: &str, to: &[u32]) {
    let ids = to.iter().map(u32::to_string);
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$@\" 2>/dev/null", signal])
        .args(ids)
        .status();
}
