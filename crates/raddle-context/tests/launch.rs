//! Catches a launched kernel thread that waits for a lock of libc's, is not the thread that libc and the kernel must take it for, or
//! leaves something behind when it ends.

mod calls;
#[path = "fork_work/child.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod child;
mod children;
#[path = "launch_work/forks.rs"]
mod forks;
#[path = "launch_work/locks.rs"]
mod locks;
mod single;
mod stage;

use calls::{errno, geteuid, gettid, pthread_self, send, set_errno};
use child::{WORD, live};
use children::Case;
use raddle_context::overflow::{self, describe_by_number};
use raddle_context::{Arena, Config, KernelThread, Launched, SignalFrame, running, system_call};
use single::{Single, on};
use stage::{Actor, Stage, home, leave};
use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Some cases fork while other threads allocate, which ASan's child may never do again.
const ASAN: Option<&str> =
    if cfg!(raddle_asan) { Some("AddressSanitizer does not know it") } else { None };

fn main() -> ExitCode {
    let overflows = |name: &str, run: fn(), line: &'static str| {
        Case::new(name, run).checked(move |child| {
            child.expect(child.signal() == Some(libc::SIGABRT), "SIGABRT")?;
            child.expect(child.stderr.lines().count() == 1, "one line")?;
            child.expect(child.stderr.starts_with(line), line)
        })
    };
    children::main(vec![
        Case::new("it_is_a_thread_of_its_own", it_is_a_thread_of_its_own),
        Case::new("its_body_is_used_again", its_body_is_used_again),
        Case::new("it_enters_bodies", it_enters_bodies),
        Case::new("two_hundred_at_once", two_hundred_at_once),
        Case::new("several_wait_for_its_end", several_wait_for_its_end),
        Case::new("many_one_after_the_other", many_one_after_the_other),
        Case::new("a_signal_mask_of_its_own", a_signal_mask_of_its_own),
        Case::new("it_gets_signals", it_gets_signals),
        Case::new("a_preempted_body_moves_on", a_preempted_body_moves_on),
        Case::new("it_knows_its_stack_and_its_cpu", it_knows_its_stack_and_its_cpu),
        Case::new("a_backtrace_ends", a_backtrace_ends),
        Case::new("panics", panics).checked(|child| {
            child.expect(child.status.success(), "it succeeds")?;
            child.expect(child.stderr.contains("nobody catches this"), "the panic's message")
        }),
        Case::new("it_forks", forks::it_forks).unless(ASAN),
        Case::new("a_body_on_it_forks", forks::a_body_on_it_forks).unless(ASAN),
        Case::new("another_forks", forks::another_forks).unless(ASAN),
        Case::new("a_forked_child_launches", forks::a_forked_child_launches).unless(ASAN),
        Case::new("launched_by_a_body", launched_by_a_body),
        Case::new("no_more_threads_are_allowed", no_more_threads_are_allowed),
        Case::new("the_process_ends_while_it_lives", the_process_ends_while_it_lives)
            .checked(|child| child.expect(child.status.code() == Some(7), "exit code 7")),
        overflows("an_overflow", an_overflow, "raddle: the kernel thread on body 1 overflowed"),
        overflows("an_overflow_on_a_body", an_overflow_on_a_body, "raddle: body 0 overflowed"),
        Case::new("the_loaders_lock_is_held", locks::the_loaders_lock_is_held),
        Case::new("mallocs_locks_are_held", locks::mallocs_locks_are_held).unless(ASAN),
    ])
}

fn arena() -> Arena {
    single::arena(Config::default())
}

fn launch(arena: &Arena, main: impl FnOnce() + Send + 'static) -> Launched {
    launch_with(arena, None, main)
}

fn launch_with<F: FnOnce() + Send + 'static>(
    arena: &Arena,
    mask: Option<&libc::sigset_t>,
    main: F,
) -> Launched {
    unsafe fn call<F: FnOnce()>(main: *mut u8) {
        // SAFETY: it is the box that is given away below, with that type, and it is taken once.
        unsafe { Box::from_raw(main.cast::<F>())() }
    }
    let body = arena.make().unwrap().prepare();
    let main = Box::into_raw(Box::new(main)).cast();
    // SAFETY: `main` is `Send` and `'static`. The tests wait for the thread, or for the process, before the arena goes; a `main` that
    // enters bodies ends them before it returns.
    unsafe { KernelThread::launch(body, call::<F>, main, mask) }.expect("a kernel thread")
}

/// Waits for its end and gives its body back.
#[track_caller]
fn end(arena: &Arena, launched: Launched) {
    launched.wait();
    assert!(!launched.has_panicked());
    arena.give(launched.into_body().expect("it has ended"));
}

fn it_is_a_thread_of_its_own() {
    static ENDED: AtomicU32 = AtomicU32::new(0);
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            assert_eq!(WORD.get(), 17, "a destructor sees its thread's thread-locals");
            ENDED.fetch_add(1, Relaxed);
        }
    }
    thread_local!(static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) });
    let arena = arena();
    WORD.set(1);
    let creator = (gettid(), std::thread::current().id(), pthread_self());
    let seen = Arc::new(AtomicU32::new(0));
    let sees = seen.clone();
    let launched = launch(&arena, move || {
        sees.store(gettid() as u32, Relaxed);
        assert!(running().is_none());
        assert_eq!(WORD.replace(17), 0x5eed);
        assert_ne!(gettid(), creator.0);
        assert_ne!(std::thread::current().id(), creator.1);
        assert_ne!(pthread_self(), creator.2);
        assert!(std::path::Path::new(&format!("/proc/self/task/{}", gettid())).exists());
        AT_END.set(Some(AtEnd));
        live();
        let me = KernelThread::enter().unwrap();
        assert_eq!(KernelThread::enter().unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(me);
        drop(KernelThread::enter().unwrap());
        assert_eq!(WORD.get(), 17);
        // Locks know their owner.
        // SAFETY: the mutex is a local of this closure, which outlives the other thread: that is joined in here.
        unsafe {
            let mut mutex = libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
            assert_eq!(libc::pthread_mutex_lock(&raw mut mutex), 0);
            assert_eq!(libc::pthread_mutex_lock(&raw mut mutex), 0);
            let mutex = &raw mut mutex as usize;
            let other = std::thread::spawn(move || libc::pthread_mutex_trylock(mutex as *mut _));
            assert_eq!(other.join().unwrap(), libc::EBUSY);
        }
    });
    let id = launched.id();
    end(&arena, launched);
    assert_eq!(seen.load(Relaxed), id as u32);
    assert_eq!(ENDED.load(Relaxed), 1, "its thread-locals' destructors ran");
    assert_eq!(WORD.get(), 1);
}

/// As a kernel thread's again and as a body, in turns, with thread-locals as new each time.
fn its_body_is_used_again() {
    let single = Single::new(Config::default());
    for round in 0..20 {
        for _ in 0..2 {
            let before = single.arena.usage().slots;
            let launched = launch(&single.arena, move || {
                assert_eq!(WORD.replace(round), 0x5eed);
                assert_eq!(errno(), 0);
                set_errno(5);
                // SAFETY: a C string; nothing is opened.
                unsafe { libc::dlopen(c"no such library".as_ptr(), libc::RTLD_NOW) };
            });
            let number = launched.body().number();
            let running = launched.into_body().unwrap_or_else(|launched| {
                launched.wait();
                launched.into_body().unwrap()
            });
            assert_eq!(running.number(), number);
            single.arena.give(running);
            assert!(round == 0 || single.arena.usage().slots == before);
        }
        let mut body = single.arena.make().unwrap();
        on(&single.me, &mut body, || {
            assert!(running().is_some());
            assert_eq!(WORD.replace(round), 0x5eed);
            assert_eq!(errno(), 0);
            // SAFETY: a C string of libc's, or null: only that is asked.
            assert!(unsafe { libc::dlerror() }.is_null());
        });
        single.arena.give(body);
    }
}

fn it_enters_bodies() {
    let arena = arena();
    let theirs = arena.clone();
    let launched = launch(&arena, move || {
        let me = KernelThread::enter().unwrap();
        WORD.set(3);
        for round in 0..1000 {
            let mut body = theirs.make().unwrap();
            on(&me, &mut body, || {
                assert!(running().is_some());
                assert_eq!(WORD.replace(round), 0x5eed);
                assert_eq!(KernelThread::enter().unwrap_err().kind(), ErrorKind::InvalidInput);
                if round == 0 {
                    live();
                }
            });
            assert!(running().is_none());
            theirs.give(body);
        }
        assert_eq!(WORD.get(), 3);
    });
    end(&arena, launched);
}

fn two_hundred_at_once() {
    const THREADS: usize = 200;
    let arena = arena();
    let all = Arc::new(Barrier::new(THREADS));
    let launched: Vec<_> = (0..THREADS as u64)
        .map(|n| {
            let (all, theirs) = (all.clone(), arena.clone());
            launch(&arena, move || {
                let me = KernelThread::enter().unwrap();
                assert_eq!(WORD.replace(n), 0x5eed);
                let text: Vec<String> = (0..20).map(|k| format!("{n} {k}")).collect();
                all.wait();
                let mut body = theirs.make().unwrap();
                on(&me, &mut body, || assert_eq!(WORD.get(), 0x5eed));
                theirs.give(body);
                assert_eq!(text[19], format!("{n} 19"));
                assert_eq!(WORD.get(), n);
            })
        })
        .collect();
    launched.into_iter().for_each(|one| end(&arena, one));
}

fn several_wait_for_its_end() {
    let arena = arena();
    for _ in 0..20 {
        let launched = launch(&arena, || std::thread::sleep(Duration::from_millis(3)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    launched.wait();
                    assert!(launched.has_ended());
                });
            }
        });
        end(&arena, launched);
    }
}

fn many_one_after_the_other() {
    let arena = arena();
    let begin = Instant::now();
    let mut count = 0;
    while count < 2000 && begin.elapsed() < Duration::from_secs(10) {
        end(&arena, launch(&arena, || WORD.set(WORD.get() + 1)));
        count += 1;
    }
    assert!(arena.usage().slots <= 2, "bodies are used again");
    println!("{count} in {:?}", begin.elapsed());
}

fn mask_here() -> u64 {
    // SAFETY: with no new mask the call only writes the old one, to a local of that size, whose first eight bytes are the kernel's 64
    // signals.
    unsafe {
        let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
        mask.as_ptr().cast::<u64>().read()
    }
}

fn a_signal_mask_of_its_own() {
    let arena = arena();
    let bit = |signal: i32| 1u64 << (signal - 1);
    // SAFETY: zeros are an empty set.
    let mut mask = unsafe { MaybeUninit::<libc::sigset_t>::zeroed().assume_init() };
    // SAFETY: the set is a local; a thread may block what it likes of its own signals.
    unsafe {
        libc::sigaddset(&raw mut mask, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
        libc::sigaddset(&raw mut mask, libc::SIGUSR2);
    }
    let usr1 = bit(libc::SIGUSR1);
    end(&arena, launch(&arena, move || assert_eq!(mask_here(), usr1)));
    let both = usr1 | bit(libc::SIGUSR2);
    end(&arena, launch_with(&arena, Some(&mask), move || assert_eq!(mask_here(), both)));
    assert_eq!(mask_here(), usr1, "the caller has its own mask back");
}

fn it_gets_signals() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn tell(_: i32) {
        assert!(running().is_none());
        TOLD.store(gettid() as usize, Relaxed);
    }
    // SAFETY: the handler stores a number.
    unsafe { libc::signal(libc::SIGUSR1, tell as *const () as usize) };
    let arena = arena();
    let launched = launch(&arena, || while TOLD.load(Relaxed) != gettid() as usize {});
    let sent = send(libc::SIGUSR1, launched.id());
    assert!(sent);
    end(&arena, launched);
    // raise() finds the calling kernel thread, not the id in the TCB.
    end(
        &arena,
        launch(&arena, || {
            // SAFETY: a number only; the handler stores a number.
            unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!(TOLD.load(Relaxed), gettid() as usize);
        }),
    );
}

/// Preempted on a launched kernel thread, and taken up again on one of libc's.
fn a_preempted_body_moves_on() {
    static STEP: AtomicU32 = AtomicU32::new(0);
    static ACTOR: AtomicUsize = AtomicUsize::new(0);
    fn reach(step: u32) {
        while STEP.load(Acquire) < step {
            std::hint::spin_loop();
        }
    }
    extern "C" fn preempt(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: it is this handler's third argument, and stays in here.
        let mut frame = unsafe { SignalFrame::from_handler(context) };
        assert!(frame.may_switch(home()));
        leave();
        // SAFETY: `home` is the kernel thread that has entered the body, the calling one; nobody switches away from here to the
        // handler's end.
        unsafe { frame.resume_on(home()) };
    }
    // SAFETY: zeros are a `sigaction` without flags and mask. The handler leaves a body that waits in a loop of its own, outside of any
    // lock.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = preempt as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut());
    }
    let arena = arena();
    let launched = launch(&arena, || {
        let mut stage = Stage::new();
        let actor = stage.cast(|| {
            WORD.set(8);
            let before = gettid();
            STEP.store(1, Release);
            reach(3);
            assert_ne!(gettid(), before);
            assert_eq!(WORD.get(), 8);
            // SAFETY: zeros are a `stack_t`.
            let mut alternate = unsafe { MaybeUninit::<libc::stack_t>::zeroed().assume_init() };
            // SAFETY: with no new stack the call only writes what there is, to a local.
            unsafe { libc::sigaltstack(ptr::null(), &raw mut alternate) };
            assert_eq!(alternate.ss_sp, home().alternate_stack().ss_sp);
        });
        ACTOR.store((&raw const actor).expose_provenance(), Relaxed);
        assert!(stage.enter(&actor), "it was preempted");
        STEP.store(2, Release);
        reach(4);
        assert!(stage.has_ended(&actor));
        assert!(running().is_none());
        stage.abandon(actor);
    });
    let stage = Stage::new();
    reach(1);
    assert!(send(libc::SIGURG, launched.id()));
    reach(2);
    STEP.store(3, Release);
    // SAFETY: the launched thread's `main` has put it there, and its frame stays until step 4.
    let actor = unsafe { &*ptr::with_exposed_provenance::<Actor>(ACTOR.load(Relaxed)) };
    assert!(!stage.enter(actor), "it goes on, and ends");
    STEP.store(4, Release);
    end(&arena, launched);
}

fn it_knows_its_stack_and_its_cpu() {
    let arena = arena();
    end(
        &arena,
        // SAFETY: zeros are attributes and sets to be filled; each call reads and writes these locals only, of the sizes given.
        launch(&arena, || unsafe {
            let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
            assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes), 0);
            let (mut low, mut bytes) = (ptr::null_mut(), 0);
            libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut bytes);
            let here = (&raw const bytes).addr();
            assert!((low.addr()..low.addr() + bytes).contains(&here));
            libc::pthread_attr_destroy(&raw mut attributes);
            let mut cpus = std::mem::zeroed::<libc::cpu_set_t>();
            let size = size_of_val(&cpus);
            libc::sched_getaffinity(0, size, &raw mut cpus);
            for cpu in (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &cpus)) {
                let mut one = std::mem::zeroed::<libc::cpu_set_t>();
                libc::CPU_SET(cpu, &mut one);
                assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
                assert_eq!(libc::sched_getcpu(), cpu as i32, "the kernel thread's CPU");
            }
        }),
    );
}

fn a_backtrace_ends() {
    #[inline(never)]
    fn deep(depth: u32) -> String {
        if depth == 0 {
            return std::backtrace::Backtrace::force_capture().to_string();
        }
        black_box(deep(depth - 1))
    }
    let arena = arena();
    end(
        &arena,
        launch(&arena, || {
            let text = deep(5);
            // Without types in the debug information a function has its bare name.
            assert!(text.lines().filter(|line| line.ends_with("deep")).count() >= 6, "{text}");
            let mut from_below = text.lines().rev().filter(|line| !line.contains("  at "));
            let outermost = [from_below.next(), from_below.next()].map(Option::unwrap_or_default);
            assert!(outermost[0].ends_with("first_entry"), "{text}");
            assert!(outermost[1].ends_with("first_function"), "{text}");
            // Unwinding with nobody to catch it ends too, and says so: the forced unwinding of backtraces walks every frame.
            let frames = frames();
            assert!((3..60).contains(&frames), "{frames} frames");
        }),
    );
}

fn frames() -> usize {
    unsafe extern "C" {
        fn _Unwind_Backtrace(
            step: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32,
            count: *mut c_void,
        ) -> i32;
    }
    unsafe extern "C" fn step(_: *mut c_void, count: *mut c_void) -> i32 {
        // SAFETY: it is the counter that is given below, a local of the caller's.
        unsafe { *count.cast::<usize>() += 1 };
        0
    }
    /// `_URC_END_OF_STACK` of `<unwind.h>`.
    const END_OF_STACK: i32 = 5;
    let mut count = 0usize;
    // SAFETY: the callback counts, and neither unwinds nor keeps anything.
    let end = unsafe { _Unwind_Backtrace(step, (&raw mut count).cast()) };
    assert_eq!(end, END_OF_STACK);
    count
}

fn panics() {
    let arena = arena();
    end(
        &arena,
        launch(&arena, || {
            let caught = catch_unwind(|| std::panic::panic_any(42u32)).unwrap_err();
            assert_eq!(caught.downcast_ref(), Some(&42u32));
        }),
    );
    let launched = launch(&arena, || panic!("nobody catches this"));
    launched.wait();
    assert!(launched.has_panicked());
    arena.give(launched.into_body().unwrap());
    end(&arena, launch(&arena, || assert!(!std::thread::panicking())));
}

fn launched_by_a_body() {
    let mut single = Single::new(Config::default());
    let arena = single.arena.clone();
    single.run(move || {
        WORD.set(2);
        end(&arena, launch(&arena, || assert_eq!(WORD.get(), 0x5eed)));
        assert_eq!(WORD.get(), 2);
        assert!(running().is_some());
    });
}

/// The body comes back with the error, and is as it was.
fn no_more_threads_are_allowed() {
    if geteuid() == 0 {
        // The limit does not hold for root.
        let nobody = 65534;
        // SAFETY: ids only: the process gives up root, of which it has no more need.
        assert_eq!(unsafe { system_call(libc::SYS_setresuid, [nobody; 6]) }, 0);
    }
    let arena = arena();
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a local; it concerns this process only.
    unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const none) };
    unsafe fn never(_: *mut u8) {
        unreachable!("there is no such thread");
    }
    let mut body = arena.make().unwrap().prepare();
    for _ in 0..3 {
        // SAFETY: `never` is never called, as no thread is allowed; the arena lives.
        let launched = unsafe { KernelThread::launch(body, never, ptr::null_mut(), None) };
        let (error, back) = launched.expect_err("no more threads");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        body = back;
    }
    assert_eq!(mask_here(), 0);
    let mut body = body.into_body();
    let me = KernelThread::enter().unwrap();
    on(&me, &mut body, || assert!(running().is_some()));
    arena.give(body);
}

fn the_process_ends_while_it_lives() {
    let arena = arena();
    let launched = launch(&arena, || {
        loop {
            black_box(vec![1u8; 100]);
        }
    });
    drop(launched);
    std::thread::sleep(Duration::from_millis(5));
    std::process::exit(7);
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[(depth % 16) as usize]
}

fn an_overflow() {
    overflow::install(describe_by_number).unwrap();
    let arena = arena();
    let other = arena.make().unwrap();
    let launched = launch(&arena, || {
        let _me = KernelThread::enter().unwrap();
        recurse(0);
    });
    launched.wait();
    arena.give(other);
}

fn an_overflow_on_a_body() {
    overflow::install(describe_by_number).unwrap();
    let arena = arena();
    let mut body = arena.make().unwrap();
    let launched = launch(&arena, move || {
        let me = KernelThread::enter().unwrap();
        on(&me, &mut body, || recurse(0));
    });
    launched.wait();
}
