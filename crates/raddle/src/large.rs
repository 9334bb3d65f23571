//! Arenas of bodies with larger stacks than usual: one for each power of two, made when a thread first asks for it.

use raddle_context::{Arena, Config};
use std::io;
use std::sync::OnceLock;

/// By the logarithm of a slot's bytes.
#[derive(Debug)]
pub(crate) struct LargeArenas([OnceLock<Arena>; 31]);

impl LargeArenas {
    pub(crate) const fn new() -> LargeArenas {
        LargeArenas([const { OnceLock::new() }; 31])
    }

    /// The arena of bodies with `stack_bytes` of stack and `control_bytes` for a control block.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none so large.
    pub(crate) fn with(&self, stack_bytes: usize, control_bytes: usize) -> io::Result<&Arena> {
        /// Guard, TLS, control block.
        const OVERHEAD: usize = 48 * 1024;
        let slot_bytes = stack_bytes.saturating_add(OVERHEAD).checked_next_power_of_two();
        let class = slot_bytes.map_or(usize::MAX, |bytes| bytes.trailing_zeros() as usize);
        let (Some(place), Some(slot_bytes)) = (self.0.get(class), slot_bytes) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a stack of {stack_bytes} bytes is too large: at most 1 GiB, less 48 KiB"),
            ));
        };
        if let Some(arena) = place.get() {
            return Ok(arena);
        }
        let arena = Arena::new(Config { slot_bytes, control_bytes, ..Config::default() })?;
        Ok(place.get_or_init(|| arena))
    }

    /// Those that were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arena> {
        self.0.iter().filter_map(OnceLock::get)
    }
}
