//! The worker pool in numbers, for the questions of `raddle_core::pool`.

use crate::machine::Runtime;
use raddle_core::pool::Counts;
use std::sync::atomic::Ordering;

/// The numbers of about this moment.
pub(crate) fn count(runtime: &Runtime) -> Counts {
    let stock = runtime.recruits.lock().count() as u32;
    let spares = runtime.spares.lock();
    Counts {
        cores: runtime.cores.len() as u32,
        blocked: runtime.homeless.load(Ordering::Relaxed) as u32,
        spares_parked: spares.parked(),
        spares_coming: spares.coming,
        stock,
        is_filling: spares.is_filling,
    }
}
