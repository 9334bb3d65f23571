//! What the everyday operations cost: making threads, yielding, messages, a mutex.

use super::threads::{Threads, inside};
use crate::race::Race;
use crate::subject::{Arguments, Said};
use crate::work::ns_each;
use std::sync::Arc;
use std::time::Instant;

pub(super) fn spawn_join<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside::<T, _>(move || {
            let start = Instant::now();
            for _ in 0..operations {
                T::join(T::spawn(|| ())?);
            }
            Ok(start.elapsed())
        })
    })?;
    Ok(Said::figures([("ns", ns)]))
}

/// The first time in the process, and then once more.
pub(super) fn spawn_many<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let threads = arguments.number("n")?;
    let once = || {
        inside::<T, _>(move || {
            let start = Instant::now();
            let mut handles = Vec::with_capacity(threads);
            for _ in 0..threads {
                handles.push(T::spawn(|| ())?);
            }
            handles.into_iter().for_each(T::join);
            Ok(start.elapsed().as_secs_f64() * 1e9 / threads as f64)
        })
    };
    let cold = once()?;
    Ok(Said::figures([("cold", cold), ("warm", once()?)]))
}

/// `n` threads that do nothing but yield.
pub(super) fn yields<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let threads = arguments.number("n")?;
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside::<T, _>(move || {
            race::<T, _>(threads, operations, || T::yield_now).map(|race| race.took())
        })
    })?;
    // An operation was a yield of each.
    Ok(Said::figures([("ns", ns / threads as f64)]))
}

pub(super) fn mutex_contended<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let threads = arguments.number("n")?;
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside::<T, _>(move || {
            let mutex = Arc::new(T::mutex());
            let worker = || {
                let mutex = mutex.clone();
                move || T::add_one(&mutex)
            };
            race::<T, _>(threads, operations, worker).map(|race| race.took())
        })
    })?;
    Ok(Said::figures([("ns", ns / threads as f64)]))
}

/// Has each of `threads` do `operations`, all at the same time. `worker` makes what one thread does again and again.
fn race<T: Threads, W: FnMut() + Send + 'static>(
    threads: usize,
    operations: u64,
    mut worker: impl FnMut() -> W,
) -> Result<Arc<Race>, String> {
    let race = Arc::new(Race::of(threads));
    let mut handles = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (race, mut operation) = (race.clone(), worker());
        handles.push(T::spawn(move || {
            while !race.is_open() {
                T::yield_now();
            }
            for _ in 0..operations {
                operation();
            }
            race.finish();
        })?);
    }
    race.open();
    handles.into_iter().for_each(T::join);
    Ok(race)
}

/// A number goes there and back; an operation is one way.
pub(super) fn channel<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside::<T, _>(move || {
            let (there, echo_from) = T::channel();
            let (echo_to, back) = T::channel();
            let echo = T::spawn(move || {
                for _ in 0..operations {
                    T::send(&echo_to, T::receive(&echo_from));
                }
            })?;
            let start = Instant::now();
            for number in 0..operations {
                T::send(&there, number);
                let answer = T::receive(&back);
                assert_eq!(answer, number, "an echo");
            }
            let took = start.elapsed();
            T::join(echo);
            Ok(took)
        })
    })?;
    Ok(Said::figures([("ns", ns / 2.0)]))
}
