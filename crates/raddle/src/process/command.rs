//! What is to be executed, and how.

#![allow(unsafe_code, reason = "what runs between fork and exec is for the caller to get right")]

use super::{Child, launcher};
use crate::host;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};

/// A program to be started, with its arguments, environment and streams; as [`std::process::Command`], with what [`CommandExt`] adds.
///
/// ```
/// use raddle::process::Command;
/// let output = Command::new("echo").arg("hello").output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// # std::io::Result::Ok(())
/// ```
pub struct Command {
    command: std::process::Command,
    /// Streams that somebody has chosen: the others are for [`output`](Command::output) to choose.
    chosen: Chosen,
}

#[derive(Clone, Copy, Default)]
struct Chosen {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// Methods of std's that only note something.
macro_rules! notes {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, $($argument: $type),*) -> &mut Command {
            self.command.$name($($argument),*);
            self
        }
    )*};
}

// What is executed.
impl Command {
    /// `program`, looked up in `PATH` if there is no slash in it; without arguments, with this process's environment, directory and streams.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command { command: std::process::Command::new(program), chosen: Chosen::default() }
    }

    notes! {
        /// One more argument. Nothing in it means anything to anybody but the program.
        arg(argument: impl AsRef<OsStr>);
        /// More arguments.
        args(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>);
        /// Sets a variable of the environment.
        env(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>);
        /// Sets variables of the environment.
        envs(variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>);
        /// Takes a variable out of the environment.
        env_remove(name: impl AsRef<OsStr>);
        /// Takes all variables out of the environment, also those that were set here.
        env_clear();
        /// The directory in which it begins. Whether a relative path of the program begins there as well is not said.
        current_dir(directory: impl AsRef<Path>);
        /// What is called argument 0, in place of the program.
        arg0(argument: impl AsRef<OsStr>);
        /// Its user. Groups other than its own are given up, if this process may do that.
        uid(id: u32);
        /// Its group.
        gid(id: u32);
        /// Its process group: an existing one, or 0 for one of its own. A terminal's signals are for a whole group.
        process_group(id: i32);
    }

    /// What is to be done in the child before it executes the program: the first that was given first. An error is [`spawn`](Command::spawn)'s.
    ///
    /// It runs on a kernel thread, the only one that the child has. The thread that called `spawn` is not there, nor are its thread-locals.
    ///
    /// # Safety
    ///
    /// As [`CommandExt::pre_exec`]: other threads of the parent may have held locks, of the allocator's for one, that nobody will give back here.
    pub unsafe fn pre_exec<F>(&mut self, body: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the caller's.
        unsafe { self.command.pre_exec(body) };
        self
    }

    /// What its standard input shall be. If this is not called: this process's; nothing with [`output`](Command::output).
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Command {
        self.chosen.stdin = true;
        self.command.stdin(stream);
        self
    }

    /// What its standard output shall be. If this is not called: this process's; a pipe with [`output`](Command::output).
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Command {
        self.chosen.stdout = true;
        self.command.stdout(stream);
        self
    }

    /// What its standard error shall be. If this is not called: this process's; a pipe with [`output`](Command::output).
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Command {
        self.chosen.stderr = true;
        self.command.stderr(stream);
        self
    }

    /// The program, as it was given.
    pub fn get_program(&self) -> &OsStr {
        self.command.get_program()
    }

    /// The arguments, without argument 0.
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.command.get_args()
    }

    /// Variables of the environment that were set, or removed (`None`).
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.command.get_envs()
    }

    /// The directory in which it begins, if it is another one.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.command.get_current_dir()
    }
}

// Execution.
impl Command {
    /// Starts it. It may be started again.
    ///
    /// When this returns the program is executed, or there was an error.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` and the like, from `execve(2)` or from making a process; what [`pre_exec`](Command::pre_exec) says.
    /// `Unsupported` on a simulated host.
    ///
    /// ```
    /// use raddle::process::Command;
    /// let error = Command::new("/no/such/program").spawn().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// ```
    pub fn spawn(&mut self) -> io::Result<Child> {
        host::check_live()?;
        self.on_launcher(|command| command.spawn()).map(Child::from)
    }

    /// Starts it, and waits until it has ended. The calling thread parks.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait`].
    ///
    /// # Panics
    ///
    /// As [`Child::wait`]. The child goes on, and is nobody's.
    ///
    /// ```
    /// assert!(raddle::process::Command::new("true").status()?.success());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts it, and waits until it has ended. Gives what it has written to standard output and error, unless these were to be something
    /// else. Its standard input is empty, unless another one was chosen.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait_with_output`].
    ///
    /// # Panics
    ///
    /// As [`Child::wait_with_output`]. The child goes on, and is nobody's.
    #[track_caller]
    pub fn output(&mut self) -> io::Result<Output> {
        let Chosen { stdin, stdout, stderr } = self.chosen;
        if !stdin {
            self.command.stdin(Stdio::null());
        }
        if !stdout {
            self.command.stdout(Stdio::piped());
        }
        if !stderr {
            self.command.stderr(Stdio::piped());
        }
        let child = self.spawn();
        // What the others mean by nothing chosen.
        if !stdin {
            self.command.stdin(Stdio::inherit());
        }
        if !stdout {
            self.command.stdout(Stdio::inherit());
        }
        if !stderr {
            self.command.stderr(Stdio::inherit());
        }
        child?.wait_with_output()
    }

    /// Executes it in place of this program: all threads of this process end, and nothing is tidied up. Returns only if that was not possible.
    ///
    /// As [`CommandExt::exec`]: streams, directory and the rest are set before, and may stay so after an error.
    pub fn exec(&mut self) -> io::Error {
        match host::check_live() {
            Ok(()) => self.on_launcher(|command| command.exec()),
            Err(error) => error,
        }
    }

    fn on_launcher<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut std::process::Command) -> R + Send + 'static,
    ) -> R {
        // It goes there and comes back.
        let mut command = mem::replace(&mut self.command, std::process::Command::new(""));
        let (result, command) = launcher::run(move || {
            let result = job(&mut command);
            (result, command)
        });
        self.command = command;
        result
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(to)
    }
}
