//! Catches a resource that runs out without saying which: address space, mappings, memory; and a wrong configuration.
//!
//! Limits are a process's own, so each case runs in a process of its own.

mod deadline;

use raddle_context::{Arena, Body, Config, Exhausted, Guards};
use std::process::Command;

const CASE: &str = "RADDLE_EXHAUSTION_CASE";

/// Runs test `name` again in a child, where `CASE` is set, and passes its result on.
fn in_child(name: &str, case: fn()) {
    if std::env::var_os(CASE).is_some() {
        return case();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(CASE, "1");
    let out = deadline::output(&mut command, deadline::USUAL).unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("1 passed"), "the child ran the case: {text}");
}

fn take_until_it_fails(arena: &Arena, at_most: usize) -> (Vec<Body>, std::io::Error) {
    let mut cache = arena.cache();
    let mut bodies = Vec::new();
    loop {
        match cache.take() {
            Ok(body) => bodies.push(body),
            Err(error) => return (bodies, error),
        }
        assert!(bodies.len() <= at_most, "nothing ran out");
    }
}

fn which(error: &std::io::Error) -> Exhausted {
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{error}");
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the limit is a local; it concerns this process only.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// 256 MiB of address space: regions shrink until not even one slot fits, and then the error says so.
#[test]
#[cfg_attr(raddle_asan, ignore = "AddressSanitizer itself dies under the limit")]
fn address_space() {
    in_child("address_space", || {
        limit(libc::RLIMIT_AS, 256 << 20);
        let arena = Arena::new(Config::default()).unwrap();
        let (bodies, error) = take_until_it_fails(&arena, 1024);
        assert!(matches!(which(&error), Exhausted::AddressSpace { .. }), "{error}");
        assert!(error.to_string().contains("ulimit -v"), "{error}");
        assert!(bodies.len() > 300, "only {} bodies in 256 MiB", bodies.len());
        give_back_and_take_again(&arena, bodies);
    });
}

/// Protected guards take two mappings each; the limit is the kernel's, and the error names its setting.
#[test]
#[cfg_attr(raddle_asan, ignore = "AddressSanitizer itself dies under the limit")]
fn mappings() {
    in_child("mappings", || {
        let limit: usize =
            std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if limit > 200_000 {
            println!("vm.max_map_count is {limit}: too many mappings to run out of in a test");
            return;
        }
        let config =
            Config { guards: Guards::Protected, slot_bytes: 64 * 1024, ..Config::default() };
        let arena = Arena::new(config).unwrap();
        let (bodies, error) = take_until_it_fails(&arena, limit);
        assert!(
            matches!(
                which(&error),
                Exhausted::Mappings | Exhausted::AddressSpace { .. } | Exhausted::Heap
            ),
            "{error}"
        );
        assert!(bodies.len() > limit / 2 - 2000, "{} bodies with {limit} mappings", bodies.len());
        give_back_and_take_again(&arena, bodies);
    });
}

/// After the failure the bodies that there are serve on, and nothing was lost.
fn give_back_and_take_again(arena: &Arena, bodies: Vec<Body>) {
    let count = bodies.len();
    let mut cache = arena.cache();
    bodies.into_iter().for_each(|body| cache.give(body));
    let again: Vec<Body> = (0..count).map(|_| cache.take().unwrap()).collect();
    assert_eq!(arena.usage().slots, count);
    again.into_iter().for_each(|body| cache.give(body));
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    let wrong = |config: Config, says: &str| {
        let error = Arena::new(config).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(says), "{error}");
    };
    let good = Config::default();
    wrong(Config { slot_bytes: 100_000, ..good.clone() }, "power of two");
    wrong(Config { slot_bytes: 32 << 10, ..good.clone() }, "65536");
    wrong(Config { guard_bytes: 4096, ..good.clone() }, "guard_bytes is 4096");
    wrong(Config { guard_bytes: 200 << 10, ..good.clone() }, "131072");
    wrong(Config { guard_bytes: 17_000, ..good.clone() }, "multiple of 4096");
    wrong(Config { control_bytes: 5000, ..good }, "at most 4096");
}

/// Every power of two from the least to 8 MiB gives bodies of that size, and what is reported fits in it.
#[test]
fn every_size_serves() {
    for shift in 16..=23 {
        let config = Config { slot_bytes: 1 << shift, ..Config::default() };
        let arena = Arena::new(config).unwrap();
        let mut cache = arena.cache();
        let bodies: Vec<Body> = (0..40).map(|_| cache.take().unwrap()).collect();
        for body in &bodies {
            let stack = body.stack();
            let bytes = stack.end.addr() - stack.start.addr();
            assert!(bytes >= arena.stack_bytes() && bytes < 1 << shift);
            assert_eq!(stack.end.addr() % 64, 0);
            assert_eq!(body.control().addr().get() % 64, 0);
        }
        bodies.into_iter().for_each(|body| cache.give(body));
    }
}

/// An arena whose bodies came back is unmapped; one with a body out is not, and the body stays usable memory.
#[test]
fn memory_goes_with_the_last_handle() {
    in_child("memory_goes_with_the_last_handle", || {
        let address_space = || {
            let status = std::fs::read_to_string("/proc/self/statm").unwrap();
            status.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
        };
        // The first look at glibc makes threads, and malloc keeps an arena for each.
        raddle_context::check().unwrap();
        let before = address_space();
        let arena = Arena::new(Config::default()).unwrap();
        let mut cache = arena.cache();
        let body = cache.take().unwrap();
        cache.give(body);
        // SAFETY: its only body was given back, and nobody has kept a reference.
        unsafe { arena.unmap() };
        drop(arena);
        assert!(address_space() > before + (512 << 20));
        drop(cache);
        assert!(address_space() < before + (64 << 20));

        let arena = Arena::new(Config::default()).unwrap();
        let out = arena.cache().take().unwrap();
        drop(arena);
        // SAFETY: the arena's memory stays while a body is out, and its block has room for a word.
        assert_eq!(unsafe { out.control().cast::<u64>().read() }, 0);
    });
}

/// Bodies are handed out last in, first out, and slots keep their numbers.
#[test]
fn the_last_body_given_is_the_first_taken() {
    let arena = Arena::new(Config::default()).unwrap();
    let mut cache = arena.cache();
    let bodies: Vec<Body> = (0..200).map(|_| cache.take().unwrap()).collect();
    let numbers: Vec<u32> = bodies.iter().map(|body| body.number()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    bodies.into_iter().for_each(|body| cache.give(body));
    let again: Vec<Body> = (0..200).map(|_| cache.take().unwrap()).collect();
    let numbers: Vec<u32> = again.iter().map(|body| body.number()).collect();
    assert_eq!(numbers, (0..200).rev().collect::<Vec<_>>());
    again.into_iter().for_each(|body| cache.give(body));
}

#[test]
#[should_panic(expected = "another arena")]
fn a_body_goes_back_to_its_own_arena() {
    let one = Arena::new(Config::default()).unwrap();
    let other = Arena::new(Config::default()).unwrap();
    let body = one.cache().take().unwrap();
    other.cache().give(body);
}
