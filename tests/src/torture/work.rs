//! What operations have in common: work that takes time, and panics that are expected.

use std::any::Any;
use std::panic;

/// What actors panic with on purpose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected(pub(super) u64);

/// Keeps what is printed to panics that nobody expects.
pub(super) fn hide_expected_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Expected>() {
            print(info);
        }
    }));
}

pub(super) fn expected(payload: &(dyn Any + Send)) -> Option<u64> {
    payload.downcast_ref::<Expected>().map(|expected| expected.0)
}

/// Work that takes about `rounds` nanoseconds and that no compiler removes.
pub(super) fn spin(rounds: u64) -> u64 {
    let mut x = rounds | 1;
    for _ in 0..rounds {
        x = std::hint::black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (x >> 29));
    }
    x
}
