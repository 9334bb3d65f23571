//! Unwinding from inside the process: backtraces and panics, wherever a body's code can be.

use crate::Named;
use crate::scenarios::{self, raddle_test_outer};
use crate::stage::{self, Stage};
use libtest_mimic::Failed;
use raddle_context::trace::Trace;
use raddle_context::{After, SignalFrame};
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;

pub(crate) const TRIALS: &[Named] = &[
    ("deep_in_a_body", deep_in_a_body),
    ("in_a_post_switch_action", in_a_post_switch_action),
    ("in_a_signal_handler", in_a_signal_handler),
    ("in_a_handler_that_was_away", in_a_handler_that_was_away),
    ("a_trace_of_a_suspended_body", a_trace_of_a_suspended_body),
    ("a_trace_of_a_fresh_body", a_trace_of_a_fresh_body),
    ("a_trace_in_a_signal_handler", a_trace_in_a_signal_handler),
    ("a_panic_is_caught_at_the_first_frame", panics_are_caught),
];

unsafe extern "C" {
    fn _Unwind_Backtrace(
        trace: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn backtrace(buffer: *mut usize, size: c_int) -> c_int;
}

/// What three unwinders saw from one place.
struct Seen {
    unwinder: Vec<usize>,
    /// `_URC_END_OF_STACK` is 5.
    result: c_int,
    libc: Vec<usize>,
    rust: String,
}

/// Filled by [`look`], wherever that was called.
static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

#[inline(never)]
fn look() {
    unsafe extern "C" fn note(context: *mut c_void, list: *mut c_void) -> c_int {
        // SAFETY: the unwinder's context, and the list given below.
        unsafe {
            let address = _Unwind_GetIP(context);
            // The end is reported as well.
            if address != 0 {
                (*list.cast::<Vec<usize>>()).push(address);
            }
        }
        0
    }
    let mut unwinder = Vec::with_capacity(200);
    let mut libc = vec![0; 200];
    // SAFETY: the callback fits its argument; the buffer has 200 words.
    let result = unsafe {
        let result = _Unwind_Backtrace(note, (&raw mut unwinder).cast());
        let length = backtrace(libc.as_mut_ptr(), 200);
        libc.truncate(length as usize);
        result
    };
    let rust = Backtrace::force_capture().to_string();
    *SEEN.lock().unwrap() = Some(Seen { unwinder, result, libc, rust });
}

/// Every unwinder must have found `names` in this order, and `first_entry` for the last.
fn check(first_entry: usize, names: &[&str]) -> Result<(), Failed> {
    let seen = SEEN.lock().unwrap().take().ok_or("nobody looked")?;
    let rust = &seen.rust;
    if seen.result != 5 {
        return Err(format!("_Unwind_Backtrace ended with {}\n{rust}", seen.result).into());
    }
    for (who, list) in [("_Unwind_Backtrace", &seen.unwinder), ("backtrace(3)", &seen.libc)] {
        let last = list.last().copied().unwrap_or_default();
        // The function is a few instructions long.
        if !(first_entry..first_entry + 16).contains(&last) || list.len() >= 200 {
            return Err(format!(
                "{who}: {} frames, the last at {last:#x}, and not in first_entry, {first_entry:#x}\n{rust}",
                list.len()
            )
            .into());
        }
    }
    let mut rest = rust.as_str();
    for name in names {
        let Some(at) = rest.find(name) else {
            return Err(format!("no {name} where it should be in\n{rust}").into());
        };
        rest = &rest[at + name.len()..];
    }
    // Frames are numbered lines; where they are in the source may follow.
    let is_frame = |line: &&str| line.trim().starts_with(|c: char| c.is_ascii_digit());
    let last = rust.lines().rfind(is_frame).unwrap_or_default();
    if !last.contains("first_entry") {
        return Err(format!("the last frame is not first_entry in\n{rust}").into());
    }
    Ok(())
}

const CHAIN: [&str; 3] = ["raddle_test_inner", "raddle_test_middle", "raddle_test_outer"];

fn deep_in_a_body() -> Result<(), Failed> {
    let mut stage = Stage::new();
    let actor = stage.cast(|| assert_eq!(raddle_test_outer(look), 42));
    let first_entry = stage::first_address(&actor);
    assert!(stage.finish(actor));
    check(first_entry, &CHAIN)
}

extern "C" fn look_after(_: *mut u8) {
    look();
}

fn in_a_post_switch_action() -> Result<(), Failed> {
    let action = After::run(look_after, std::ptr::null_mut());
    let mut stage = Stage::new();
    let actor = stage.cast(|| assert_eq!(raddle_test_outer(stage::leave), 42));
    let first_entry = stage::first_address(&actor);
    stage.enter_after(&actor, action);
    check(first_entry, &["look_after", "switch", "first_entry"])?;
    stage.enter_after(&actor, action);
    check(first_entry, &["look_after", "switch", CHAIN[0], CHAIN[1], CHAIN[2]])
}

/// The trap that a handler stands in for lets no name be told: `raddle_test_spin` is what was interrupted.
const INTERRUPTED: [&str; 5] =
    ["look_in_handler", "raddle_test_spin", CHAIN[0], CHAIN[1], CHAIN[2]];

extern "C" fn look_in_handler(_: i32, _: *mut libc::siginfo_t, _: *mut c_void) {
    look();
    scenarios::end_spin();
}

fn in_a_signal_handler() -> Result<(), Failed> {
    let first_entry = scenarios::interrupted(look_in_handler, After::nothing());
    check(first_entry, &INTERRUPTED)
}

extern "C" fn leave_and_look_in_handler(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's argument.
    let mut frame = unsafe { SignalFrame::from_handler(context) };
    stage::leave();
    look_in_handler(0, std::ptr::null_mut(), context);
    // SAFETY: this is the kernel thread that the body was entered from.
    unsafe { frame.resume_on(stage::home()) };
}

fn in_a_handler_that_was_away() -> Result<(), Failed> {
    let first_entry = scenarios::interrupted(leave_and_look_in_handler, After::nothing());
    check(first_entry, &INTERRUPTED)
}

/// The trace must have gone through these functions, and end in `first_entry`.
fn check_trace(trace: &Trace, first_entry: usize, functions: &[usize]) -> Result<(), Failed> {
    let frames: Vec<_> = trace.frames().map(|frame| frame.address).collect();
    let mut rest = frames.iter();
    // Each is a few hundred bytes long at most.
    let is_in = |start: usize| move |at: &&usize| (start..start + 400).contains(*at);
    let all = functions.iter().all(|&function| rest.any(|at| is_in(function)(&at)));
    let ends = frames.last().is_some_and(|last| (first_entry..first_entry + 16).contains(last));
    if all && ends && !trace.is_cut() {
        return Ok(());
    }
    Err(format!("{functions:x?} and then {first_entry:x} are not in {frames:x?}").into())
}

fn chain() -> [usize; 3] {
    [
        scenarios::raddle_test_inner as *const () as usize,
        scenarios::raddle_test_middle as *const () as usize,
        raddle_test_outer as *const () as usize,
    ]
}

fn a_trace_of_a_suspended_body() -> Result<(), Failed> {
    let mut stage = Stage::new();
    let actor = stage.cast(|| assert_eq!(raddle_test_outer(stage::leave), 42));
    let first_entry = stage::first_address(&actor);
    assert!(stage.enter(&actor), "it left in the middle");
    let functions = [&[stage::leave as *const () as usize], &chain()[..]].concat();
    for _ in 0..3 {
        check_trace(&stage.trace(&actor), first_entry, &functions)?;
    }
    assert!(stage.finish(actor), "a look at its stack has done it harm");
    Ok(())
}

fn a_trace_of_a_fresh_body() -> Result<(), Failed> {
    let mut stage = Stage::new();
    let actor = stage.cast(|| ());
    let first_entry = stage::first_address(&actor);
    let trace = stage.trace(&actor);
    check_trace(&trace, first_entry, &[])?;
    assert_eq!(trace.frames().count(), 1);
    assert!(stage.finish(actor));
    Ok(())
}

static TRACED: Mutex<Trace> = Mutex::new(Trace::empty());

extern "C" fn trace_in_handler(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's argument.
    let frame = unsafe { SignalFrame::from_handler(context) };
    *TRACED.lock().unwrap() = Trace::of_interrupted(&frame);
    scenarios::end_spin();
}

fn a_trace_in_a_signal_handler() -> Result<(), Failed> {
    raddle_context::trace::prepare();
    let first_entry = scenarios::interrupted(trace_in_handler, After::nothing());
    let trace = *TRACED.lock().unwrap();
    assert!(trace.frames().next().is_some_and(|frame| frame.is_interrupted), "{trace:x?}");
    let spin = scenarios::raddle_test_spin as *const () as usize;
    check_trace(&trace, first_entry, &[&[spin], &chain()[..]].concat())
}

fn panics_are_caught() -> Result<(), Failed> {
    thread_local!(static CAUGHT: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) });
    /// Not reported: the panics are meant.
    fn fall(number: u32) -> ! {
        std::panic::resume_unwind(Box::new(number))
    }
    let mut stage = Stage::new();
    for _ in 0..3 {
        let actor = stage.cast(|| {
            let payload = std::panic::catch_unwind(|| raddle_test_outer(|| fall(1))).unwrap_err();
            CAUGHT.with_borrow_mut(|caught| caught.push(*payload.downcast().unwrap()));
            stage::leave();
            raddle_test_outer(|| fall(2));
        });
        assert!(stage.enter(&actor));
        if stage.finish(actor) {
            return Err("the body's panic did not reach its end".into());
        }
    }
    let actor = stage.cast(|| fall(3));
    assert!(!stage.finish(actor), "a panic in the body's own function");
    let actor = stage.cast(|| assert!(CAUGHT.take().is_empty(), "another body's thread-local"));
    assert!(stage.finish(actor));
    Ok(())
}
