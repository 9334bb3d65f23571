//! Has the measured programs built, and finds them beside the driver's own.

use crate::report::progress;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where this package's sources are, if they are still where it was built.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// This package, seen from itself.
pub(crate) const BENCH: &str = ".";
/// The package of the binary `raddle`.
pub(crate) const CLI: &str = "../crates/raddle-cli";

/// Where the driver is.
fn folder() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let folder = own.parent().ok_or_else(|| io::Error::other("this program has no folder"))?;
    Ok(folder.to_owned())
}

/// The program of that name, or what to do about it; `package` is whose it is.
pub(crate) fn beside(name: &str, package: &str) -> Result<PathBuf, String> {
    let program = folder().map_err(|error| error.to_string())?.join(name);
    if program.exists() {
        return Ok(program);
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    Err(format!(
        "{name} is not beside {}; `cargo build --release -p {package}` builds it",
        own.file_name().unwrap_or_default().display(),
    ))
}

/// A program that others have installed, or that it is not there.
pub(crate) fn on_path(name: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| format!("`{name}` is not on the path"))
}

/// `cargo run` builds the driver only. Run by cargo, it therefore asks for the rest, which is at once done if it is there.
pub(crate) fn build(package: &str) -> io::Result<()> {
    let folder = folder()?;
    let Some(cargo) = env::var_os("CARGO") else { return Ok(()) };
    let (Some(target), Some(profile)) = (folder.parent(), folder.file_name()) else {
        return Ok(());
    };
    progress("building what is measured");
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--bins", "--manifest-path"])
        .arg(Path::new(PACKAGE).join(package).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .arg("--profile")
        // The folder of this one profile is not called like it.
        .arg(if profile == "debug" { "dev".as_ref() } else { profile })
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("cargo could not build what is measured:\n{}", errors.trim_end())))
}

/// Go's program is compiled each time; its own cache knows when that is nothing to do.
pub(crate) fn go() -> Result<PathBuf, String> {
    progress("building Go's program");
    let program = folder().map_err(|error| error.to_string())?.join("raddle-bench-go");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(PACKAGE).join("go"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "`go` is not on the path, or the sources are gone".to_owned()
            }
            _ => format!("`go` does not start: {error}"),
        })?;
    if output.status.success() {
        return Ok(program);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("`go build` fails: {}", errors.lines().last().unwrap_or_default()))
}
