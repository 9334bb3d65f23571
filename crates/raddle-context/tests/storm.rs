//! Catches whatever two bodies could do to each other: thread-locals mixed up, heaps corrupted, registers lost.
//!
//! glibc's allocator, as it comes and with its checks and settings turned; and Debian's jemalloc in its place, whose thread-local heaps live in
//! static TLS, end with the body through a pthread key, and start anew with the next.

mod calls;
mod harness;
mod storm_work;
#[path = "storm_work/trials.rs"]
mod trials;

use std::process::ExitCode;
use trials::Variant;

fn main() -> ExitCode {
    trials::main(&[
        Variant { name: "glibc_as_it_comes", environment: &[], seconds: 15 },
        Variant {
            name: "glibc_with_malloc_check",
            environment: &[
                ("LD_PRELOAD", "libc_malloc_debug.so.0"),
                ("GLIBC_TUNABLES", "glibc.malloc.check=3"),
                ("MALLOC_CHECK_", "3"),
            ],
            seconds: 8,
        },
        Variant {
            name: "glibc_without_tcache",
            environment: &[(
                "GLIBC_TUNABLES",
                "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165",
            )],
            seconds: 6,
        },
        Variant {
            name: "glibc_with_one_arena",
            environment: &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")],
            seconds: 6,
        },
        Variant {
            name: "jemalloc",
            environment: &[("LD_PRELOAD", "libjemalloc.so.2")],
            seconds: 10,
        },
    ])
}
