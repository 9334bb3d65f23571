//! `Once`, `OnceLock` and `LazyLock` against their contracts.

mod sync_kit;

use raddle::cancel::Token;
use raddle::sync::{Arc, LazyLock, Once, OnceLock};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use sync_kit::{a_moment, each_cast};

#[test]
fn it_is_done_once_and_everybody_waits_until_it_is() {
    each_cast(|cast| {
        let once = Arc::new((Once::new(), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..20)
            .map(|n| {
                let once = once.clone();
                cast.spawn(n, move || {
                    once.0.call_once(|| {
                        std::thread::sleep(Duration::from_millis(20));
                        once.1.fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(once.0.is_completed());
                    assert_eq!(once.1.load(Ordering::Relaxed), 1);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_panic_poisons_until_somebody_forces() {
    each_cast(|cast| {
        let once = Arc::new(Once::new());
        let throws = |once: &Once| {
            catch_unwind(AssertUnwindSafe(|| once.call_once(|| resume_unwind(Box::new(1)))))
                .is_err()
        };
        assert!(throws(&once) && !once.is_completed());
        assert!(catch_unwind(AssertUnwindSafe(|| once.call_once(|| ()))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| once.wait())).is_err());
        let waiter = {
            let once = once.clone();
            cast.spawn(0, move || once.wait_force())
        };
        a_moment();
        let mut was_poisoned = false;
        once.call_once_force(|state| was_poisoned = state.is_poisoned());
        assert!(was_poisoned && once.is_completed());
        waiter.join().unwrap();
        once.call_once(|| unreachable!());
        once.wait();
    });
}

#[test]
fn who_waits_hears_of_the_poison() {
    each_cast(|cast| {
        let once = Arc::new(Once::new());
        let started = Arc::new(Once::new());
        let runner = {
            let (once, started) = (once.clone(), started.clone());
            cast.spawn(0, move || {
                once.call_once(|| {
                    started.call_once(|| ());
                    a_moment();
                    resume_unwind(Box::new("on purpose"));
                });
            })
        };
        started.wait();
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let once = once.clone();
                cast.spawn(n, move || {
                    catch_unwind(AssertUnwindSafe(|| once.call_once(|| unreachable!()))).is_err()
                })
            })
            .collect();
        assert!(runner.join().is_err());
        waiters.into_iter().for_each(|waiter| assert!(waiter.join().unwrap()));
    });
}

#[test]
fn who_is_cancelled_while_it_waits_leaves_the_others() {
    each_cast(|cast| {
        let place = Arc::new(OnceLock::new());
        let token = Token::new();
        let quitter = {
            let (place, token) = (place.clone(), token.clone());
            cast.spawn(0, move || token.carry(|| *place.wait()))
        };
        let stayer = {
            let place = place.clone();
            cast.spawn(1, move || *place.wait())
        };
        a_moment();
        token.cancel();
        assert!(quitter.join().unwrap().is_err());
        place.set(5).unwrap();
        assert_eq!(stayer.join().unwrap(), 5);
    });
}

#[test]
fn a_place_is_written_by_one_of_many() {
    each_cast(|cast| {
        for _ in 0..100 {
            let place = Arc::new(OnceLock::new());
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let place = place.clone();
                    cast.spawn(n, move || (*place.get_or_init(|| n), place.set(100).is_err()))
                })
                .collect();
            let seen: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(seen.iter().all(|one| *one == (seen[0].0, true)), "{seen:?}");
        }
    });
}

#[test]
fn a_place_that_could_not_be_written_is_still_empty() {
    let place = OnceLock::new();
    let thrown = catch_unwind(AssertUnwindSafe(|| {
        place.get_or_init(|| resume_unwind(Box::new("on purpose")));
    }));
    assert!(thrown.is_err());
    assert_eq!(place.get(), None);
    assert_eq!(*place.get_or_init(|| 3), 3);
}

#[test]
fn the_rest_of_stds_contract() {
    let drops = Arc::new(());
    let mut place = OnceLock::new();
    assert_eq!(format!("{place:?}"), "OnceLock(<uninit>)");
    place.set(drops.clone()).unwrap();
    assert_eq!(format!("{place:?}"), "OnceLock(())");
    assert!(place.get_mut().is_some());
    assert!(place == place.clone() && place != OnceLock::new());
    assert_eq!(Arc::strong_count(&drops), 2);
    assert!(place.take().is_some() && place.get().is_none());
    place.set(drops.clone()).unwrap();
    drop(place);
    assert_eq!(Arc::strong_count(&drops), 1);
    assert!(OnceLock::from(drops.clone()).into_inner().is_some());
    assert!(OnceLock::<u8>::default().into_inner().is_none());
    let lazy = LazyLock::new(|| 4);
    assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
    assert_eq!((*LazyLock::force(&lazy), *lazy), (4, 4));
    assert_eq!(format!("{lazy:?}"), "LazyLock(4)");
    assert_eq!(*LazyLock::<u8>::default(), 0);
}

#[test]
fn a_lazy_value_is_made_once_and_lost_for_good_if_that_fails() {
    each_cast(|cast| {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let lazy = Arc::new(LazyLock::new(|| MADE.fetch_add(1, Ordering::Relaxed)));
        let before = MADE.load(Ordering::Relaxed);
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let lazy = lazy.clone();
                cast.spawn(n, move || **lazy)
            })
            .collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), before));
        let lost: LazyLock<i32> = LazyLock::new(|| resume_unwind(Box::new("on purpose")));
        for _ in 0..2 {
            assert!(catch_unwind(AssertUnwindSafe(|| *lost)).is_err());
        }
    });
}
