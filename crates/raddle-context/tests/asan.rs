//! AddressSanitizer on bodies: it finds what it should, and what a body leaves behind on its stack is not held against the next.
//!
//! ```text
//! RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 \
//!     cargo +nightly test -p raddle-context --target x86_64-unknown-linux-gnu --test asan
//! ```
//!
//! Without the sanitizer there is nothing to see, and every trial is ignored. Each runs in a process of its own: a finding ends it.

mod calls;
mod deadline;
mod harness;
mod stage;

use harness::{Run, run, spawn, yield_now};
use libtest_mimic::{Arguments, Failed, Trial};
use raddle_context::running;
use stage::Stage;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const CHILD: &str = "RADDLE_ASAN_CHILD";
/// What a process that ASan ends exits with.
const FOUND: i32 = 77;

struct Case {
    name: &'static str,
    /// Beside those that every case has.
    options: &'static str,
    run: fn(),
    /// What the report must say, in this order; nothing if there must be none.
    report: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a_stack_buffer_overflow",
        options: "",
        run: || on_a_body(|| raddle_test_write_past(black_box(36))),
        report: &["stack-buffer-overflow", "raddle_test_write_past", "first_entry"],
    },
    Case {
        name: "a_stack_buffer_overflow_in_a_body_that_was_away",
        options: "",
        run: || {
            on_a_body(|| {
                stage::leave();
                raddle_test_write_past(black_box(36));
            })
        },
        report: &["stack-buffer-overflow", "raddle_test_write_past", "first_entry"],
    },
    Case {
        name: "a_heap_use_after_free",
        options: "",
        run: || on_a_body(raddle_test_read_freed),
        report: &["heap-use-after-free", "raddle_test_read_freed", "first_entry"],
    },
    Case {
        // A body is a thread that ASan was not told of. Its fast unwinder, which malloc and free use by default, follows frame
        // pointers inside stacks that it knows, and leaves nothing here: the report then ends before it says who freed.
        name: "with_fast_unwind_on_malloc_off_it_says_who_freed",
        options: "fast_unwind_on_malloc=0",
        run: || on_a_body(raddle_test_read_freed),
        report: &[
            "heap-use-after-free",
            "freed by",
            "raddle_test_read_freed",
            "first_entry",
            "allocated by",
            "raddle_test_read_freed",
            "first_entry",
        ],
    },
    Case {
        name: "after_a_body_that_ended",
        options: "",
        run: after_a_body_that_ended,
        report: &[],
    },
    Case { name: "after_a_panic", options: "", run: after_a_panic, report: &[] },
    Case { name: "after_a_caught_panic", options: "", run: after_a_caught_panic, report: &[] },
    Case {
        name: "after_an_abandoned_body",
        options: "",
        run: after_an_abandoned_body,
        report: &[],
    },
    Case { name: "several_kernel_threads", options: "", run: several_kernel_threads, report: &[] },
    Case {
        name: "several_kernel_threads_with_use_after_return_detection",
        options: "detect_stack_use_after_return=1",
        run: several_kernel_threads,
        report: &[],
    },
    Case {
        // On its own stack the kernel thread has ASan's fake stack, while bodies, which have none, come and go.
        name: "a_kernel_threads_use_after_return",
        options: "detect_stack_use_after_return=1",
        run: || {
            let mut stage = Stage::new();
            let address = local_of_its_own(&mut stage);
            visit(&mut stage);
            raddle_test_read(address);
        },
        report: &["stack-use-after-return", "raddle_test_read"],
    },
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        (CASES.iter().find(|case| case.name == name).expect("a case's name").run)();
        return ExitCode::SUCCESS;
    }
    let missing = missing();
    if let Some(what) = missing {
        println!("every trial is skipped: {what}");
    }
    let trials = CASES
        .iter()
        .map(|case| Trial::test(case.name, || check(case)).with_ignored_flag(missing.is_some()))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn missing() -> Option<&'static str> {
    if !cfg!(raddle_asan) {
        return Some("this is not a build for AddressSanitizer (-Zsanitizer=address)");
    }
    let runs = |name: &str| Command::new(name).arg("--version").output().is_ok();
    let symbolizer = ["llvm-symbolizer", "addr2line"].into_iter().any(runs);
    (!symbolizer).then_some("ASan finds no llvm-symbolizer or addr2line to name functions with")
}

fn check(case: &Case) -> Result<(), Failed> {
    let common = format!("detect_leaks=0:symbolize=1:color=never:exitcode={FOUND}");
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, case.name).env("ASAN_OPTIONS", format!("{common}:{}", case.options));
    let out = deadline::output(&mut command, 2 * deadline::USUAL)?;
    let text = String::from_utf8_lossy(&out.stderr);
    let wrong = |what: String| Err(format!("{what}: {}\n{text}", out.status).into());
    let wanted = if case.report.is_empty() { 0 } else { FOUND };
    if out.status.code() != Some(wanted) {
        return wrong(format!("an exit code other than {wanted}"));
    }
    if case.report.is_empty() && text.contains("AddressSanitizer") {
        return wrong("ASan complains".into());
    }
    let mut rest = &*text;
    for part in case.report {
        let Some(at) = rest.find(part) else {
            return wrong(format!("no {part:?} where it should be in the report"));
        };
        rest = &rest[at + part.len()..];
    }
    Ok(())
}

fn on_a_body(main: fn()) {
    let mut stage = Stage::new();
    let actor = stage.cast(main);
    assert!(stage.finish(actor));
}

/// Writes `at` bytes behind the start of 32.
#[unsafe(no_mangle)]
#[inline(never)]
fn raddle_test_write_past(at: usize) {
    let mut local = [0u8; 32];
    // SAFETY: none: this is the error to be found.
    unsafe { black_box(&mut local).as_mut_ptr().wrapping_add(at).write_volatile(1) };
    black_box(&local);
}

#[unsafe(no_mangle)]
#[inline(never)]
fn raddle_test_read_freed() {
    let block = black_box(Box::new([7u8; 64]));
    let address = &raw const block[3];
    drop(block);
    // SAFETY: none: this is the error to be found.
    black_box(unsafe { address.read_volatile() });
}

/// The address of a local of its own, between two visits to a body. ASan leaves the locals of functions with inline assembly,
/// which `black_box` is, on the real stack: there must be none in here.
#[inline(never)]
fn local_of_its_own(stage: &mut Stage) -> *const u8 {
    let mut local = [1u8; 64];
    let address = opaque(local.as_mut_ptr());
    visit(stage);
    address
}

#[inline(never)]
fn opaque(address: *mut u8) -> *const u8 {
    black_box(address)
}

#[inline(never)]
fn visit(stage: &mut Stage) {
    let actor = stage.cast(|| fill(20));
    assert!(stage.finish(actor));
}

#[unsafe(no_mangle)]
#[inline(never)]
fn raddle_test_read(address: *const u8) {
    // SAFETY: none: this is the error to be found.
    black_box(unsafe { address.read_volatile() });
}

/// Frames with arrays and their red zones, `depth` KiB of them and more, and then `what`.
#[inline(never)]
fn deep(depth: u32, what: &dyn Fn()) {
    let mut local = [depth as u8; 1024];
    if depth == 0 {
        what();
    } else {
        deep(depth - 1, what);
    }
    assert!(black_box(&mut local).iter().all(|&byte| byte == depth as u8));
}

/// Other frames on the same addresses: where the last had red zones these have arrays.
#[inline(never)]
fn fill(depth: u32) {
    let mut local = [depth; 777];
    let mut other = [depth; 33];
    if depth > 0 {
        fill(depth - 1);
    }
    assert!(black_box(&mut local).iter().all(|&word| word == depth));
    assert!(black_box(&mut other).iter().all(|&word| word == depth));
}

/// On the stack of which `first` is done with: a body that writes to all of it, and another that does so again.
fn then_fill(stage: &mut Stage, number: u32) {
    for _ in 0..2 {
        let actor = stage.cast(move || {
            assert_eq!(running().unwrap().number(), number, "the same stack");
            fill(40);
            deep(100, &|| ());
        });
        assert!(stage.finish(actor));
    }
}

fn after_a_body_that_ended() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| deep(100, &|| stage::leave()));
    let number = actor.number();
    assert!(stage.finish(actor));
    then_fill(&mut stage, number);
}

fn after_a_panic() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| deep(100, &|| std::panic::resume_unwind(Box::new(1))));
    let number = actor.number();
    assert!(!stage.finish(actor), "it panicked");
    then_fill(&mut stage, number);
}

fn after_a_caught_panic() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| {
        for _ in 0..3 {
            let caught = std::panic::catch_unwind(|| {
                deep(100, &|| {
                    stage::leave();
                    std::panic::resume_unwind(Box::new(1))
                })
            });
            assert!(caught.is_err());
            fill(40);
        }
    });
    let number = actor.number();
    assert!(stage.finish(actor));
    then_fill(&mut stage, number);
}

/// A body that is suspended must not be given back, because of what lives on its stack. Here nothing does but poison.
fn after_an_abandoned_body() {
    let mut stage = Stage::new();
    let actor = stage.cast(|| deep(100, &|| stage::leave()));
    let number = actor.number();
    assert!(stage.enter(&actor), "it left in the middle");
    stage.abandon(actor);
    then_fill(&mut stage, number);
}

/// Preemption, migration, allocation and panics for a while.
fn several_kernel_threads() {
    let stats = run(Run { workers: 3, ..Run::default() }, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            let all: Vec<_> = (0..20u32)
                .map(|n| {
                    spawn(move || {
                        for round in 0..10 {
                            let text: Vec<String> = (0..n).map(|k| format!("{k}")).collect();
                            deep(n, &|| yield_now());
                            fill(n);
                            assert!((0..n).all(|k| text[k as usize] == format!("{k}")));
                            if round == 7 && n % 4 == 0 {
                                deep(n, &|| std::panic::resume_unwind(Box::new(n)));
                            }
                        }
                    })
                })
                .collect();
            for (n, one) in all.into_iter().enumerate() {
                assert_eq!(one.join().is_err(), n % 4 == 0);
            }
        }
    });
    assert!(stats.preemptions > 0, "{stats:?}");
}
