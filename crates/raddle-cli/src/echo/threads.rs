//! `--on threads`: a thread for each connection.

use super::blocking::Carrier;
use raddle::thread::Builder;
use std::io;

/// Makes threads.
pub(super) struct Threads;

impl Carrier for Threads {
    fn begin(&self, serve: impl FnOnce() + Send + 'static) -> io::Result<()> {
        Builder::new().spawn(serve).map(drop)
    }
}
