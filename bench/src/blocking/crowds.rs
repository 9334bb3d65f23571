//! Many threads that sleep: what they take, how punctually they wake, and that they cost nothing meanwhile.

use super::threads::{Threads, inside};
use crate::lateness::Timers;
use crate::sleepers::{NIGHT, Sleepers};
use crate::subject::{Arguments, Said, stay};

pub(super) fn sleeping<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    warm_up::<T>()?;
    let sleepers = Sleepers::of(arguments.number("n")?);
    sleepers.measure(|| make::<T>(&sleepers, || T::sleep(NIGHT)))
}

pub(super) fn idle<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    let sleepers = Sleepers::of(arguments.number("n")?);
    make::<T>(&sleepers, || {
        loop {
            T::park();
        }
    });
    sleepers.wait()?;
    stay()
}

/// What the runtime makes but once is no thread's.
fn warm_up<T: Threads>() -> Result<(), String> {
    inside::<T, _>(|| {
        let handles: Result<Vec<_>, _> = (0..64).map(|_| T::spawn(|| ())).collect();
        handles?.into_iter().for_each(T::join);
        Ok(())
    })
}

/// Makes all sleepers from within the runtime, without waiting for it.
fn make<T: Threads>(sleepers: &Sleepers, sleep: fn()) {
    let all = sleepers.clone();
    let maker = T::spawn(move || {
        for _ in 0..all.wanted() {
            let own = all.clone();
            let made = T::spawn(move || {
                own.falls_asleep();
                sleep();
            });
            if let Err(why) = made {
                return all.fail(why);
            }
        }
    });
    if let Err(why) = maker {
        sleepers.fail(why);
    }
}

pub(super) fn timers<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    warm_up::<T>()?;
    let timers = Timers::new(arguments.number("n")?, arguments.ms("lead_ms")?);
    let all = timers.clone();
    // Making them may take longer than the lead; then the one who watches says so.
    T::spawn(move || {
        for number in 0..all.count() {
            let own = all.clone();
            let made = T::spawn(move || {
                T::sleep(own.sleep(number));
                own.woke(number);
            });
            if made.is_err() {
                return;
            }
        }
    })?;
    Ok(timers.watch())
}
