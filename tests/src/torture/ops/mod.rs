//! The operations, and how often each is chosen.
//!
//! | module | operations on |
//! |---|---|
//! | `threads` | beginnings and ends |
//! | `parking` | parking, sleeping, timers |
//! | `locks` | locks and channels: std's, and raddle's |
//! | `memory` | thread-locals, malloc, stacks |
//! | `compute` | registers, errno, masks, alternate stacks |
//! | `blocking` | calls that block the kernel thread |
//! | `children` | forked and executed children |
//! | `primitives` | what only raddle has: semaphores, many-to-many channels, selects, cancellation |
//! | `signals` | signals between threads |
//! | `workqueue` | workqueues |

mod blocking;
mod children;
mod compute;
mod locks;
mod memory;
mod parking;
mod primitives;
mod signals;
mod threads;
mod workqueue;

use super::world::Actor;
use locks::{of_raddle, of_std};
use std::io;

/// Where an operation may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Raddle,
    Anywhere,
}

struct Row(&'static str, u64, On, fn(&mut Actor));

const ROWS: &[Row] = &[
    Row("spawn-join", 60, On::Anywhere, threads::spawn_join),
    Row("spawn-nested", 6, On::Anywhere, threads::nested),
    Row("spawn-detached", 20, On::Anywhere, threads::detached),
    Row("spawn-panics", 15, On::Anywhere, threads::panics),
    Row("scope", 20, On::Anywhere, threads::scoped),
    Row("burst", 1, On::Anywhere, threads::burst),
    Row("from-kernel", 2, On::Anywhere, threads::from_kernel_thread),
    Row("late-scope", 2, On::Anywhere, threads::scope_in_destructor),
    Row("await", 8, On::Anywhere, threads::awaited),
    Row("priority", 8, On::Raddle, threads::priority),
    Row("yield", 60, On::Anywhere, parking::yields),
    Row("token", 40, On::Anywhere, parking::token),
    Row("ring", 6, On::Anywhere, parking::ring),
    Row("ping-pong", 10, On::Anywhere, parking::ping_pong),
    Row("park-timeout", 40, On::Anywhere, parking::park_timeout),
    Row("timer-race", 20, On::Anywhere, parking::timer_race),
    Row("sleep", 40, On::Anywhere, parking::sleep),
    Row("sleep-zero", 20, On::Anywhere, parking::sleep_zero),
    Row("mutex", 10, On::Anywhere, of_std::mutex),
    Row("condvar", 6, On::Anywhere, of_std::condvar),
    Row("rwlock", 6, On::Anywhere, of_std::rwlock),
    Row("mpsc", 6, On::Anywhere, of_std::mpsc),
    Row("thread-local", 40, On::Anywhere, memory::thread_local),
    Row("destructors", 15, On::Anywhere, memory::destructors),
    Row("malloc", 40, On::Anywhere, memory::malloc),
    Row("malloc-crossed", 10, On::Anywhere, memory::malloc_crossed),
    Row("format", 30, On::Anywhere, memory::format),
    Row("hash-map", 30, On::Anywhere, memory::hash_map),
    Row("recursion", 20, On::Anywhere, memory::recursion),
    Row("float", 20, On::Anywhere, compute::float),
    Row("integers", 20, On::Anywhere, compute::integers),
    Row("errno", 40, On::Anywhere, compute::errno),
    Row("signal-state", 60, On::Raddle, compute::signal_state),
    Row("unwind", 10, On::Anywhere, compute::unwind),
    Row("backtrace", 2, On::Anywhere, compute::backtrace),
    Row("pipe", 6, On::Anywhere, blocking::pipe),
    Row("poll", 4, On::Anywhere, blocking::poll),
    Row("nanosleep", 6, On::Anywhere, blocking::nanosleep),
    Row("usleep", 4, On::Anywhere, blocking::usleep),
    Row("file", 6, On::Anywhere, blocking::file),
    Row("modules", 10, On::Anywhere, blocking::modules),
    Row("library", 2, On::Anywhere, blocking::library),
    Row("fork", 1, On::Anywhere, children::fork),
    Row("fork-runs", 1, On::Anywhere, children::fork_and_run),
    Row("exec", 1, On::Anywhere, children::exec),
    Row("own-mutex", 10, On::Anywhere, of_raddle::mutex),
    Row("own-condvar", 8, On::Anywhere, of_raddle::condvar),
    Row("own-rwlock", 8, On::Anywhere, of_raddle::rwlock),
    Row("own-semaphore", 8, On::Anywhere, primitives::semaphore),
    Row("own-mpsc", 8, On::Anywhere, of_raddle::mpsc),
    Row("channel", 8, On::Anywhere, primitives::channel),
    Row("select", 8, On::Anywhere, primitives::select),
    Row("cancel", 8, On::Anywhere, primitives::cancel),
    Row("signal", 8, On::Anywhere, signals::signal),
    Row("workqueue", 8, On::Anywhere, workqueue::workqueue),
];

/// What all operations are called, in the order of their indices.
pub fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.0)
}

/// The operations of one run.
pub(super) struct Table {
    raddle: Vec<(u64, Op)>,
    anywhere: Vec<(u64, Op)>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Op {
    pub(super) index: usize,
    pub(super) run: fn(&mut Actor),
}

impl Table {
    /// Those that `only` names, or all.
    pub(super) fn new(only: &[String]) -> io::Result<Table> {
        if let Some(unknown) = only.iter().find(|name| !names().any(|known| known == name.as_str()))
        {
            let what = format!("there is no operation {unknown}; --list shows them");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let wanted = |row: &Row| only.is_empty() || only.iter().any(|name| name == row.0);
        let sum_up = |is_right: &dyn Fn(&Row) -> bool| {
            let mut sum = 0;
            let rows = ROWS.iter().enumerate().filter(|(_, row)| wanted(row) && is_right(row));
            rows.map(|(index, row)| {
                sum += row.1;
                (sum, Op { index, run: row.3 })
            })
            .collect::<Vec<_>>()
        };
        let raddle = sum_up(&|_| true);
        let mut anywhere = sum_up(&|row| row.2 == On::Anywhere);
        if anywhere.is_empty() {
            let index = ROWS.iter().position(|row| row.0 == "sleep").unwrap_or(0);
            anywhere.push((1, Op { index, run: parking::sleep }));
        }
        Ok(Table { raddle, anywhere })
    }

    /// One by chance, for whoever asks.
    pub(super) fn choose(&self, actor: &mut Actor) -> Op {
        let table = if actor.is_raddle { &self.raddle } else { &self.anywhere };
        let total = table.last().map_or(1, |(sum, _)| *sum);
        let drawn = actor.random.below(total);
        let at = table.partition_point(|(sum, _)| *sum <= drawn);
        table[at].1
    }
}
