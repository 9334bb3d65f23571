//! Names for addresses, without the frames that every thread of raddle's has in common.

#![allow(unsafe_code, reason = "addresses as the symbol table's crate wants them")]

use raddle_context::trace::{Frame, Trace};
use std::collections::HashMap;
use std::fmt::Write;
use std::ptr;

/// A function at a frame. A frame has several where calls were inlined, innermost first.
#[derive(Clone, Debug)]
struct Place {
    name: String,
    /// " at file:line", if that is known.
    at: String,
}

/// Names that were looked up.
#[derive(Debug, Default)]
pub(super) struct Symbols(HashMap<(usize, bool), Vec<Place>>);

/// A function as one line is written of it: where it stands in the trace, and whether it is to be left out.
struct Line {
    place: Place,
    is_interrupted: bool,
}

impl Symbols {
    /// Writes the frames of `trace`, one a line: without those of the scheduler at the inner end, and of a thread's start at the outer.
    /// `rest` is for frames that are not in it.
    pub(super) fn write(&mut self, trace: &Trace, rest: &str, text: &mut String) {
        let mut lines = Vec::new();
        for frame in trace.frames() {
            // The signal came in the innermost of the functions that are one frame.
            let innermost = |at| frame.is_interrupted && at == 0;
            let places = self.places(frame).iter().cloned().enumerate();
            lines.extend(places.map(|(at, place)| Line { place, is_interrupted: innermost(at) }));
        }
        let end = outer_end(&lines);
        let start = inner_end(&lines[..end]);
        for (number, line) in lines[start..end].iter().enumerate() {
            let _ = writeln!(text, "    #{number} {}{}", line.place.name, line.place.at);
        }
        if trace.is_cut() && end > start {
            let _ = writeln!(text, "    {rest}");
        }
    }

    fn places(&mut self, frame: Frame) -> &[Place] {
        self.0.entry((frame.address, frame.is_interrupted)).or_insert_with(|| look_up(frame))
    }
}

fn look_up(frame: Frame) -> Vec<Place> {
    let mut places = Vec::new();
    // A return address may be the first byte behind its function: what is looked for stands before it, as the crate supposes of all.
    let address = frame.address + usize::from(frame.is_interrupted);
    backtrace::resolve(ptr::without_provenance_mut(address), |symbol| {
        let name = symbol
            .name()
            .map_or_else(|| format!("{:#x}", frame.address), |name| format!("{name:#}"));
        let at = match (symbol.filename(), symbol.lineno()) {
            (Some(file), Some(line)) => format!(" at {}:{line}", short(&file.to_string_lossy())),
            _ => String::new(),
        };
        places.push(Place { name, at });
    });
    if places.is_empty() {
        places.push(Place { name: format!("{:#x}", frame.address), at: String::new() });
    }
    places
}

/// Of "/rustc/596...14e/library/core/src/ops/function.rs" what tells: "library/..."; of a crate from a registry, its name and
/// what follows.
fn short(file: &str) -> &str {
    let compilers = file.strip_prefix("/rustc/");
    let inside = compilers.or_else(|| file.split_once("/registry/src/").map(|(_, rest)| rest));
    inside.and_then(|rest| rest.split_once('/')).map_or(file, |(_, inside)| inside)
}

/// Modules whose frames tell only how a thread waits or was preempted: by name, and by file below this crate's root.
const INNER: &[&str] = &[
    "raddle_context::",
    "raddle_core::",
    "raddle::sched::",
    "raddle::machine::",
    "raddle::park::",
    "raddle::carry::",
    "raddle::futex::",
    "raddle::interpose::",
    "raddle::sync::raw::",
    "raddle::sync::channel::buffer::",
    "raddle::sync::channel::zero::",
    "raddle::sync::channel::shared::",
];
const INNER_FILES: &[&str] = &[
    "sched/",
    "machine.rs",
    "park.rs",
    "carry.rs",
    "futex/",
    "interpose/",
    "sync/raw.rs",
    "sync/channel/buffer.rs",
    "sync/channel/zero.rs",
    "sync/channel/shared.rs",
];

/// What stands between such frames, and between a thread's first frame and the function that it was given.
const BETWEEN: &[&str] =
    &["core::", "std::panic", "std::thread::local", "__rust_try", "__restore_rt", "0x"];
const BETWEEN_FILES: &[&str] = &[
    "library/core/src/ops/function.rs",
    "library/core/src/option.rs",
    "library/core/src/panic/",
    "library/std/src/panic",
    "library/std/src/thread/local.rs",
];

/// Which files are this crate's, and raddle-context's: where they were when they were compiled.
fn roots() -> (&'static str, &'static str) {
    let ours = file!().trim_end_matches("dump/symbols.rs");
    (ours, raddle_context::trace::THIS_FILE.trim_end_matches("trace.rs"))
}

impl Place {
    /// A function's full name is known where it was not inlined, or debug information is complete: else the file must tell.
    fn is_inner(&self) -> bool {
        let (ours, contexts) = roots();
        let is_in = |part: &&str| self.at.contains(&[ours, part].concat());
        self.is_named(INNER) || self.at.contains(contexts) || INNER_FILES.iter().any(is_in)
    }

    fn is_between(&self) -> bool {
        self.is_named(BETWEEN) || BETWEEN_FILES.iter().any(|file| self.at.contains(file))
    }

    /// Whether it is where a thread's function is called from, or a caller of that.
    fn is_start(&self) -> bool {
        let is_in = |file: &&str| self.at.contains(&[roots().0, file].concat());
        self.name.contains("raddle::thread::spawn::spawn_unchecked")
            || self.name.starts_with("raddle::runtime::run")
            || ["thread/spawn.rs", "runtime.rs"].iter().any(is_in)
    }

    /// Whether it can't be told whose it is: a short name, and no file.
    fn is_anybodys(&self) -> bool {
        self.at.is_empty() && !self.name.contains("::")
    }

    fn is_named(&self, modules: &[&str]) -> bool {
        // "<raddle::park::Wait>::park", "<&T as raddle::..>".
        let name = self.name.trim_start_matches(['<', '&']);
        modules.iter().any(|module| name.starts_with(module))
    }
}

/// Where the frames begin that are the program's: behind the runtime's innermost, and the signal's that preempted it.
fn inner_end(lines: &[Line]) -> usize {
    let mut end = 0;
    for (at, line) in lines.iter().enumerate() {
        if line.is_interrupted {
            // The kernel's way back from the signal, whose name is seldom known, stands between its handler and this.
            let handler = lines[..at].iter().rev().take(2).any(|line| line.place.is_inner());
            return if handler { at } else { end };
        }
        if line.place.is_inner() {
            end = at + 1;
        } else if !line.place.is_between() && !line.place.is_anybodys() {
            break;
        }
    }
    end
}

/// Where the frames end that are the program's: before those of a thread's start.
fn outer_end(lines: &[Line]) -> usize {
    // The outermost: a thread may itself be starting another.
    let mut end = match lines.iter().rposition(|line| line.place.is_start()) {
        Some(start) => start,
        // A thread that has not run yet has nothing else.
        None if lines.len() == 1 && lines[0].place.is_inner() => 0,
        None => lines.len(),
    };
    // Functions that take the thread's closure for a type have its name in theirs.
    while let Some(Line { place, is_interrupted: false }) =
        end.checked_sub(1).map(|last| &lines[last])
    {
        if !place.is_between() && !place.is_start() {
            break;
        }
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(names: &[(&str, bool)]) -> Vec<String> {
        let lines: Vec<Line> = names
            .iter()
            .map(|&(name, is_interrupted)| Line {
                place: Place { name: name.into(), at: String::new() },
                is_interrupted,
            })
            .collect();
        let end = outer_end(&lines);
        lines[inner_end(&lines[..end])..end].iter().map(|line| line.place.name.clone()).collect()
    }

    const START: [(&str, bool); 4] = [
        ("core::ops::function::FnOnce::call_once", false),
        ("std::panicking::catch_unwind", false),
        ("raddle::thread::spawn::spawn_unchecked::{{closure}}", false),
        ("raddle_context::body::first_function", false),
    ];

    #[test]
    fn a_parked_thread_shows_the_door_that_it_went_through() {
        let inner = [
            ("raddle_context::arch::x86_64::switch", false),
            ("<raddle::park::Wait>::park", false),
            ("core::option::Option<T>::map", false),
            ("raddle::sched::enter::Here::sleep", false),
            ("raddle::thread::spawn::Spawned<T>::join", false),
            ("program::wait", false),
        ];
        let shown = cut(&[&inner[..], &START].concat());
        assert_eq!(shown, ["raddle::thread::spawn::Spawned<T>::join", "program::wait"]);
    }

    #[test]
    fn files_tell_where_names_are_short() {
        let ours = roots().0;
        let place = |name: &str, at: String| Place { name: name.into(), at };
        assert!(place("leave", format!(" at /src/{ours}sched/dispatch.rs:1")).is_inner());
        assert!(place("switch", format!(" at /src/{}context.rs:1", roots().1)).is_inner());
        assert!(!place("park", format!(" at /src/{ours}thread/current.rs:1")).is_inner());
        assert!(
            place("{closure#2}<fn(), ()>", format!(" at /src/{ours}thread/spawn.rs:253"))
                .is_start()
        );
        assert!(
            place("call_once<fn()>", " at library/core/src/ops/function.rs:250".into())
                .is_between()
        );
    }

    #[test]
    fn a_preempted_thread_shows_where_it_was_interrupted() {
        let inner = [
            ("raddle::sched::enter::act_on_notes", false),
            ("raddle::sched::enter::on_signal", false),
            ("0x7f0012345678", false),
            ("core::num::wrapping_mul", true),
            ("program::compute", false),
        ];
        assert_eq!(
            cut(&[&inner[..], &START].concat()),
            ["core::num::wrapping_mul", "program::compute"]
        );
    }

    #[test]
    fn a_function_without_a_file_does_not_hide_that_those_above_it_are_inner() {
        let inner = [
            ("act_on_notes", false),
            ("<raddle::sched::enter::Here>::attend", false),
            ("0x7f0012345678", false),
            ("program::compute", true),
        ];
        assert_eq!(cut(&[&inner[..], &START].concat()), ["program::compute"]);
        let outer = [("read", false), ("program::wait", false)];
        assert_eq!(cut(&[&outer[..], &START].concat()), ["read", "program::wait"]);
    }

    #[test]
    fn a_running_thread_is_shown_whole() {
        let inner = [("program::compute", true), ("program::main", false)];
        assert_eq!(cut(&[&inner[..], &START].concat()), ["program::compute", "program::main"]);
    }

    #[test]
    fn the_compilers_own_files_are_named_shortly() {
        assert_eq!(short("/rustc/59807616/library/core/src/num.rs"), "library/core/src/num.rs");
        assert_eq!(short("/home/a/rustc/main.rs"), "/home/a/rustc/main.rs");
        let crates = "/home/a/.cargo/registry/src/index.crates.io-1949/log-0.4.2/src/lib.rs";
        assert_eq!(short(crates), "log-0.4.2/src/lib.rs");
    }

    #[test]
    fn a_thread_that_has_not_run_shows_nothing() {
        assert!(cut(&[("raddle_context::arch::x86_64::first_entry", false)]).is_empty());
    }
}
