//! The fuzzer's bytes for `response` of `tests/fuzzed`.
//!
//! `cargo +nightly fuzz run response` in `crates/raddle-http`.
#![no_main]
#![deny(unsafe_code)]

#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/responder/mod.rs"]
mod responder;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::response(input));
