//! Pure algorithms of raddle: no system calls, no assembly, no allocation behind the caller's back.
//!
//! What is here can be checked by itself: lock-free structures link their nodes by *index* and keep no
//! pointers, so that loom explores them exhaustively, and everything that needs chance takes a seed. Structures that
//! a lock protects leave it to their caller what a key is.
//!
//! | module | what it holds |
//! |---|---|
//! | [`eagerness`] | how many threads have to wait before an idle core is woken for them |
//! | [`lifo`] | a lock-free last-in-first-out list of indices, for free lists that several cores share |
//! | [`lock_word`] | the state word of a mutex: barging, one wake at a time, hand-over to who has waited too long |
//! | [`run_queue`] | a core's threads that can run: the active and the expired array, constant-time picks |
//! | [`mod@slice`] | how long a thread may run, what waiting earns it, and which level that puts it on |
//! | [`timekeeper`] | which idle core wakes when, for the timers of all idle cores |
//! | [`wheel`] | the timer wheel: arming, removing and firing in constant time, exact to a tick |
//! | [`pool`] | the worker pool's policy: questions over plain numbers |
//! | [`ready`] | a core's run queue with its round, and how cores take threads over from one another |
//! | [`ring`] | the trace ring: a producer that never waits, a reader that knows what it has missed |
//! | [`random`] | seeded randomness: the same seed gives the same numbers on every machine |
//! | [`state`] | the state word of a thread that can sleep: who may wake it, why, and only once |
#![deny(unsafe_code)]

pub mod eagerness;
pub mod lifo;
mod list;
pub mod lock_word;
pub mod pool;
pub mod random;
pub mod ready;
pub mod ring;
pub mod run_queue;
pub mod slice;
pub mod state;
mod sync;
pub mod timekeeper;
pub mod wheel;
