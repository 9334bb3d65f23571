//! The file: opened when recording begins, so that a bad path is known then and not when the events are there; written as
//! often as asked, each time from its beginning, and when the process exits.

use super::json::{Head, Writer};
use super::recorder::Recorder;
use super::story::Story;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a recorder's events will go.
pub(super) struct Output {
    path: PathBuf,
    file: Mutex<File>,
}

impl Output {
    /// Makes the file, empty. `%p` in its name becomes the process's id.
    ///
    /// # Errors
    ///
    /// What the file system says, with the path.
    pub(super) fn open(path: &Path, is_in_child: bool) -> io::Result<Output> {
        let path = PathBuf::from(expand(path.as_os_str(), std::process::id(), is_in_child));
        let file = File::create(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the trace can't be written to {}: {error}", path.display()),
            )
        })?;
        Ok(Output { path, file: Mutex::new(file) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what `recorder` holds. Says how many events were lost before.
    ///
    /// # Errors
    ///
    /// From writing.
    pub(super) fn write(&self, recorder: &Recorder) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = recorder.snapshot();
        let lost = snapshot.lost.iter().sum();
        let head = Head {
            process: std::process::id(),
            cores: recorder.cores(),
            events: recorder.capacity(),
            start_ns: recorder.start.ns,
            lost: snapshot.lost,
            complete_from_ns: snapshot.complete_from_ns,
        };
        // A pipe has no beginning to go back to.
        if file.metadata()?.is_file() {
            file.set_len(0)?;
            file.rewind()?;
        }
        let mut writer = Writer::new(BufWriter::new(&mut *file), &head, snapshot.names);
        let mut tell = |piece| writer.piece(&piece);
        let mut story = Story::new(&mut tell);
        for record in &snapshot.records {
            story.event(record);
        }
        story.end(snapshot.end_ns);
        writer.end(kernel_name)?;
        Ok(lost)
    }
}

/// What the kernel calls one of this process's threads, if it is still there.
fn kernel_name(id: u64) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/self/task/{id}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// The path with the process's id where it says `%p`; a forked child without that gets its id at the end, for the name itself
/// is its parent's.
fn expand(path: &OsStr, process: u32, is_in_child: bool) -> OsString {
    let process = process.to_string();
    let mut expanded = Vec::new();
    let mut rest = path.as_bytes();
    let mut is_named = false;
    while let Some((&first, others)) = rest.split_first() {
        if rest.starts_with(b"%p") {
            expanded.extend_from_slice(process.as_bytes());
            is_named = true;
            rest = &rest[2..];
        } else {
            expanded.push(first);
            rest = others;
        }
    }
    if is_in_child && !is_named {
        expanded.push(b'.');
        expanded.extend_from_slice(process.as_bytes());
    }
    OsString::from_vec(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_process() {
        for (path, is_in_child, expected) in [
            ("out.json", false, "out.json"),
            ("out.json", true, "out.json.17"),
            ("/tmp/%p.json", false, "/tmp/17.json"),
            ("/tmp/%p.json", true, "/tmp/17.json"),
            ("100%", false, "100%"),
        ] {
            assert_eq!(expand(OsStr::new(path), 17, is_in_child), expected);
        }
    }
}
