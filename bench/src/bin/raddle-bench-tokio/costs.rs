//! What the everyday operations cost: making tasks, yielding, messages, a mutex.

use raddle_bench::race::Race;
use raddle_bench::subject::{Arguments, Said};
use raddle_bench::work::ns_each;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc};
use tokio::task::yield_now;

pub(crate) fn spawn_join(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside(runtime, async move {
            let start = Instant::now();
            for _ in 0..operations {
                join(tokio::spawn(async {})).await;
            }
            start.elapsed()
        })
    })?;
    Ok(Said::figures([("ns", ns)]))
}

pub(crate) fn spawn_many(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let tasks = arguments.number("n")?;
    let once = || {
        inside(runtime, async move {
            let start = Instant::now();
            let mut handles = Vec::with_capacity(tasks);
            handles.extend((0..tasks).map(|_| tokio::spawn(async {})));
            for handle in handles {
                join(handle).await;
            }
            start.elapsed().as_secs_f64() * 1e9 / tasks as f64
        })
    };
    let cold = once()?;
    Ok(Said::figures([("cold", cold), ("warm", once()?)]))
}

pub(crate) fn yields(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let tasks = arguments.number("n")?;
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside(runtime, async move {
            race(tasks, || async move {
                for _ in 0..operations {
                    yield_now().await;
                }
            })
            .await
        })
    })?;
    Ok(Said::figures([("ns", ns / tasks as f64)]))
}

pub(crate) fn mutex_contended(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let tasks = arguments.number("n")?;
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside(runtime, async move {
            let mutex = Arc::new(Mutex::new(0u64));
            let worker = || {
                let mutex = mutex.clone();
                async move {
                    for _ in 0..operations {
                        *mutex.lock().await += 1;
                    }
                }
            };
            race(tasks, worker).await
        })
    })?;
    Ok(Said::figures([("ns", ns / tasks as f64)]))
}

pub(crate) fn channel(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    let ns = ns_each(arguments.ms("ms")?, |operations| {
        inside(runtime, async move {
            let (there, mut echo_from) = mpsc::unbounded_channel();
            let (echo_to, mut back) = mpsc::unbounded_channel();
            let echo = tokio::spawn(async move {
                for _ in 0..operations {
                    let number: u64 = echo_from.recv().await.expect("the other end sends");
                    echo_to.send(number).expect("the other end waits");
                }
            });
            let start = Instant::now();
            for number in 0..operations {
                there.send(number).expect("the other end waits");
                assert_eq!(back.recv().await, Some(number), "an echo");
            }
            let took = start.elapsed();
            join(echo).await;
            took
        })
    })?;
    Ok(Said::figures([("ns", ns / 2.0)]))
}

/// Has so many tasks do `work` at the same time.
async fn race<F: Future<Output = ()> + Send + 'static>(
    tasks: usize,
    mut work: impl FnMut() -> F,
) -> Duration {
    let race = Arc::new(Race::of(tasks));
    let mut handles = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        let (race, work) = (race.clone(), work());
        handles.push(tokio::spawn(async move {
            while !race.is_open() {
                yield_now().await;
            }
            work.await;
            race.finish();
        }));
    }
    race.open();
    for handle in handles {
        join(handle).await;
    }
    race.took()
}

/// Runs `work` as a task: what is given to `block_on` itself runs on a kernel thread that is no worker.
pub(crate) fn inside<R: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = R> + Send + 'static,
) -> Result<R, String> {
    runtime
        .block_on(async { tokio::spawn(work).await })
        .map_err(|_| "the task of the case has panicked".to_owned())
}

async fn join(task: tokio::task::JoinHandle<()>) {
    task.await.expect("no task of a case panics");
}
