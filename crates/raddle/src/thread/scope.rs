//! Scoped threads: they may borrow from their parent, which waits for them.

#![allow(unsafe_code, reason = "threads that borrow")]

use super::current::park_for;
use super::spawn::{ScopeData, Spawned, runtime, spawn_unchecked};
use super::{Builder, Result, Thread, current};
use crate::carry;
use crate::label::Label;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Where threads that borrow are spawned: see [`scope`]. As `std::thread::Scope`.
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<ScopeData>,
    // Invariant in both, as std's: a longer `'scope` would let threads borrow what ends before it.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A thread of a scope, to be joined.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    spawned: Spawned<T>,
    scope: PhantomData<&'scope ()>,
}

/// Runs `body`, which may spawn threads that borrow what lives outside the scope, and waits for all of them.
///
/// # Panics
///
/// If a thread of the scope panicked and nobody joined it.
///
/// ```
/// let mut numbers = vec![1, 2, 3];
/// let mut largest = 0;
/// raddle::thread::scope(|s| {
///     s.spawn(|| largest = *numbers.iter().max().unwrap());
/// });
/// numbers.push(largest + 1);
/// assert_eq!(numbers, [1, 2, 3, 4]);
/// ```
///
/// What a thread borrows must live outside the scope:
///
/// ```compile_fail,E0373
/// raddle::thread::scope(|s| {
///     let inside = 1;
///     s.spawn(|| println!("{inside}"));
/// });
/// ```
///
/// and is borrowed as long as the scope lasts:
///
/// ```compile_fail,E0502
/// let mut numbers = vec![1];
/// raddle::thread::scope(|s| {
///     s.spawn(|| println!("{numbers:?}"));
///     numbers.push(2);
/// });
/// ```
///
/// The scope itself does not leave it:
///
/// ```compile_fail,E0521
/// let mut escaped = None;
/// raddle::thread::scope(|s| escaped = Some(s));
/// ```
///
/// and what can't be shared between threads can't be borrowed by one:
///
/// ```compile_fail,E0277
/// let count = std::rc::Rc::new(1);
/// raddle::thread::scope(|s| {
///     s.spawn(|| println!("{count}"));
/// });
/// ```
pub fn scope<'env, F, T>(body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        data: Arc::new(ScopeData {
            running: AtomicUsize::new(0),
            a_thread_panicked: AtomicBool::new(false),
            main: current().record,
        }),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let interrupted = scope.wait_for_all();
    match result.and_then(|value| interrupted.map(|()| value)) {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.data.a_thread_panicked.load(Ordering::Relaxed) => {
            panic!("a scoped thread panicked")
        }
        Ok(value) => value,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Cancelled or not: what the threads borrow must not go before them. An error is what a signal's handler panicked with.
    fn wait_for_all(&self) -> Result<()> {
        let mut result = Ok(());
        let _shield = carry::raise_passable_shield();
        while self.data.running.load(Ordering::Acquire) != 0 {
            result = result.and(catch_unwind(|| park_for(Label::SCOPE.at(0), None)));
        }
        result
    }

    /// Starts a thread of the scope.
    ///
    /// # Panics
    ///
    /// If no thread can be made: [`Builder::spawn_scoped`] gives the error instead.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, main: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match Builder::new().spawn_scoped(self, main) {
            Ok(handle) => handle,
            Err(error) => panic!("raddle: failed to spawn a thread: {error}"),
        }
    }
}

impl Builder {
    /// Starts a thread of `scope`.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        main: F,
    ) -> std::io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let data = Some(scope.data.clone());
        // SAFETY: `scope` returns, or unwinds, only when every thread of it has dropped its packet, after which nothing of
        // `main` and its value is left.
        let spawned = unsafe { spawn_unchecked(runtime()?, self.into_wishes(), main, data) }?;
        Ok(ScopedJoinHandle { spawned, scope: PhantomData })
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the thread's end: its value, or what it panicked with.
    ///
    /// # Errors
    ///
    /// The payload of the thread's panic.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        self.spawned.join()
    }

    /// Whether the thread's function has returned.
    pub fn is_finished(&self) -> bool {
        self.spawned.is_finished()
    }

    /// The thread's handle.
    pub fn thread(&self) -> &Thread {
        &self.spawned.thread
    }
}
