//! Every interleaving of the holder of a biased lock with one that claims it, and of a holder that follows another: one at a time is inside,
//! and nothing that was left there is lost.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test biased_word_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{Ordering::SeqCst, fence};
use raddle_core::biased_word::BiasedWord;

struct Nursery {
    word: BiasedWord,
    /// Whoever is inside has it to itself.
    kept: UnsafeCell<u32>,
}

// SAFETY: `kept` is touched inside only, which is what the model checks; the word is made of loom's own `Sync` types.
unsafe impl Sync for Nursery {}

impl Nursery {
    fn new() -> Arc<Nursery> {
        Arc::new(Nursery { word: BiasedWord::new(), kept: UnsafeCell::new(0) })
    }

    /// The holder keeps one more; 0 if it was claimed.
    fn keep(&self) -> u32 {
        if !self.word.try_enter() {
            return 0;
        }
        // SAFETY: inside. Were somebody else as well, loom would say so.
        self.kept.with_mut(|kept| unsafe { *kept += 1 });
        self.word.leave();
        1
    }

    /// Somebody else takes all.
    fn take(&self) -> u32 {
        // The other half of the holder's light barrier.
        self.word.claim(|| fence(SeqCst), loom::thread::yield_now);
        // SAFETY: claimed, and the holder is outside.
        let taken = self.kept.with_mut(|kept| unsafe { std::mem::take(&mut *kept) });
        self.word.give_back();
        taken
    }
}

#[test]
fn nobody_claims_while_the_holder_is_inside_and_nothing_is_lost() {
    loom::model(|| {
        let nursery = Nursery::new();
        let thief = {
            let nursery = nursery.clone();
            loom::thread::spawn(move || nursery.take())
        };
        let kept = nursery.keep() + nursery.keep();
        let taken = thief.join().unwrap();
        assert_eq!(taken + nursery.take(), kept);
    });
}

#[test]
fn two_claims_in_a_row_and_a_holder_that_comes_back() {
    loom::model(|| {
        let nursery = Nursery::new();
        let thief = {
            let nursery = nursery.clone();
            loom::thread::spawn(move || nursery.take() + nursery.take())
        };
        let mut kept = nursery.keep();
        kept += nursery.keep();
        let taken = thief.join().unwrap();
        // After the claims the holder goes in again.
        kept += nursery.keep();
        assert_eq!(taken + nursery.take(), kept);
        assert!(kept >= 1);
    });
}
