//! The files that the rules look at, and what a rule has to say about one.

use super::source::Source;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

/// A repository's files, by path. Text only where a rule reads it.
#[derive(Debug)]
pub struct Tree {
    files: Vec<File>,
}

/// One file: its path from the repository's root, with `/` between the parts, and its text.
#[derive(Debug)]
pub struct File {
    path: String,
    text: String,
    source: Source,
}

/// A broken rule: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Tree {
    /// A tree of these paths and texts.
    pub fn new<P: Into<String>, T: Into<String>>(files: impl IntoIterator<Item = (P, T)>) -> Tree {
        let files = files.into_iter().map(|(path, text)| File::new(path.into(), text.into()));
        Tree { files: files.collect() }
    }

    /// The tree around this package as git sees it: what is tracked, and what could be added.
    ///
    /// # Errors
    ///
    /// If git fails, or a file that a rule reads can't be read.
    pub fn of_repository() -> io::Result<Tree> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let listing = Command::new("git")
            // A checkout that CI made as another user is still the tree to check.
            .args(["-c", "safe.directory=*"])
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()?;
        if !listing.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&listing.stderr).into_owned()));
        }
        let mut files = Vec::new();
        for path in String::from_utf8_lossy(&listing.stdout).split_terminator('\0') {
            // Deleted and not yet committed: git still lists it.
            if !root.join(path).exists() {
                continue;
            }
            let text = if is_read(path) {
                std::fs::read_to_string(root.join(path))?
            } else {
                String::new()
            };
            files.push(File::new(path.to_owned(), text));
        }
        Ok(Tree { files })
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    /// The file at `path`, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }
}

/// Whether a rule looks into the file. Others may be binary, and large.
fn is_read(path: &str) -> bool {
    [".rs", ".toml", ".md"].iter().any(|end| path.ends_with(end))
}

impl File {
    fn new(path: String, text: String) -> File {
        let source = Source::of(if path.ends_with(".rs") { &text } else { "" });
        File { path, text, source }
    }

    /// The path from the repository's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file's text, empty if no rule reads such files.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as tokens and comments; empty if it isn't Rust.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The path up to the last `/`, without it.
    pub(super) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// What a rule has to say about a line of it.
    pub(super) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found_and_holds_this_file() {
        let tree = Tree::of_repository().unwrap();
        let this = tree.get("tests/src/house/tree.rs").expect("this file");
        assert!(this.text().contains("the_repository_is_found_and_holds_this_file"));
        assert!(tree.get("Cargo.toml").is_some());
        assert!(!tree.files().any(|file| file.path().starts_with("target/")));
    }
}
