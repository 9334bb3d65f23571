//! What the programs that `raddle-bench threads`, `workqueue`, `sendfile` and `http` measure have in common. Each peer is a program of its own (`src/bin`), so that
//! what one links or sets up is in no other's way; raddle's symbols above all are linked into raddle's program only.
//!
//! | module | what it holds |
//! |---|---|
//! | `subject` | a program's way in and out: `CASE key=value...` in, one line of JSON out |
//! | `items` | the cases of `raddle-bench workqueue`, for any pool that takes work items |
//! | `files` | what `raddle-bench sendfile` has sent, and a server of that |
//! | `work` | arithmetic to be busy with, and how often to do something for a time worth measuring |
//! | `race` | a start and a finish for threads that do the same |
//! | `lateness` | how late a sleeper woke, one thread's or a hundred thousand timers' |
//! | `shares` | what each of many endless loops got done |
//! | `sleepers` | what sleeping threads take |
//! | `process` | what the kernel says of this process, and asks of it |
//! | `watched` | what is seen of another process: its CPU time, its system calls |
//! | `memory` | what live threads and bodies take |
//! | `blocking` | all cases once, for every runtime whose calls block as `std`'s do |
//!
//! The cases are measured by the programs themselves; what is said of them, and in which rounds, is the driver's business.
#![deny(unsafe_code)]

pub mod blocking;
pub mod files;
pub mod items;
pub mod lateness;
pub mod memory;
pub mod process;
pub mod race;
pub mod shares;
pub mod sleepers;
pub mod subject;
pub mod watched;
pub mod work;
