//! Forked and executed children.

use super::super::kernel;
use super::super::work::spin;
use super::super::world::Actor;
use raddle::thread;
use std::process::{Command, Stdio};

/// One at a time is enough: each copies the page tables of all.
fn fork_with(actor: &mut Actor, child: impl FnOnce() -> i32) {
    let Some(_leave) = actor.may_block() else { return };
    let code = actor.between(1, 100) as i32;
    match kernel::fork(move || {
        kernel::die_in(20);
        code + child()
    }) {
        Ok(found) if found == code => {}
        // No room for another process.
        Err(error) if error == -libc::EAGAIN || error == -libc::ENOMEM => {}
        other => actor.world.fail(format_args!("a forked child was to give {code}: {other:?}")),
    }
}

/// The child computes and allocates; it has no runtime.
pub(super) fn fork(actor: &mut Actor) {
    fork_with(actor, || {
        let text = format!("{}", spin(1_000));
        thread::yield_now();
        thread::sleep(std::time::Duration::from_micros(50));
        i32::from(text.is_empty())
    });
}

/// The child starts a runtime of its own.
pub(super) fn fork_and_run(actor: &mut Actor) {
    fork_with(actor, || {
        let values = [1, 2].map(|n| thread::spawn(move || n));
        let sum: i32 = values.into_iter().map(|value| value.join().unwrap_or(100)).sum();
        let mut seen = 0;
        thread::scope(|scope| {
            scope.spawn(|| seen += 1);
        });
        sum - 3 + seen - 1
    });
}

pub(super) fn exec(actor: &mut Actor) {
    let Some(_leave) = actor.may_block() else { return };
    match Command::new("/bin/true").stdin(Stdio::null()).status() {
        Ok(status) => actor.world.check(status.success(), "/bin/true failed"),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
        Err(error) => actor.world.fail(format_args!("a child was not executed: {error}")),
    }
}
