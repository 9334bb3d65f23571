//! Forks of a launched kernel thread, of a body on it and beside it, and launches in a forked child.

use super::calls::{alarm, end_of, fork};
use super::child::{self, WORD, forked, is_well, live, live_on_new_bodies};
use super::single::on;
use super::{arena, end, launch};
use raddle_context::{KernelThread, running};
use std::ptr;
use std::sync::{Arc, Barrier};

/// The child goes on, on the launched thread's stack, and its end is the child's.
pub(super) fn it_forks() {
    let arena = arena();
    for _ in 0..3 {
        end(
            &arena,
            launch(&arena, || {
                WORD.set(4);
                match fork() {
                    0 => {
                        alarm(10);
                        assert_eq!(WORD.get(), 4);
                        live();
                        std::thread::spawn(live_on_new_bodies).join().unwrap();
                        live_on_new_bodies();
                    }
                    id => {
                        assert!(end_of(id).success(), "the child ended as a process does");
                        live();
                    }
                }
            }),
        );
    }
}

pub(super) fn a_body_on_it_forks() {
    let arena = arena();
    let theirs = arena.clone();
    end(
        &arena,
        launch(&arena, move || {
            let me = KernelThread::enter().unwrap();
            let mut body = theirs.make().unwrap();
            on(&me, &mut body, || {
                WORD.set(6);
                let number = running().unwrap().number();
                is_well(forked(|| child::live_in_the_child(number, 6)));
                assert_eq!(WORD.get(), 6);
            });
            theirs.give(body);
        }),
    );
}

/// The child does not have the launched thread, nor ever sees it end.
pub(super) fn another_forks() {
    let arena = arena();
    let (go, gone) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let theirs = (go.clone(), gone.clone());
    let launched = launch(&arena, move || {
        theirs.0.wait();
        theirs.1.wait();
    });
    go.wait();
    is_well(forked(|| {
        assert!(!launched.has_ended());
        live();
        std::thread::spawn(live_on_new_bodies).join().unwrap();
    }));
    gone.wait();
    end(&arena, launched);
}

pub(super) fn a_forked_child_launches() {
    let parents = arena();
    let prepared = parents.make().unwrap().prepare();
    is_well(forked(move || {
        unsafe fn never(_: *mut u8) {
            unreachable!("a parent's body");
        }
        // SAFETY: refused, before `never` or the parent's body come into it.
        let launched = unsafe { KernelThread::launch(prepared, never, ptr::null_mut(), None) };
        let (error, body) = launched.expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        drop(body);
        let arena = arena();
        let busy: Vec<_> = (0..4).map(|_| launch(&arena, live)).collect();
        live();
        busy.into_iter().for_each(|one| end(&arena, one));
    }));
    end(&parents, launch(&parents, live));
}
