//! How a thread begins and ends: the body, the packet that carries the result, the hooks.

#![allow(unsafe_code, reason = "starts bodies; a result that two threads hand over")]

use crate::carry;
use crate::machine::{Block, Runtime, ThreadRef};
use crate::record::{Graveyard, RecordRef};
use crate::sched::enter::{self, Here};
use crate::sched::{dispatch, recruit, start, wake};
use crate::settings;
use raddle_context::{Body, BodyRef, Departure, Hooks, Outcome};
use raddle_core::slice::{self, Charge, Priority};
use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// What a thread leaves: its value, or what it panicked with.
pub type Result<T> = std::result::Result<T, Box<dyn Any + Send + 'static>>;

/// What a builder asks for.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) name: Option<String>,
    pub(super) stack_bytes: Option<usize>,
    pub(super) priority: Option<Priority>,
}

/// What the threads of a scope have in common.
#[derive(Debug)]
pub(super) struct ScopeData {
    pub(super) running: AtomicUsize,
    pub(super) a_thread_panicked: AtomicBool,
    pub(super) main: RecordRef,
}

/// Between a thread and its joiner.
struct Packet<T> {
    /// Written by the thread; read by the joiner when the thread has ended, or when `is_settled`.
    result: UnsafeCell<Option<Result<T>>>,
    is_settled: AtomicBool,
    /// Whoever awaits the handle.
    waker: Mutex<Option<Waker>>,
    scope: Option<Arc<ScopeData>>,
}

// SAFETY: `result` goes from the thread to the joiner, one after the other: the end of the thread, or `is_settled`, lies between.
unsafe impl<T: Send> Sync for Packet<T> {}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        let has_panicked = matches!(self.result.get_mut(), Some(Err(_)));
        // A result that nobody took is dropped here; its panic must not leave the scope waiting for ever.
        if catch_unwind(AssertUnwindSafe(|| *self.result.get_mut() = None)).is_err() {
            eprintln!("raddle: fatal: a thread's result panicked on being dropped");
            std::process::abort();
        }
        if let Some(scope) = &self.scope {
            scope.one_ended(has_panicked);
        }
    }
}

impl ScopeData {
    pub(super) fn one_ended(&self, has_panicked: bool) {
        if has_panicked {
            self.a_thread_panicked.store(true, Ordering::Relaxed);
        }
        // The scope's data may be gone once the count is 0: the record is read before.
        let main = self.main.clone();
        if self.running.fetch_sub(1, Ordering::Release) == 1 {
            super::current::unpark(&main);
        }
    }
}

/// A thread that was started, and its end of the packet.
pub(super) struct Spawned<T> {
    pub(super) record: RecordRef,
    packet: Arc<Packet<T>>,
}

impl<T> std::fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spawned").field(&self.record).finish()
    }
}

impl<T> Spawned<T> {
    /// Waits for the thread's end: destructors of its thread-locals have run as well.
    pub(super) fn join(self) -> Result<T> {
        super::current::wait_for_end(&self.record);
        self.take().expect("a thread that has ended has left a result")
    }

    fn take(&self) -> Option<Result<T>> {
        // SAFETY: the thread has ended or is settled, and this handle is the only other end.
        unsafe { (*self.packet.result.get()).take() }
    }

    /// Whether the thread's function has returned.
    pub(super) fn is_finished(&self) -> bool {
        self.packet.is_settled.load(Ordering::Acquire)
    }
}

impl<T> Future for Spawned<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if !self.is_finished() {
            *self.packet.waker.lock().unwrap_or_else(|e| e.into_inner()) = Some(context.waker().clone());
        }
        // Asked after the waker is in place: a thread that settled before has not seen it.
        if self.is_finished() {
            return Poll::Ready(self.take().expect("a handle is not polled after it was ready"));
        }
        Poll::Pending
    }
}

/// Starts a thread.
///
/// # Safety
///
/// What `main` and its value borrow outlives the thread.
pub(super) unsafe fn spawn_unchecked<F, T>(
    wishes: Wishes,
    main: F,
    scope: Option<Arc<ScopeData>>,
) -> io::Result<Spawned<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let name = wishes.name.map(String::into_boxed_str);
    if name.as_ref().is_some_and(|name| name.contains('\0')) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a thread's name must not contain a NUL byte",
        ));
    }
    let runtime = runtime()?;
    let large = runtime.arena_for(wishes.stack_bytes)?;
    let mut body = match large {
        Some(arena) => arena.make()?,
        None => take_body(runtime)?,
    };
    let packet = Arc::new(Packet {
        result: UnsafeCell::new(None),
        is_settled: AtomicBool::new(false),
        waker: Mutex::new(None),
        scope,
    });
    if let Some(scope) = &packet.scope {
        scope.running.fetch_add(1, Ordering::Relaxed);
    }
    let record = RecordRef::new(name, ThreadRef::of_body(*body).sleeper());
    let (own_record, own_packet) = (record.clone(), packet.clone());
    let token = carry::token();
    let work = move || {
        if token.is_some() {
            carry::replace_token(token);
        }
        let result = catch_unwind(AssertUnwindSafe(main));
        // SAFETY: the joiner reads after `is_settled`, or after the thread's end.
        unsafe { *own_packet.result.get() = Some(result) };
        own_packet.is_settled.store(true, Ordering::Release);
        let waker = own_packet.waker.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(waker) = waker {
            waker.wake();
        }
        drop(own_packet);
    };
    let parent = ThreadRef::running();
    let priority = wishes
        .priority
        .or(parent.map(|parent| parent.block().priority.get()))
        .unwrap_or(Priority::NORMAL);
    let base = runtime.settings.slice_ns;
    let own_slice = slice::slice_ns(base, priority);
    let charge = match parent.map(ThreadRef::block_of) {
        Some(parent) => parent
            .charge
            .get()
            .child(slice::slice_ns(base, parent.priority.get()), own_slice),
        None => Charge::new(own_slice),
    };
    // SAFETY: the body is this function's own and nobody runs on it. `main` may run on any kernel thread, as what it
    // captures is Send; what it borrows is the caller's promise.
    let thread = unsafe {
        let thread = Block::renew(*body, own_record.into_raw(), priority, charge, large);
        body.start(work, Hooks { arrive, settle, depart });
        thread
    };
    let _ = body.into_ref();
    runtime.live.fetch_add(1, Ordering::Relaxed);
    let here = Here::enter();
    let core = here.as_ref().map(|here| here.place().core());
    wake::ready_new(thread, runtime, core);
    drop(here);
    Ok(Spawned { record, packet })
}

/// The calling thread's runtime, or the process's, which starts if need be.
pub(crate) fn runtime() -> io::Result<&'static Runtime> {
    if let Some(here) = Here::enter() {
        return Ok(here.place().runtime());
    }
    start::get_or_start(settings::from_environment)
}

/// A body of the calling thread's core, or a new one. Making one calls libc: never inside the runtime.
fn take_body(runtime: &'static Runtime) -> io::Result<Body> {
    let mut dead = Graveyard::new();
    let warm = Here::enter().and_then(|here| {
        let place = here.place();
        if !ptr::eq(place.runtime(), runtime) {
            return None;
        }
        // SAFETY: the references end here, and nothing else is called meanwhile.
        let own = unsafe { place.own() };
        dead = own.graveyard.take();
        own.cache.take_warm()
    });
    drop(dead);
    if runtime.recruits_low.load(Ordering::Relaxed) {
        recruit::refill(runtime)?;
    }
    match warm {
        Some(body) => Ok(body),
        None => runtime.arena.make(),
    }
}

unsafe fn arrive(body: BodyRef) {
    enter::leave(ThreadRef::of_body(body));
}

/// The thread's function has returned, and its panic is in the packet.
unsafe fn settle(_body: BodyRef, outcome: Outcome) {
    if outcome.is_err() {
        eprintln!("raddle: fatal: a thread's result panicked on being dropped");
        std::process::abort();
    }
    let dead = Here::enter().map(|here| {
        let place = here.place();
        // SAFETY: the reference ends here, and nothing else is called meanwhile.
        unsafe { place.own() }.graveyard.take()
    });
    drop(dead);
}

unsafe fn depart(body: BodyRef) -> Departure {
    let thread = ThreadRef::of_body(body);
    match enter::enter_for_ever(thread) {
        Some(place) => dispatch::departure(place),
        // In a child that was forked by this thread: the thread was all there was of the process.
        // SAFETY: ends the process; nothing of it is left to run.
        None => unsafe { libc::_exit(0) },
    }
}
