//! The programs with raddle's threads and locks.

pub(crate) use raddle::{sync, thread};

#[path = "programs.rs"]
pub(crate) mod programs;
