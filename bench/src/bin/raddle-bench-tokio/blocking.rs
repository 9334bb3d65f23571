//! tokio's pool of threads that may block: up to 512, unless a runtime is told otherwise.

use raddle_bench::items::Items;
use std::time::Duration;
use tokio::runtime::Runtime;

pub(super) struct Pool(pub(super) &'static Runtime);

impl Items for Pool {
    fn queue(&self, run: impl FnOnce() + Send + 'static) {
        self.0.spawn_blocking(run);
    }

    fn sleep(time: Duration) {
        std::thread::sleep(time);
    }
}
