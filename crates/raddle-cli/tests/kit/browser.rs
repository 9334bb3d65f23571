//! A browser without a screen, where one is installed.

use super::{Folder, text};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What it is called here.
pub(crate) fn find() -> Option<&'static str> {
    let is_there = |name: &&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there)
}

/// A folder for a browser's own files.
fn profile() -> Folder {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Folder::new(&format!("browser-{}", COUNT.fetch_add(1, Relaxed)))
}

/// The browser with such a folder.
fn command(browser: &str, profile: &Folder) -> Command {
    let mut command = Command::new(browser);
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path()))
        .stdin(Stdio::null());
    command
}

/// Loads a page, and lets its scripts run for some seconds: the document then. Whatever its console complains of, fails.
pub(crate) fn loaded(browser: &str, address: &str) -> String {
    let profile = profile();
    let mut command = command(browser, &profile);
    let command = command.args(["--virtual-time-budget=5000", "--dump-dom", address]);
    let output = command.output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // What the script and the policy have to complain of comes as lines of the browser's console.
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    text(&output.stdout).to_owned()
}

/// A browser that shows a page, until it is dropped.
pub(crate) struct Shown {
    child: Child,
    _profile: Folder,
}

impl Shown {
    pub(crate) fn begin(browser: &str, address: &str) -> Shown {
        let profile = profile();
        let mut command = command(browser, &profile);
        // With a port for debugging it stays when the page is there.
        command.args(["--remote-debugging-port=0", address]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Shown { child: child.expect("it is installed"), _profile: profile }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
