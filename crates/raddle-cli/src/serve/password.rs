//! A user's line for a password file: the password is asked for, unseen, and hashed.

#![allow(unsafe_code, reason = "a terminal's settings, and signals that wait meanwhile")]

use raddle_http::semantics::hash_password;
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

/// As `htpasswd` has it on request: some 50 ms for whoever knows the password, and for each guess.
const COST: u32 = 10;

/// What would end the program while the terminal shows nothing.
const SIGNALS: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Prints `USER:HASH`. From a terminal the password is read twice.
pub(super) fn run(user: &str) -> Result<ExitCode, String> {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(unreadable)?;
    let password = if input.is_terminal() {
        let silence = Silence::begin(&input).map_err(unreadable)?;
        let again = |first| Ok((first, ask(&input, &silence, "again: ")?));
        let asked = ask(&input, &silence, "password: ").and_then(again);
        drop(silence);
        let (first, second) = asked.map_err(unreadable)?;
        if first != second {
            return Err("serve: the passwords differ".to_owned());
        }
        first
    } else {
        line(&input).map_err(unreadable)?
    };
    if password.is_empty() || password.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("serve: a password is a line of text, not empty".to_owned());
    }
    let hash = hash_password(&password, COST)
        .ok_or("serve: the password is too long; bcrypt sees 71 bytes at most")?;
    // Whoever has closed it does not want it.
    _ = writeln!(io::stdout(), "{user}:{hash}");
    Ok(ExitCode::SUCCESS)
}

fn unreadable(error: io::Error) -> String {
    format!("serve: the password can't be read: {error}")
}

/// Prompts go where errors go: what is printed may be redirected into a file.
fn ask(input: &File, silence: &Silence, prompt: &str) -> io::Result<String> {
    _ = write!(io::stderr(), "{prompt}");
    let answer = silence.wait().and_then(|()| line(input));
    _ = writeln!(io::stderr());
    answer
}

/// One line, byte for byte, so that nothing behind it is taken.
fn line(mut input: &File) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 4096 && input.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8(line);
    line.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// A terminal that does not show what is typed. At the end it does again, and only then do signals what they always do: a handler that
/// breaks off the read would come too late for a signal just before it.
struct Silence {
    terminal: RawFd,
    settings: libc::termios,
    mask: libc::sigset_t,
    signals: OwnedFd,
}

impl Silence {
    fn begin(terminal: &File) -> io::Result<Silence> {
        let terminal = terminal.as_raw_fd();
        // SAFETY: settings and sets of signals are numbers, of which zeros are some.
        let (mut settings, mut wanted, mut mask): (libc::termios, libc::sigset_t, libc::sigset_t) =
            unsafe { std::mem::zeroed() };
        // SAFETY: the library writes to structures of ours.
        let signals = unsafe {
            if libc::tcgetattr(terminal, &raw mut settings) != 0 {
                return Err(io::Error::last_os_error());
            }
            for signal in SIGNALS {
                libc::sigaddset(&raw mut wanted, signal);
            }
            libc::signalfd(-1, &raw const wanted, libc::SFD_CLOEXEC)
        };
        if signals < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else knows of it.
        let signals = unsafe { OwnedFd::from_raw_fd(signals) };
        // SAFETY: reads and writes sets of ours.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const wanted, &raw mut mask) };
        let silence = Silence { terminal, settings, mask, signals };
        let c_lflag = settings.c_lflag & !(libc::ECHO | libc::ECHONL);
        let quiet = libc::termios { c_lflag, ..settings };
        // SAFETY: reads settings that are there.
        match unsafe { libc::tcsetattr(terminal, libc::TCSAFLUSH, &raw const quiet) } {
            0 => Ok(silence),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Until a line was typed.
    ///
    /// # Errors
    ///
    /// `Interrupted`, if a signal came; it is still there.
    fn wait(&self) -> io::Result<()> {
        let on = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut both = [on(self.terminal), on(self.signals.as_raw_fd())];
        // SAFETY: two entries of ours.
        if unsafe { libc::poll(both.as_mut_ptr(), 2, -1) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if both[1].revents != 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // SAFETY: reads settings and a set that the library has written.
        unsafe {
            libc::tcsetattr(self.terminal, libc::TCSANOW, &raw const self.settings);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut());
        }
    }
}
