//! Every interleaving of whoever renews a clock's fix with whoever reads it: nobody reads a mixture of two.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test fix_loom`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use raddle_core::fix::{Fix, Reading};
use std::collections::HashSet;

/// A reading of which all parts say which one it is.
fn reading(number: u64) -> Reading {
    Reading { counter: number, ns: number, rate: number }
}

#[test]
fn a_reading_is_of_one_moment() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(HashSet::new()));
    let all = seen.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        // A mark that loom sees where it overlooks the version's stores, as `renew` loads that first: see `ring_loom`.
        let shared = Arc::new((Fix::new(), AtomicU64::new(0)));
        let (fix, mark) = &*shared;
        assert!(fix.try_renew(|_| Some(reading(1))));
        let renews = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                let (fix, mark) = &*shared;
                assert!(fix.try_renew(|before| (before == reading(1)).then(|| reading(2))));
                mark.store(1, Relaxed);
            })
        };
        mark.load(Relaxed);
        let read = fix.read();
        assert_eq!(read, reading(read.rate));
        seen.lock().unwrap().insert(read.rate);
        renews.join().unwrap();
        assert_eq!(fix.read(), reading(2));
    });
    assert_eq!(*all.lock().unwrap(), HashSet::from([1, 2]));
}

#[test]
fn of_two_who_renew_one_does_or_both_after_each_other() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(HashSet::new()));
    let all = seen.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let fix = Arc::new(Fix::new());
        let renew = |fix: &Fix| fix.try_renew(|before| Some(reading(before.rate + 1)));
        let other = {
            let fix = fix.clone();
            loom::thread::spawn(move || renew(&fix))
        };
        let renewals = u64::from(renew(&fix)) + u64::from(other.join().unwrap());
        assert!(renewals > 0);
        // It ends: no version stays odd.
        assert_eq!(fix.read(), reading(renewals));
        seen.lock().unwrap().insert(renewals);
    });
    assert_eq!(*all.lock().unwrap(), HashSet::from([1, 2]));
}
