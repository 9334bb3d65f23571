//! The functions of `std::fs`.

use super::{File, Metadata, OpenOptions, Permissions, ReadDir};
use crate::blocking;
use crate::host;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Reads a whole file.
///
/// # Errors
///
/// As [`File::open`] and reading it.
///
/// ```
/// assert!(!raddle::fs::read("/proc/self/comm")?.is_empty());
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file, which is UTF-8.
///
/// # Errors
///
/// As [`read`]; `InvalidData` if it is not UTF-8.
///
/// ```
/// assert!(raddle::fs::read_to_string("/proc/self/status")?.starts_with("Name:"));
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a file, or replaces what is in it.
///
/// # Errors
///
/// As [`File::create`] and writing it.
///
/// ```
/// let path = std::env::temp_dir().join(format!("raddle-doc-write-{}", std::process::id()));
/// raddle::fs::write(&path, "hello")?;
/// assert_eq!(raddle::fs::read(&path)?, b"hello");
/// # raddle::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path)?.write_all(content.as_ref())
}

/// Copies a file's content and permissions: how many bytes. By the cheapest way that the kernel has, as [`io::copy`](crate::io::copy): on
/// some file systems no byte is moved.
///
/// # Errors
///
/// From opening, reading and writing; `InvalidInput` if `from` is not a file.
///
/// ```
/// use raddle::fs;
/// let from = std::env::temp_dir().join(format!("raddle-doc-copy-{}", std::process::id()));
/// let to = from.with_extension("2");
/// fs::write(&from, "hello")?;
/// assert_eq!(fs::copy(&from, &to)?, 5);
/// assert_eq!(fs::read(&to)?, b"hello");
/// # fs::remove_file(from)?;
/// # fs::remove_file(to)?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let mut reader = File::open(from)?;
    let metadata = reader.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the source path is neither a regular file nor a symlink to a regular file",
        ));
    }
    let permissions = metadata.permissions();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(permissions.mode());
    let mut writer = options.open(to)?;
    // Only if it was there, or the umask took something away. Not of what is no file, like a terminal.
    let found = writer.metadata()?;
    if found.is_file() && found.permissions() != permissions {
        writer.set_permissions(permissions)?;
    }
    crate::io::copy(&mut reader, &mut writer)
}

/// Functions of std's that run as they are: the kernel mostly has in memory what they look up.
macro_rules! look_ups {
    ($($(#[$doc:meta])* $name:ident -> $result:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(path: impl AsRef<Path>) -> io::Result<$result> {
            host::check_live()?;
            std::fs::$name(path)
        }
    )*};
}

look_ups! {
    /// What `path` leads to is.
    ///
    /// # Errors
    ///
    /// From `statx(2)`, as [`std::fs::metadata`].
    ///
    /// ```
    /// assert!(raddle::fs::metadata("/")?.is_dir());
    /// # std::io::Result::Ok(())
    /// ```
    metadata -> Metadata;

    /// As [`metadata`], of a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`metadata`].
    ///
    /// ```
    /// assert!(raddle::fs::symlink_metadata("/proc/self")?.is_symlink());
    /// # std::io::Result::Ok(())
    /// ```
    symlink_metadata -> Metadata;

    /// Whether something is there.
    ///
    /// # Errors
    ///
    /// If that can't be found out, as [`std::fs::exists`].
    ///
    /// ```
    /// assert!(raddle::fs::exists("/")?);
    /// # std::io::Result::Ok(())
    /// ```
    exists -> bool;

    /// The absolute path without symbolic links.
    ///
    /// # Errors
    ///
    /// From `realpath(3)`, as [`std::fs::canonicalize`].
    ///
    /// ```
    /// assert_eq!(raddle::fs::canonicalize("/proc/..")?.to_str(), Some("/"));
    /// # std::io::Result::Ok(())
    /// ```
    canonicalize -> PathBuf;

    /// Where a symbolic link leads.
    ///
    /// # Errors
    ///
    /// From `readlink(2)`, as [`std::fs::read_link`].
    ///
    /// ```
    /// let id = raddle::fs::read_link("/proc/self")?;
    /// assert_eq!(id.to_str(), Some(&*std::process::id().to_string()));
    /// # std::io::Result::Ok(())
    /// ```
    read_link -> PathBuf;

    /// What is in a directory.
    ///
    /// # Errors
    ///
    /// From `open(2)`, as [`std::fs::read_dir`].
    ///
    /// ```
    /// let names = raddle::fs::read_dir("/proc/self")?.map(|entry| entry.map(|entry| entry.file_name()));
    /// assert!(names.collect::<std::io::Result<Vec<_>>>()?.iter().any(|name| name == "stat"));
    /// # std::io::Result::Ok(())
    /// ```
    read_dir -> ReadDir;
}

/// Functions of std's that change a directory: the core goes to another worker meanwhile, if anybody waits for it.
macro_rules! changes {
    ($($(#[$doc:meta])* $module:ident::$name:ident($($path:ident),*);)*) => {$(
        $(#[$doc])*
        pub fn $name($($path: impl AsRef<Path>),*) -> io::Result<()> {
            host::check_live()?;
            $(let $path = $path.as_ref();)*
            blocking(|| $module::$name($($path),*))
        }
    )*};
}

use std::fs as plain;
use std::os::unix::fs as unix;

changes! {
    /// Removes a file, or rather one of its names.
    ///
    /// # Errors
    ///
    /// From `unlink(2)`, as [`std::fs::remove_file`].
    ///
    /// ```
    /// assert!(raddle::fs::remove_file("/no/such/file").is_err());
    /// ```
    plain::remove_file(path);

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// From `rmdir(2)`, as [`std::fs::remove_dir`].
    ///
    /// ```
    /// assert!(raddle::fs::remove_dir("/proc").is_err());
    /// ```
    plain::remove_dir(path);

    /// Removes a directory and all that is in it. Symbolic links are removed, not followed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::remove_dir_all`].
    ///
    /// ```
    /// use raddle::fs;
    /// let path = std::env::temp_dir().join(format!("raddle-doc-remove-{}", std::process::id()));
    /// fs::create_dir_all(path.join("a/b"))?;
    /// fs::remove_dir_all(&path)?;
    /// assert!(!fs::exists(path)?);
    /// # std::io::Result::Ok(())
    /// ```
    plain::remove_dir_all(path);

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// From `mkdir(2)`, as [`std::fs::create_dir`].
    ///
    /// ```
    /// assert!(raddle::fs::create_dir("/").is_err());
    /// ```
    plain::create_dir(path);

    /// Makes a directory and those above it, as far as they are not there.
    ///
    /// # Errors
    ///
    /// As [`std::fs::create_dir_all`].
    ///
    /// ```
    /// raddle::fs::create_dir_all("/")?;
    /// # std::io::Result::Ok(())
    /// ```
    plain::create_dir_all(path);

    /// Gives a file another name, and takes that from the file that may have had it.
    ///
    /// # Errors
    ///
    /// From `rename(2)`, as [`std::fs::rename`].
    ///
    /// ```
    /// use raddle::fs;
    /// let from = std::env::temp_dir().join(format!("raddle-doc-rename-{}", std::process::id()));
    /// let to = from.with_extension("2");
    /// fs::write(&from, "x")?;
    /// fs::rename(&from, &to)?;
    /// assert!(!fs::exists(&from)?);
    /// # fs::remove_file(to)?;
    /// # std::io::Result::Ok(())
    /// ```
    plain::rename(from, to);

    /// Gives a file a second name.
    ///
    /// # Errors
    ///
    /// From `linkat(2)`, as [`std::fs::hard_link`].
    ///
    /// ```
    /// assert!(raddle::fs::hard_link("/no/such/file", "/no/such/link").is_err());
    /// ```
    plain::hard_link(original, link);

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// From `symlink(2)`, as [`std::os::unix::fs::symlink`].
    ///
    /// ```
    /// use raddle::fs;
    /// let link = std::env::temp_dir().join(format!("raddle-doc-symlink-{}", std::process::id()));
    /// fs::symlink("/proc/self", &link)?;
    /// assert_eq!(fs::read_link(&link)?.to_str(), Some("/proc/self"));
    /// # fs::remove_file(link)?;
    /// # std::io::Result::Ok(())
    /// ```
    unix::symlink(original, link);
}

/// Who may do what with the file at `path`.
///
/// # Errors
///
/// From `chmod(2)`, as [`std::fs::set_permissions`].
///
/// ```
/// use raddle::fs;
/// let path = std::env::temp_dir().join(format!("raddle-doc-permissions-{}", std::process::id()));
/// fs::write(&path, "x")?;
/// let mut permissions = fs::metadata(&path)?.permissions();
/// permissions.set_readonly(true);
/// fs::set_permissions(&path, permissions)?;
/// assert!(fs::metadata(&path)?.permissions().readonly());
/// # fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    host::check_live()?;
    let path = path.as_ref();
    blocking(|| std::fs::set_permissions(path, permissions))
}

/// How a directory is to be made; as [`std::fs::DirBuilder`], with what [`DirBuilderExt`] adds.
///
/// ```
/// use std::os::unix::fs::DirBuilderExt;
/// let path = std::env::temp_dir().join(format!("raddle-doc-builder-{}", std::process::id()));
/// raddle::fs::DirBuilder::new().recursive(true).mode(0o700).create(path.join("a"))?;
/// # raddle::fs::remove_dir_all(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct DirBuilder(std::fs::DirBuilder);

impl DirBuilder {
    /// One that makes a directory with the mode 0o777, less the process's `umask`.
    #[allow(clippy::new_without_default, reason = "as in std")]
    pub fn new() -> DirBuilder {
        DirBuilder(std::fs::DirBuilder::new())
    }

    /// Whether those above it are made as well, and nothing is wrong if it is there.
    pub fn recursive(&mut self, recursive: bool) -> &mut DirBuilder {
        self.0.recursive(recursive);
        self
    }

    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// From `mkdir(2)`, as [`std::fs::DirBuilder::create`].
    pub fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        host::check_live()?;
        let path = path.as_ref();
        blocking(|| self.0.create(path))
    }
}

impl DirBuilderExt for DirBuilder {
    fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.0.mode(mode);
        self
    }
}
