//! The storm with mimalloc as the global allocator: its thread-local heaps live in this program's static TLS, end with the
//! body through a pthread key, and start anew with the next.

mod calls;
mod harness;
mod storm_work;
#[path = "storm_work/trials.rs"]
mod trials;

use std::process::ExitCode;
use trials::Variant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trials::main(&[Variant { name: "mimalloc", environment: &[], seconds: 10 }])
}
