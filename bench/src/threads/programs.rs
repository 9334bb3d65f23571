//! Finds the programs that are measured.

use super::peer::Peer;
use crate::built;
use std::io;
use std::path::PathBuf;

/// What there is to run.
pub(crate) struct Programs {
    pub(crate) found: Vec<(Peer, PathBuf)>,
    /// Why the others can't be had, a sentence each.
    pub(crate) left_out: Vec<String>,
}

/// The programs of `peers`. One that was asked for by name must be there.
pub(crate) fn find(peers: &[Peer], are_asked_for: bool) -> io::Result<Programs> {
    if peers.iter().any(|&peer| peer != Peer::Go) {
        built::build(built::BENCH)?;
    }
    let mut programs = Programs { found: Vec::new(), left_out: Vec::new() };
    for &peer in peers {
        let program = match peer {
            Peer::Go => built::go(),
            _ => built::beside(&peer.program(), "raddle-bench"),
        };
        match program {
            Ok(program) => programs.found.push((peer, program)),
            Err(why) if are_asked_for => return Err(io::Error::other(why)),
            Err(why) => {
                programs.left_out.push(format!("{} is left out: {why}.", peer.name()));
            }
        }
    }
    Ok(programs)
}
