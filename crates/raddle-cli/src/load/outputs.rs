//! Files for figures. They are opened before the run: a name that is wrong is not to be told when all is over.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files, each with what makes its text of `T`.
pub(super) struct Outputs<T>(Vec<Output<T>>);

struct Output<T> {
    path: PathBuf,
    /// `None`: the standard output.
    file: Option<File>,
    form: fn(&T) -> String,
}

/// A file that may be named, and what makes its text.
pub(super) type Named<'a, T> = (&'a Option<PathBuf>, fn(&T) -> String);

impl<T> Outputs<T> {
    /// Makes the files that are named, or empties them.
    pub(super) fn open<const N: usize>(named: [Named<'_, T>; N]) -> Result<Outputs<T>, String> {
        let named = named.into_iter().filter_map(|(path, form)| Some((path.as_ref()?, form)));
        let outputs = named.map(|(path, form)| {
            let file = match path == Path::new("-") {
                true => None,
                false => Some(File::create(path).map_err(|error| told(path, &error))?),
            };
            Ok(Output { path: path.clone(), file, form })
        });
        Ok(Outputs(outputs.collect::<Result<_, String>>()?))
    }

    /// Whether the standard output is one of them.
    pub(super) fn has_stdout(&self) -> bool {
        self.0.iter().any(|one| one.file.is_none())
    }

    /// Writes all; what went wrong.
    pub(super) fn write(self, figures: &T) -> Vec<String> {
        let write = |one: Output<T>| {
            let text = (one.form)(figures);
            let written = match one.file {
                Some(mut file) => file.write_all(text.as_bytes()),
                None => io::stdout().lock().write_all(text.as_bytes()),
            };
            written.err().map(|error| told(&one.path, &error))
        };
        self.0.into_iter().filter_map(write).collect()
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: it can't be written: {error}", path.display())
}
