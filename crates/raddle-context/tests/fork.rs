//! Catches a child, forked by a body or while bodies exist, that crashes, hangs or goes on with its parent's bodies, and a
//! parent that is no longer whole after it; and other processes that a body starts: exec, spawn, system.
//!
//! A forked child never returns into the harness: its scheduler's other threads are gone. It says by its exit code whether all
//! was well, and an alarm ends it if it hangs.

mod calls;
#[path = "fork_work/child.rs"]
mod child;
mod children;
mod harness;
#[path = "storm_work/native.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module that tests include, not a crate")]
mod native;
mod single;

use calls::{alarm, end_of};
use child::{WORD, forked, is_well, live, live_in_the_child, live_on_bodies, live_on_new_bodies};
use children::Case;
use harness::{Run, run, spawn, yield_now};
use raddle_context::overflow::{self, describe_by_number};
use raddle_context::{Arena, Config, running};
use single::Single;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_int};
use std::hint::black_box;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

/// Some cases fork while other threads allocate, which ASan's child may never do again.
const ASAN: Option<&str> = if cfg!(raddle_asan) {
    Some("AddressSanitizer's allocator may be locked for ever in a forked child")
} else {
    None
};

fn main() -> ExitCode {
    let no_compiler =
        native::compiler().is_none().then_some("there is no C++ compiler (c++, or $CXX)");
    children::main(vec![
        Case::new("bodies_fork", bodies_fork).unless(ASAN),
        Case::new("a_kernel_thread_forks", a_kernel_thread_forks).unless(ASAN),
        Case::new("a_kernel_thread_with_bodies_forks", a_kernel_thread_with_bodies_forks),
        Case::new("a_childs_body_forks", a_childs_body_forks),
        Case::new("while_bodies_end_elsewhere", while_bodies_end_elsewhere).unless(ASAN),
        Case::new("while_bodies_are_made_elsewhere", while_bodies_are_made_elsewhere).unless(ASAN),
        Case::new("while_glibc_is_examined", while_glibc_is_examined).unless(ASAN),
        Case::new("the_kernel_threads_stack_goes", the_kernel_threads_stack_goes),
        Case::new("a_thread_of_the_child_knows_its_cpu", a_thread_of_the_child_knows_its_cpu),
        Case::new("the_parents_arena", the_parents_arena),
        Case::new("the_parents_cache_with_free_bodies", the_parents_cache_with_free_bodies),
        Case::new("the_parents_arena_is_dropped", the_parents_arena_is_dropped),
        Case::new("a_library_opened_in_the_child", a_library_opened_in_the_child)
            .unless(no_compiler)
            .unless(ASAN),
        Case::new("an_overflow_in_the_child", an_overflow_in_the_child).checked(|child| {
            let lines = child.stderr.matches("overflowed its stack of").count();
            child.expect(child.status.success(), "it succeeds")?;
            child.expect(lines == 2, "a line for each of two overflows")
        }),
        Case::new("other_programs", other_programs),
    ])
}

/// A flag that is set when its owner ends, in a panic too: what waits for it shall not hide the panic.
struct AtEnd(Arc<AtomicBool>);

impl AtEnd {
    fn new() -> (AtEnd, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (AtEnd(flag.clone()), flag)
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn bodies_fork() {
    run(Run::default(), || {
        let (at_end, end) = AtEnd::new();
        let busy: Vec<_> = (0..6)
            .map(|n| {
                let end = end.clone();
                spawn(move || {
                    WORD.set(n);
                    while !end.load(Relaxed) {
                        let text: Vec<String> = (0..50).map(|k| format!("{n} {k}")).collect();
                        assert_eq!(text[49], format!("{n} 49"));
                        if n % 2 == 0 {
                            yield_now();
                        }
                    }
                    assert_eq!(WORD.get(), n);
                })
            })
            .collect();
        let forking: Vec<_> = (100..104)
            .map(|word| {
                spawn(move || {
                    let number = running().unwrap().number();
                    WORD.set(word);
                    for _ in 0..3 {
                        is_well(forked(|| live_in_the_child(number, word)));
                        assert_eq!(WORD.get(), word);
                        assert_eq!(running().unwrap().number(), number);
                    }
                })
            })
            .collect();
        forking.into_iter().for_each(|one| one.join().unwrap());
        drop(at_end);
        busy.into_iter().for_each(|one| one.join().unwrap());
        // The parent has lost nothing.
        let new: Vec<_> = (0..50)
            .map(|_| spawn(|| assert_eq!(WORD.replace(1), 0x5eed, "a new body's thread-local")))
            .collect();
        new.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// While bodies run elsewhere, by a thread that knows nothing of them.
fn a_kernel_thread_forks() {
    let ((at_end, end), begun) = (AtEnd::new(), Arc::new(AtomicU32::new(0)));
    let all_have_begun = begun.clone();
    let forking = std::thread::spawn(move || {
        while all_have_begun.load(Relaxed) < 50 {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..5 {
            let child = forked(|| {
                assert!(running().is_none());
                live();
                live_on_new_bodies();
                std::thread::spawn(live_on_new_bodies).join().unwrap();
            });
            is_well(child);
        }
        drop(at_end);
    });
    run(Run::default(), move || {
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let (end, begun) = (end.clone(), begun.clone());
                spawn(move || {
                    begun.fetch_add(1, Relaxed);
                    while !end.load(Relaxed) {
                        yield_now();
                    }
                })
            })
            .collect();
        waiting.into_iter().for_each(|one| one.join().unwrap());
    });
    forking.join().unwrap();
}

/// It goes on with its own handle in the child, on a new arena.
fn a_kernel_thread_with_bodies_forks() {
    std::thread::spawn(|| {
        let mut single = Single::new(Config::default());
        live_on_bodies(&mut single);
        let id = forked(|| {
            single.arena = single::arena(Config::default());
            single.cache = single.arena.cache();
            live_on_bodies(&mut single);
        });
        is_well(id);
        live_on_bodies(&mut single);
    })
    .join()
    .unwrap();
}

fn a_childs_body_forks() {
    Single::new(Config::default()).run(|| {
        let child = forked(|| {
            let thread = std::thread::spawn(|| {
                let mut single = Single::new(Config::default());
                let arena = single.arena.clone();
                // `move`: the body keeps what the child needs. The kernel thread's stack is glibc's to hand out there.
                single.run(move || {
                    WORD.set(3);
                    let number = running().unwrap().number();
                    let grandchild = forked(|| {
                        live_in_the_child(number, 3);
                        is_the_parents(arena.cache().take());
                    });
                    is_well(grandchild);
                });
                live_on_bodies(&mut single);
            });
            thread.join().unwrap();
        });
        is_well(child);
    });
}

/// Other kernel threads are in the middle of ending bodies at the moment of the fork: what they held is held for ever in the child.
fn while_bodies_end_elsewhere() {
    forks_while_others(|single| single.run(|| WORD.set(1)));
}

/// As above; in the middle of building bodies and taking them down.
fn while_bodies_are_made_elsewhere() {
    forks_while_others(|single| {
        // SAFETY: every body of the former arena was given back, and nobody has kept a reference.
        unsafe { single.arena.unmap() };
        single.arena = single::arena(Config::default());
        single.cache = single.arena.cache();
        let many: Vec<_> = (0..8).map(|_| single.cache.take().unwrap()).collect();
        many.into_iter().for_each(|body| single.cache.give(body));
        single.cache = single.arena.cache();
        single.arena.trim(0);
    });
}

fn forks_while_others(step: fn(&mut Single)) {
    let ((at_end, end), steps) = (AtEnd::new(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let at_end = at_end;
        for _ in 0..2 {
            scope.spawn(|| {
                let mut single = Single::new(Config::default());
                while !end.load(Relaxed) {
                    step(&mut single);
                    steps.fetch_add(1, Relaxed);
                }
            });
        }
        let mut single = Single::new(Config::default());
        for _ in 0..40 {
            // The others are at it.
            let before = steps.load(Relaxed);
            while steps.load(Relaxed) < before + 3 {
                std::hint::spin_loop();
            }
            let id = single.run(|| {
                forked(|| {
                    std::thread::spawn(|| Single::new(Config::default()).run(|| WORD.set(2)))
                        .join()
                        .unwrap();
                })
            });
            is_well(id);
        }
        drop(at_end);
    });
}

/// Another thread is the first to ask for bodies at the moment of the fork.
fn while_glibc_is_examined() {
    for round in 0..30 {
        // Each of these has yet to ask.
        let child = forked(|| {
            // std has a lock for threads that begin or end, which a child may find locked for ever: this one does neither meanwhile.
            let ((at_end, end), (begins, has_begun)) = (AtEnd::new(), AtEnd::new());
            let asking = std::thread::spawn(move || {
                drop(begins);
                raddle_context::check().unwrap();
                while !end.load(Relaxed) {
                    std::thread::yield_now();
                }
            });
            while !has_begun.load(Relaxed) {
                std::hint::spin_loop();
            }
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(20 * round) {
                std::hint::spin_loop();
            }
            let grandchild = forked(|| {
                alarm(3);
                live_on_new_bodies();
            });
            is_well(grandchild);
            drop(at_end);
            asking.join().unwrap();
        });
        is_well(child);
    }
}

/// In the child, glibc takes the stack and TCB of the kernel thread that ran the forking body for those of a dead thread, and
/// frees them when it has too many. Whatever the kernel was told to write there (rseq) must not be written any more.
fn the_kernel_threads_stack_goes() {
    let forking = std::thread::spawn(|| {
        let mut single = Single::new(Config::default());
        // More than glibc keeps (40 MiB), all younger than this thread.
        let (at_end, end) = AtEnd::new();
        std::thread::scope(|scope| {
            let at_end = at_end;
            for _ in 0..30 {
                scope.spawn(|| {
                    while !end.load(Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            let id = single.run(|| {
                forked(|| {
                    for _ in 0..10 {
                        std::thread::spawn(|| ()).join().unwrap();
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
            });
            drop(at_end);
            is_well(id);
        });
    });
    forking.join().unwrap();
}

/// The other thing glibc does with it: a new thread of the child gets it, and the kernel tells both threads' CPU in one word.
fn a_thread_of_the_child_knows_its_cpu() {
    let two = {
        // SAFETY: zeros are an empty set.
        let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is a local of that size.
        unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) };
        let mut cpus = (0..libc::CPU_SETSIZE as usize)
            // SAFETY: the index is below CPU_SETSIZE.
            .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &allowed) });
        (cpus.next().expect("this one"), cpus.next())
    };
    let (mine, Some(its)) = two else { return };
    fn stay_on(cpu: usize) {
        // SAFETY: zeros are an empty set, a local; the index is one of a CPU that there is.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
        }
    }
    let forking = std::thread::spawn(move || {
        // On the body's own stack: see above.
        let child = move || {
            stay_on(mine);
            let thread = std::thread::spawn(move || {
                stay_on(its);
                // SAFETY: it takes nothing.
                (0..200_000).filter(|_| unsafe { libc::sched_getcpu() } != its as i32).count()
            });
            while !thread.is_finished() {
                std::thread::sleep(Duration::from_micros(10));
            }
            assert_eq!(thread.join().unwrap(), 0, "wrong answers to 200,000 questions");
        };
        is_well(Single::new(Config::default()).run(move || forked(child)));
    });
    forking.join().unwrap();
}

#[track_caller]
fn is_the_parents(answer: std::io::Result<raddle_context::Body>) {
    let error = answer.expect_err("a body of the parent's is no use in the child");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("forked"), "{error}");
}

fn the_parents_arena() {
    let mut single = Single::new(Config::default());
    // Some free in the arena, none in this cache.
    let mut cache = single.arena.cache();
    let many: Vec<_> = (0..20).map(|_| cache.take().unwrap()).collect();
    many.into_iter().for_each(|body| cache.give(body));
    drop(cache);
    let arena = single.arena.clone();
    single.run(|| {
        let mut empty = arena.cache();
        let id = forked(|| {
            is_the_parents(empty.take());
            is_the_parents(arena.cache().take());
            assert_eq!(arena.trim(0), Default::default());
            let _ = arena.usage();
            live();
        });
        is_well(id);
    });
    single.run(live);
}

/// `Cache::take` promises an error "in a forked child, for an arena of its parent's".
fn the_parents_cache_with_free_bodies() {
    let mut single = Single::new(Config::default());
    let mut cache = single.arena.cache();
    let many: Vec<_> = (0..20).map(|_| cache.take().unwrap()).collect();
    many.into_iter().for_each(|body| cache.give(body));
    single.run(|| is_well(forked(|| is_the_parents(cache.take()))));
    is_well(forked(|| is_the_parents(cache.take())));
    cache.take().map(|body| cache.give(body)).unwrap();
}

/// The stack that the child stands on must not go with it.
fn the_parents_arena_is_dropped() {
    let other = Single::new(Config::default());
    let mut cache = other.arena.cache();
    let many: Vec<_> = (0..200).map(|_| cache.take().unwrap()).collect();
    many.into_iter().for_each(|body| cache.give(body));
    let Single { me, arena, cache: mut own } = other;
    let mut body = own.take().unwrap();
    let handles = Cell::new(Some((arena, own, cache)));
    single::on(&me, &mut body, || {
        let id = forked(|| {
            drop(handles.take());
            live();
            let _: Arena = single::arena(Config::default());
            std::thread::spawn(live_on_new_bodies).join().unwrap();
        });
        is_well(id);
    });
    let (_arena, mut own, _cache) = handles.take().unwrap();
    own.give(body);
}

fn a_library_opened_in_the_child() {
    let flags = [r#"-DMODEL="initial-exec""#, "-DIMAGE=0x4242", "-Wl,--as-needed"];
    let path = native::library("tls.cpp", &flags);
    fn check(open: impl FnOnce() -> native::Library) {
        // SAFETY: `tls.cpp` has them with that signature, and is open.
        let is_new = |library: native::Library| unsafe {
            let is_new: unsafe extern "C" fn() -> c_int = library.function("tls_is_new");
            let fill: unsafe extern "C" fn(i64) = library.function("tls_fill");
            let answer = is_new();
            fill(99);
            answer == 1
        };
        let mut single = Single::new(Config::default());
        let mut old = single.cache.take().unwrap();
        let library = open();
        assert!(is_new(library), "this thread");
        assert!(single::on(&single.me, &mut old, || is_new(library)), "a body that existed");
        for _ in 0..3 {
            assert!(single::on(&single.me, &mut old, || is_new(library)), "the same again");
            assert!(single.run(|| is_new(library)), "a new body");
        }
        assert!(std::thread::spawn(move || is_new(library)).join().unwrap(), "a new thread");
        single.cache.give(old);
    }
    fn open(path: &Path) -> native::Library {
        let library = native::Library::open(path);
        let constructed: unsafe extern "C" fn() -> c_int =
            // SAFETY: as above.
            unsafe { library.function("tls_constructed") };
        // SAFETY: as above.
        assert_eq!(unsafe { constructed() }, 1, "what the constructor found");
        library
    }
    run(Run::default(), move || {
        let suspended: Vec<_> =
            (0..20).map(|_| spawn(|| (0..50).for_each(|_| yield_now()))).collect();
        let on_the_body = forked(|| {
            // A thread of the child with bodies, and this body opens the library.
            let (asked, opened) = (AtomicBool::new(false), AtomicBool::new(false));
            let wait = |flag: &AtomicBool| {
                while !flag.load(Acquire) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    check(|| {
                        asked.store(true, Release);
                        wait(&opened);
                        open(&path)
                    });
                });
                wait(&asked);
                open(&path);
                opened.store(true, Release);
            });
        });
        is_well(on_the_body);
        let on_a_thread = forked(|| {
            let path = path.clone();
            std::thread::spawn(move || {
                let library = Single::new(Config::default()).run(|| open(&path));
                check(|| library);
            })
            .join()
            .unwrap();
        });
        is_well(on_a_thread);
        suspended.into_iter().for_each(|one| one.join().unwrap());
        std::fs::remove_file(&path).unwrap();
    });
}

fn an_overflow_in_the_child() {
    fn recurse(depth: u64) -> u64 {
        let frame = black_box([depth; 16]);
        if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + frame[3] }
    }
    overflow::install(describe_by_number).unwrap();
    Single::new(Config::default()).run(|| {
        let on_the_body = forked(|| assert_eq!(black_box(recurse(0)), 0));
        assert_eq!(end_of(on_the_body).signal(), Some(libc::SIGABRT));
        let on_a_new_one = forked(|| {
            let thread = std::thread::spawn(|| {
                Single::new(Config::default()).run(|| black_box(recurse(0)));
            });
            drop(thread.join());
        });
        assert_eq!(end_of(on_a_new_one).signal(), Some(libc::SIGABRT));
    });
}

/// fork and exec by hand, posix_spawn, system, and std's Command in both its ways, under the tick.
fn other_programs() {
    fn exec(program: &CStr, argument: &CStr) -> i32 {
        // SAFETY: C strings, and an array of them that ends with null.
        forked(|| unsafe {
            let arguments = [program.as_ptr(), argument.as_ptr(), ptr::null()];
            libc::execv(program.as_ptr(), arguments.as_ptr());
            panic!("execv: {}", std::io::Error::last_os_error());
        })
    }
    fn posix_spawn(script: &str) -> i32 {
        let script = CString::new(std::ffi::OsStr::new(script).as_bytes()).unwrap();
        let arguments =
            [c"sh".as_ptr(), c"-c".as_ptr(), script.as_ptr(), ptr::null()].map(|a| a.cast_mut());
        let (mut id, environment) = (0, [ptr::null_mut()]);
        // SAFETY: C strings, and arrays of them that end with null; the id goes to a local.
        let error = unsafe {
            libc::posix_spawn(
                &raw mut id,
                c"/bin/sh".as_ptr(),
                ptr::null(),
                ptr::null(),
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        };
        assert_eq!(error, 0);
        id
    }
    run(Run::default(), || {
        let (at_end, end) = AtEnd::new();
        let busy = spawn(move || while !end.load(Relaxed) {});
        let all: Vec<_> = (0..4)
            .map(|n| {
                spawn(move || {
                    assert_eq!(end_of(exec(c"/bin/true", c"x")).code(), Some(0));
                    assert_eq!(end_of(exec(c"/bin/false", c"x")).code(), Some(1));
                    assert_eq!(end_of(posix_spawn(&format!("exit {}", n + 3))).code(), Some(n + 3));
                    let killed = end_of(posix_spawn("kill -s KILL $$"));
                    assert_eq!(killed.signal(), Some(libc::SIGKILL));
                    // SAFETY: a C string.
                    let code = unsafe { libc::system(c"exit 5".as_ptr()) };
                    assert_eq!(ExitStatus::from_raw(code).code(), Some(5));
                    let mut command = Command::new("sh");
                    command.arg("-c").arg(format!("echo {n}; exit {n}"));
                    for _ in 0..2 {
                        let out = command.output().unwrap();
                        assert_eq!(out.status.code(), Some(n));
                        assert_eq!(out.stdout, format!("{n}\n").into_bytes());
                        // With this std forks instead of calling posix_spawn.
                        // SAFETY: it does nothing in the child.
                        unsafe { command.pre_exec(|| Ok(())) };
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        drop(at_end);
        busy.join().unwrap();
    });
}
