//! What holds for a folder and all below it: the deepest one that is named decides.

use super::path::CleanPath;
use std::fmt;

/// Values by folder.
///
/// A request's path is compared as files are found by it, decoded and normalized, and by whole names: `/a/` is `/a`, `/a/b` and
/// `/x/..//a/%62`, but not `/ab`.
///
/// ```
/// use raddle_http::semantics::Folders;
///
/// let mut folders = Folders::new();
/// folders.insert("/", 1)?;
/// folders.insert("/a/", 2)?;
/// assert_eq!(folders.find("/%61/b"), Some(&2));
/// assert_eq!(folders.find("/ab"), Some(&1));
/// # Ok::<(), raddle_http::semantics::InvalidFolder>(())
/// ```
#[derive(Clone, Debug)]
pub struct Folders<T> {
    /// Without slashes at their ends, the longest first.
    rules: Vec<(Box<[u8]>, T)>,
}

/// A text that names no folder. Patterns and files are refused, as what they would leave out is seen too late: `/a` protected, and not
/// `/a.gz` beside it.
///
/// ```
/// use raddle_http::semantics::Folders;
/// let error = Folders::new().insert("/private", ()).unwrap_err();
/// assert_eq!(error.to_string(), "a folder begins and ends with a slash; all below it is meant, too");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFolder(&'static str);

impl fmt::Display for InvalidFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidFolder {}

impl<T> Default for Folders<T> {
    fn default() -> Folders<T> {
        Folders::new()
    }
}

impl<T> Folders<T> {
    /// None.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Folders::<u8>::new().find("/"), None);
    /// ```
    pub fn new() -> Folders<T> {
        Folders { rules: Vec::new() }
    }

    /// Has this value hold for a folder, by its path as it is on the disk, not encoded.
    ///
    /// # Errors
    ///
    /// [`InvalidFolder`], if it is none, or was there before.
    ///
    /// ```
    /// # use raddle_http::semantics::Folders;
    /// let mut folders = Folders::new();
    /// assert!(folders.insert("/a b/", ()).is_ok());
    /// assert!(folders.insert("/a%20b/", ()).is_err() && folders.insert("/a/*/", ()).is_err());
    /// ```
    pub fn insert(&mut self, path: &str, value: T) -> Result<(), InvalidFolder> {
        let inner = match path {
            "/" => "",
            _ => path.strip_prefix('/').and_then(|path| path.strip_suffix('/')).ok_or(
                InvalidFolder("a folder begins and ends with a slash; all below it is meant, too"),
            )?,
        };
        if path.contains(['*', '%']) {
            return Err(InvalidFolder("a folder's own name is wanted: no pattern, and no % code"));
        }
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
        if path != "/" && !inner.split('/').all(is_name) {
            return Err(InvalidFolder("no folder has that name: it is empty, `.` or `..`"));
        }
        let folder = inner.as_bytes();
        if self.rules.iter().any(|(other, _)| **other == *folder) {
            return Err(InvalidFolder("a folder that was there before"));
        }
        let at = self.rules.partition_point(|(other, _)| other.len() >= folder.len());
        self.rules.insert(at, (folder.into(), value));
        Ok(())
    }

    /// What holds for a request's path, encoded as it came; nothing for one that leads to no file, such as `/..`.
    ///
    /// ```
    /// # use raddle_http::semantics::Folders;
    /// let mut folders = Folders::new();
    /// folders.insert("/a/", "a").unwrap();
    /// assert_eq!(folders.find("/b/../a"), Some(&"a"));
    /// ```
    pub fn find(&self, path: &str) -> Option<&T> {
        if self.rules.is_empty() {
            return None;
        }
        // What is hidden and what is not is the same to who may see it.
        self.find_clean(CleanPath::of(path, true).ok()?.as_bytes())
    }

    /// The same by a path from the root that is clean.
    pub(crate) fn find_clean(&self, path: &[u8]) -> Option<&T> {
        let is_below = |folder: &[u8]| match path.strip_prefix(folder) {
            Some(rest) => folder.is_empty() || rest.is_empty() || rest[0] == b'/',
            None => false,
        };
        self.rules.iter().find(|(folder, _)| is_below(folder)).map(|(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_folder_decides() {
        let mut folders = Folders::new();
        for (at, path) in ["/a/b/", "/", "/a/", "/é x/"].into_iter().enumerate() {
            folders.insert(path, at).unwrap();
        }
        for (path, expected) in [
            ("/", 1),
            ("/a", 2),
            ("/a/", 2),
            ("/ab", 1),
            ("/a/bc", 2),
            ("/a/b", 0),
            ("/a/b/c/d", 0),
            ("//a///b/", 0),
            ("/a/%62/", 0),
            ("/%2e/x/../a/./b", 0),
            ("/a/b/..", 2),
            ("/A/b", 1),
            ("/.hidden", 1),
            ("/%C3%A9%20x/y", 3),
        ] {
            assert_eq!(folders.find(path), Some(&expected), "{path}");
        }
        assert_eq!(folders.find("/../a/"), None);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let mut folders = Folders::new();
        folders.insert("/a/", ()).unwrap();
        for path in ["", "a/", "/b", "//", "//x/", "/a//b/", "/./", "/a/../", "/*/", "/%61/", "/a/"]
        {
            assert!(folders.insert(path, ()).is_err(), "{path}");
        }
    }
}
