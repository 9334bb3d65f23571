//! Whose rights a server has once it listens: `user` and `group`.
//!
//! They are given up before any thread is made, so there is nothing to be made the same: and should a thread be there, `setuid` and its kin are
//! raddle's, and reach all of them. What a child would gain by a program's own bits is given up as well (`PR_SET_NO_NEW_PRIVS`).

#![allow(unsafe_code, reason = "accounts, by the C library; rights, by the kernel")]

use super::config::{Config, Source};
use crate::say;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::fs::fchown;
use std::path::Path;

/// Who the server becomes.
#[derive(Clone, Debug)]
pub(super) struct Account {
    name: String,
    user: libc::uid_t,
    group: libc::gid_t,
}

impl Account {
    /// The one that a configuration names, if it names one.
    ///
    /// # Errors
    ///
    /// If there is no such user or group, or a group alone.
    pub(super) fn of(source: &Source) -> Result<Option<Account>, String> {
        let Config { user, group, .. } = &source.config;
        let Some(user) = user else {
            return match group {
                Some(group) => {
                    let what = "group: it goes with `user`, whose own it takes the place of";
                    Err(source.mistake(group.span(), what))
                }
                None => Ok(None),
            };
        };
        let name = user.get_ref();
        let (id, own) = find_user(name)
            .ok_or_else(|| source.mistake(user.span(), &format!("user: there is no {name}")))?;
        let group = match group {
            Some(group) => find_group(group.get_ref()).ok_or_else(|| {
                let what = format!("group: there is no {}", group.get_ref());
                source.mistake(group.span(), &what)
            })?,
            None => own,
        };
        if id == 0 {
            let what = "user: that is root, whose rights are to be given up; name another";
            return Err(source.mistake(user.span(), what));
        }
        Ok(Some(Account { name: name.clone(), user: id, group }))
    }

    /// Makes these files, where they are not there, with this user as their owner, so that they can be opened, and opened anew.
    ///
    /// What is there stays whose it is: in a folder that somebody else may write to it could be a link to anything.
    ///
    /// # Errors
    ///
    /// A line that says which can't be had.
    pub(super) fn own<'a>(&self, mut files: impl Iterator<Item = &'a Path>) -> Result<(), String> {
        if !is_root() {
            return Ok(());
        }
        files.try_for_each(|path| {
            let made = match File::options().append(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                made => made,
            };
            let owned = made.and_then(|file| fchown(file, Some(self.user), Some(self.group)));
            owned.map_err(|error| {
                format!("{}: {} can't be made its owner: {error}", path.display(), self.name)
            })
        })
    }

    /// Gives up all rights but this user's, for good.
    pub(super) fn become_it(&self) -> Result<(), String> {
        // SAFETY: numbers only.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        if (user, group) == (self.user, self.group) {
            return Ok(());
        }
        if user != 0 {
            return Err(format!(
                "user: only root can become {}, and this is user {user}; start it as root, or leave `user` out",
                self.name
            ));
        }
        let name = CString::new(self.name.as_str()).map_err(|_| "user: a NUL in it")?;
        let failed = |call| {
            let error = io::Error::last_os_error();
            Err(format!("user: it can't become {}: {call}: {error}", self.name))
        };
        // SAFETY: a name that ends with NUL, and numbers. They are raddle's own, for all threads.
        unsafe {
            if libc::initgroups(name.as_ptr(), self.group) != 0 {
                return failed("initgroups");
            }
            if libc::setgid(self.group) != 0 {
                return failed("setgid");
            }
            if libc::setuid(self.user) != 0 {
                return failed("setuid");
            }
            if libc::setuid(0) == 0 {
                return Err("user: root's rights can be had again".to_owned());
            }
        }
        Ok(())
    }

    /// Says which files this process has read and may not read again.
    pub(super) fn warn_of_unreadable<'a>(&self, files: impl Iterator<Item = &'a Path>) {
        let is_denied = |path: &&Path| {
            File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        };
        let denied: Vec<String> =
            files.filter(is_denied).map(|path| path.display().to_string()).collect();
        if !denied.is_empty() {
            say::warning(&format!(
                "{} can't read {}: what was read by root is in use, and what is new there takes a restart",
                self.name,
                denied.join(", ")
            ));
        }
    }
}

/// Nothing that this process might run gets more rights than it has. Kernels before 3.5 do not know of it.
pub(super) fn gain_nothing() {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
}

/// Whether all is allowed.
pub(super) fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// A user's number, and its group.
fn find_user(name: &str) -> Option<(libc::uid_t, libc::gid_t)> {
    let name = CString::new(name).ok()?;
    look_up(|entry: *mut libc::passwd, text, size, found| {
        // SAFETY: `look_up` gives room for all that is written.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, text, size, found) }
    })
    .map(|entry| (entry.pw_uid, entry.pw_gid))
}

fn find_group(name: &str) -> Option<libc::gid_t> {
    let name = CString::new(name).ok()?;
    look_up(|entry: *mut libc::group, text, size, found| {
        // SAFETY: as above.
        unsafe { libc::getgrnam_r(name.as_ptr(), entry, text, size, found) }
    })
    .map(|entry| entry.gr_gid)
}

/// An entry of the C library's, of which only the numbers are of use: its texts are gone.
fn look_up<T: Copy>(
    ask: impl Fn(*mut T, *mut libc::c_char, usize, *mut *mut T) -> i32,
) -> Option<T> {
    let mut text: Vec<libc::c_char> = vec![0; 1 << 10];
    loop {
        // SAFETY: entries are numbers and pointers, of which zeros are some.
        let mut entry: T = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        match ask(&raw mut entry, text.as_mut_ptr(), text.len(), &raw mut found) {
            libc::ERANGE if text.len() < 1 << 20 => text.resize(text.len() * 2, 0),
            0 if !found.is_null() => return Some(entry),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        assert_eq!(find_user("root"), Some((0, 0)));
        assert_eq!(find_group("root"), Some(0));
        assert!(find_user("no such user").is_none() && find_group("no such group").is_none());
    }
}
