//! Between attempts to connect in a closed loop, which would otherwise do nothing else.

use raddle::thread;
use raddle::time::Duration;

const MIN: Duration = Duration::from_millis(10);
const MAX: Duration = Duration::from_secs(1);

/// A pause that gets longer each time.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Pause {
        Pause(MIN)
    }
}

impl Pause {
    pub(crate) fn wait(&mut self) {
        thread::sleep(self.0);
        self.0 = (self.0 * 2).min(MAX);
    }
}
