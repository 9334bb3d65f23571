//! Threads that are told where to begin, and where to stay. Without preemption, on two cores: whoever computes has its core until it yields.

use raddle::thread::{self, Builder, JoinHandle};
use std::hint;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[path = "../../raddle-context/tests/children/mod.rs"]
mod children;

use children::Case;

fn main() -> ExitCode {
    children::main(vec![
        Case::new("who_is_told_where_begins_there", who_is_told_where_begins_there),
        Case::new("who_is_bound_stays_whatever_it_does", who_is_bound_stays_whatever_it_does),
        Case::new("a_body_that_was_bound_is_free_again", a_body_that_was_bound_is_free_again),
        Case::new("a_core_that_is_not_there", a_core_that_is_not_there),
    ])
}

fn two_cores(preempts: bool) {
    let builder = raddle::runtime::Builder::new().cores(2).preemption(preempts);
    builder.start().expect("this machine will do");
}

/// Has a core for itself until `is_over`; `gives_way` lets it run others there.
fn occupy(core: usize, gives_way: &Arc<AtomicBool>, is_over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (gives_way, is_over) = (gives_way.clone(), is_over.clone());
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = has_begun.clone();
    let occupier = Builder::new().bound_to_core(core).spawn(move || {
        begun.store(true, SeqCst);
        while !is_over.load(SeqCst) {
            if gives_way.load(SeqCst) {
                thread::yield_now();
            }
            hint::spin_loop();
        }
    });
    while !has_begun.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    occupier.expect("that core is there")
}

fn who_is_told_where_begins_there() {
    two_cores(false);
    for target in [0, 1] {
        let is_over = Arc::new(AtomicBool::new(false));
        let gives_way = [0, 1].map(|_| Arc::new(AtomicBool::new(false)));
        let occupiers = [0, 1].map(|core| occupy(core, &gives_way[core], &is_over));
        // Nobody is idle, and only the one core lets others run.
        let began_on: Vec<_> = (0..40)
            .map(|_| Builder::new().on_core(target).spawn(thread::core).expect("it is there"))
            .collect();
        gives_way[target].store(true, SeqCst);
        for thread in began_on {
            assert_eq!(thread.join().expect("it looks only"), Some(target));
        }
        is_over.store(true, SeqCst);
        occupiers.into_iter().for_each(|one| one.join().expect("it computes only"));
    }
}

fn who_is_bound_stays_whatever_it_does() {
    two_cores(true);
    let is_over = Arc::new(AtomicBool::new(false));
    // More who compute than cores, so that whoever may be taken over is.
    let hogs: Vec<_> = (0..3)
        .map(|number| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let mut turns = 0u32;
                while !is_over.load(SeqCst) {
                    turns += 1;
                    if number == 0 && turns.is_multiple_of(20_000) {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect();
    let looks = Arc::new(AtomicUsize::new(0));
    let bound: Vec<_> = (0..8)
        .map(|number| {
            let looks = looks.clone();
            let core = number % 2;
            let thread = Builder::new().bound_to_core(core).spawn(move || {
                let look = || {
                    looks.fetch_add(1, SeqCst);
                    assert_eq!(thread::core(), Some(core));
                };
                for _ in 0..10 {
                    look();
                    thread::yield_now();
                    look();
                    thread::sleep(Duration::from_micros(50));
                    look();
                    let (mut reads, mut writes) = io::pipe().expect("two descriptors");
                    let writer = thread::spawn(move || {
                        thread::sleep(Duration::from_micros(300));
                        writes.write_all(b"x").expect("somebody reads");
                    });
                    // In the kernel: the core goes to another worker meanwhile.
                    reads.read_exact(&mut [0]).expect("a byte");
                    look();
                    writer.join().expect("it writes only");
                    look();
                }
            });
            thread.expect("that core is there")
        })
        .collect();
    bound.into_iter().for_each(|thread| thread.join().expect("it was where it belongs"));
    is_over.store(true, SeqCst);
    hogs.into_iter().for_each(|hog| hog.join().expect("it computes only"));
    assert_eq!(looks.load(SeqCst), 8 * 10 * 5);
}

/// Bodies are used again: a thread that is not bound may go where there is room, though its body's last one might not.
fn a_body_that_was_bound_is_free_again() {
    two_cores(false);
    for _ in 0..200 {
        Builder::new().bound_to_core(1).spawn(|| ()).expect("it is there").join().expect("nothing");
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let no = Arc::new(AtomicBool::new(false));
    let occupier = occupy(1, &no, &is_over);
    // They wait for a core that lets nobody run: the other one takes them over.
    let began_on: Vec<_> = (0..40)
        .map(|_| Builder::new().on_core(1).spawn(thread::core).expect("it is there"))
        .collect();
    for thread in began_on {
        assert_eq!(thread.join().expect("it looks only"), Some(0));
    }
    is_over.store(true, SeqCst);
    occupier.join().expect("it computes only");
}

fn a_core_that_is_not_there() {
    two_cores(true);
    for builder in [Builder::new().on_core(2), Builder::new().bound_to_core(2)] {
        let error = builder.spawn(|| ()).expect_err("there are two");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("core 2, and there are 2"), "{error}");
    }
    assert_eq!(thread::core(), None);
}
