//! Pure algorithms of raddle: no system calls, no assembly, no allocation behind the caller's back.
//!
//! What is here can be checked by itself: lock-free structures link their nodes by *index* and keep no
//! pointers, so that loom explores them exhaustively, and everything that needs chance takes a seed. Structures that
//! a lock protects leave it to their caller what a key is.
//!
//! | module | what it holds |
//! |---|---|
//! | [`attention`] | the mark that calls a thread to look at its signals, also from sleep |
//! | [`bell`] | a word that says that somebody was woken, for those who wait in the kernel |
//! | [`biased_word`] | the word of a lock that its holder takes without an exchange, and others hardly ever |
//! | [`crowd`] | how many wait in a queue, so that wakers see without a lock that nobody does |
//! | [`depth`] | how deep a thread is inside the runtime: then nobody takes its core |
//! | [`eagerness`] | how many threads have to wait before an idle core is woken for them |
//! | [`end_word`] | whether a thread is wholly over, and who joins it |
//! | [`epochs`] | which of the items that were queued before some moment are not over yet |
//! | [`fix`] | a reading of two clocks, renewed by one and read by all |
//! | [`gauge`] | how many of a workqueue's workers run, and how many items wait for them |
//! | [`lifo`] | a lock-free last-in-first-out list of indices, for free lists that several cores share |
//! | [`list`] | doubly linked lists whose links stand in their members |
//! | [`lock_word`] | the state word of a mutex: barging, one wake at a time, hand-over to who has waited too long |
//! | [`notes`] | what a thread looks at on its way in and out: whether its core is in doubt, lost, wanted |
//! | [`once_word`] | the state word of something that is done once |
//! | [`outlook`] | what a core has to expect of its event queue: nothing, or it must be looked at |
//! | [`park_token`] | the token of `park` and `unpark` |
//! | [`pending`] | signals that were sent to a thread, its mask, and its end |
//! | [`permits`] | the state word of a semaphore: first come, first served |
//! | [`pool`] | the worker pool's policy: questions over plain numbers |
//! | [`process_lock`] | the word of a lock of kernel threads that a forked child may inherit |
//! | [`progress`] | the word between a thread and its handle: whose the result is |
//! | [`question`] | a question to whoever comes by, answered once or taken back |
//! | [`random`] | seeded randomness: the same seed gives the same numbers on every machine |
//! | [`ready`] | a core's run queue with its round, and how cores take threads over from one another |
//! | [`ring`] | the trace ring: a producer that never waits, a reader that knows what it has missed |
//! | [`run_queue`] | a core's threads that can run: the active and the expired array, constant-time picks |
//! | [`rwlock_word`] | the state word of a readers-writer lock: writers preferred, no wake lost to one that gives up |
//! | [`mod@slice`] | how long a thread may run, what waiting earns it, and which level that puts it on |
//! | [`spin_word`] | the word of a lock that is spun for |
//! | [`state`] | the state word of a thread that can sleep: who may wake it, why, and only once |
//! | [`ticket_slot`] | questions to kernel threads that signals carry there |
//! | [`timekeeper`] | which idle core wakes when, for the timers of all idle cores |
//! | [`wheel`] | the timer wheel: arming, removing and firing in constant time, exact to a tick |
//! | [`work_pool`] | the policy of a workqueue's workers: questions over plain numbers |
#![deny(unsafe_code)]

pub mod attention;
pub mod bell;
pub mod biased_word;
pub mod crowd;
pub mod depth;
pub mod eagerness;
pub mod end_word;
pub mod epochs;
pub mod fix;
pub mod gauge;
pub mod lifo;
pub mod list;
pub mod lock_word;
pub mod notes;
pub mod once_word;
pub mod outlook;
pub mod park_token;
pub mod pending;
pub mod permits;
pub mod pool;
pub mod process_lock;
pub mod progress;
pub mod question;
pub mod random;
pub mod ready;
pub mod ring;
pub mod run_queue;
pub mod rwlock_word;
pub mod slice;
pub mod spin_word;
pub mod state;
mod sync;
pub mod ticket_slot;
pub mod timekeeper;
pub mod wheel;
pub mod work_pool;
