//! A queue's start: what works here is found out by trying it.

use crate::backend::Backend;
use crate::config::{BackendKind, Config, Forced, WakeKind};
use crate::core::Core;
use crate::keep::Owned;
use crate::queue::Queue;
use crate::report::{Failure, Report};
use crate::wake::Wake;
use crate::watch::Watches;
use std::io::{self, ErrorKind};
use std::sync::Arc;

impl Queue {
    /// Opens a queue on the first backend and wake channel that work here, or on those that `config` or the environment
    /// (`RADDLE_EVENT`, `RADDLE_WAKE`) demand.
    ///
    /// What is tried and fails is in the [`report`](Queue::report), and a warning to the `log` crate.
    ///
    /// # Errors
    ///
    /// A value of the environment that is none; what was demanded does not work, or nothing does: with what failed.
    pub fn new(config: &Config) -> io::Result<Queue> {
        let (config, forced) = config.completed()?;
        let mut failures = Vec::new();
        for backend in BackendKind::ALL {
            if config.backend.is_none_or(|wanted| wanted == backend)
                && let Some(queue) = Queue::on(backend, &config, &mut failures)?
            {
                return Ok(queue);
            }
        }
        Err(nothing_works(&failures, forced))
    }

    /// On one backend, with the first wake channel that works with it.
    fn on(
        backend: BackendKind,
        config: &Config,
        failures: &mut Vec<Failure>,
    ) -> io::Result<Option<Queue>> {
        for kind in WakeKind::ALL {
            if config.wake.is_some_and(|wanted| wanted != kind) {
                continue;
            }
            let mut failed = |step, error: io::Error, wake| {
                let (errno, message) = (error.raw_os_error(), error.to_string());
                let failure = Failure { backend, wake, step, errno, message };
                log::warn!("raddle-event: not {failure}");
                failures.push(failure);
            };
            let wake = match Wake::open(kind) {
                Ok(wake) => Arc::new(wake),
                Err(error) => {
                    failed("opening it", error, Some(kind));
                    continue;
                }
            };
            match Backend::open(backend, config, &wake) {
                Ok(opened) => {
                    let report = Report { backend, wake: kind, failures: std::mem::take(failures) };
                    return Ok(Some(Queue {
                        backend: opened,
                        core: Core::new(wake, config)?,
                        watches: Watches::default(),
                        owned: Owned::default(),
                        report,
                        is_woken: false,
                        turn: 0,
                    }));
                }
                Err(failure) if failure.is_wake => failed(failure.step, failure.error, Some(kind)),
                Err(failure) => {
                    failed(failure.step, failure.error, None);
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}

/// One line with all that was tried.
fn nothing_works(failures: &[Failure], forced: Forced) -> io::Error {
    let tried: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let by = match (forced.backend, forced.wake) {
        ("", "") => String::new(),
        (one, "") | ("", one) => format!(" (as {one} says)"),
        (one, other) if one == other => format!(" (as {one} says)"),
        (one, other) => format!(" (as {one} and {other} say)"),
    };
    let message = format!("no event queue works here{by}: {}", tried.join("; "));
    io::Error::new(ErrorKind::Unsupported, message)
}
