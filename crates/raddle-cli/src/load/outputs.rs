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

    /// Writes all, and the table, if the standard output is none of them; what went wrong.
    pub(super) fn write(self, figures: &T, table: fn(&T) -> String) -> Vec<String> {
        let is_free = self.0.iter().all(|one| one.file.is_some());
        let table = is_free.then(|| print(&table(figures)).err()).flatten();
        let write = |one: Output<T>| match one.file {
            None => print(&(one.form)(figures)).err(),
            Some(mut file) => {
                let written = file.write_all((one.form)(figures).as_bytes());
                written.err().map(|error| told(&one.path, &error))
            }
        };
        table.into_iter().chain(self.0.into_iter().filter_map(write)).collect()
    }
}

/// Writes to the standard output; whoever reads there may have enough.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the standard output can't be written: {error}"))
        }
        _ => Ok(()),
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: it can't be written: {error}", path.display())
}
