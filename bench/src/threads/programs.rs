//! Finds the measured programs beside the driver's own, and has them built.

use super::peer::Peer;
use crate::report::progress;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where this package's sources are, if they are still where it was built.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// What there is to run.
pub(super) struct Programs {
    pub(super) found: Vec<(Peer, PathBuf)>,
    /// Why the others can't be had, a sentence each.
    pub(super) left_out: Vec<String>,
}

/// The programs of `peers`. One that was asked for by name must be there.
pub(super) fn find(peers: &[Peer], are_asked_for: bool) -> io::Result<Programs> {
    let own = env::current_exe()?;
    let folder = own.parent().ok_or_else(|| io::Error::other("this program has no folder"))?;
    if peers.iter().any(|&peer| peer != Peer::Go) {
        build(folder)?;
    }
    let mut programs = Programs { found: Vec::new(), left_out: Vec::new() };
    for &peer in peers {
        let program = folder.join(peer.program());
        let why = match peer {
            Peer::Go => build_go(&program).err(),
            _ if program.exists() => None,
            _ => Some(format!(
                "{} is not beside {}; `cargo build --release -p raddle-bench` builds it",
                peer.program(),
                own.file_name().unwrap_or_default().display(),
            )),
        };
        match why {
            None => programs.found.push((peer, program)),
            Some(why) if are_asked_for => return Err(io::Error::other(why)),
            Some(why) => {
                programs.left_out.push(format!("{} is left out: {why}.", peer.name()));
            }
        }
    }
    Ok(programs)
}

/// `cargo run` builds the driver only. Run by cargo, it therefore asks for the rest, which is at once done if it is there.
fn build(folder: &Path) -> io::Result<()> {
    let Some(cargo) = env::var_os("CARGO") else { return Ok(()) };
    let (Some(target), Some(profile)) = (folder.parent(), folder.file_name()) else {
        return Ok(());
    };
    progress("building what is measured");
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--bins", "--manifest-path"])
        .arg(Path::new(PACKAGE).join("Cargo.toml"))
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
fn build_go(program: &Path) -> Result<(), String> {
    progress("building Go's program");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(program)
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
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("`go build` fails: {}", errors.lines().last().unwrap_or_default()))
}
