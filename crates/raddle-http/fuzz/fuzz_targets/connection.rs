//! The fuzzer's bytes for `connection` of `tests/fuzzed`.
//!
//! `cargo +nightly fuzz run connection` in `crates/raddle-http`.
#![no_main]
#![deny(unsafe_code)]

#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/responder/mod.rs"]
mod responder;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::connection(input));
