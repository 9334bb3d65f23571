//! How a thread begins and ends: the body, the packet that carries the result, the hooks.

#![allow(unsafe_code, reason = "starts bodies; a result that two threads hand over")]

use super::{Thread, memory};
use crate::carry;
use crate::machine::{Block, Core, Runtime, ThreadRef};
use crate::pending::Pending;
use crate::record::{Graveyard, Record, RecordRef, fresh_ids};
use crate::sched::enter::{self, Here};
use crate::sched::{dispatch, start, wake};
use crate::settings;
use crate::signals::{self, Inherited};
use crate::slab::{self, Piece};
use crate::trace;
use raddle_context::{Body, BodyRef, Departure, Hooks, Outcome};
use raddle_core::progress::{Progress, Settled};
use raddle_core::slice::{self, Charge, Priority};
use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// What a thread leaves: its value, or what it panicked with.
pub type Result<T> = std::result::Result<T, Box<dyn Any + Send + 'static>>;

/// What a builder asks for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) name: Option<String>,
    pub(crate) stack_bytes: Option<usize>,
    pub(crate) priority: Option<Priority>,
    /// The core on which it begins.
    pub(crate) core: Option<usize>,
    /// It stays on that core.
    pub(crate) is_bound: bool,
}

/// What the threads of a scope have in common.
#[derive(Debug)]
pub(crate) struct ScopeData {
    pub(super) running: AtomicUsize,
    pub(super) a_thread_panicked: AtomicBool,
    pub(super) main: RecordRef,
}

/// What a thread and its handle share, in one piece of memory.
#[repr(C)]
struct Shared<T> {
    /// First: a pointer to it leads here.
    record: Record,
    progress: Progress,
    /// Whose it is, `progress` says.
    result: UnsafeCell<Option<Result<T>>>,
    /// Whoever awaits the handle.
    waker: Mutex<Option<Waker>>,
    scope: Option<Arc<ScopeData>>,
}

impl<T> Shared<T> {
    /// Whether it goes into a piece of the slab; else it is boxed.
    const FITS: bool =
        size_of::<Shared<T>>() <= slab::BYTES && align_of::<Shared<T>>() <= slab::ALIGN;

    /// Memory for one: `piece`, if it fits and there is one.
    fn memory(piece: Option<NonNull<Piece>>) -> NonNull<Shared<T>> {
        if Self::FITS {
            piece.unwrap_or_else(memory::make).cast()
        } else {
            NonNull::from(Box::leak(Box::<Shared<T>>::new_uninit())).cast()
        }
    }

    /// Writes one into new memory, field by field: as a whole it would be built on the stack, and copied.
    ///
    /// # Safety
    ///
    /// `place` is from [`memory`](Self::memory), and nobody else knows of it.
    #[inline]
    unsafe fn write(place: NonNull<Shared<T>>, record: Record, scope: Option<Arc<ScopeData>>) {
        let place = place.as_ptr();
        // SAFETY: the caller's: memory that is large enough and aligned, with nothing in it.
        unsafe {
            (&raw mut (*place).record).write(record);
            (&raw mut (*place).progress).write(Progress::new());
            (&raw mut (*place).result).write(UnsafeCell::new(None));
            (&raw mut (*place).waker).write(Mutex::new(None));
            (&raw mut (*place).scope).write(scope);
        }
    }

    /// # Safety
    ///
    /// `record` is the head of a `Shared<T>` in memory from [`memory`](Self::memory) that nobody can reach any more.
    unsafe fn free(record: NonNull<Record>) {
        let shared = record.cast::<Shared<T>>();
        // SAFETY: the caller's; `memory` decided in the same way.
        unsafe {
            if Self::FITS {
                shared.drop_in_place();
                memory::give(shared.cast());
            } else {
                drop(Box::from_raw(shared.as_ptr()));
            }
        }
    }

    /// The thread's function has returned.
    fn settle(&self, result: Result<T>) {
        let has_panicked = result.is_err();
        // SAFETY: the thread's own until the swap.
        unsafe { *self.result.get() = Some(result) };
        match self.progress.settle() {
            Settled::Awaited => {
                let waker = self.waker.lock().unwrap_or_else(|e| e.into_inner()).take();
                waker.into_iter().for_each(Waker::wake);
            }
            Settled::Abandoned => {
                if let (true, Some(scope)) = (has_panicked, &self.scope) {
                    scope.a_thread_panicked.store(true, Ordering::Relaxed);
                }
                // SAFETY: the handle is gone.
                unsafe { self.drop_result() };
            }
            Settled::Left => {}
        }
        if let Some(scope) = &self.scope {
            scope.one_ended();
        }
    }

    /// # Safety
    ///
    /// The result is the caller's.
    unsafe fn drop_result(&self) {
        // SAFETY: the caller's.
        let result = unsafe { (*self.result.get()).take() };
        // Its panic would come at a point where nobody expects it.
        if catch_unwind(AssertUnwindSafe(|| drop(result))).is_err() {
            eprintln!("raddle: fatal: a thread's result panicked on being dropped");
            std::process::abort();
        }
    }
}

impl ScopeData {
    fn one_ended(&self) {
        // The scope may be over once the count is 0, but what the caller has a share in is still there.
        if self.running.fetch_sub(1, Ordering::Release) == 1 {
            super::current::unpark(&self.main);
        }
    }
}

/// A thread that was started: its handle's end of what they share.
pub(crate) struct Spawned<T> {
    pub(crate) thread: Thread,
    shared: NonNull<Shared<T>>,
}

// SAFETY: the handle takes the result, a `T: Send` by `spawn_unchecked`'s bound, when the thread is done with it; the rest is
// atomic or locked.
unsafe impl<T> Send for Spawned<T> {}
// SAFETY: through a shared reference nothing of the result can be reached.
unsafe impl<T> Sync for Spawned<T> {}

impl<T> std::fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spawned").field(&self.thread).finish()
    }
}

impl<T> Spawned<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: alive as long as `thread` has its reference.
        unsafe { self.shared.as_ref() }
    }

    /// Waits for the thread's end: destructors of its thread-locals have run as well.
    #[track_caller]
    pub(super) fn join(self) -> Result<T> {
        super::current::wait_for_end(&self.thread.record);
        self.take().expect("a thread that has ended has left a result")
    }

    pub(crate) fn take(&self) -> Option<Result<T>> {
        // SAFETY: the thread is settled, and this handle is not shared.
        unsafe { (*self.shared().result.get()).take() }
    }

    /// Whether the thread's function has returned.
    pub(crate) fn is_finished(&self) -> bool {
        self.shared().progress.is_settled()
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        let shared = self.shared();
        // Joined: nothing is left, and nobody else looks.
        // SAFETY: of an ended thread only this handle can reach the result.
        let is_joined = self.is_finished() && unsafe { (*shared.result.get()).is_none() };
        if is_joined || !shared.progress.abandon() {
            return;
        }
        // SAFETY: settled, so the result is the handle's.
        let has_panicked = unsafe { matches!(*shared.result.get(), Some(Err(_))) };
        if let (true, Some(scope)) = (has_panicked, &shared.scope) {
            scope.a_thread_panicked.store(true, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { shared.drop_result() };
    }
}

impl<T> Future for Spawned<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let shared = self.shared();
        if !self.is_finished() {
            *shared.waker.lock().unwrap_or_else(|e| e.into_inner()) = Some(context.waker().clone());
            // Asked after the waker is in place: a thread that settled before has not seen it.
            if shared.progress.is_awaited() {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take().expect("a handle is not polled after it was ready"))
    }
}

/// Starts a thread.
///
/// # Safety
///
/// What `main` and its value borrow outlives the thread.
pub(crate) unsafe fn spawn_unchecked<F, T>(
    runtime: &'static Runtime,
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
    let placed = wishes.core.map(|index| core_of(runtime, index)).transpose()?;
    let large = runtime.arena_for(wishes.stack_bytes)?;
    let (mut body, id, piece) = match large {
        Some(arena) => (arena.make()?, None, None),
        None => take_body(runtime, Shared::<T>::FITS)?,
    };
    let id = id.unwrap_or_else(|| fresh_ids(1));
    if let Some(name) = &name {
        trace::named(id, name);
    }
    if let Some(scope) = &scope {
        scope.running.fetch_add(1, Ordering::Relaxed);
    }
    let sleeper = ThreadRef::of_body(*body).sleeper();
    let inherited = Inherited::get();
    let pending = Pending::new(Some(sleeper), inherited.mask);
    // Two references: the thread's and the handle's.
    let record = Record::new(2, id, name, sleeper, pending, Shared::<T>::free);
    let shared = Shared::<T>::memory(piece);
    // SAFETY: new memory.
    unsafe { Shared::write(shared, record, scope) };
    let record = shared.cast::<Record>();
    // SAFETY: the second of the two references.
    let thread_handle = Thread { record: unsafe { RecordRef::from_raw(record) } };
    let parent = ThreadRef::running();
    let priority = wishes
        .priority
        .or(parent.map(|parent| parent.block().priority.get()))
        .unwrap_or(Priority::NORMAL);
    let base = runtime.settings.slice_ns;
    let own_slice = slice::slice_ns(base, priority);
    let charge = match parent.map(ThreadRef::block_of) {
        Some(parent) => parent.charge.get().child(parent.slice_ns.get(), own_slice),
        None => Charge::new(own_slice),
    };
    let token = carry::token();
    // SAFETY: the body is this function's own and nobody runs on it.
    let thread =
        unsafe { Block::renew(*body, id, record.as_ptr(), priority, own_slice, charge, large) };
    // Also if it is not: the body's last thread may have been.
    thread.block().link.bind(wishes.is_bound);
    // Made as late as may be: from here it goes to the new stack. Made earlier it would lie on this one, and be read back as a whole while its
    // words are still on their way to the cache.
    let work = move || {
        if token.is_some() {
            carry::replace_token(token);
        }
        inherited.take_up();
        let result = catch_unwind(AssertUnwindSafe(|| {
            signals::check();
            main()
        }));
        let result = match signals::close() {
            Ok(()) => result,
            Err(panic) => result.and(Err(panic)),
        };
        // SAFETY: the thread has a reference until it is parted with.
        unsafe { shared.as_ref() }.settle(result);
        carry::forget_token();
    };
    // SAFETY: as above. `main` may run on any kernel thread, as what it captures is Send; what it borrows is the caller's promise.
    unsafe { body.start(work, Hooks { arrive, settle, depart }) };
    let _ = body.into_ref();
    let here = Here::enter();
    let core = here.as_ref().map(|here| here.place().core());
    match placed {
        None => wake::ready_new(thread, runtime, core),
        Some(placed) => wake::ready_new_on(placed, thread, core),
    }
    if let Some(here) = here {
        here.after_spawn();
    }
    Ok(Spawned { thread: thread_handle, shared })
}

/// The core that a thread is to begin on.
fn core_of(runtime: &'static Runtime, index: usize) -> io::Result<&'static Core> {
    runtime.cores.get(index).ok_or_else(|| {
        let cores = runtime.cores.len();
        let what = format!("a thread was to begin on core {index}, and there are {cores}");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}

/// The calling thread's runtime, or the process's, which starts if need be.
pub(crate) fn runtime() -> io::Result<&'static Runtime> {
    if let Some(runtime) = enter::runtime() {
        return Ok(runtime);
    }
    start::get_or_start(settings::from_environment)
}

/// A body of the calling thread's core, an id and, if it is wanted, memory for what is shared; or a new body. Making one calls libc: never
/// inside the runtime.
fn take_body(
    runtime: &'static Runtime,
    wants_piece: bool,
) -> io::Result<(Body, Option<u64>, Option<NonNull<Piece>>)> {
    let mut dead = Graveyard::new();
    let mut piece = None;
    let warm = Here::enter().and_then(|here| {
        let place = here.place();
        if !ptr::eq(place.runtime(), runtime) {
            return None;
        }
        // SAFETY: the references end here, and nothing else is called meanwhile.
        let own = unsafe { place.own() };
        dead = own.graveyard.take();
        piece = if wants_piece { own.pieces.take() } else { None };
        own.cache.take_warm().map(|body| (body, Some(own.next_id())))
    });
    drop(dead);
    if let Some((body, id)) = warm {
        return Ok((body, id, piece));
    }
    match runtime.arena.make() {
        Ok(body) => Ok((body, None, piece)),
        Err(error) => {
            // SAFETY: taken above, and not used.
            piece.into_iter().for_each(|piece| unsafe { memory::give(piece) });
            Err(error)
        }
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
