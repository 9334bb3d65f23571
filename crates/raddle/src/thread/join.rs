//! `spawn` and the handle that joins.

use super::spawn::{Spawned, Wishes, runtime, spawn_unchecked};
use super::{Builder, Thread};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use super::spawn::Result;

/// A thread to be joined; dropped, the thread is on its own. As `std::thread::JoinHandle`, and a future besides.
///
/// Awaited, it is ready when the thread's function has returned; [`join`](JoinHandle::join) also waits for the destructors of
/// its thread-locals.
#[derive(Debug)]
pub struct JoinHandle<T> {
    spawned: Spawned<T>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(spawned: Spawned<T>) -> JoinHandle<T> {
        JoinHandle { spawned }
    }

    /// Waits for the thread's end: its value, or what it panicked with.
    ///
    /// # Errors
    ///
    /// The payload of the thread's panic.
    ///
    /// ```
    /// let sum = raddle::thread::spawn(|| 1 + 2).join().unwrap();
    /// assert_eq!(sum, 3);
    /// assert!(raddle::thread::spawn(|| panic!("on purpose")).join().is_err());
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T> {
        self.spawned.join()
    }

    /// Whether the thread's function has returned: then [`join`](JoinHandle::join) takes no longer than destructors of
    /// thread-locals do.
    pub fn is_finished(&self) -> bool {
        self.spawned.is_finished()
    }

    /// The thread's handle.
    pub fn thread(&self) -> &Thread {
        &self.spawned.thread
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        Pin::new(&mut self.spawned).poll(context)
    }
}

/// Starts a thread that runs `main`.
///
/// # Panics
///
/// If no thread can be made: [`Builder::spawn`] gives the error instead.
#[track_caller]
pub fn spawn<F, T>(main: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(main) {
        Ok(handle) => handle,
        Err(error) => panic!("raddle: failed to spawn a thread: {error}"),
    }
}

impl Builder {
    /// Starts a thread that runs `main`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name with a NUL byte or a stack that is too large; `OutOfMemory` when memory, address space or
    /// mappings run out; `Unsupported` where raddle can't run; and what keeps the runtime from starting.
    pub fn spawn<F, T>(self, main: F) -> std::io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_static(self.into_wishes(), main)
    }
}

#[allow(unsafe_code, reason = "a contract that is the caller's to keep")]
impl Builder {
    /// Starts a thread that runs `main`, which may borrow. [`Builder::spawn_scoped`] does so safely. As
    /// `std::thread::Builder::spawn_unchecked`.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    ///
    /// # Safety
    ///
    /// What `main` and its result borrow lives until the thread has been joined, or else to the end of the process.
    ///
    /// ```
    /// let mut count = 1;
    /// // SAFETY: it is joined before `count` goes.
    /// let thread = unsafe { raddle::thread::Builder::new().spawn_unchecked(|| count += 1) };
    /// thread.unwrap().join().unwrap();
    /// assert_eq!(count, 2);
    /// ```
    pub unsafe fn spawn_unchecked<F, T>(self, main: F) -> std::io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        // SAFETY: the caller's.
        unsafe { spawn_unchecked(runtime()?, self.into_wishes(), main, None) }.map(JoinHandle::new)
    }
}

#[allow(unsafe_code, reason = "'static is what the contract asks for")]
fn spawn_static<F, T>(wishes: Wishes, main: F) -> std::io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: what is 'static outlives every thread.
    unsafe { spawn_unchecked(runtime()?, wishes, main, None) }.map(JoinHandle::new)
}
