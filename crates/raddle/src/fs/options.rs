//! How a file is to be opened, and the usual ways.

use super::file::File;
use super::open::{open, path_to_c};
use rustix::fs::OFlags;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a file is to be opened; as [`std::fs::OpenOptions`], with what [`OpenOptionsExt`] adds.
///
/// ```
/// use raddle::fs::OpenOptions;
/// use raddle::io::Write;
/// let path = std::env::temp_dir().join(format!("raddle-doc-options-{}", std::process::id()));
/// let mut log = OpenOptions::new().append(true).create(true).open(&path)?;
/// log.write_all(b"a line\n")?;
/// assert!(OpenOptions::new().write(true).create_new(true).open(&path).is_err());
/// # raddle::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    custom_flags: i32,
    mode: u32,
}

impl OpenOptions {
    /// Nothing is allowed yet; a file that is made gets the mode 0o666, less the process's `umask`.
    #[allow(clippy::new_without_default, reason = "as in std, where a default would say little")]
    pub fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            custom_flags: 0,
            mode: 0o666,
        }
    }

    /// Whether the file is read.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.read = read;
        self
    }

    /// Whether the file is written.
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.write = write;
        self
    }

    /// Whether writes go to the file's end, wherever that is by then.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.append = append;
        self
    }

    /// Whether the file's content is thrown away.
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.truncate = truncate;
        self
    }

    /// Whether the file is made if it is not there.
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.create = create;
        self
    }

    /// Whether the file is made, and must not be there; `create` and `truncate` then mean nothing.
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.create_new = create_new;
        self
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// From `open(2)`, as [`std::fs::OpenOptions::open`]; `InvalidInput` for options that contradict one another.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_path(path.as_ref())
    }

    #[track_caller]
    fn open_path(&self, path: &Path) -> io::Result<File> {
        let flags = self.flags()?;
        let opened = open(&path_to_c(path)?, flags, self.mode)?;
        Ok(File::opened(opened, flags))
    }

    fn flags(&self) -> io::Result<OFlags> {
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let makes = self.truncate || self.create || self.create_new;
        let keeps_and_truncates = self.append && self.truncate && !self.create_new;
        if makes && !self.write && !self.append || keeps_and_truncates {
            return wrong("creating or truncating a file requires write or append access");
        }
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => OFlags::RDONLY,
            (false, true, false) => OFlags::WRONLY,
            (true, true, false) => OFlags::RDWR,
            (false, _, true) => OFlags::WRONLY | OFlags::APPEND,
            (true, _, true) => OFlags::RDWR | OFlags::APPEND,
            (false, false, false) => {
                return wrong("must specify at least one of read, write, or append access");
            }
        };
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => OFlags::CREATE | OFlags::EXCL,
            (true, true, false) => OFlags::CREATE | OFlags::TRUNC,
            (true, false, false) => OFlags::CREATE,
            (false, true, false) => OFlags::TRUNC,
            (false, false, false) => OFlags::empty(),
        };
        let custom = OFlags::from_bits_retain(self.custom_flags as u32) - OFlags::ACCMODE;
        Ok(access | creation | custom)
    }
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// From `open(2)`, as [`std::fs::File::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing: makes it, or throws away what is in it.
    ///
    /// # Errors
    ///
    /// As [`open`](File::open).
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file that is not there yet, for reading and writing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it is there; otherwise as [`open`](File::open).
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// How a file is to be opened otherwise.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.mode = mode;
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.custom_flags = flags;
        self
    }
}
