//! One contract, one suite: every case runs on every backend with every wake channel, and counts as a test of its own.
//!
//! What the machine lacks counts as ignored, and the reason is printed.

#[path = "contract_work/cancel.rs"]
mod cancel;
#[path = "contract_work/disk.rs"]
mod disk;
#[path = "contract_work/fixed.rs"]
mod fixed;
#[path = "contract_work/hostile.rs"]
mod hostile;
mod kit;
#[path = "contract_work/operations.rs"]
mod operations;
#[path = "contract_work/readiness.rs"]
mod readiness;
#[path = "contract_work/stale.rs"]
mod stale;
#[path = "contract_work/threads.rs"]
mod threads;
#[path = "contract_work/timers.rs"]
mod timers;
#[path = "contract_work/watches.rs"]
mod watches;

use kit::Setup;
use libtest_mimic::{Arguments, Trial};
use raddle_event::Queue;

/// A case and its name.
type Case = (&'static str, fn(Setup));

fn main() {
    let arguments = Arguments::from_args();
    let cases: Vec<Case> = [
        readiness::CASES,
        stale::CASES,
        operations::CASES,
        disk::CASES,
        fixed::CASES,
        cancel::CASES,
        timers::CASES,
        watches::CASES,
        threads::CASES,
        hostile::CASES,
    ]
    .concat();
    let mut trials = Vec::new();
    for setup in Setup::all() {
        let usable = Queue::new(&setup.config());
        if let Err(error) = &usable {
            eprintln!("{}/{}: ignored: {error}", setup.backend, setup.wake);
        }
        for (name, case) in &cases {
            let case = *case;
            let run = move || {
                case(setup);
                Ok(())
            };
            let name = format!("{}::{}::{name}", setup.backend, setup.wake);
            trials.push(Trial::test(name, run).with_ignored_flag(usable.is_err()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Names functions as cases.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[$crate::Case] = &[$((stringify!($name), $name)),*];
    };
}
