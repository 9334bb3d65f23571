//! Pure algorithms of raddle: no system calls, no assembly, no allocation behind the caller's back.
//!
//! What is here can be checked by itself: lock-free structures link their nodes by *index* and keep no
//! pointers, so that loom explores them exhaustively, and everything that needs chance takes a seed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lifo`] | a lock-free last-in-first-out list of indices, for free lists that several cores share |
//! | [`random`] | seeded randomness: the same seed gives the same numbers on every machine |
//!
//! The run queues, the timer wheel, the state word and the worker pool's policy join them with the runtime.
#![deny(unsafe_code)]

pub mod lifo;
pub mod random;
mod sync;
