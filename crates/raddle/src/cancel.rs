//! Cancellation: a [`Token`] reaches every blocking call of the threads that carry it.
//!
//! A thread carries the token that [`Token::carry`] gives it, and passes it on to the threads that it spawns. When the token is
//! cancelled, each of them that waits (in a lock, a channel, a sleep, a join, a socket), or is about to, unwinds with
//! [`Cancelled`]: destructors run, and `carry`, or whoever joins the thread, gets it as an error. A thread that computes is
//! not disturbed until it waits; [`checkpoint`] is a wait of no length.
//!
//! Unwinding is the only way out that every blocking call has: `Mutex::lock` and `sleep` have no error to give. Guards are
//! dropped on the way, so a lock that was held is poisoned, as after any panic. [`shield`] keeps a section whole.
//!
//! ```
//! use raddle::{cancel::Token, thread};
//! use std::time::Duration;
//!
//! let token = Token::new();
//! let sleeper = thread::spawn({
//!     let token = token.clone();
//!     move || token.carry(|| thread::sleep(Duration::from_secs(3600)))
//! });
//! token.cancel();
//! assert!(sleeper.join().unwrap().is_err());
//! ```

use crate::carry::{self, TokenState};
use crate::host;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// What a thread unwinds with when the token that it carries is cancelled while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// What a thread unwinds with when a deadline that it carries comes while it waits. `time::timeout` catches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadlinePassed {
    pub(crate) deadline_ns: u64,
}

/// Something that can be cancelled, once and for all. Clones are the same token.
#[derive(Clone, Debug)]
pub struct Token {
    state: Arc<TokenState>,
}

impl Token {
    /// A token that nobody carries yet.
    pub fn new() -> Token {
        Token { state: TokenState::new() }
    }

    /// A token that is cancelled with this one, or by itself.
    ///
    /// ```
    /// let parent = raddle::cancel::Token::new();
    /// let child = parent.child();
    /// parent.cancel();
    /// assert!(child.is_cancelled());
    /// ```
    pub fn child(&self) -> Token {
        Token { state: self.state.child() }
    }

    /// Cancels: now and for ever. The threads that wait are woken before this returns.
    pub fn cancel(&self) {
        self.state.cancel();
    }

    /// Whether [`cancel`](Token::cancel) was called, on this or a parent.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// Runs `body` with the calling thread carrying this token, in place of the one that it may carry already.
    ///
    /// To stay within reach of that one, carry a [`child`](Token::child) of it.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if that is what `body` unwound with.
    pub fn carry<R>(&self, body: impl FnOnce() -> R) -> Result<R, Cancelled> {
        let former = carry::replace_token(Some(self.state.clone()));
        let result = catch_unwind(AssertUnwindSafe(body));
        carry::replace_token(former);
        match result {
            Ok(value) => Ok(value),
            Err(payload) if payload.is::<Cancelled>() && self.is_cancelled() => Err(Cancelled),
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

/// The token that the calling thread carries, if any.
pub fn current() -> Option<Token> {
    carry::token().map(|state| Token { state })
}

/// Unwinds with [`Cancelled`] if the token that the calling thread carries is cancelled: for loops that compute long.
pub fn checkpoint() {
    if carry::is_cancelled() {
        unwind();
    }
    if carry::deadline_ns().is_some_and(|at| host::now_ns() >= at) {
        unwind();
    }
}

/// Runs `body` to its end: what the thread carries does not reach waits in it, and signals
/// ([`thread::signal`](crate::thread::signal)) are held back until afterwards.
///
/// ```
/// use raddle::{cancel::{self, Token}, thread};
/// let token = Token::new();
/// token.cancel();
/// token.carry(|| cancel::shield(|| thread::sleep(std::time::Duration::from_millis(1)))).unwrap();
/// ```
pub fn shield<R>(body: impl FnOnce() -> R) -> R {
    let _shield = carry::raise_shield();
    body()
}

/// Unwinds the calling thread, which was cancelled while it waited, or whose deadline has passed. No panic message is printed.
pub(crate) fn unwind() -> ! {
    if !carry::is_cancelled()
        && let Some(deadline_ns) = carry::deadline_ns()
    {
        resume_unwind(Box::new(DeadlinePassed { deadline_ns }))
    }
    resume_unwind(Box::new(Cancelled))
}
