//! A load generator for HTTP, on raddle's threads: closed and open loop, latency from the intended time.
//!
//! [`Run`] has an example. `docs/load.md` tells how its figures come about, and the verb `raddle load` is made of it.
//!
//! *A thread for each connection, in blocking calls.* What a client does stands in one function from top to bottom, and it is the event queue
//! that makes one system call of many.
//!
//! *Whose fault it is.* In an open loop a request has a time at which it is due, whatever the server does: its latency counts from there, also if no connection was
//! free. How late the generator itself was is measured apart.
//!
//! | module | what it is |
//! |---|---|
//! | `url`, `place`, `target` | what is asked for, where, as which bytes |
//! | `pace`, `mix` | when requests are due, and which |
//! | `plan` | all that is said of a run |
//! | `scenario`, `take` | what a visitor does, one request after the other; what is taken from answers |
//! | `stream`, `client`, `visitor` | a connection; who asks on it, for targets or as a scenario says |
//! | `pause` | how long who could not connect waits |
//! | `recorder`, `failure` | what is measured and counted |
//! | `shared`, `run`, `machine`, `outcome` | clients together, from the beginning to the end; what the process had of the machine |
//! | `report`; `table`, `tables`, `words` | what is kept of it; as people and other programs read it |
//! | `page`, `plot` | the same for a browser |
//! | `limit` | what it must not be |
//! | `burst` | a crowd at the door of an echo server |
//! | `compare`, `confidence` | two runs, and how sure their difference is |
#![deny(unsafe_code)]

mod burst;
mod client;
mod compare;
mod confidence;
mod failure;
mod limit;
mod machine;
mod mix;
mod outcome;
mod pace;
mod page;
mod pause;
mod place;
mod plan;
mod plot;
mod recorder;
mod report;
mod run;
mod scenario;
mod shared;
mod stream;
mod table;
mod tables;
mod take;
mod target;
mod url;
mod visitor;
pub mod words;

pub use burst::{Burst, Crowd, ThreadMeans};
pub use compare::compare;
pub use failure::{Failure, Step};
pub use limit::{BadLimit, Limit, time};
pub use outcome::{End, Interval, Outcome};
pub use pace::{Pace, Schedule, Spacing};
pub use page::page;
pub use place::{Detour, Place};
pub use plan::Plan;
pub use recorder::{Recorder, Times};
pub use report::{
    About, Distribution, Failed, Generator, NoReport, OfStatus, OfStep, Percentile, Report, Slice,
};
pub use run::{CannotBegin, Run, Stopper};
pub use scenario::{BadTemplate, Flow, Request, Scenario, Template};
pub use table::table;
pub use tables::{csv, gnuplot};
pub use take::Take;
pub use target::{Ask, Target};
pub use url::{BadUrl, Url};
