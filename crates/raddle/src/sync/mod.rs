//! Locks, channels and the like, with the API of `std::sync`: replacing `std::sync` by `raddle::sync` compiles.
//!
//! ```
//! use raddle::sync::{Arc, Condvar, Mutex};
//! let pair = Arc::new((Mutex::new(false), Condvar::new()));
//! let theirs = pair.clone();
//! raddle::thread::spawn(move || {
//!     *theirs.0.lock().unwrap() = true;
//!     theirs.1.notify_one();
//! });
//! let ready = pair.1.wait_while(pair.0.lock().unwrap(), |ready| !*ready).unwrap();
//! assert!(*ready);
//! ```
//!
//! They park a thread of raddle's where std's would block the kernel thread; a plain kernel thread may use them just as well.
//! Every wait is a point at which a thread can be [cancelled](crate::cancel).
//!
//! | module | what it holds |
//! |---|---|
//! | `mutex`, `raw` | the mutex; its word and its way to the queue |
//! | `condvar`, `rwlock`, `barrier`, `once`, `once_lock`, `lazy_lock` | as std's |
//! | `semaphore` | permits, first come first served |
//! | [`mpsc`], [`channel`] | channels |
//! | `poison` | which locks a thread that unwinds leaves poisoned |
//! | `spinning` | how long to look before parking |
//!
//! std's own types stand here where others can make them: `PoisonError`, `TryLockError`. Those that only std can make
//! (`WaitTimeoutResult`, `BarrierWaitResult`, `OnceState`) have a twin. What std has deprecated (`wait_timeout_ms`, `ONCE_INIT`) is not here.

mod barrier;
pub mod channel;
mod condvar;
mod lazy_lock;
pub mod mpsc;
mod mutex;
mod once;
mod once_lock;
mod poison;
mod raw;
mod rwlock;
mod semaphore;
mod spinning;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use poison::{LockResult, PoisonError, TryLockError, TryLockResult};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphorePermit};
pub use std::sync::{Arc, Weak, atomic};
