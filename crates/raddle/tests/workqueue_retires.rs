//! Workers that nobody needs any more end. A process of its own: the time for which they are kept is the whole runtime's.

use raddle::runtime::Builder as Runtime;
use raddle::sync::Semaphore;
use raddle::workqueue::Builder;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn workers_of_a_burst_end_and_the_next_burst_has_others() {
    let runtime =
        Runtime::new().cores(2).worker_keep_alive(Duration::from_millis(20)).start().unwrap();
    for builder in [Builder::new("burst"), Builder::new("burst").bound()] {
        let queue = builder.build().unwrap();
        for _ in 0..3 {
            let gate = Arc::new(Semaphore::new(0));
            for _ in 0..200 {
                let gate = gate.clone();
                queue.queue_on(0, move || gate.acquire().forget());
            }
            let begun = Instant::now();
            while queue.counters().active < 200 {
                assert!(begun.elapsed() < Duration::from_secs(30), "{queue:?}");
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(runtime.counters().threads > 200, "a worker for each that sleeps");
            gate.add_permits(200);
            queue.flush().unwrap();
            // Two or three of each pool stay.
            while runtime.counters().threads > 4 * 3 {
                assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", runtime.counters());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
