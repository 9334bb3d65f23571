//! What suites that need several crates share. The suites themselves stand in `tests/tests/`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`house`] | the check of this repository's own rules: arrows, assembly, unsafe code, documentation |
//! | [`torture`] | everything that threads may do, at random, with what must hold checked |
#![deny(unsafe_code)]

pub mod house;
pub mod torture;
