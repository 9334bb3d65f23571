//! Catches a body that finds garbage, zeros or another body's values in the thread-locals of a library that was opened while
//! bodies existed: bodies in the middle of their run, free ones, recycled ones and new ones, whoever opened the library
//! and by whatever route, and whatever stood in its place before.

mod calls;
mod children;
mod harness;
#[path = "storm_work/native.rs"]
#[allow(unreachable_pub, reason = "a module that tests include, not a crate")]
mod native;
mod single;
#[path = "dlopen_work/tls.rs"]
mod tls;

use children::Case;
use harness::{Run, run, spawn, yield_now};
use native::Library;
use raddle_context::{Config, running};
use single::Single;
use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::{c_long, c_void};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock};
use tls::{Built, Tls, c_path, compute, if_open};

fn main() -> ExitCode {
    let missing = native::compiler().is_none().then_some("there is no C++ compiler (c++, or $CXX)");
    let missing_descriptors = || {
        (missing.is_none() && !compiler_takes(DESCRIPTORS))
            .then_some("the compiler does not take -mtls-dialect=gnu2")
    };
    let every_age_of = |flags: &'static [&'static str], how: fn(&Path) -> Library| {
        move || {
            let built = Built::tls(0x5eed, flags);
            let path = built.0.clone();
            every_age(move || how(&path));
        }
    };
    children::main(
        [
            Case::new("initial_exec_by_a_body", every_age_of(&[INITIAL_EXEC], Library::open)),
            Case::new("initial_exec_by_a_kernel_thread", || {
                let built = Built::tls(0x5eed, &[INITIAL_EXEC]);
                every_age(elsewhere(built.0.clone()));
            }),
            Case::new("initial_exec_by_a_library", every_age_of(&[INITIAL_EXEC], by_a_library)),
            Case::new(
                "initial_exec_by_a_constructor",
                every_age_of(&[INITIAL_EXEC], by_a_constructor),
            ),
            Case::new("initial_exec_by_iconv", by_iconv),
            Case::new("initial_exec_by_many_bodies_at_once", by_many_at_once),
            Case::new("initial_exec_between_two_uses", || between_two_uses(&[INITIAL_EXEC])),
            Case::new("initial_exec_on_bodies_that_were_trimmed", || trimmed(&[INITIAL_EXEC])),
            Case::new("dynamic_by_a_body", every_age_of(&[DYNAMIC], Library::open)),
            Case::new("dynamic_by_a_kernel_thread", || {
                let built = Built::tls(0x5eed, &[DYNAMIC]);
                every_age(elsewhere(built.0.clone()));
            }),
            Case::new("dynamic_between_two_uses", || between_two_uses(&[DYNAMIC])),
            Case::new("dynamic_on_bodies_that_were_trimmed", || trimmed(&[DYNAMIC])),
            Case::new("dynamic_a_hundred_modules", a_hundred_modules),
            Case::new("descriptors_by_a_body", every_age_of(DESCRIPTORS, Library::open))
                .unless(missing_descriptors()),
            Case::new("descriptors_between_two_uses", || between_two_uses(DESCRIPTORS))
                .unless(missing_descriptors()),
            Case::new("objects", objects),
            Case::new("objects_of_a_closed_library", objects_of_a_closed_library),
            Case::new("opened_and_closed_while_bodies_end", opened_and_closed),
        ]
        .map(|case| case.unless(missing))
        .into(),
    )
}

const INITIAL_EXEC: &str = r#"-DMODEL="initial-exec""#;
const DYNAMIC: &str = r#"-DMODEL="global-dynamic""#;
const DESCRIPTORS: &[&str] = &[DYNAMIC, "-mtls-dialect=gnu2"];

fn compiler_takes(flags: &[&str]) -> bool {
    let result = Command::new(native::compiler().expect("asked for before"))
        .args(flags)
        .args(["-x", "c++", "-fsyntax-only", "/dev/null"])
        .output();
    result.is_ok_and(|out| out.status.success())
}

fn number() -> u32 {
    running().expect("on a body").number()
}

/// Opens a library with thread-locals while bodies of every age exist. `open` runs on a body.
fn every_age(open: impl FnOnce() -> Library + Send + 'static) {
    static OPEN: OnceLock<Tls> = OnceLock::new();
    run(Run::default(), || {
        let old: Vec<_> = (0..40)
            .map(|n| {
                spawn(move || {
                    let tls = loop {
                        match OPEN.get() {
                            Some(tls) => break *tls,
                            None if n % 2 == 0 => yield_now(),
                            None => compute(10_000),
                        }
                    };
                    tls.live(n << 32);
                    number()
                })
            })
            .collect();
        let spare: Vec<_> = (0..40).map(|_| spawn(number)).collect();
        let mut used: HashSet<u32> = spare.into_iter().map(|one| one.join().unwrap()).collect();
        let tls = Tls::of(open());
        OPEN.set(tls).ok().expect("opened once");
        used.extend(old.into_iter().map(|one| one.join().unwrap()));
        let mut again = 0;
        for wave in 1..4 {
            // All of them alive at once, each with a copy of its own.
            let arrived = Arc::new(AtomicU32::new(0));
            let new: Vec<_> = (0..100)
                .map(|n| {
                    let arrived = arrived.clone();
                    spawn(move || {
                        tls.live(wave << 48 | n << 32);
                        arrived.fetch_add(1, Relaxed);
                        while arrived.load(Relaxed) < 100 {
                            yield_now();
                        }
                        tls.check_holds((wave << 48 | n << 32) + 9);
                        (number(), tls.address())
                    })
                })
                .collect();
            let new: Vec<_> = new.into_iter().map(|one| one.join().unwrap()).collect();
            let addresses: HashSet<usize> = new.iter().map(|(_, address)| *address).collect();
            assert_eq!(addresses.len(), 100, "variables of their own");
            again += new.iter().filter(|(number, _)| !used.insert(*number)).count();
        }
        // Not all: they wait in the caches of whichever kernel threads they ended on.
        assert!(again > 0, "none of 300 was recycled");
    });
    OPEN.get().expect("opened").check_new();
}

/// Opens it on a kernel thread that has nothing to do with bodies.
fn elsewhere(path: PathBuf) -> impl FnOnce() -> Library {
    static ASKED: AtomicBool = AtomicBool::new(false);
    static ANSWER: OnceLock<Library> = OnceLock::new();
    std::thread::spawn(move || {
        while !ASKED.load(Acquire) {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        let tls = Tls::open(&path);
        tls.check_holds(1);
        ANSWER.set(tls.library).ok().expect("asked once");
    });
    || {
        ASKED.store(true, Release);
        loop {
            match ANSWER.get() {
                Some(library) => break *library,
                None => yield_now(),
            }
        }
    }
}

/// Opens it through a library that calls `dlopen` itself.
fn by_a_library(path: &Path) -> Library {
    let opener = Built(native::library("opener.cpp", &[]));
    let library = Library::open(&opener.0);
    // SAFETY: `opener.cpp` has it with that signature.
    unsafe {
        let open: unsafe extern "C" fn(*const libc::c_char) -> *mut c_void =
            library.function("opener_open");
        assert!(!open(c_path(path).as_ptr()).is_null());
    }
    if_open(path).expect("opened by the library")
}

/// Opens it from the constructor of a library that is being opened.
fn by_a_constructor(path: &Path) -> Library {
    let opener = Built(native::library("opener.cpp", &[]));
    // SAFETY: no other thread of this process reads or writes the environment now.
    unsafe { libc::setenv(c"OPENER_OPENS".as_ptr(), c_path(path).as_ptr(), 1) };
    let library = Library::open(&opener.0);
    // SAFETY: `opener.cpp` has it with that signature.
    unsafe {
        let opened: unsafe extern "C" fn() -> *mut c_void = library.function("opener_opened");
        assert!(!opened().is_null());
    }
    if_open(path).expect("opened by the constructor")
}

/// Opens it as a character set's converter: inside libc, which does not call the function that programs call.
fn by_iconv() {
    let built = Built::tls(0x5eed, &[INITIAL_EXEC, "-DCONVERTER"]);
    let folder = built.0.with_extension("gconv");
    std::fs::create_dir_all(&folder).unwrap();
    let module = folder.join("RADDLE.so");
    std::fs::copy(&built.0, &module).unwrap();
    std::fs::write(folder.join("gconv-modules"), "module INTERNAL RADDLE// RADDLE 1\n").unwrap();
    // SAFETY: this process has one thread so far.
    unsafe { std::env::set_var("GCONV_PATH", &folder) };
    every_age(move || {
        // SAFETY: two C strings.
        let converter = unsafe { libc::iconv_open(c"RADDLE//".as_ptr(), c"UTF-8".as_ptr()) };
        assert_eq!(converter.addr(), usize::MAX, "it converts nothing");
        let library = if_open(&module).expect("opened by iconv");
        std::fs::remove_dir_all(&folder).unwrap();
        library
    });
}

/// Bodies open libraries of their own, with constructors that are preempted while they hold the loader's lock.
fn by_many_at_once() {
    let built = Built::tls(0xabcd, &[INITIAL_EXEC, "-DPAUSE=3"]);
    let copies: Vec<Built> = (0..8)
        .map(|copy| {
            let path = built.0.with_extension(format!("{copy}.so"));
            std::fs::copy(&built.0, &path).unwrap();
            Built(path)
        })
        .collect();
    let paths: Vec<PathBuf> = copies.iter().map(|copy| copy.0.clone()).collect();
    run(Run { workers: 3, ..Run::default() }, move || {
        let end = Arc::new(AtomicBool::new(false));
        let coming_and_going: Vec<_> = (0..4)
            .map(|_| {
                let end = end.clone();
                spawn(move || {
                    while !end.load(Relaxed) {
                        spawn(|| compute(1000)).join().unwrap();
                    }
                })
            })
            .collect();
        let opening: Vec<_> = paths
            .into_iter()
            .map(|path| {
                spawn(move || {
                    let tls = Tls::open(&path);
                    tls.check_holds(1);
                    (0..10).for_each(|n| spawn(move || tls.live(n << 32)).join().unwrap());
                    tls.check_holds(1);
                    tls
                })
            })
            .collect();
        let all: Vec<Tls> = opening.into_iter().map(|one| one.join().unwrap()).collect();
        end.store(true, Relaxed);
        coming_and_going.into_iter().for_each(|one| one.join().unwrap());
        let users: Vec<_> = (0..30)
            .map(|n| {
                let all = all.clone();
                spawn(move || all.iter().for_each(|tls| tls.live(n << 32)))
            })
            .collect();
        users.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// The same slot, used before the library was opened and several times after.
fn between_two_uses(flags: &[&str]) {
    let built = Built::tls(-0x1234_5678_9abc, flags);
    let mut single = Single::new(Config::default());
    let first = single.run(number);
    let tls = single.run(|| {
        let tls = Tls::open(&built.0);
        tls.check_holds(1);
        tls
    });
    for n in 0..20 {
        let same = single.run(|| {
            tls.live_alone(n);
            number()
        });
        assert_eq!(same, first, "the same slot");
    }
    tls.check_new();
}

/// Bodies that were free when the library was opened, and had been given back to the kernel, whole or their stacks.
fn trimmed(flags: &[&str]) {
    const MANY: usize = 20;
    let built = Built::tls(0x7717, flags);
    let mut single = Single::new(Config::default());
    let use_many = |single: &mut Single, main: &dyn Fn(i64)| {
        // All at once, and then back to the arena with their cache.
        let mut cache = single.arena.cache();
        let mut bodies: Vec<_> = (0..MANY).map(|_| cache.take().unwrap()).collect();
        for (n, body) in bodies.iter_mut().enumerate() {
            single::on(&single.me, body, || main(n as i64));
        }
        bodies.into_iter().for_each(|body| cache.give(body));
    };
    let opened_before = Built::tls(0x1111, flags);
    let before = single.run(|| Tls::open(&opened_before.0));
    use_many(&mut single, &|n| {
        before.live_alone(n);
        if n % 2 == 0 {
            // The resolver's state is in the TCB: this one keeps its TLS block.
            // SAFETY: it fills the calling thread's own resolver state.
            unsafe { libc::res_init() };
        }
    });
    let trimmed = single.arena.trim(0);
    assert!(trimmed.whole >= MANY / 2 && trimmed.stacks >= MANY / 2, "{trimmed:?}");
    let tls = single.run(|| Tls::open(&built.0));
    for round in 0..3 {
        use_many(&mut single, &|n| {
            before.live_alone(n);
            tls.live_alone(n);
        });
        if round == 1 {
            single.arena.trim(0);
        }
    }
    single.run(|| before.live_alone(0));
}

/// More modules than a thread's table has room for at first, and than the loader's first list of modules holds.
fn a_hundred_modules() {
    let built = Built::tls(0x4321, &[DYNAMIC]);
    let late = Built::tls(0x8765, &[INITIAL_EXEC]);
    let mut single = Single::new(Config::default());
    // One is in the middle of its run all the time: it began before there were any, and ends after some have gone.
    let all: Vec<Tls> = single.run(|| {
        let copies = (0..100).map(|copy| {
            let path = built.0.with_extension(format!("{copy}.so"));
            std::fs::copy(&built.0, &path).unwrap();
            let tls = Tls::open(&path);
            std::fs::remove_file(path).unwrap();
            tls
        });
        let all: Vec<Tls> = copies.collect();
        all.iter().for_each(|tls| tls.check_holds(1));
        all
    });
    let late = Tls::open(&late.0);
    let mut other = single.cache.take().unwrap();
    for n in 0..3 {
        for body in [None, Some(&mut other)] {
            let main = || {
                all.iter().rev().for_each(|tls| tls.check_new());
                late.live_alone(n);
                (0..).zip(&all).for_each(|(k, tls)| tls.fill(n + k));
                (0..).zip(&all).for_each(|(k, tls)| tls.check_holds(n + k));
            };
            match body {
                None => single.run(main),
                Some(body) => single::on(&single.me, body, main),
            }
        }
    }
    // Every other one goes, and its number in the tables with it.
    all.iter().skip(1).step_by(2).for_each(|tls| tls.library.close());
    let again = Built::tls(0x1357, &[DYNAMIC]);
    let again = single.run(|| Tls::open(&again.0));
    for n in 0..3 {
        single.run(|| {
            again.live_alone(n);
            late.live_alone(n);
            all.iter().step_by(2).for_each(|tls| tls.live_alone(n));
        });
    }
    single.cache.give(other);
}

/// An open `native/object.cpp`.
#[derive(Clone, Copy)]
struct Objects {
    library: Library,
    touch: unsafe extern "C" fn(c_long, c_long) -> bool,
}

impl Objects {
    fn open(path: &Path) -> Objects {
        let library = Library::open(path);
        // SAFETY: `object.cpp` has it with that signature.
        Objects { library, touch: unsafe { library.function("object_touch") } }
    }

    /// Constructed and destroyed so far; none of them in a state that is not its own.
    fn counts(self) -> (c_long, c_long) {
        // SAFETY: as above.
        let count = |name| unsafe {
            let function: unsafe extern "C" fn() -> c_long = self.library.function(name);
            function()
        };
        assert_eq!(count("object_astray"), 0);
        (count("object_constructed"), count("object_destroyed"))
    }

    fn live(self, number: c_long) {
        let mut last = 0;
        for now in (number << 8) + 1..(number << 8) + 10 {
            // SAFETY: as above; the library is open, by this handle or another.
            assert!(unsafe { (self.touch)(last, now) }, "this thread's own object");
            last = now;
            yield_now();
            compute(1000);
        }
    }
}

fn objects() {
    let built = Built(native::library("object.cpp", &[]));
    run(Run::default(), move || {
        let old: Vec<_> = (0..20).map(|_| spawn(|| (0..100).for_each(|_| yield_now()))).collect();
        let objects = Objects::open(&built.0);
        for wave in 1..=5 {
            let all: Vec<_> = (0..50).map(|n| spawn(move || objects.live(n))).collect();
            all.into_iter().for_each(|one| one.join().unwrap());
            assert_eq!(objects.counts(), (50 * wave, 50 * wave));
        }
        // One that never touches its object has none.
        spawn(yield_now).join().unwrap();
        assert_eq!(objects.counts(), (250, 250));
        old.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// A library that is closed while a body's object waits for its destructor stays until that has run.
fn objects_of_a_closed_library() {
    let built = Built(native::library("object.cpp", &[]));
    run(Run::default(), move || {
        for _ in 0..10 {
            let (ready, closed) =
                (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let objects = Objects::open(&built.0);
            let holder = spawn({
                let (ready, closed) = (ready.clone(), closed.clone());
                move || {
                    objects.live(1);
                    ready.store(true, Release);
                    while !closed.load(Acquire) {
                        yield_now();
                    }
                }
            });
            while !ready.load(Acquire) {
                yield_now();
            }
            objects.library.close();
            let still = if_open(&built.0).expect("an object's destructor is due");
            closed.store(true, Release);
            holder.join().unwrap();
            let constructed_and_destroyed = Objects { library: still, ..objects }.counts();
            assert_eq!(constructed_and_destroyed, (1, 1));
            still.close();
            assert!(if_open(&built.0).is_none(), "nothing holds it any more");
        }
    });
}

thread_local! {
    static NEIGHBOUR: Cell<[u64; 8]> = const { Cell::new([0x6e65_6967; 8]) };
}

/// Libraries come and go in one another's place, in TLS as well, while bodies end on other kernel threads.
fn opened_and_closed() {
    let built: Vec<Built> = [INITIAL_EXEC, DYNAMIC, INITIAL_EXEC, DYNAMIC, DYNAMIC, INITIAL_EXEC]
        .iter()
        .enumerate()
        .map(|(n, model)| Built::tls(0x1000 + n as i64, &[model]))
        .collect();
    run(Run { workers: 3, ..Run::default() }, move || {
        let mut ending = Vec::new();
        let places = Mutex::new(HashSet::new());
        for round in 0..300 {
            let path = &built[round % built.len()].0;
            let tls = Tls::open(path);
            tls.check_holds(1);
            let done = Arc::new(AtomicU32::new(0));
            let bodies: Vec<_> = (0..6)
                .map(|n| {
                    let done = done.clone();
                    spawn(move || {
                        assert_eq!(NEIGHBOUR.get(), [0x6e65_6967; 8], "a neighbour in TLS");
                        NEIGHBOUR.set([n; 8]);
                        tls.live((n as i64) << 32);
                        assert_eq!(NEIGHBOUR.get(), [n; 8]);
                        done.fetch_add(1, Release);
                    })
                })
                .collect();
            while done.load(Acquire) < 6 {
                yield_now();
            }
            places.lock().unwrap().insert(tls.is_new as usize);
            tls.library.close();
            assert!(if_open(path).is_none(), "closed");
            // The bodies of this round end while the next library is opened.
            std::mem::replace(&mut ending, bodies).into_iter().for_each(|one| one.join().unwrap());
        }
        ending.into_iter().for_each(|one| one.join().unwrap());
        let places = places.into_inner().unwrap();
        assert!(places.len() < 100, "{} places for 300 libraries", places.len());
    });
}
