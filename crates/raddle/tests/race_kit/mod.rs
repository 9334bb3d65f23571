//! Races, played many times: two sides meet at a line and go on after delays that a seed gives.
//!
//! Each is played in child processes with 1, 2 and 8 cores, with slices of the usual length and of 100 us. A child that hangs is ended, and told with
//! its seed: `RADDLE_RACE_SEED` plays it again, as far as chance lets it.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../../../raddle-context/tests/deadline/mod.rs"]
mod deadline;

use raddle_core::random::Random;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime};

const SEED: &str = "RADDLE_RACE_SEED";
const CHILD: &str = "RADDLE_RACE_CHILD";
/// How long a race is played in each child.
const PLAYED: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays `race` again and again; `name` is the test's.
pub(crate) fn play(name: &str, race: fn(&mut Random)) {
    play_with(name, &[], race);
}

/// [`play`], on each backend of the event queue.
pub(crate) fn play_on_each_backend(name: &str, race: fn(&mut Random)) {
    for backend in ["io_uring", "epoll", "poll"] {
        play_with(name, &[("RADDLE_EVENT", backend)], race);
    }
}

/// [`play`], with more settings.
fn play_with(name: &str, settings: &[(&str, &str)], race: fn(&mut Random)) {
    if std::env::var_os(CHILD).is_some() {
        return play_here(race);
    }
    for (cores, slice) in [("1", "4ms"), ("2", "4ms"), ("2", "100us"), ("8", "4ms"), ("8", "100us")]
    {
        let seed = std::env::var(SEED).unwrap_or_else(|_| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            (now.as_nanos() as u64).to_string()
        });
        let told = format!("{cores} cores, slices of {slice}, {settings:?}, {SEED}={seed}");
        println!("{told}");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .envs([(CHILD, "1"), (SEED, &seed), ("RADDLE_CORES", cores), ("RADDLE_SLICE", slice)])
            .envs(settings.iter().copied())
            // Its panics are told on the standard error.
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = deadline::wait(&mut child, PATIENCE);
        let status = status.unwrap_or_else(|error| panic!("{error}: {told}"));
        assert!(status.success(), "{status}: {told}");
    }
}

fn play_here(race: fn(&mut Random)) {
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let mut random = Random::from_seed(seed);
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < PLAYED {
        race(&mut random);
        rounds += 1;
    }
    println!("{rounds} rounds");
}

/// A line at which so many sides wait for one another, awake: they go on within a microsecond, if each has a core.
pub(crate) struct Line {
    missing: AtomicU32,
}

impl Line {
    pub(crate) fn of(sides: u32) -> Line {
        Line { missing: AtomicU32::new(sides) }
    }

    /// Waits for the others, then for `delay` turns.
    pub(crate) fn meet(&self, delay: u64) {
        self.missing.fetch_sub(1, SeqCst);
        let mut turns = 0;
        while self.missing.load(SeqCst) > 0 {
            turns += 1;
            if turns % 2_000 == 0 {
                // With as many cores as that the others may have no processor.
                raddle::thread::yield_now();
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
        dawdle(delay);
    }
}

pub(crate) fn dawdle(turns: u64) {
    (0..turns).for_each(|_| std::hint::spin_loop());
}

/// Mostly short, sometimes long: in turns of [`dawdle`].
pub(crate) fn delay(random: &mut Random) -> u64 {
    let most = [1, 30, 300, 3_000][random.below(4) as usize];
    random.below(most)
}

pub(crate) fn compute_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// A thread of raddle's, or of the kernel's, by chance. Gives what ends with it.
pub(crate) fn spawn_either<T: Send + 'static>(
    random: &mut Random,
    main: impl FnOnce() -> T + Send + 'static,
) -> Box<dyn FnOnce() -> T> {
    if random.one_in(4) {
        let thread = std::thread::spawn(main);
        Box::new(|| thread.join().unwrap())
    } else {
        let thread = raddle::thread::spawn(main);
        Box::new(|| thread.join().unwrap())
    }
}
