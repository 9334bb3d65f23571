//! A log's file: it is appended to, opened anew when that is asked for, and never torn for long.

use raddle::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An open log.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// The last write failed halfway through a line.
    is_torn: bool,
}

impl LogFile {
    pub(crate) fn open(path: &Path) -> io::Result<LogFile> {
        Ok(LogFile { path: path.to_owned(), file: open(path)?, is_torn: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What has its name now is written to from now on, and made if need be. If that can't be had, all stays as it was.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.is_torn = false;
        Ok(())
    }

    /// Appends whole lines, in one call where the kernel takes them. What could be written stays there, and the next lines do not join it.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return self.tear(lines, written, io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.tear(lines, written, error),
            }
        }
        Ok(())
    }

    fn tear(&mut self, lines: &[u8], written: usize, error: io::Error) -> io::Result<()> {
        self.is_torn = written > 0 && lines[written - 1] != b'\n';
        Err(error)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
