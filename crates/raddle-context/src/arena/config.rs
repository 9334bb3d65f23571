//! What an arena is asked for, and what it says of itself.

use super::guard::Guards;

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
