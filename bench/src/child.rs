//! Runs a measured program: for a limited time, and if need be with a look at it from outside.

use raddle_bench::subject::Said;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A program's one line, within `limit`. What went wrong with the program comes as its remark.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    watch: Option<Duration>,
) -> io::Result<Said> {
    // The program's end of the input closes with the driver, however that ends.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn()?);
    let line = first_line(&mut child.0);
    let errors = all(&mut child.0);
    match line.recv_timeout(limit) {
        Err(_) => Ok(Said::remark(format!("no result within {} s", limit.as_secs()))),
        Ok(line) if line.is_empty() => Ok(Said::remark(failure(&mut child.0, &errors)?)),
        Ok(line) => match (serde_json::from_str(&line), watch) {
            (Ok(_), Some(time)) => observe(child.0.id(), time),
            (Ok(said), None) => Ok(said),
            (Err(_), _) => Ok(Said::remark(format!("said what is no result: {}", line.trim_end()))),
        },
    }
}

/// Killed when it is no longer needed, in whatever state it is.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A program that goes on after its first line.
pub(crate) struct Going {
    running: Running,
    /// What it has said, perhaps not as JSON.
    pub(crate) line: String,
}

impl Going {
    /// Starts it, and waits for its line; or says what went wrong.
    pub(crate) fn start(command: &mut Command, limit: Duration) -> Result<Going, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("does not start: {error}"))?;
        let mut running = Running(child);
        let line = first_line(&mut running.0);
        let errors = all(&mut running.0);
        match line.recv_timeout(limit) {
            Err(_) => Err(format!("no result within {} s", limit.as_secs())),
            Ok(line) if line.is_empty() => {
                Err(failure(&mut running.0, &errors).unwrap_or_else(|error| error.to_string()))
            }
            Ok(line) => Ok(Going { running, line }),
        }
    }

    /// Starts one that says nothing, and waits until `is_ready`; or says what went wrong.
    pub(crate) fn start_until(
        command: &mut Command,
        limit: Duration,
        is_ready: impl Fn() -> bool,
    ) -> Result<Going, String> {
        /// Between two looks.
        const PAUSE: Duration = Duration::from_millis(5);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("does not start: {error}"))?;
        let mut running = Running(child);
        let line = first_line(&mut running.0);
        let errors = all(&mut running.0);
        let start = Instant::now();
        while start.elapsed() < limit {
            match line.recv_timeout(PAUSE) {
                Err(_) if is_ready() => return Ok(Going { running, line: String::new() }),
                Err(_) => {}
                // Its output has ended, and so has it.
                Ok(_) => {
                    let why = failure(&mut running.0, &errors);
                    return Err(why.unwrap_or_else(|error| error.to_string()));
                }
            }
        }
        Err(format!("is not ready after {} s", limit.as_secs()))
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.0.id()
    }
}

/// Read by a thread, so that the driver needs not look again and again, which would disturb what is measured.
fn first_line(child: &mut Child) -> mpsc::Receiver<String> {
    let out = child.stdout.take().expect("its output is a pipe");
    in_background(move || {
        let mut line = String::new();
        // An error is an empty line: no result.
        _ = BufReader::new(out).read_line(&mut line);
        line
    })
}

fn all(child: &mut Child) -> mpsc::Receiver<String> {
    let mut errors = child.stderr.take().expect("its errors are a pipe");
    in_background(move || {
        let mut text = Vec::new();
        _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn in_background(read: impl FnOnce() -> String + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more once the time is over.
        _ = sender.send(read());
    });
    receiver
}

/// Why a program ended without a result.
fn failure(child: &mut Child, errors: &mpsc::Receiver<String>) -> io::Result<String> {
    /// It has closed its output, so it is at its end; if not, it is killed.
    const PATIENCE: Duration = Duration::from_secs(2);
    let errors = errors.recv_timeout(PATIENCE).unwrap_or_default();
    child.kill()?;
    let status = child.wait()?;
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    Ok(match last {
        Some(line) => format!("failed: {}", line.trim()),
        None => format!("failed without a word: {status}"),
    })
}

/// How often the threads of a process were switched, and their CPU time, in `time`.
fn observe(process: u32, time: Duration) -> io::Result<Said> {
    /// Threads that said they would park may not have yet.
    const SETTLE: Duration = Duration::from_millis(500);
    thread::sleep(SETTLE);
    let (before, start) = (Activity::of(process)?, Instant::now());
    thread::sleep(time.saturating_sub(start.elapsed()));
    let after = Activity::of(process)?;
    Ok(Said::figures([
        ("switches", after.switches.saturating_sub(before.switches) as f64),
        ("cpu_ms", after.cpu_ns.saturating_sub(before.cpu_ns) as f64 / 1e6),
    ]))
}

/// Of all threads of a process, since they began.
struct Activity {
    switches: u64,
    cpu_ns: u64,
}

impl Activity {
    fn of(process: u32) -> io::Result<Activity> {
        let mut all = Activity { switches: 0, cpu_ns: 0 };
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?.path();
            all.switches += switches(&fs::read_to_string(task.join("status"))?);
            all.cpu_ns += cpu_ns(&task)?;
        }
        Ok(all)
    }
}

/// Voluntary and not.
fn switches(status: &str) -> u64 {
    let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    lines.filter_map(|line| line.rsplit_once(':')?.1.trim().parse::<u64>().ok()).sum()
}

/// The first number of `schedstat`: time on a processor.
fn cpu_ns(task: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(task.join("schedstat"))?;
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| io::Error::other("this kernel does not say schedstat in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Said {
        run(Command::new("sh").args(["-c", script]), limit, None).expect("there is a shell")
    }

    #[test]
    fn a_line_is_a_result_whatever_the_program_does_then() {
        let said =
            shell(r#"echo '{"figures":{"ns":[1.5]}}'; exec sleep 60"#, Duration::from_secs(20));
        assert_eq!(said, Said::figures([("ns", 1.5)]));
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let remark =
            |script, ms| shell(script, Duration::from_millis(ms)).remark.expect("a remark");
        assert_eq!(remark("echo a >&2; echo why >&2; exit 1", 20_000), "failed: why");
        assert!(remark("exit 3", 20_000).contains("exit status: 3"));
        assert!(remark("echo hello", 20_000).ends_with("no result: hello"));
        assert_eq!(remark("exec sleep 60", 300), "no result within 0 s");
    }

    #[test]
    fn a_silent_program_is_waited_for_as_long_as_it_runs() {
        let start = |script, is_ready: bool, ms| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let going = Going::start_until(&mut command, Duration::from_millis(ms), || is_ready);
            going.map(|going| going.line)
        };
        assert_eq!(start("exec sleep 60", true, 20_000), Ok(String::new()));
        assert_eq!(start("exec sleep 60", false, 50), Err("is not ready after 0 s".to_owned()));
        assert_eq!(start("echo why >&2; exit 1", false, 20_000), Err("failed: why".to_owned()));
    }

    #[test]
    fn both_kinds_of_switches_count() {
        let status = "Name:\ta\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches(status), 7);
    }
}
