//! What lies in files while it is measured.

use super::cases::{Asked, FILES};
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the site is, below the folder.
pub(super) const SITE: &str = "site";

/// A temporary folder: the site, nginx's prefix. It is removed with this.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn make() -> io::Result<Folder> {
        let path = env::temp_dir().join(format!("raddle-bench-http-{}", std::process::id()));
        fs::create_dir(&path)?;
        let folder = Folder(path);
        fs::create_dir(folder.site())?;
        for file in FILES {
            if let Asked::File(path, bytes) = file {
                let path = folder.site().join(path.trim_start_matches('/'));
                fs::write(path, "x".repeat(bytes))?;
            }
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn site(&self) -> PathBuf {
        self.0.join(SITE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        _ = fs::remove_dir_all(&self.0);
    }
}
