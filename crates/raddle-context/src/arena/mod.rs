//! The stack arena: a few large mappings that hold many bodies.
//!
//! ```text
//!   Arena ── regions: up to 4,096 mappings of 4,096 slots (1 GiB of address space each, at 256 KiB a slot)
//!     |
//!     ├── warm   free bodies, stack pages as their last user left them     ┐ each a lock-free
//!     ├── cold   free bodies, stack pages given back, TLS block kept       │ last-in-first-out list
//!     ├── bare   slots without a TLS block: given back whole               ┘ of slot numbers
//!     └── next   the first slot that was never used
//!
//!   Cache (one for each core) ── up to 64 warm bodies, nobody else's: no atomic operation
//! ```
//!
//! A cache serves its core last-in-first-out: the body that ended last has its stack and TLS in the core's caches. It
//! trades with the arena in batches. A slot's memory is mapped once and for all, without reserve (overcommit is not charged
//! for it); what is never touched costs nothing but its share of page tables.
//!
//! Why 256 KiB a slot: a C library that formats a floating-point number, resolves a name or verifies a certificate uses tens
//! of KiB without asking, and address space is free; past 256 KiB a body's share of page tables (a 4 KiB table maps 2 MiB: 512
//! bytes a body) would double with each step. 64 KiB, the least, takes 128 bytes.
//!
//! Rejected: a mapping for each stack (two mappings each with a protected guard: the kernel's default limit stops at 32,000);
//! huge pages (a whole stack becomes resident at the first touch); segmented or copied stacks (pointers into them break).

#![allow(unsafe_code, reason = "slots are raw memory")]

mod cache;
mod config;
mod exhausted;
mod guard;
mod notes;
mod region;
mod slots;
mod trim;

pub use cache::Cache;
pub use config::{Config, Usage};
pub use exhausted::Exhausted;
pub use guard::Guards;
pub use notes::DEBUGGER_OFFSETS;
pub use trim::Trimmed;

use crate::body::{Body, BodyRef};
use crate::glibc::glibc;
use slots::Shared;
use std::io;
use std::sync::Arc;

/// Bodies of one size, and the memory that they live in.
///
/// Clones share the memory. When the last clone and the last [`Cache`] are gone, what free bodies take is given back to the
/// kernel; address space stays mapped, because somebody may still have a [`BodyRef`](crate::BodyRef), unless
/// [`unmap`](Arena::unmap) was called.
#[derive(Clone, Debug)]
pub struct Arena {
    pub(crate) shared: Arc<Shared>,
}

impl Arena {
    /// An arena. Nothing is mapped before the first body is asked for.
    ///
    /// # Errors
    ///
    /// `Unsupported` (with an [`Unsupported`](crate::Unsupported) inside) where bodies can't exist; `InvalidInput` for a
    /// configuration out of its bounds, or slots that the program's own static TLS would leave no stack in.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let arena = raddle_context::Arena::new(Default::default())?;
    /// let mut cache = arena.cache();
    /// let body = cache.take()?;
    /// cache.give(body);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(config: Config) -> io::Result<Arena> {
        Ok(Arena { shared: Arc::new(Shared::new(glibc()?, config)?) })
    }

    /// A cache of free bodies, for one core.
    pub fn cache(&self) -> Cache {
        Cache::new(self.shared.clone())
    }

    /// A body without a cache: a free one, or one that is made. For code that may be preempted while it calls libc, and so must
    /// not keep a core's cache to itself meanwhile.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let arena = raddle_context::Arena::new(Default::default())?;
    /// let body = arena.make()?;
    /// arena.give(body);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Cache::take`].
    pub fn make(&self) -> io::Result<Body> {
        self.shared.check_generation()?;
        let index = match self.shared.warm.pop(&*self.shared) {
            Some(index) => index,
            None => self.shared.build()?,
        };
        // SAFETY: the number of a built slot that was in the arena's list, or was built now, and is in no cache.
        Ok(unsafe { self.shared.body(index) })
    }

    /// Takes a body back without a cache, as [`Cache::give`] does with one. It never allocates or waits.
    ///
    /// # Panics
    ///
    /// If the body is another arena's.
    pub fn give(&self, body: Body) {
        let index = self.shared.own_number(&body);
        self.shared.warm.push(&*self.shared, index);
    }

    /// Gives memory back to the kernel: of all free bodies that no cache holds, except the `keep` that were used last.
    ///
    /// A body whose TLS block holds nothing but what a new one would hold is given back whole; of others, which for instance
    /// have resolved a name, the stack. May be called from any thread at any time; takes about a microsecond for each body.
    pub fn trim(&self, keep: usize) -> Trimmed {
        self.shared.trim(keep)
    }

    /// Lets the arena's address space go with its last handle, if every body has been given back by then.
    ///
    /// # Safety
    ///
    /// From that moment on nobody uses a [`BodyRef`](crate::BodyRef), or a pointer to a control block or context, of this arena.
    pub unsafe fn unmap(&self) {
        self.shared.unmap_at_end();
    }

    /// What the arena takes at the moment.
    pub fn usage(&self) -> Usage {
        self.shared.usage()
    }

    /// Every body that the arena has built so far and not given back to the kernel, free ones too: for lists of threads.
    ///
    /// Whether one is in use its control block must tell, which may change, or be given back and read as zero, at any moment.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let arena = raddle_context::Arena::new(Default::default())?;
    /// let body = arena.make()?;
    /// assert!(arena.bodies().eq([*body]));
    /// # arena.give(body);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bodies(&self) -> impl Iterator<Item = BodyRef> {
        self.shared.bodies()
    }

    /// How guards are made: [`Guards::Best`] resolved to what this kernel has.
    pub fn guards(&self) -> Guards {
        self.shared.guards()
    }

    /// The least stack that a body of this arena has, in bytes.
    pub fn stack_bytes(&self) -> usize {
        self.shared.geometry().stack_bytes()
    }
}
