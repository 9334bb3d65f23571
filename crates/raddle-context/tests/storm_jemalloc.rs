//! The storm with jemalloc as the global allocator: its thread-local heaps live in this program's static TLS, end with the
//! body through a pthread key, and start anew with the next.

mod calls;
mod harness;
mod storm_work;
#[path = "storm_work/trials.rs"]
mod trials;

use std::process::ExitCode;
use trials::Variant;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    trials::main(&[Variant { name: "jemalloc", environment: &[], seconds: 10 }])
}
