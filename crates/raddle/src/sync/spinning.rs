//! How long it pays to look again before a thread parks.
//!
//! Parking and waking cost a thread of raddle's some hundred nanoseconds, and the lock's line another move from core to core, so it looks for a few
//! times that long at most: a holder on another core is through with a short section by then. With one core nobody makes progress while
//! this thread looks.
//!
//! Rejected: a number of pauses from one look to the next. One takes 45 ns on a Xeon, 15 on a Zen 4 and 1.5 on a Zen 1, where whoever looks by
//! number parks long before the holder is through (eight threads' operations then took 56 to 84 ns in place of 30).

#![allow(unsafe_code, reason = "sched_getaffinity")]

use crate::sched::enter::Here;
use crate::sys::clock;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};

/// Looks before a thread gives up.
const ROUNDS: u32 = 4;
/// From one look to the next. Each look takes the line away from the holder.
const LOOK_NS: u64 = 250;

/// Counts looks.
#[derive(Debug)]
pub(crate) struct Turns(u32);

/// A fresh count.
pub(crate) fn turns() -> Turns {
    Turns(if has_several_processors() { ROUNDS } else { 0 })
}

impl Turns {
    /// Pauses before another look; false if there shall be none.
    pub(crate) fn next(&mut self) -> bool {
        if self.0 == 0 {
            return false;
        }
        self.0 -= 1;
        let begun_ns = clock::coarse_ns();
        while clock::coarse_ns().saturating_sub(begun_ns) < LOOK_NS {
            spin_loop();
        }
        true
    }
}

/// Whether anybody can run beside the calling thread.
fn has_several_processors() -> bool {
    if let Some(here) = Here::enter() {
        return here.place().runtime().cores.len() > 1;
    }
    static PROCESSORS: AtomicU32 = AtomicU32::new(0);
    let known = PROCESSORS.load(Ordering::Relaxed);
    if known != 0 {
        return known > 1;
    }
    let mut mask = [0_u64; 128];
    // SAFETY: the kernel writes at most as many bytes as the mask has, and says how many.
    let bytes = unsafe {
        let bytes = size_of_val(&mask);
        let mask = mask.as_mut_ptr().expose_provenance();
        raddle_context::system_call(libc::SYS_sched_getaffinity, [0, bytes, mask, 0, 0, 0])
    };
    let words = bytes.max(0) as usize / size_of::<u64>();
    let processors: u32 = mask[..words.min(mask.len())].iter().map(|word| word.count_ones()).sum();
    PROCESSORS.store(processors.max(1), Ordering::Relaxed);
    processors > 1
}
