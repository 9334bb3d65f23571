//! What a server may open from its start on, if `sandbox` says so: landlock(7).
//!
//! Landlock holds for the calling kernel thread and those that it makes: so this comes before any is made. It asks when something is opened,
//! not when it is read or written: what is open stays usable. Folders may be read that are served, or hold the configuration, certificates,
//! or passwords, with all that is in them, as files are exchanged for others. Beside them there is what the program needs by itself:
//!
//! | | who opens it |
//! |---|---|
//! | `/proc` | raddle's monitor (states of kernel threads), the list at `SIGQUIT`. Of other processes Landlock shows no secrets |
//! | `/sys/fs/cgroup`, `/sys/devices/system` | how many processors there are, and the clock |
//! | this program, its libraries | names for addresses, at `SIGQUIT` |
//! | `/dev/null` | a descriptor in reserve |
//! | the folder of `RADDLE_TRACE` | is written |
//!
//! Nothing else is opened, made, removed or run; no port is bound and no connection made (Linux 6.7), no device asked (6.10), no signal
//! sent to other processes and no abstract socket of theirs used (6.12).
//!
//! Rejected: rules for single files, which hold for what is exchanged and not for what takes its place; a filter of system calls, which
//! io_uring goes past.

use crate::say;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use serde::Deserialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What `sandbox` says.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sandbox {
    #[default]
    Off,
    /// As far as the kernel can.
    On,
    /// All of it, or no start.
    Require,
}

/// What a server opens while it runs.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Folders.
    pub(super) served: Vec<PathBuf>,
    /// Files that are read again, in whose places others may be put.
    pub(super) read: Vec<PathBuf>,
    /// Files that are made where there are none.
    pub(super) written: Vec<PathBuf>,
    /// A supervisor listens on an abstract socket.
    pub(super) is_heard_at_abstract: bool,
}

/// The kernel's rights of which these rules know; later ones are not touched.
const TESTED: ABI = ABI::V6;

const HAS_NONE: &str =
    "sandbox: this kernel has no Landlock, or it is not enabled (`lsm=landlock,...` at boot)";

/// Rules that do not hold yet. Their folders are open: whoever gives up rights meanwhile needs none to find them.
pub(super) struct Prepared {
    wanted: Sandbox,
    rules: RulesetCreated,
    folders: Vec<PathBuf>,
}

/// Where something may be read. All, by default.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    folders: Option<Vec<PathBuf>>,
    /// What is to be said of it.
    pub(super) note: Option<String>,
}

impl Prepared {
    /// What this needs is allowed; nothing is to be enforced if that is not wanted.
    pub(super) fn of(wanted: Sandbox, needs: &Needs) -> Result<Option<Prepared>, String> {
        if wanted == Sandbox::Off {
            return Ok(None);
        }
        let folders = needs.folders()?;
        let rules = rules(&folders, needs)?;
        Ok(Some(Prepared { wanted, rules, folders }))
    }

    /// From now on, for this kernel thread and all that come from it.
    ///
    /// # Errors
    ///
    /// If all of it is required, and the kernel can't.
    pub(super) fn enforce(self) -> Result<Allowed, String> {
        let status = self.rules.restrict_self().map_err(failed)?;
        let (LandlockStatus::Available { effective_abi, .. }, true) =
            (&status.landlock, status.ruleset != RulesetStatus::NotEnforced)
        else {
            if self.wanted == Sandbox::Require {
                return Err(format!("{HAS_NONE}; sandbox = \"on\" goes on without"));
            }
            say::warning(&format!("{HAS_NONE}: nothing is kept from the server"));
            return Ok(Allowed::default());
        };
        let abi = *effective_abi as u32;
        let beyond_files = match abi {
            ..4 => "network and signals are as before",
            4..6 => "no port is bound and no connection made; signals are as before",
            _ => "no port is bound, no connection made, no other process sent a signal",
        };
        let what = format!(
            "sandbox: files in {} are read, no others opened; {beyond_files} (Landlock ABI {abi})",
            list(&self.folders)
        );
        if status.ruleset != RulesetStatus::FullyEnforced && self.wanted == Sandbox::Require {
            return Err(format!(
                "{what}; that is not all, and sandbox = \"on\" is content with it"
            ));
        }
        Ok(Allowed { folders: Some(self.folders), note: Some(what) })
    }
}

impl Allowed {
    /// Whether what this needs is not kept from the process.
    ///
    /// # Errors
    ///
    /// A line that says what is.
    pub(super) fn permit(&self, needs: &Needs) -> Result<(), String> {
        let Some(allowed) = &self.folders else { return Ok(()) };
        // What is not there, others complain about.
        let Ok(wanted) = needs.folders() else { return Ok(()) };
        let is_kept = |path: &&PathBuf| !allowed.iter().any(|allowed| path.starts_with(allowed));
        match wanted.iter().find(is_kept) {
            Some(path) => Err(format!(
                "{}: the sandbox was made without it; a restart is needed",
                path.display()
            )),
            None => Ok(()),
        }
    }
}

impl Needs {
    /// What is read, by names without links, none of them in another.
    fn folders(&self) -> Result<Vec<PathBuf>, String> {
        let mut folders: Vec<PathBuf> =
            self.served.iter().map(|path| real(path)).collect::<Result<_, _>>()?;
        for path in &self.read {
            // As it is named, for what takes its place is made there; and where it lies, if it is a link.
            folders.push(real(beside(path))?);
            folders.extend(real(path)?.parent().map(Path::to_owned));
        }
        folders.sort();
        folders.dedup_by(|later, earlier| later.starts_with(earlier));
        Ok(folders)
    }
}

fn real(path: &Path) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("sandbox: {}: {error}", path.display()))
}

/// The folder that a file is in.
fn beside(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn list(folders: &[PathBuf]) -> String {
    let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    shown.join(", ")
}

/// What this process has mapped: itself and its libraries.
fn mapped() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    let mut mapped: Vec<PathBuf> = maps.lines().filter_map(path).collect();
    mapped.dedup();
    mapped
}

fn rules(folders: &[PathBuf], needs: &Needs) -> Result<RulesetCreated, String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate;
    let scope: BitFlags<Scope> =
        if needs.is_heard_at_abstract { Scope::Signal.into() } else { Scope::from_all(TESTED) };
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(TESTED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(TESTED)))
        .and_then(|rules| rules.scope(scope))
        .and_then(Ruleset::create);
    // A folder that is needed and can't be had is no small matter; what is missing of the rest was not there to be opened.
    let open = |folder: &PathBuf| {
        PathFd::new(folder).map_err(|error| format!("sandbox: {}: {error}", folder.display()))
    };
    let opened: Vec<PathFd> = folders.iter().map(open).collect::<Result<_, _>>()?;
    let own = ["/proc", "/sys/fs/cgroup", "/sys/devices/system", "/dev/null"].map(PathBuf::from);
    let trace = env::var_os("RADDLE_TRACE").map(PathBuf::from);
    let written = needs.written.iter().chain(&trace).map(|file| beside(file));
    created
        .and_then(|rules| {
            rules.add_rules(
                opened.into_iter().map(|folder| -> Result<_, RulesetError> {
                    Ok(PathBeneath::new(folder, read))
                }),
            )
        })
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(own.into_iter().chain(mapped()), read))
        })
        .and_then(|rules| rules.add_rules(path_beneath_rules(written, write)))
        .map_err(failed)
}

fn failed(error: RulesetError) -> String {
    format!("sandbox: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::thread;

    /// The version that the kernel has, by its own word.
    #[allow(unsafe_code, reason = "a system call that libc has no name for")]
    fn kernel_abi() -> i64 {
        // SAFETY: without attributes it only answers.
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) }
    }

    #[test]
    fn what_is_not_allowed_the_kernel_refuses() {
        let base = env::temp_dir().join(format!("raddle-sandbox-{}", std::process::id()));
        _ = fs::remove_dir_all(&base);
        for folder in ["site", "outside", "logs"] {
            fs::create_dir_all(base.join(folder)).unwrap();
            fs::write(base.join(folder).join("file"), folder).unwrap();
        }
        symlink("../outside/file", base.join("site/link")).unwrap();
        symlink("file", base.join("site/alias")).unwrap();
        let path = |name: &str| base.join(name);
        let needs = Needs {
            served: vec![path("site")],
            written: vec![path("logs/log")],
            ..Needs::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut open = File::open(path("outside/file")).unwrap();
        let abi = kernel_abi();
        let within = thread::spawn(move || {
            let wanted = if abi >= 6 { Sandbox::Require } else { Sandbox::On };
            let allowed = Prepared::of(wanted, &needs).unwrap().unwrap().enforce().unwrap();
            let path = |name: &str| base.join(name);
            let other = Needs { served: vec![path("outside")], ..Needs::default() };
            if abi < 1 {
                // Nothing else can be seen here: that it is not hidden is.
                assert!(allowed.folders.is_none() && allowed.permit(&other).is_ok());
                assert!(
                    Prepared::of(Sandbox::Require, &needs).unwrap().unwrap().enforce().is_err()
                );
                return base;
            }
            let is_denied =
                |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_eq!(fs::read(path("site/file")).unwrap(), b"site");
            assert_eq!(fs::read(path("site/alias")).unwrap(), b"site");
            assert_eq!(fs::read_dir(path("site")).unwrap().count(), 3);
            for name in ["outside/file", "site/link", "logs/file"] {
                is_denied(fs::read(path(name)).unwrap_err());
            }
            is_denied(fs::read_dir(path("outside")).unwrap_err());
            is_denied(fs::read("/etc/passwd").unwrap_err());
            is_denied(File::create(path("site/new")).unwrap_err());
            is_denied(fs::remove_file(path("site/file")).unwrap_err());
            is_denied(Command::new("/bin/true").status().unwrap_err());
            fs::write(path("logs/log"), "a line").unwrap();
            // What the runtime reads, and what was open.
            assert!(fs::read_to_string("/proc/self/stat").is_ok());
            assert!(
                File::open(env::current_exe().unwrap()).is_ok() && File::open("/dev/null").is_ok()
            );
            assert_eq!(open.read(&mut [0; 8]).unwrap(), 7);
            // A thread of this one.
            let from = base.clone();
            let read = thread::spawn(move || fs::read(from.join("outside/file")));
            is_denied(read.join().unwrap().unwrap_err());
            if abi >= 4 {
                is_denied(TcpListener::bind("127.0.0.1:0").unwrap_err());
                is_denied(TcpStream::connect(at).unwrap_err());
            }
            assert!(allowed.permit(&needs).is_ok());
            let why = allowed.permit(&other).unwrap_err();
            assert!(why.ends_with("outside: the sandbox was made without it; a restart is needed"));
            base
        });
        let base = within.join().expect("the assertions hold");
        drop(listener);
        assert!(fs::read(base.join("outside/file")).is_ok(), "it held for that thread only");
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn folders_are_those_of_links_as_well() {
        let base = env::temp_dir().join(format!("raddle-sandboxed-{}", std::process::id()));
        _ = fs::remove_dir_all(&base);
        for folder in ["site/sub", "live", "archive"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        fs::write(base.join("archive/key1"), "").unwrap();
        symlink("../archive/key1", base.join("live/key")).unwrap();
        let base = fs::canonicalize(base).unwrap();
        let needs = Needs {
            served: vec![base.join("site"), base.join("site/sub")],
            read: vec![base.join("live/key")],
            ..Needs::default()
        };
        let expected = ["archive", "live", "site"].map(|name| base.join(name));
        assert_eq!(needs.folders().unwrap(), expected);
        fs::remove_dir_all(base).unwrap();
    }
}
