//! Random sequences of operations against the model, on each backend. proptest prints what fails, shrunk, and keeps its seed.

mod kit;
mod model;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::Direct;

fn main() {
    kit::on_each_backend("behaves_as_the_model", |backend| {
        let config = ProptestConfig {
            max_shrink_time: 15_000,
            // This has no `lib.rs` above it, by which proptest would find the place.
            failure_persistence: Some(Box::new(Direct("tests/random.proptest-regressions"))),
            ..ProptestConfig::default()
        };
        proptest!(config, |(script in proptest::collection::vec(any::<u8>(), 0..400))| {
            model::play(backend, &script);
        });
    });
}
