//! What the kernel says of the credentials of each kernel thread of this process, and the calls that change them.

#![allow(unreachable_pub, reason = "a module that a test includes, not a crate")]

use std::collections::BTreeMap;
use std::io::Error;

/// An id that is not root's, and needs no entry in a user database.
pub const OTHER: u32 = 65534;

/// Lines `Uid`, `Gid` and `Groups` of each thread's `status`, by thread.
pub fn of_all_threads() -> BTreeMap<i32, String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("there is a /proc");
    let ids = tasks.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // One that ends meanwhile has no credentials. io_uring's workers have their own.
    let statuses = ids.filter_map(|id| {
        let status = std::fs::read_to_string(format!("/proc/self/task/{id}/status")).ok()?;
        let is_program = !status.starts_with("Name:\tiou-") && !status.contains("State:\tZ");
        is_program.then(|| (id.parse().unwrap(), lines_of(&status)))
    });
    statuses.collect()
}

fn lines_of(status: &str) -> String {
    let is_wanted =
        |line: &&str| ["Uid:", "Gid:", "Groups:"].iter().any(|name| line.starts_with(name));
    let lines = status.lines().filter(is_wanted);
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The lines that all threads have; panics where two differ.
pub fn agreed() -> String {
    let all = of_all_threads();
    let first = all.values().next().expect("there is a thread").clone();
    assert!(all.values().all(|lines| *lines == first), "threads differ: {all:#?}");
    first
}

/// The line that tells of user ids, where all threads agree.
pub fn agreed_users() -> String {
    agreed().split("; ").find(|line| line.starts_with("Uid:")).unwrap().to_owned()
}

/// Panics with the call's error, if it has one.
#[track_caller]
pub fn succeeds(result: i32) {
    assert_eq!(result, 0, "{}", Error::last_os_error());
}

/// Panics unless the call has failed that way.
#[track_caller]
pub fn fails_with(result: i32, error: i32) {
    let found = Error::last_os_error().raw_os_error();
    assert_eq!((result, found), (-1, Some(error)));
}

/// The calls that take ids only, as safe functions.
macro_rules! by_value {
    ($($name:ident($($id:ident),+);)+) => {$(
        pub fn $name($($id: u32),+) -> i32 {
            // SAFETY: ids go in and a result comes out; no memory of this process is touched but `errno`.
            unsafe { libc::$name($($id),+) }
        }
    )+};
}

by_value! {
    seteuid(user);
    setegid(group);
    setuid(user);
    setgid(group);
    setreuid(real, effective);
    setregid(real, effective);
    setresuid(real, effective, saved);
    setresgid(real, effective, saved);
}

pub fn setgroups(groups: &[u32]) -> i32 {
    // SAFETY: the call reads as many ids as the slice has.
    unsafe { libc::setgroups(groups.len(), groups.as_ptr()) }
}

/// Root's groups in the database of groups, and one more.
pub fn initgroups_of_root(more: u32) -> i32 {
    // SAFETY: the name is a C string.
    unsafe { libc::initgroups(c"root".as_ptr(), more) }
}

/// As the effective user.
pub fn become_effectively(user: u32) {
    succeeds(seteuid(user));
}

/// Back and forth once, with a look at all threads each time.
pub fn there_and_back() {
    become_effectively(OTHER);
    assert_eq!(agreed_users(), format!("Uid: 0 {OTHER} 0 {OTHER}"));
    become_effectively(0);
    assert_eq!(agreed_users(), "Uid: 0 0 0 0");
}
