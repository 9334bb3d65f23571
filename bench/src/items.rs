//! The cases of `raddle-bench workqueue`, once for every pool that takes items of work: functions that it calls when it likes.

use crate::subject::{Arguments, Said};
use crate::work::spin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A pool, as far as the cases need one.
pub trait Items {
    /// Gives it an item to run.
    fn queue(&self, run: impl FnOnce() + Send + 'static);

    /// How whoever runs on it sleeps.
    fn sleep(time: Duration);
}

/// What an item does.
#[derive(Clone, Copy)]
enum Does {
    Computes { turns: u64 },
    Sleeps(Duration),
}

impl Does {
    fn run<T: Items>(self) {
        match self {
            Does::Computes { turns } => spin(turns),
            Does::Sleeps(time) => T::sleep(time),
        }
    }
}

const MS: Duration = Duration::from_millis(1);
/// Of a mix every so many-th item sleeps.
const SLEEPERS: usize = 10;

/// Whether the case is one of these.
pub fn is_case(arguments: &Arguments) -> bool {
    arguments.case().starts_with("items_")
}

/// Measures the case that the arguments name.
///
/// # Errors
///
/// If there is no such case, or something that it needs is missing.
pub fn run<T: Items>(pool: &T, arguments: &Arguments) -> Result<Said, String> {
    let turns = arguments.number("turns")? as u64;
    let computes = Does::Computes { turns };
    let mix = move |number: usize| match number % SLEEPERS {
        0 => Does::Sleeps(MS),
        _ => computes,
    };
    match arguments.case() {
        "items_sleep" => burst(pool, arguments, |_| Does::Sleeps(MS)),
        "items_compute" => burst(pool, arguments, |_| computes),
        "items_mix" => burst(pool, arguments, mix),
        "items_stream" => stream(pool, arguments, mix),
        "items_alone" => alone(pool, arguments),
        other => Err(format!("there is no case {other}")),
    }
}

/// Counts items down; the last one tells.
struct Count {
    left: AtomicUsize,
    over: mpsc::SyncSender<()>,
}

impl Count {
    fn of(items: usize) -> (Arc<Count>, mpsc::Receiver<()>) {
        let (over, is_over) = mpsc::sync_channel(1);
        (Arc::new(Count { left: AtomicUsize::new(items), over }), is_over)
    }

    fn down(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Whoever waits holds the other end.
            _ = self.over.send(());
        }
    }
}

/// `n` items in a row, the second time, when the pool has all the threads that it wants: items a second.
fn burst<T: Items>(
    pool: &T,
    arguments: &Arguments,
    does: impl Fn(usize) -> Does,
) -> Result<Said, String> {
    let items = arguments.number("n")?;
    let once = || {
        let (count, is_over) = Count::of(items);
        let begun = Instant::now();
        for number in 0..items {
            let (count, does) = (count.clone(), does(number));
            pool.queue(move || {
                does.run::<T>();
                count.down();
            });
        }
        is_over.recv().map_err(|_| "an item was lost".to_owned())?;
        Ok::<_, String>(items as f64 / begun.elapsed().as_secs_f64())
    };
    once()?;
    Ok(Said::figures([("rate", once()?)]))
}

/// `each` items every millisecond, for `ms`: how long after it was queued each began, in microseconds.
fn stream<T: Items>(
    pool: &T,
    arguments: &Arguments,
    does: impl Fn(usize) -> Does,
) -> Result<Said, String> {
    let (steps, each) = (arguments.number("ms")?, arguments.number("each")?);
    let items = steps * each;
    let late: Arc<Vec<AtomicU64>> = Arc::new((0..items).map(|_| AtomicU64::new(0)).collect());
    let (count, is_over) = Count::of(items);
    let begun = Instant::now();
    for number in 0..items {
        if number % each == 0 {
            let due = MS * (number / each) as u32;
            T::sleep(due.saturating_sub(begun.elapsed()));
        }
        let (count, late, does) = (count.clone(), late.clone(), does(number));
        let queued = Instant::now();
        pool.queue(move || {
            late[number].store(queued.elapsed().as_nanos() as u64, Ordering::Relaxed);
            does.run::<T>();
            count.down();
        });
    }
    is_over.recv().map_err(|_| "an item was lost".to_owned())?;
    Ok(percentiles(late.iter().map(|late| late.load(Ordering::Relaxed)).collect()))
}

/// One item at a time that does nothing, `n` times: how long it takes until whoever queued it goes on, in microseconds.
fn alone<T: Items>(pool: &T, arguments: &Arguments) -> Result<Said, String> {
    let mut took = Vec::new();
    for _ in 0..arguments.number("n")? {
        let (count, is_over) = Count::of(1);
        let queued = Instant::now();
        pool.queue(move || count.down());
        is_over.recv().map_err(|_| "an item was lost".to_owned())?;
        took.push(queued.elapsed().as_nanos() as u64);
    }
    Ok(percentiles(took))
}

fn percentiles(mut ns: Vec<u64>) -> Said {
    ns.sort_unstable();
    let at = |part: f64| {
        let index = (ns.len() as f64 * part) as usize;
        ns[index.min(ns.len() - 1)] as f64 / 1e3
    };
    Said::figures([("p50", at(0.5)), ("p99", at(0.99))])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel thread for each item.
    struct Threads;

    impl Items for Threads {
        fn queue(&self, run: impl FnOnce() + Send + 'static) {
            std::thread::spawn(run);
        }

        fn sleep(time: Duration) {
            std::thread::sleep(time);
        }
    }

    fn said(words: &[&str]) -> Result<Said, String> {
        let arguments = Arguments::parse(words.iter().map(|word| (*word).to_owned()))?;
        assert!(is_case(&arguments));
        run(&Threads, &arguments)
    }

    #[test]
    fn every_case_has_its_figures() {
        for case in ["items_sleep", "items_compute", "items_mix"] {
            let said = said(&[case, "turns=100", "n=20"]).unwrap();
            assert!(said.figures["rate"][0] > 0.0, "{case}");
        }
        for words in [
            &["items_alone", "turns=1", "n=20"][..],
            &["items_stream", "turns=1", "ms=5", "each=4"],
        ] {
            let said = said(words).unwrap();
            assert!(said.figures["p99"][0] >= said.figures["p50"][0], "{words:?}");
        }
        assert!(said(&["items_none", "turns=1"]).is_err());
    }
}
