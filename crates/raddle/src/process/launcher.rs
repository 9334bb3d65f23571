//! Kernel threads that start programs for raddle's threads.
//!
//! Forking takes a kernel thread until the child has executed its program: some hundred microseconds, or as long as the disk takes that the
//! program is on. And the child inherits what is the kernel thread's own, for good. A worker is not fit for either: it has exact timers (`PR_SET_TIMERSLACK`)
//! and may end before the process does, which kills children that asked for that (`PR_SET_PDEATHSIG`). So there are a few kernel threads for it, as
//! ordinary as can be. They are made when they are needed, and never end.
//!
//! Rejected: `blocking` on the worker, for these reasons; a kernel thread for each start (`PR_SET_PDEATHSIG` again); the timers' exactness
//! taken back around the fork (the thread could go on under another worker in between; to forbid that would hold the core).

use crate::blocking;
use crate::carry;
use crate::per_process::PerProcess;
use crate::sched::enter::Here;
use crate::sync::{Mutex, MutexGuard, PoisonError, Semaphore, mpsc};
use crate::sys::task;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

type Job = Box<dyn FnOnce() + Send>;

/// So many programs are being started at once, at most; who comes then waits for a turn.
const LAUNCHERS_MAX: usize = 8;

/// A process's launchers.
struct Launchers {
    turns: Semaphore,
    /// Those that have nothing to do. Whoever has a turn finds one, or makes one.
    idle: Mutex<Vec<mpsc::Sender<Job>>>,
}

static LAUNCHERS: PerProcess<Launchers> = PerProcess::new();

impl Launchers {
    fn new() -> Launchers {
        Launchers { turns: Semaphore::new(LAUNCHERS_MAX), idle: Mutex::new(Vec::new()) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new launcher; `None` if there is no room for another kernel thread.
fn launcher() -> Option<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let live = move || {
        task::want_usual_timers();
        while let Ok(job) = jobs.recv() {
            job();
        }
    };
    std::thread::Builder::new().name("raddle-launch".into()).spawn(live).ok().map(|_| sender)
}

/// Has a launcher do `job`, which is to start a program, and parks the calling thread until that is done; a plain kernel thread does it itself.
pub(super) fn run<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> R {
    // Neither in a forked child is anybody of raddle's to be kept from waiting.
    if Here::enter().is_none() {
        return job();
    }
    let launchers = LAUNCHERS.get_or_make(Launchers::new);
    let _turn = launchers.turns.acquire();
    let _shield = carry::raise_shield();
    let idle = launchers.idle().pop();
    let Some(launcher) = idle.or_else(launcher) else { return blocking(job) };
    let (tell, told) = mpsc::channel();
    let job: Job = Box::new(move || {
        // Nobody can have gone meanwhile.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(job)));
    });
    launcher.send(job).expect("a launcher does not end");
    let result = told.recv().expect("a job is done, whatever happens in it");
    launchers.idle().push(launcher);
    result.unwrap_or_else(|payload| resume_unwind(payload))
}
