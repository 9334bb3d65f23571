//! What a core has of the event queue: the queue itself, made when the core's first operation is, and mail for it.
//!
//! The queue is the holder's, who submits to it, and waits in it when the core is idle. While the holder computes, or is blocked, others look
//! after it: the monitor, or whoever has something to do there and gets hold of it.
//!
//! *Who waits in the queue keeps its lock meanwhile.* So everybody but the holder of the core only tries the lock, and sends mail if that
//! fails: whoever has the lock reads it when it looks next, and is woken for it if it sleeps.

#![allow(unsafe_code, reason = "what a forked child leaves to its parent")]

use crate::request::Mail;
use crate::spin::Spin;
use raddle_core::outlook::Outlook;
use raddle_event::{Config, Events, FixedFiles, Queue, Waker};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// A core's place in the event queue.
#[derive(Debug)]
pub(crate) struct EventSeat {
    // Its lock; after it, all others may be taken.
    pub(crate) queue: Spin<Option<Box<Seated>>>,

    // Its lock; nothing is taken after it.
    pub(crate) mail: Spin<Mail>,

    // Atomic.
    /// What is to be expected, for those who only look.
    pub(crate) outlook: Outlook,
    /// How often the holder has looked.
    pub(crate) looks: AtomicU64,
    /// Looking at the queue costs no system call, mostly.
    pub(crate) is_cheap: AtomicBool,
    /// Wakes who waits in the queue. There is one when there is a queue.
    pub(crate) waker: OnceLock<Waker>,
    /// The files that the queue has at hand, if it can.
    pub(crate) files: OnceLock<FixedFiles>,
}

/// A queue that a core has.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) queue: Queue,
    pub(crate) batch: Events,
    /// Until the queue is some core's.
    pub(crate) files: Option<FixedFiles>,
    /// Something was submitted that the kernel may not have heard of.
    pub(crate) is_unflushed: bool,
}

impl EventSeat {
    pub(crate) const fn new() -> EventSeat {
        EventSeat {
            queue: Spin::new(None),
            mail: Spin::new(Mail::new()),
            outlook: Outlook::new(),
            looks: AtomicU64::new(0),
            is_cheap: AtomicBool::new(false),
            waker: OnceLock::new(),
            files: OnceLock::new(),
        }
    }

    /// In a forked child: the parent's files at hand are not kept open by it. Its other descriptors stay; they hold nothing that anybody waits for.
    pub(crate) fn let_go_in_child(&self) {
        if let Some(files) = self.files.get() {
            // SAFETY: no thread of the child's finds the parent's cores any more, and what they have is never dropped.
            unsafe { files.let_go_in_child() };
        }
    }

    /// Whether there is anything that events are awaited for.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.outlook.is_any()
    }
}

impl Seated {
    /// A new queue. Allocates, and makes kernel threads: not for who is inside the runtime.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub(crate) fn new() -> io::Result<Box<Seated>> {
        /// More than that come with the next look: not before those have run that come now. Otherwise, with a thousand connections, most threads
        /// would wait for so long that what a wake touches of them has left the near caches when their turn comes.
        const BATCH: usize = 32;
        /// Kernel threads that wait for disks where the kernel has no asynchronous way.
        const HELPERS: usize = 2;
        let config = Config { helpers_max: HELPERS, ..Config::default() };
        let mut queue = Queue::new(&config)?;
        queue.start_helpers()?;
        // Without a descriptor for that it goes as well.
        let files = queue.fixed_files().ok();
        let batch = Events::with_capacity(BATCH);
        Ok(Box::new(Seated { queue, batch, files, is_unflushed: false }))
    }
}
