//! A short torture with every `cargo test`; `RADDLE_TORTURE_SECONDS` makes it longer.

use raddle_tests::torture::{self, Settings, allocator::Guarded};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

#[test]
fn nothing_breaks_under_torture() {
    let seconds = std::env::var("RADDLE_TORTURE_SECONDS").ok().map_or(5, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("RADDLE_TORTURE_SECONDS={text}: give a number of seconds"))
    });
    if std::env::var_os("RADDLE_SLICE").is_none() {
        torture::set_runtime(None, Some("500us"));
    }
    let settings = Settings {
        time: Duration::from_secs(seconds),
        seed: torture::seed_by_the_clock(),
        threads: 300,
        only: Vec::new(),
        shows_progress: false,
    };
    println!("seed {}", settings.seed);
    let summary = torture::run(settings).expect("raddle runs here");
    println!("{summary}");
    // In a few seconds, on a loaded machine, the rare ones may not come up.
    let all = summary.operations.iter().all(|(_, count)| *count > 0);
    assert!(all || seconds < 60, "{summary}");
}
