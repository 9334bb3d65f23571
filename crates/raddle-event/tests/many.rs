//! Thousands of descriptors that are registered, closed and opened again at random, on each backend.

mod kit;

use kit::{Setup, drain, pair};
use raddle_core::random::Random;
use raddle_event::{BackendKind, Interest, Mode, Registration, WakeKind, What};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// So many connections at once, of two descriptors each; fewer where the limit is lower.
const CONNECTIONS: usize = 2000;

struct Connection {
    peer: UnixStream,
    socket: UnixStream,
    registration: Registration,
    key: u64,
}

fn main() {
    kit::on_each_backend("thousands_come_and_go", come_and_go);
}

fn come_and_go(backend: BackendKind) {
    let setup = Setup { backend, wake: WakeKind::Eventfd };
    let seed =
        std::env::var("RADDLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x3a7);
    println!("RADDLE_SEED={seed}");
    let mut random = Random::from_seed(seed);
    let mut kit = setup.kit_with(setup.config(), 128);
    let modes = [Mode::Level, Mode::Edge, Mode::OneShot];
    let mut next_key = 0;
    let mut connect = |kit: &mut kit::Kit, random: &mut Random| {
        let (peer, socket) = pair();
        next_key += 1;
        let mode = modes[random.below(3) as usize];
        let registration = kit.queue.register(&socket, next_key, Interest::READ, mode).unwrap();
        Connection { peer, socket, registration, key: next_key }
    };
    let count = CONNECTIONS.min(descriptors() / 8);
    let mut all: Vec<Connection> = (0..count).map(|_| connect(&mut kit, &mut random)).collect();
    let mut reported = 0;
    for _ in 0..30 {
        for _ in 0..count / 10 {
            let at = random.below(count as u64) as usize;
            match random.below(6) {
                // Removed, then closed.
                0 | 1 => {
                    kit.queue.remove(all[at].registration);
                    all[at] = connect(&mut kit, &mut random);
                }
                // Closed, and the number used again at once: what it was registered for is gone.
                2 => {
                    let (peer, socket) = pair();
                    kit::replace(&all[at].socket, &socket);
                    (all[at].peer, all[at].key) = (peer, u64::MAX);
                }
                _ => (&all[at].peer).write_all(b"x").unwrap(),
            }
        }
        while kit.queue.wait(&mut kit.events, Some(Duration::ZERO)).unwrap() > 0 {
            for event in kit.events.iter().copied().collect::<Vec<_>>() {
                assert!(
                    matches!(event.what, What::Ready(ready) if ready.is_readable()),
                    "{event:?}"
                );
                let connection = all.iter().find(|one| one.key == event.key);
                let connection = connection.unwrap_or_else(|| panic!("stale: {event:?}"));
                reported += usize::from(drain(&connection.socket) > 0);
            }
        }
    }
    assert!(reported > count, "{reported}");
}

/// How many this process may have.
fn descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: there is room for one; raising the soft limit to the hard one harms nobody.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
    limit.rlim_cur as usize
}
