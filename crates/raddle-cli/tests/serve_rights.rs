//! Catches a server that keeps root's rights, in whichever of its kernel threads, or that can't do its work without them.
//!
//! What needs root, or its absence, is ignored where that is not so, and counted as ignored.

#![allow(unsafe_code, reason = "signals, who we are")]

mod kit;

use kit::{RADDLE, Server, raddle};
use libtest_mimic::{Arguments, Failed, Trial};
use raddle_http::semantics::hash_password;
use rcgen::{CertificateParams, KeyPair};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everybody has that one, with no rights: its number, and its name.
const NOBODY: u32 = 65534;

fn main() {
    // SAFETY: no arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("ignored: what only root can do, as this is run by somebody else");
    }
    let for_root = |name: &str, test: fn()| trial(name, test).with_ignored_flag(!is_root);
    let trials = vec![
        for_root("all_kernel_threads_become_the_user", all_kernel_threads_become_the_user),
        for_root("what_only_root_may_read_stays_in_use", what_only_root_may_read_stays_in_use),
        for_root("root_is_warned", root_is_warned),
        for_root("a_link_in_a_logs_place_gains_nothing", a_link_in_a_logs_place_gains_nothing),
        trial("nobody_else_becomes_another", nobody_else_becomes_another),
        trial("mistakes_about_accounts_are_named", mistakes_about_accounts_are_named),
        trial("all_of_this_with_io_uring_forbidden", kit::again_with_io_uring_forbidden),
    ];
    // One makes a program: a child that is made meanwhile would have it open for writing, and keep it from being run.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || -> Result<(), Failed> {
        test();
        Ok(())
    })
}

/// A folder that everybody may enter, for a site and its configuration. Cargo's own may lie where nobody else gets.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, text: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("raddle-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("site")).expect("a folder of ours");
        let place = Place(folder);
        for folder in ["", "site"] {
            let path = place.0.join(folder);
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a folder of ours");
        }
        place.file("site/index.html", "site", 0o644);
        place.file("site/secret.html", "secret", 0o600);
        place.file("raddle.toml", text, 0o644);
        place
    }

    fn file(&self, name: &str, content: &str, mode: u32) {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a folder of ours");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a file of ours");
    }

    fn config(&self) -> String {
        self.0.join("raddle.toml").to_str().expect("temporary folders are text").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn get(server: &Server, path: &str) -> String {
    let mut stream = server.connect();
    let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

/// What the kernel says of each of its threads.
fn states(server: &Server) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it lives");
    let read = |path: &Path| fs::read_to_string(path.join("status")).ok();
    tasks.filter_map(|task| read(&task.expect("a thread").path())).collect()
}

fn all_kernel_threads_become_the_user() {
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\nuser = \"nobody\"\n";
    let place = Place::new("becoming", text);
    let mut server = Server::of(&mut raddle(&["serve", "-c", &place.config()]));
    assert!(get(&server, "/").ends_with("\r\n\r\nsite"));
    let secret = get(&server, "/secret.html");
    assert!(!secret.starts_with("HTTP/1.1 200 ") && !secret.contains("secret"), "{secret}");
    let states = states(&server);
    // The main thread, a worker and the monitor at least.
    assert!(states.len() >= 3, "{}", states.len());
    for state in &states {
        let value = |key: &str| {
            let line = state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(str::trim).unwrap_or_else(|| panic!("{key}: {state}"))
        };
        let ids = [NOBODY; 4].map(|id| id.to_string()).join("\t");
        assert_eq!(value("Uid"), ids, "{state}");
        assert!(value("Gid").split('\t').all(|id| id != "0"), "{state}");
        assert!(value("Groups").split(' ').all(|id| id != "0"), "{state}");
        assert_eq!((value("CapEff"), value("CapPrm")), ("0000000000000000", "0000000000000000"));
        assert_eq!(value("NoNewPrivs"), "1");
    }
    server.signal(libc::SIGHUP);
    assert!(server.line().contains("read again"));
    assert_eq!(server.stop(), "");
}

fn what_only_root_may_read_stays_in_use() {
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\nuser = \"nobody\"\n\
        [[tls.certificates]]\ncert = \"a.pem\"\nkey = \"a.key\"\n\
        [[auth]]\npath = \"/private/\"\nfile = \"passwords\"\n";
    let place = Place::new("reading", text);
    let key = KeyPair::generate().expect("randomness");
    let made = CertificateParams::new(vec!["localhost".to_owned()]);
    let made = made.and_then(|wanted| wanted.self_signed(&key)).expect("a host name");
    place.file("a.pem", &made.pem(), 0o644);
    place.file("a.key", &key.serialize_pem(), 0o600);
    let hash = hash_password("secret", 4).expect("a short password");
    place.file("passwords", &format!("ann:{hash}\n"), 0o600);
    let mut server = Server::of(&mut raddle(&["serve", "-c", &place.config()]));
    let (folder, line) = (place.0.display(), server.error(1));
    assert_eq!(
        line,
        format!(
            "raddle: warning: nobody can't read {folder}/passwords, {folder}/a.key: what was read by root is in use, and what is new there takes a restart"
        )
    );
    server.signal(libc::SIGHUP);
    let line = server.error(2);
    let expected = format!("auth.file: {folder}/passwords: it can't be read: Permission denied");
    assert!(line.contains(&expected) && line.ends_with("it serves as before"), "{line}");
    // The key is not needed as long as it is the same one.
    place.file("passwords", &format!("ann:{hash}\n"), 0o644);
    server.signal(libc::SIGHUP);
    assert!(server.line().contains("read again"));
    let plain = get(&server, "/");
    assert!(plain.contains("This is a TLS port"), "{plain}");
    let other = text.replace("\"a.key\"", "\"b.key\"").replace("nobody", "daemon");
    place.file("raddle.toml", &other, 0o644);
    place.file("b.key", &key.serialize_pem(), 0o644);
    server.signal(libc::SIGHUP);
    assert!(server.line().contains("read again"));
    let line = server.error(3);
    assert_eq!(line, "raddle: warning: user: that changes with a restart only");
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
}

/// A server without the kit's, which does not care about that.
fn root_is_warned() {
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n";
    let place = Place::new("warning", text);
    let mut command = raddle(&["serve", "-c", &place.config()]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is built");
    let mut line = String::new();
    let errors = child.stderr.take().expect("a pipe was asked for");
    BufReader::new(errors).read_line(&mut line).expect("text");
    // SAFETY: no memory is involved; the child is not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGKILL) };
    child.wait().expect("it is a child of ours");
    assert_eq!(
        line,
        "raddle: warning: it serves as root; with `user` in the configuration it becomes somebody else, once it listens\n"
    );
}

fn nobody_else_becomes_another() {
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\nuser = \"daemon\"\n";
    let place = Place::new("refusing", text);
    // SAFETY: no arguments.
    let own = unsafe { libc::geteuid() };
    let mut command = if own == 0 {
        // Where cargo puts it, nobody may have no right to go.
        let program = place.0.join("raddle");
        fs::copy(RADDLE, &program).expect("a folder of ours");
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a file of ours");
        let mut command = Command::new(program);
        command.args(["serve", "-c", &place.config()]).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.env_remove("RADDLE_CORES");
        command
    } else {
        raddle(&["serve", "-c", &place.config()])
    };
    let id = if own == 0 { NOBODY } else { own };
    let expected = format!(
        "raddle: error: user: only root can become daemon, and this is user {id}; start it as root, or leave `user` out"
    );
    assert_eq!(kit::failure(&mut command), expected);
}

fn mistakes_about_accounts_are_named() {
    for (text, expected) in [
        ("user = \"no-such-user\"", ":2: user: there is no no-such-user"),
        ("user = \"nobody\"\ngroup = \"no-such-group\"", ":3: group: there is no no-such-group"),
        ("group = \"daemon\"", ":2: group: it goes with `user`"),
        ("user = \"root\"", ":2: user: that is root"),
    ] {
        let place = Place::new("mistaking", &format!("folder = \"site\"\n{text}\n"));
        let path = place.config();
        let line = kit::failure(&mut raddle(&["serve", "-c", &path, "--check"]));
        assert!(line.starts_with(&format!("raddle: error: {path}{expected}")), "{text}: {line}");
    }
}

/// Whoever may write to the log's folder puts a link there, so that root gives away another file at the next start.
fn a_link_in_a_logs_place_gains_nothing() {
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\nuser = \"nobody\"\n\
        log = \"common\"\nlog_file = \"logs/access.log\"\n";
    let place = Place::new("linking", text);
    place.file("victim", "root's", 0o600);
    let logs = place.0.join("logs");
    fs::create_dir(&logs).expect("a folder of ours");
    chown(&logs, Some(NOBODY), Some(NOBODY)).expect("root may");
    symlink("../victim", logs.join("access.log")).expect("a folder of ours");
    let ended = raddle(&["serve", "-c", &place.config()]).output().expect("it is built");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(errors.contains("access.log") && errors.contains("ermission denied"), "{errors}");
    let victim = fs::metadata(place.0.join("victim")).expect("it stays");
    assert_eq!((victim.uid(), victim.mode() & 0o777), (0, 0o600));
    // Without the link it is made for the user.
    fs::remove_file(logs.join("access.log")).expect("a folder of ours");
    let server = Server::of(&mut raddle(&["serve", "-c", &place.config()]));
    assert!(get(&server, "/").ends_with("\r\n\r\nsite"));
    assert_eq!(server.stop(), "");
    let log = logs.join("access.log");
    assert_eq!(fs::metadata(&log).expect("it was made").uid(), NOBODY);
    assert!(fs::read_to_string(log).expect("text").contains("\"GET / HTTP/1.0\" 200"));
}
