//! Items that block in the kernel while nobody else is about: no thread waits for a core, only items do. A process of its own, so that it is so.

mod sync_kit;

use raddle::workqueue::Builder;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::time::Duration;
use sync_kit::within;

#[test]
fn the_next_item_runs_though_no_thread_waits() {
    within(60, "blocked items, alone", || {
        // Nor does any timer run, by which a core would be looked at.
        let builder = raddle::runtime::Builder::new().worker_keep_alive(Duration::from_secs(3600));
        builder.start().unwrap();
        let queues = [Builder::new("any"), Builder::new("bound").bound()];
        for queue in queues.map(|builder| builder.build().unwrap()) {
            let turns = 5;
            let (send, receive) = mpsc::channel();
            let mut before: Option<io::PipeWriter> = None;
            for _ in 0..turns {
                let (mut reads, writes) = io::pipe().unwrap();
                let (before, send) = (before.replace(writes), send.clone());
                queue.queue_on(0, move || {
                    before.into_iter().for_each(|mut before| before.write_all(b"x").unwrap());
                    // The kernel thread waits here, until the next item has begun. The end of the file will do for the last one.
                    send.send(reads.read(&mut [0]).is_ok()).unwrap();
                });
            }
            drop(before);
            assert_eq!(receive.iter().take(turns).filter(|&is_fine| is_fine).count(), turns);
        }
    });
}
