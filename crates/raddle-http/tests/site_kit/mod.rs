//! A folder of a test's own that is served.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::serve_kit::{Answer, Client, PATIENCE};
use raddle_http::files::Files;
use raddle_http::server::{Running, Server};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A folder that is served; it is gone at the end.
pub(crate) struct Site {
    pub(crate) base: PathBuf,
    pub(crate) running: Running,
}

impl Site {
    /// Files by path and content, changed long ago.
    pub(crate) fn of(files: &[(&str, &[u8])], options: impl FnOnce(Files) -> Files) -> Site {
        let base = std::env::temp_dir().join(format!("raddle-http-site-{}", std::process::id()));
        _ = fs::remove_dir_all(&base);
        let root = base.join("root");
        fs::create_dir_all(&root).expect("a folder for tests");
        for (path, content) in files {
            write(&root.join(path), content, 100);
        }
        let files = options(Files::new(&root).expect("it is there"));
        let server = Server::new().otherwise(move |request| files.serve(request));
        Site { base, running: server.bind("127.0.0.1:0").expect("some port is free") }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.running.local_addr())
    }

    pub(crate) fn get(&self, path: &str, fields: &[&str]) -> Answer {
        self.client().get(path, fields)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("root")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.running.drain();
        assert!(self.running.wait_timeout(PATIENCE) || std::thread::panicking());
        fs::remove_dir_all(&self.base).expect("it is ours");
    }
}

/// Writes a file that was changed so many seconds ago.
pub(crate) fn write(path: &Path, content: &[u8], seconds_ago: u64) {
    fs::create_dir_all(path.parent().expect("it stands in a folder")).expect("a folder for tests");
    fs::write(path, content).expect("a folder of ours");
    let modified = SystemTime::now() - Duration::from_secs(seconds_ago);
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(modified))
        .expect("a file of ours");
}
