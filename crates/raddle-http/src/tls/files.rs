//! The two files that a certificate comes from, and whether they have changed.

use super::loaded::{Loaded, Part, Unusable};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Who writes two files has written one of them first: what does not fit is complained about when it is that old.
const SETTLED: Duration = Duration::from_secs(1);

/// Two files, or twice the same one.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The files as they were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamps([Stamp; 2]);

/// What tells a file from one that has taken its place, and from itself before a change; zeros if it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    pub(super) fn stamps(&self) -> Stamps {
        Stamps([Stamp::of(&self.certificate), Stamp::of(&self.key)])
    }

    pub(super) fn read(&self) -> Result<Loaded, Unusable> {
        let read = |part, path: &Path| {
            fs::read(path).map_err(|error| {
                Unusable::new(part, format!("it can't be read: {error}")).of_file(path)
            })
        };
        let certificate = read(Part::Certificate, &self.certificate)?;
        let key = read(Part::Key, &self.key)?;
        let loaded = Loaded::of_pem(&certificate, &key).map_err(|error| {
            let path = if error.part() == Part::Key { &self.key } else { &self.certificate };
            error.of_file(path)
        })?;
        if let Some(doubt) = loaded.doubt() {
            log::warn!("{}: {doubt}", self.certificate.display());
        }
        Ok(loaded)
    }
}

impl Stamps {
    /// Whether somebody may still be writing.
    pub(super) fn are_fresh(&self) -> bool {
        self.0.iter().any(Stamp::is_fresh)
    }
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        let Ok(meta) = fs::metadata(path) else { return Stamp::default() };
        Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether it was written a moment ago, whatever date it was given.
    fn is_fresh(&self) -> bool {
        let (seconds, ns) = (self.changed.0.max(0) as u64, self.changed.1 as u32);
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, ns);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age < SETTLED)
    }
}
