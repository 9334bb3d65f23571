//! Catches a sandbox that is said to be there and is not, in whichever kernel thread; one that keeps the server from its work; and a server
//! that needs it where there is none.

#![allow(unsafe_code, reason = "signals, a filter for a child, a system call without a name")]

mod kit;

use kit::{Folder, PATIENCE, Server, raddle};
use libtest_mimic::{Arguments, Failed, Trial};
use raddle_http::semantics::hash_password;
use rcgen::{CertificateParams, KeyPair};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::{Duration, Instant};

/// `ann:secret`.
const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";

fn main() {
    let abi = kernel_abi();
    if abi < 1 {
        eprintln!("ignored: what the kernel's Landlock does, as it has none");
    }
    let trial = |name: &str, test: fn()| {
        let run = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, run)
    };
    let with = |name: &str, test: fn()| trial(name, test).with_ignored_flag(abi < 1);
    let trials = vec![
        with("the_site_is_served_from_within", the_site_is_served_from_within),
        with("certificates_from_outside_are_not_read", certificates_from_outside_are_not_read),
        trial("without_landlock_that_is_said", without_landlock_that_is_said),
        trial("all_of_this_with_io_uring_forbidden", kit::again_with_io_uring_forbidden),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The version of Landlock that the kernel has; less than 1, if none.
fn kernel_abi() -> i64 {
    // SAFETY: without attributes it only answers.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) }
}

/// What the configuration may ask for here.
fn wanted() -> &'static str {
    if kernel_abi() >= 6 { "require" } else { "on" }
}

fn get(server: &Server, path: &str, fields: &str) -> String {
    let mut stream = server.connect();
    let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

fn reload(server: &mut Server) {
    server.signal(libc::SIGHUP);
    let line = server.line();
    assert!(line.contains("SIGHUP: read again"), "{line}");
}

fn the_site_is_served_from_within() {
    let folder = Folder::new("within");
    folder.file("site/index.html", "site");
    folder.file("site/sub/page.html", "page");
    folder.file("other/index.html", "other");
    folder.file("etc/passwords", format!("ann:{}\n", hash_password("old", 4).expect("short")));
    symlink("sub/page.html", format!("{}/site/alias.html", folder.path())).expect("ours");
    let config = |site: &str| {
        format!(
            "folder = \"../{site}\"\nlisten = \"127.0.0.1:0\"\nsandbox = \"{}\"\n[[auth]]\npath = \"/private/\"\nfile = \"passwords\"\n",
            wanted()
        )
    };
    let path = folder.file("etc/raddle.toml", config("site"));
    let mut server = Server::of(&mut raddle(&["serve", "-c", &path]));
    let line = server.line();
    let real = fs::canonicalize(folder.path()).expect("a folder of ours");
    let real = real.display();
    let expected =
        format!("raddle: sandbox: files in {real}/etc, {real}/site are read, no others opened; ");
    assert!(line.starts_with(&expected), "{line}");
    assert!(get(&server, "/", "").ends_with("\r\n\r\nsite"));
    assert!(get(&server, "/alias.html", "").ends_with("\r\n\r\npage"));
    assert!(get(&server, "/sub/", "").contains("page.html"), "a list is read");
    assert!(get(&server, "/private/", ANN).starts_with("HTTP/1.1 401 "));
    // Exchanged as editors do it.
    let new = format!("ann:{}\n", hash_password("secret", 4).expect("short"));
    let written = folder.file("etc/new", new);
    fs::rename(written, format!("{}/etc/passwords", folder.path())).expect("ours");
    reload(&mut server);
    assert!(get(&server, "/private/", ANN).starts_with("HTTP/1.1 404 "), "ann is let in");
    folder.file("etc/raddle.toml", config("other"));
    server.signal(libc::SIGHUP);
    let line = server.error(1);
    let expected = format!("{real}/other: the sandbox was made without it; a restart is needed");
    assert!(line.contains(&expected), "{line}");
    assert!(get(&server, "/", "").ends_with("\r\n\r\nsite"));
    // The list of its threads reads symbols, and what the kernel says.
    server.signal(libc::SIGQUIT);
    let begun = Instant::now();
    while !server.errors().contains("raddle: end of the list") {
        assert!(begun.elapsed() < PATIENCE, "{}", server.errors());
        thread::sleep(Duration::from_millis(5));
    }
    let listed = server.errors();
    assert!(listed.contains("raddle_http::server::"), "{listed}");
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
}

/// Root may read all: it is the kernel's Landlock that refuses, and a worker's that reads.
fn certificates_from_outside_are_not_read() {
    let folder = Folder::new("without");
    folder.file("site/index.html", "site");
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("randomness");
        let made = CertificateParams::new(vec!["localhost".to_owned()]);
        let made = made.and_then(|wanted| wanted.self_signed(&key)).expect("a host name");
        folder.file(&format!("{name}.key"), key.serialize_pem());
        folder.file(&format!("{name}.pem"), made.pem())
    };
    let (_, outside) = (issue("etc/a"), issue("outside/a"));
    let text = format!(
        "folder = \"../site\"\nlisten = \"127.0.0.1:0\"\nsandbox = \"{}\"\n[[tls.certificates]]\ncert = \"a.pem\"\nkey = \"a.key\"\n",
        wanted()
    );
    let path = folder.file("etc/raddle.toml", text);
    let server = Server::of(&mut raddle(&["serve", "-c", &path]));
    let link = format!("{}/etc/link", folder.path());
    symlink(&outside, &link).expect("a folder of ours");
    let certificate = format!("{}/etc/a.pem", folder.path());
    fs::rename(link, &certificate).expect("a folder of ours");
    // It looks once a second, when somebody connects, and does not complain of what is younger than that.
    let begun = Instant::now();
    while server.errors().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "it has not looked, or was let in");
        assert!(get(&server, "/", "").contains("This is a TLS port"));
        thread::sleep(Duration::from_millis(20));
    }
    let line = server.error(1);
    let expected = format!("raddle: warning: {certificate}: it can't be read: Permission denied");
    assert!(line.starts_with(&expected), "{line}");
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
}

fn without_landlock_that_is_said() {
    let folder = Folder::new("no-landlock");
    folder.file("site/index.html", "site");
    let command = |wanted: &str| {
        let text = format!("folder = \"site\"\nlisten = \"127.0.0.1:0\"\nsandbox = \"{wanted}\"\n");
        let path = folder.file(&format!("{wanted}.toml"), text);
        let mut command = raddle(&["serve", "-c", &path]);
        let filter = without_landlock();
        let apply = move || {
            // SAFETY: numbers only. Whoever is not root may filter only what gains no rights.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            apply_filter(&filter).map_err(std::io::Error::other)
        };
        // SAFETY: the filter is made, and what is left are system calls.
        unsafe { command.pre_exec(apply) };
        command
    };
    let what =
        "sandbox: this kernel has no Landlock, or it is not enabled (`lsm=landlock,...` at boot)";
    let line = kit::failure(&mut command("require"));
    assert_eq!(line, format!("raddle: error: {what}; sandbox = \"on\" goes on without"));
    let server = Server::of(&mut command("on"));
    let line = server.error(1);
    assert_eq!(line, format!("raddle: warning: {what}: nothing is kept from the server"));
    assert!(get(&server, "/", "").ends_with("\r\n\r\nsite"));
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
}

/// As before Linux 5.13.
fn without_landlock() -> BpfProgram {
    let calls = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    let rules = calls.map(|call| (call, Vec::new()));
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(
        BTreeMap::from(rules),
        SeccompAction::Allow,
        missing,
        TargetArch::x86_64,
    );
    filter.and_then(TryInto::try_into).expect("a valid filter")
}
