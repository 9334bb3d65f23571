//! Opening files beneath a folder, and never outside of it: `..` is gone from paths before, symbolic links are the kernel's to judge.
//!
//! Where it can, the kernel itself refuses what leads out (`openat2` with `RESOLVE_BENEATH`, openat2(2)). Where it can't, as before Linux 5.6 or
//! behind a filter that forbids the call, a path is first resolved without opening what it leads to (`O_PATH`), and where that lies is
//! compared with where the root lies.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A folder, held open: it stays the same one if it is renamed.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// The kernel has no `openat2`, or somebody forbids it.
    is_checked_here: AtomicBool,
}

/// What is no file is not waited for, and no terminal becomes ours.
const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl Root {
    pub(super) fn open(folder: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        Ok(Root { folder, is_checked_here: AtomicBool::new(false) })
    }

    /// Opens what a clean path leads to, for reading; the root itself if it is empty. `XDEV` if that lies outside.
    ///
    /// A path whose names the kernel has in memory is opened at once; else the core goes to somebody else.
    pub(super) fn open_beneath(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        if !self.is_checked_here.load(Ordering::Relaxed) {
            match self.ask_kernel(path, ResolveFlags::CACHED) {
                Err(Errno::AGAIN | Errno::INVAL) => {
                    match raddle::blocking(|| self.ask_kernel(path, ResolveFlags::empty())) {
                        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
                        result => return result,
                    }
                }
                Err(Errno::NOSYS | Errno::PERM) => {}
                result => return result,
            }
            self.is_checked_here.store(true, Ordering::Relaxed);
        }
        raddle::blocking(|| self.check_here(path))
    }

    fn ask_kernel(&self, path: &[u8], more: ResolveFlags) -> Result<OwnedFd, Errno> {
        /// Somebody renames folders on the way, again and again: openat2(2) says to try again.
        const TRIES: u32 = 16;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            result = rustix::fs::openat2(&self.folder, path, FLAGS, Mode::empty(), how);
            let is_passing = matches!(result, Err(Errno::INTR))
                || matches!(result, Err(Errno::AGAIN)) && !more.contains(ResolveFlags::CACHED);
            if !is_passing {
                break;
            }
        }
        result
    }

    /// The long way. What is compared is where the opened thing lies, so it does not matter what becomes of the path meanwhile.
    fn check_here(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let found = rustix::fs::openat(
            &self.folder,
            OsStr::from_bytes(path),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let root = place_of(&self.folder)?;
        if !place_of(&found)?.starts_with(&root) {
            return Err(Errno::XDEV);
        }
        rustix::fs::open(link_to(&found), FLAGS, Mode::empty())
    }
}

/// A path below a folder's.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_owned() } else { [folder, b"/", name].concat() }
}

fn link_to(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// Where an open file lies.
fn place_of(file: impl AsFd) -> Result<PathBuf, Errno> {
    let place = rustix::fs::readlink(link_to(file), Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(place.into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Both ways open the same, and refuse the same.
    #[test]
    fn nothing_outside_is_opened() {
        let base = std::env::temp_dir().join(format!("raddle-http-root-{}", std::process::id()));
        _ = fs::remove_dir_all(&base);
        let inside = base.join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::create_dir_all(base.join("inside-not")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(base.join("inside-not/secret"), "secret").unwrap();
        fs::write(inside.join("file"), "file").unwrap();
        symlink("../secret", inside.join("out")).unwrap();
        symlink("../inside-not/secret", inside.join("near")).unwrap();
        symlink("/", inside.join("slash")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("file", inside.join("alias")).unwrap();
        symlink("../file", inside.join("sub/alias")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let root = Root::open(&inside).unwrap();
        for is_checked_here in [false, true] {
            root.is_checked_here.store(is_checked_here, Ordering::Relaxed);
            for path in ["file", "alias", "sub/alias", "sub", ""] {
                assert!(root.open_beneath(path.as_bytes()).is_ok(), "{path} {is_checked_here}");
            }
            let leads_out =
                ["out", "near", "slash/etc/passwd", "up/secret", "up", "slash", "../secret"];
            for path in leads_out {
                let error = root.open_beneath(path.as_bytes()).unwrap_err();
                assert_eq!(error, Errno::XDEV, "{path} {is_checked_here}");
            }
            assert_eq!(root.open_beneath(b"loop").unwrap_err(), Errno::LOOP);
            assert_eq!(root.open_beneath(b"none").unwrap_err(), Errno::NOENT);
            assert_eq!(root.open_beneath(b"file/x").unwrap_err(), Errno::NOTDIR);
        }
        fs::remove_dir_all(&base).unwrap();
    }
}
