//! The fuzzer drives the model of `tests/model`: the first byte chooses the backend, the others are the script.
//!
//! `cargo +nightly fuzz run contract` in `crates/raddle-event`.
#![no_main]
#![deny(unsafe_code)]

#[path = "../../tests/model/mod.rs"]
#[allow(unsafe_code, reason = "submits operations over buffers that the model keeps")]
mod model;

use raddle_event::BackendKind;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((first, script)) = input.split_first() {
        model::play(BackendKind::ALL[usize::from(*first) % 3], script);
    }
});
