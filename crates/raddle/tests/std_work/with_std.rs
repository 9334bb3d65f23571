//! The programs with std's threads and locks.

pub(crate) use std::{sync, thread};

#[path = "programs.rs"]
pub(crate) mod programs;
