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
mod exhausted;
mod guard;
mod region;
mod slots;
mod trim;

pub use cache::Cache;
pub use exhausted::Exhausted;
pub use guard::Guards;
pub(crate) use slots::Shared;
pub use trim::Trimmed;

use crate::glibc::glibc;
use std::io;
use std::sync::Arc;

/// What an arena's bodies are like.
///
/// ```
/// let config = raddle_context::Config { slot_bytes: 64 * 1024, ..Default::default() };
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Address space for one body, all included: guard, stack, TLS, TCB, control block. A power of two from 64 KiB to
    /// 1 GiB; 256 KiB by default, of which some 230 KiB are stack.
    pub slot_bytes: usize,
    /// Of these, the guard: a multiple of 4 KiB, 16 KiB by default and at least. Rust and clang touch each page of a
    /// large frame in turn; C code built without `-fstack-clash-protection` may step over a guard with one frame larger than it.
    pub guard_bytes: usize,
    /// Bytes of the user's control block, in each body: see [`BodyRef::control`](crate::BodyRef::control). At most 4 KiB.
    pub control_bytes: usize,
    /// How guards are made: by default the best way that this kernel has.
    pub guards: Guards,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            slot_bytes: 256 * 1024,
            guard_bytes: 16 * 1024,
            control_bytes: 192,
            guards: Guards::Best,
        }
    }
}

/// Bodies of one size, and the memory that they live in.
///
/// Clones share the memory. It is unmapped when the last clone and the last [`Cache`] are gone and every body was given
/// back; while one is still out, it stays.
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

    /// Gives memory back to the kernel: of all free bodies that no cache holds, except the `keep` that were used last.
    ///
    /// A body whose TLS block holds nothing but what a new one would hold is given back whole; of others, which for instance
    /// have resolved a name, the stack. May be called from any thread at any time; takes about a microsecond for each body.
    pub fn trim(&self, keep: usize) -> Trimmed {
        self.shared.trim(keep)
    }

    /// What the arena takes at the moment.
    pub fn usage(&self) -> Usage {
        self.shared.usage()
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

/// What an arena takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Mappings that it made; the kernel may have merged neighbours.
    pub regions: usize,
    /// Address space of these, in bytes.
    pub address_bytes: usize,
    /// Slots that have been used at least once.
    pub slots: usize,
}
