//! Signals from thread to thread: how they reach a thread, and how their handlers are run.
//!
//! ```text
//!   send: set the bit (`pending`); attention = 1      sleep: PREPARING ─▶ ASLEEP (an exchange)
//!         is a sleep under way? end it, SIGNALLED            attention? end the sleep, SIGNALLED
//! ```
//!
//! *No signal is slept over.* Either the sender finds the sleep, or whoever publishes the sleep finds the mark
//! (`raddle_core::attention`). The mark, `Block::attention`, stands in the cache line of the state word.
//!
//! *A signal costs no wake-up.* It ends a sleep as a deadline does: the state word has one winner. If a waker was first the sleep
//! ends with what it brought, and the signal is heard at the next safe point; if the signal was first the waker is told so, and goes to
//! the next who waits. So a wait that was signalled leaves its queue as a cancelled one does, runs the handlers, and begins
//! anew, with the same deadline.
//!
//! Handlers run at *safe points* only: where a thread is about to wait or was woken from it, yields, begins or ends, and where
//! it asks. There they may do what any code may: allocate, wait, panic. A section behind a shield, and one that unwinds, are left
//! alone, as they are by cancellation; the thread is *deaf* there, and hears what came at its next safe point.
//!
//! Rejected: handlers in the frame of the preemption signal, at any instruction (a closure that calls malloc inside of malloc; no
//! safe code can be written for that, and the thread would hold whatever lock it was interrupted in); on every way out of the
//! runtime (those are also in the midst of waits that have begun, with nodes in queues, where nobody may unwind or wait);
//! handlers while the interrupted wait stays in its queue (it could not unwind, and a thread sleeps once at a time).

#![allow(unsafe_code, reason = "the record of the running thread")]

mod number;

use crate::carry;
use crate::machine::{Block, ThreadRef};
use crate::pending::{Pending, Sent};
use crate::record::Record;
use crate::sched::enter;
use crate::sleeper::{Reason, Sleep};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use number::{Signal, SignalSet};

/// What a thread does when a signal reaches it. Clones are the same handler.
///
/// It is shared with the threads that its thread spawns, and may be run by several at once.
///
/// ```
/// use raddle::thread::signal::Handler;
/// let says = Handler::new(|signal| println!("{signal:?} has come"));
/// # drop(says);
/// ```
#[derive(Clone)]
pub struct Handler(Arc<dyn Fn(Signal) + Send + Sync>);

impl Handler {
    /// A handler that calls `handle`.
    pub fn new(handle: impl Fn(Signal) + Send + Sync + 'static) -> Handler {
        Handler(Arc::new(handle))
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

type Handlers = BTreeMap<Signal, Handler>;

thread_local! {
    /// Whether the thread has a mask or a handler, or had: else those that it spawns have nothing to inherit.
    static IS_USED: Cell<bool> = const { Cell::new(false) };
    /// A raddle thread's is also where senders see it.
    static MASK: Cell<u64> = const { Cell::new(0) };
    /// Shared with the threads that inherited them, until one of them changes its own.
    static HANDLERS: RefCell<Option<Arc<Handlers>>> = const { RefCell::new(None) };
}

/// The calling thread, if it is raddle's.
#[derive(Clone, Copy)]
struct Own {
    block: &'static Block,
}

impl Own {
    fn here() -> Option<Own> {
        ThreadRef::running().map(|thread| Own { block: thread.block_of() })
    }

    fn pending(&self) -> &Pending {
        // SAFETY: a thread's block has a reference to its record as long as it runs, and this is the running thread.
        unsafe { &(*self.block.record.load(Ordering::Relaxed)).signals }
    }

    /// Sees to it that what is ready is not forgotten.
    fn remember(&self) {
        if self.pending().is_any_ready() {
            self.block.attention.remember();
        }
    }

    fn run(&self, signal: Signal) {
        let handler = HANDLERS.try_with(|handlers| {
            handlers.borrow().as_ref().and_then(|handlers| handlers.get(&signal).cloned())
        });
        let Ok(Some(handler)) = handler else { return };
        let former = MASK.get();
        self.set_mask(former | signal.bit());
        let _masked = Masked { own: *self, former };
        (handler.0)(signal);
    }

    fn set_mask(&self, mask: u64) {
        MASK.set(mask);
        self.pending().set_mask(mask);
    }
}

/// While a handler runs its signal is masked. Afterwards the mask is again what it was before.
struct Masked {
    own: Own,
    former: u64,
}

impl Drop for Masked {
    fn drop(&mut self) {
        self.own.set_mask(self.former);
        if std::thread::panicking() {
            self.own.remember();
        }
    }
}

/// Sends `signal` to the thread of `record`.
pub(crate) fn send(record: &Record, signal: Signal) -> io::Result<()> {
    let home = match record.signals.send(signal.bit(), enter::let_others_run) {
        Sent::Look(home) => home,
        Sent::Masked => return Ok(()),
        Sent::Ended => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
        Sent::NotRaddles => {
            let what = "a kernel thread takes the kernel's signals only: use pthread_kill";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
    };
    // If the thread has ended by now this is perhaps another one's block, never freed memory: that one looks, and finds nothing.
    let thread = ThreadRef::of_sleeper(home);
    let block = thread.block();
    if let Some(ticket) = block.attention.call(&block.sleeper.state) {
        enter::end_sleep(Sleep { sleeper: home, ticket }, Reason::SIGNALLED);
    }
    if ThreadRef::running() == Some(thread) {
        check();
    }
    Ok(())
}

/// A safe point: runs the handlers of signals that have come.
#[inline]
pub(crate) fn check() {
    if let Some(own) = Own::here()
        && own.block.attention.is_called()
    {
        deliver();
    }
}

/// A safe point of a thread that was signalled.
#[cold]
pub(crate) fn deliver() {
    let Some(own) = Own::here() else { return };
    // Before the bits are looked at: whoever sends later sets it anew.
    own.block.attention.answer();
    while carry::hears() {
        let Some(signal) = own.pending().take().and_then(Signal::lowest) else { return };
        own.run(signal);
    }
    own.remember();
}

/// The same, for whoever has something to tidy up if a handler panics.
#[cold]
pub(crate) fn try_deliver() -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(deliver))
}

/// Of a thread that is about to sleep and has been told to look: whether a handler is to be run first.
#[cold]
pub(crate) fn come_first(thread: ThreadRef) -> bool {
    let own = Own { block: thread.block_of() };
    own.block.attention.answer();
    let come_first = carry::hears() && own.pending().is_any_ready();
    if come_first {
        own.block.attention.remember();
    }
    come_first
}

/// The sleep of a thread that was deaf, or called for nothing, is over.
#[cold]
pub(crate) fn remember(thread: ThreadRef) {
    Own { block: thread.block_of() }.remember();
}

/// The thread's function has returned: handlers run for the last time. What comes later is refused.
#[inline]
pub(crate) fn close() -> std::thread::Result<()> {
    let Some(own) = Own::here() else { return Ok(()) };
    match own.pending().close() {
        0 => Ok(()),
        last => catch_unwind(AssertUnwindSafe(|| {
            SignalSet::from_bits(last).iter().for_each(|signal| own.run(signal));
        })),
    }
}

/// What a thread gets from the one that spawns it.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) mask: u64,
    handlers: Option<Arc<Handlers>>,
}

impl Inherited {
    /// From the calling thread.
    #[inline]
    pub(crate) fn get() -> Inherited {
        if !IS_USED.get() {
            return Inherited::default();
        }
        let handlers = HANDLERS.try_with(|handlers| handlers.borrow().clone());
        Inherited { mask: MASK.get(), handlers: handlers.ok().flatten() }
    }

    /// By the new thread, whose record has the mask already.
    #[inline]
    pub(crate) fn take_up(self) {
        if self.mask == 0 && self.handlers.is_none() {
            return;
        }
        IS_USED.set(true);
        MASK.set(self.mask);
        HANDLERS.with(|handlers| *handlers.borrow_mut() = self.handlers);
    }
}

/// The calling thread's mask.
pub(crate) fn mask() -> u64 {
    MASK.get()
}

/// Signals that have come to the calling thread, masked or not.
pub(crate) fn pending() -> u64 {
    Own::here().map_or(0, |own| own.pending().all())
}

/// Gives the calling thread another mask, and says what it was. What is unmasked by this is delivered at once.
pub(crate) fn replace_mask(mask: u64) -> u64 {
    let former = MASK.get();
    IS_USED.set(true);
    match Own::here() {
        None => MASK.set(mask),
        Some(own) => {
            own.set_mask(mask);
            if own.pending().is_any_ready() {
                deliver();
            }
        }
    }
    former
}

/// Gives the calling thread another handler of `signal`, and says what it was. What came before finds the former one.
pub(crate) fn replace_handler(signal: Signal, handler: Option<Handler>) -> Option<Handler> {
    check();
    IS_USED.set(true);
    HANDLERS.with(|handlers| {
        let mut handlers = handlers.borrow_mut();
        let handlers = Arc::make_mut(handlers.get_or_insert_default());
        match handler {
            Some(handler) => handlers.insert(signal, handler),
            None => handlers.remove(&signal),
        }
    })
}
