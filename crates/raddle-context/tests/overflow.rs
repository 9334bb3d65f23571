//! Catches a stack overflow that goes unnoticed, dies without a word or names the wrong thing, and any other fault that
//! `overflow::install` keeps from its handler or from killing the process.

mod calls;
mod children;
mod harness;
#[path = "storm_work/native.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod native;
mod single;

use calls::{exit_now, gettid};
use children::{Case, Finished};
use libtest_mimic::Failed;
use native::Library;
use raddle_context::overflow::{self, Overflow, describe_by_number};
use raddle_context::{BodyRef, Config, Guards, running};
use single::Single;
use std::ffi::{c_int, c_long, c_void};
use std::fmt::{self, Write};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::{Command, ExitCode};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

/// Small, so that the way to the guard is short.
const SMALL: Config = Config {
    slot_bytes: 64 * 1024,
    guard_bytes: 16 * 1024,
    control_bytes: 0,
    guards: Guards::Best,
};

fn main() -> ExitCode {
    let mut cases = Vec::new();
    for guards in [Guards::Installed, Guards::Protected] {
        let config = Config { guards, ..SMALL };
        let missing = single_arena_error(&config);
        let no_skipping = missing.clone().or(no_compiler().map(Into::into));
        let mut add = |name: &str,
                       run: fn(Config),
                       check: fn(&Finished) -> Result<(), Failed>,
                       missing: &Option<String>| {
            let config = config.clone();
            let name = format!("{name}_{guards:?}").to_lowercase();
            cases.push(
                Case::new(name, move || run(config.clone())).unless(missing.clone()).checked(check),
            );
        };
        add("deep_recursion", deep_recursion, is_named, &missing);
        add("large_frames", large_frames, is_named, &missing);
        add("a_frame_of_12_kib_that_skips_pages", one_large_frame, is_named, &no_skipping);
        add("another_bodys_guard", another_bodys_guard, is_segv, &missing);
        add("a_bodys_guard_from_a_kernel_thread", guard_from_a_kernel_thread, is_segv, &missing);
    }
    cases.push(Case::new("described_by_its_name", described_by_its_name).checked(|child| {
        let line = "the thread called weaver has no more of its 64 KiB slot\n";
        child.expect(child.signal() == Some(libc::SIGABRT), "SIGABRT")?;
        child.expect(child.stderr == line, "the test's own line")
    }));
    cases.push(Case::new("preempted_and_migrated", preempted_and_migrated).checked(is_named));
    // From "the frame has no chance" to "the frame fits": somewhere between the two its end meets the guard.
    for above in [
        16, 200, 512, 1024, 1280, 1408, 1472, 1536, 1600, 1664, 1792, 2048, 2560, 3072, 3328, 3392,
        3456, 3520, 3584, 3712, 4096,
    ] {
        let name = format!("a_signal_frame_{above}_bytes_above_the_guard");
        let case = Case::new(name, move || signal_frame(above)).unless(no_compiler());
        cases.push(case.checked(move |child| {
            if child.status.success() && above > frame_bytes_min() {
                return child.expect(child.stdout.contains("handled"), "the handler ran");
            }
            is_named(child)
        }));
    }
    let with_room = Case::new("a_signal_frame_with_room", || signal_frame(8192));
    cases.push(with_room.unless(no_compiler()));
    cases.extend(other_faults());
    cases.extend(former_handlers());
    cases.extend(sent_signals());
    children::main(cases)
}

/// No signal's frame takes less. The kernel says what one takes with all that the processor has: some 11 KiB with tiles (AMX), which a process has
/// only if it asks for them, 3,632 bytes with AVX-512, and 1,776 with AVX.
fn frame_bytes_min() -> usize {
    /// Of `<linux/auxvec.h>`.
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    // SAFETY: a question to the C library.
    let with_all = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
    if with_all < 2048 { 1024 } else { 2048 }
}

fn single_arena_error(config: &Config) -> Option<String> {
    raddle_context::Arena::new(config.clone()).err().map(|error| error.to_string())
}

/// The child announced an overflow on stdout, and the crate's line, and nothing else, came out on stderr.
fn is_named(child: &Finished) -> Result<(), Failed> {
    let announced = child.stdout.lines().last().unwrap_or_default();
    child.expect(announced.contains("overflowed its stack of "), "an overflow was announced")?;
    child.expect(child.signal() == Some(libc::SIGABRT), "SIGABRT")?;
    child.expect(child.stderr.lines().count() == 1 && child.stderr.ends_with('\n'), "one line")?;
    child.expect(child.stderr.starts_with(announced), "number and size of the body's stack")
}

fn is_segv(child: &Finished) -> Result<(), Failed> {
    child.expect(child.signal() == Some(libc::SIGSEGV), "SIGSEGV")?;
    child.expect(!child.stderr.contains("overflow"), "no word of an overflow")
}

/// Says on stdout what the crate shall say on stderr.
fn announce(body: BodyRef) {
    let stack = body.stack();
    let kib = (stack.end.addr() - stack.start.addr()) / 1024;
    println!("raddle: body {} overflowed its stack of {kib} KiB", body.number());
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[(depth % 16) as usize]
}

fn deep_recursion(config: Config) {
    overflow::install(describe_by_number).unwrap();
    let mut single = Single::new(config);
    // Not the first body: a number of its own.
    let others: Vec<_> = (0..3).map(|_| single.cache.take().unwrap()).collect();
    single.run(|| {
        announce(running().unwrap());
        black_box(recurse(0));
    });
    drop(others);
}

fn large_frames(config: Config) {
    fn descend(depth: u8) -> u8 {
        let mut frame = black_box([MaybeUninit::<u8>::uninit(); 12 * 1024]);
        // The low end only.
        // SAFETY: in the bounds of the frame.
        unsafe { frame[0].as_mut_ptr().write_volatile(depth) };
        if black_box(depth) == u8::MAX {
            return 0;
        }
        // SAFETY: as above, and this byte has been written.
        descend(depth + 1).wrapping_add(unsafe { frame[0].as_ptr().read_volatile() })
    }
    overflow::install(describe_by_number).unwrap();
    Single::new(config).run(|| {
        announce(running().unwrap());
        black_box(descend(0));
    });
}

/// As C code without stack probes: one step of the stack pointer, and a write at the far end of the frame.
fn one_large_frame(config: Config) {
    overflow::install(describe_by_number).unwrap();
    Single::new(config).run(|| {
        let body = running().unwrap();
        announce(body);
        let low = body.stack().start.wrapping_add(512).cast_mut();
        let write_below: unsafe extern "C" fn(*mut u8, c_long) =
            // SAFETY: `stack_pointer.cpp` has it with that signature.
            unsafe { stack_pointer().function("write_below") };
        // SAFETY: it writes within the body's own slot: into its guard, where the process ends.
        unsafe { write_below(low, 12288) };
    });
}

/// Functions that move the stack pointer as they like.
fn stack_pointer() -> Library {
    Library::open(&native::library("stack_pointer.cpp", &["-fno-stack-protector"]))
}

fn no_compiler() -> Option<&'static str> {
    native::compiler().is_none().then_some("there is no C++ compiler (c++, or $CXX)")
}

fn another_bodys_guard(config: Config) {
    overflow::install(describe_by_number).unwrap();
    let mut single = Single::new(config);
    let other = single.cache.take().unwrap();
    let target = other.stack().start.cast_mut().wrapping_sub(64);
    // SAFETY: a guard is nobody's memory: the write ends the process.
    single.run(|| unsafe { target.write_volatile(1) });
    drop(other);
}

fn guard_from_a_kernel_thread(config: Config) {
    overflow::install(describe_by_number).unwrap();
    let mut single = Single::new(config);
    let body = single.cache.take().unwrap();
    let target = body.stack().start.cast_mut().wrapping_sub(64);
    // SAFETY: as above.
    unsafe { target.write_volatile(1) };
    single.cache.give(body);
}

fn described_by_its_name() {
    fn describe(overflow: &Overflow, line: &mut dyn Write) -> fmt::Result {
        // More than the stack and less than the slot: whatever the TLS takes, the number is the same.
        let kib = (overflow.stack_bytes / 1024).next_power_of_two();
        write!(
            line,
            "the thread called {} has no more of its {kib} KiB slot",
            single::name(overflow.body)
        )
    }
    overflow::install(describe).unwrap();
    // The first call decided.
    overflow::install(describe_by_number).unwrap();
    let mut single = Single::new(SMALL);
    let mut body = single.cache.take().unwrap();
    single::named(&body, "weaver");
    single::on(&single.me, &mut body, || black_box(recurse(0)));
}

/// On a kernel thread that the body did not start on, with ticks that meet the guard as well.
fn preempted_and_migrated() {
    let run = harness::Run { config: SMALL, ..harness::Run::default() };
    harness::run(run, || {
        let busy = || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(20) {
                black_box(start);
            }
        };
        let others: Vec<_> = (0..4).map(|_| harness::spawn(busy)).collect();
        let deep = harness::spawn(|| {
            let home = gettid();
            let start = Instant::now();
            while gettid() == home && start.elapsed() < Duration::from_secs(2) {
                black_box(home);
            }
            announce(running().unwrap());
            // Slowly: a tick finds it at every depth.
            fn descend(depth: u64) -> u64 {
                let frame = black_box([depth; 8]);
                for _ in 0..1000 {
                    black_box(depth);
                }
                if black_box(depth) == u64::MAX { 0 } else { descend(depth + 1) + frame[3] }
            }
            black_box(descend(0));
        });
        drop(deep.join());
        others.into_iter().for_each(|one| drop(one.join()));
    });
}

/// A signal without SA_ONSTACK arrives while the stack pointer is `above` bytes above the guard.
fn signal_frame(above: usize) {
    static HANDLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_signal: c_int) {
        HANDLED.fetch_add(1, Relaxed);
    }
    overflow::install(describe_by_number).unwrap();
    handle(libc::SIGUSR1, handler as *const () as usize, 0);
    Single::new(SMALL).run(|| {
        let body = running().unwrap();
        announce(body);
        let low = body.stack().start.wrapping_add(above).cast_mut();
        type CallAt = unsafe extern "C" fn(*mut u8, c_long, c_long, c_long, c_long) -> c_long;
        // SAFETY: `stack_pointer.cpp` has it with that signature.
        let call_at: CallAt = unsafe { stack_pointer().function("call_at") };
        let (process, thread) = (std::process::id().into(), gettid().into());
        let signal = c_long::from(libc::SIGUSR1);
        // SAFETY: it calls `syscall` with the stack pointer in the body's own slot. A signal's frame that does not fit ends the
        // process.
        unsafe { call_at(low, libc::SYS_tgkill, process, thread, signal) };
    });
    assert_eq!(HANDLED.load(Relaxed), 1);
    println!("handled");
}

fn handle(signal: c_int, handler: usize, flags: c_int) {
    // SAFETY: zeros are a `sigaction`. The handlers are functions of the signature that their flags announce, or SIG_IGN, SIG_DFL.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &raw const action, ptr::null_mut()), 0);
    }
}

/// An address in the first page, which is never mapped.
const NOWHERE: usize = 0x9a8;

fn read_nowhere() {
    // SAFETY: no memory is there: the read ends the process, or ends in the handler under test.
    unsafe { black_box(black_box(ptr::without_provenance::<u64>(NOWHERE)).read_volatile()) };
}

/// Faults that are no overflow, with std's handlers behind: they end the process as they would have without the crate.
fn other_faults() -> Vec<Case> {
    let on_a_body = |main: fn()| {
        move || {
            overflow::install(describe_by_number).unwrap();
            Single::new(SMALL).run(main);
        }
    };
    let on_a_kernel_thread = |main: fn()| {
        move || {
            overflow::install(describe_by_number).unwrap();
            std::thread::spawn(main).join().unwrap();
        }
    };
    fn beyond_the_canonical() {
        // The kernel reports it with SI_KERNEL and no address, like a signal frame that does not fit.
        let nowhere = black_box(ptr::without_provenance::<u64>(0x8000_0000_0000_0000));
        // SAFETY: as above.
        unsafe { black_box(nowhere.read_volatile()) };
    }
    fn beyond_the_file() {
        // SAFETY: the mapping is new, and beyond the file's end: the read ends the process.
        unsafe {
            let file = libc::memfd_create(c"short".as_ptr(), 0);
            let page =
                libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
            black_box(page.cast::<u8>().read_volatile());
        }
    }
    fn stds_overflow(child: &Finished) -> Result<(), Failed> {
        child.expect(child.signal() == Some(libc::SIGABRT), "SIGABRT")?;
        child.expect(child.stderr.contains("has overflowed its stack"), "std's message")?;
        child.expect(!child.stderr.contains("raddle:"), "no body is blamed")
    }
    let overflow_here = || {
        black_box(recurse(0));
    };
    let after_entering = || {
        let mut single = Single::new(SMALL);
        single.run(|| black_box(1));
        black_box(recurse(0));
    };
    vec![
        Case::new("null_on_a_body", on_a_body(read_nowhere)).checked(is_segv),
        Case::new("null_on_a_kernel_thread", on_a_kernel_thread(read_nowhere)).checked(is_segv),
        Case::new("a_bad_address_on_a_body", on_a_body(beyond_the_canonical)).checked(is_segv),
        Case::new("a_bus_error_on_a_body", on_a_body(beyond_the_file)).checked(|child| {
            child.expect(child.signal() == Some(libc::SIGBUS), "SIGBUS")?;
            child.expect(!child.stderr.contains("overflow"), "no word of an overflow")
        }),
        Case::new("a_std_thread_overflows", on_a_kernel_thread(overflow_here))
            .checked(stds_overflow),
        Case::new("a_kernel_thread_with_bodies_overflows", on_a_kernel_thread(after_entering))
            .checked(stds_overflow),
    ]
}

/// Handlers that were there first.
fn former_handlers() -> Vec<Case> {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn tell(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
        // SAFETY: with SA_SIGINFO the kernel gives a whole `siginfo_t`, here of a fault.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
        println!("signal {signal} code {code} address {address:#x}");
        exit_now(77);
    }
    extern "C" fn tell_plainly(signal: c_int) {
        println!("signal {signal}");
        exit_now(77);
    }
    /// As a garbage collector does: makes the page accessible and lets the access happen again.
    extern "C" fn mend(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
        // SAFETY: as above.
        let page = unsafe { (*info).si_addr() };
        SEEN.fetch_add(1, Relaxed);
        // SAFETY: the page is the one that faulted, which is `mended`'s own.
        unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) };
    }
    fn told(child: &Finished) -> Result<(), Failed> {
        child.expect(child.status.code() == Some(77), "the former handler ended it")?;
        let expected = format!("signal {} code 1 address {NOWHERE:#x}\n", libc::SIGSEGV);
        child.expect(child.stdout == expected, &expected)
    }
    fn mended() {
        // SAFETY: a new mapping. The handler makes it accessible at the first access.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0);
            page.cast::<u64>().write_volatile(42);
            assert_eq!(page.cast::<u64>().read_volatile(), 42);
        }
        assert_eq!(SEEN.load(Relaxed), 1);
    }
    let with = |handler: usize, flags: c_int, main: fn()| {
        move || {
            handle(libc::SIGSEGV, handler, flags);
            overflow::install(describe_by_number).unwrap();
            main();
        }
    };
    let (tell, mend) = (tell as *const () as usize, mend as *const () as usize);
    vec![
        Case::new(
            "a_former_handler_on_a_body",
            with(tell, libc::SA_SIGINFO | libc::SA_ONSTACK, || {
                Single::new(SMALL).run(read_nowhere)
            }),
        )
        .checked(told),
        Case::new(
            "a_former_handler_on_a_kernel_thread",
            with(tell, libc::SA_SIGINFO | libc::SA_ONSTACK, read_nowhere),
        )
        .checked(told),
        Case::new(
            "a_former_handler_without_siginfo",
            with(tell_plainly as *const () as usize, 0, || Single::new(SMALL).run(read_nowhere)),
        )
        .checked(|child| {
            child.expect(child.status.code() == Some(77), "the former handler ended it")?;
            child.expect(child.stdout == "signal 11\n", "the signal's number")
        }),
        Case::new(
            "a_former_handler_that_mends",
            with(mend, libc::SA_SIGINFO, || Single::new(SMALL).run(mended)),
        ),
        Case::new(
            "a_fault_that_was_ignored",
            with(libc::SIG_IGN, 0, || Single::new(SMALL).run(read_nowhere)),
        )
        .checked(is_segv),
        Case::new(
            "an_overflow_with_a_former_handler",
            with(tell, libc::SA_SIGINFO | libc::SA_ONSTACK, || {
                Single::new(SMALL).run(|| {
                    announce(running().unwrap());
                    black_box(recurse(0));
                });
            }),
        )
        .checked(is_named),
    ]
}

/// SIGSEGV from another process, which nothing faulted for.
fn sent_signals() -> Vec<Case> {
    fn from_outside() {
        let kill = Command::new("sh").args(["-c", "kill -s SEGV $PPID"]).status();
        assert!(kill.unwrap().success());
        // Whichever thread takes it: it has had the time.
        std::thread::sleep(Duration::from_millis(100));
        println!("alive");
    }
    let with = |former: Option<usize>, main: fn()| {
        move || {
            if let Some(former) = former {
                handle(libc::SIGSEGV, former, 0);
            }
            overflow::install(describe_by_number).unwrap();
            main();
        }
    };
    fn twice() {
        from_outside();
        from_outside();
    }
    fn at_the_second(child: &Finished) -> Result<(), Failed> {
        is_segv(child)?;
        child.expect(child.stdout == "alive\n", "the second one kills")
    }
    let on_a_body = || Single::new(SMALL).run(from_outside);
    vec![
        Case::new("sent_to_a_body", with(Some(libc::SIG_DFL), on_a_body)).checked(|child| {
            is_segv(child)?;
            child.expect(child.stdout.is_empty(), "the first one kills")
        }),
        Case::new("sent_to_a_kernel_thread", with(Some(libc::SIG_DFL), from_outside)).checked(
            |child| {
                is_segv(child)?;
                child.expect(child.stdout.is_empty(), "the first one kills")
            },
        ),
        // std's handler restores the default and returns, to have the fault repeated: a sent signal kills the second time
        // only, with the crate as without it.
        Case::new("sent_without_the_crate", twice).checked(at_the_second),
        Case::new("sent_with_stds_handler_behind", with(None, || Single::new(SMALL).run(twice)))
            .checked(at_the_second),
        Case::new("sent_and_ignored", with(Some(libc::SIG_IGN), on_a_body))
            .checked(|child| child.expect(child.stdout == "alive\n", "it lives on")),
    ]
}
