//! What `raddle-bench echo`, `sendfile` and `load` measure by, and against what: the clients, the same for all servers, and servers written by
//! hand: two are the floors of echo, one answers load generators.
//!
//! | module | what it holds |
//! |---|---|
//! | `epoll` | a server on epoll: two calls a message and a wait for each round |
//! | `uring` | a server on io_uring: one call a round |
//! | `respond` | a server of HTTP on epoll, for what asks: it answers at once, or after delays that are known, and keeps a record of what it did |
//! | `delays` | these delays |
//! | `arrival` | when what is read had come, by the kernel's stamp |
//! | `ask` | the control of `load`: an open loop whose thread never sleeps |
//! | `talk` | the client: connections that send and receive messages, one or several at a time |
//! | `churn` | the client: a connection for each message |
//! | `idle` | the client: connections that have said something, and are silent |
//! | `fetch` | the client of `sendfile`: it fetches files, and throws them away |
//! | `window` | when the client measures, and what it says of it |
//! | `histogram` | latencies |
//! | `buffers` | memory that a ring chooses from |
//! | `calls` | what can go wrong with a system call, in words |
#![deny(unsafe_code)]

mod arrival;
mod ask;
mod buffers;
mod calls;
mod churn;
mod delays;
mod epoll;
mod fetch;
mod histogram;
mod idle;
mod respond;
mod stacks;
mod talk;
mod uring;
mod window;

use raddle_bench::subject::{self, Arguments, Said};
use std::process::ExitCode;

fn main() -> ExitCode {
    subject::main(run)
}

fn run(arguments: &Arguments) -> Result<Said, String> {
    match arguments.case() {
        "epoll" => epoll::serve(None),
        "epoll_stacks" => epoll::serve(Some(stacks::Stacks::new())),
        "io_uring" => uring::serve(arguments),
        "ask" => ask::measure(arguments),
        "respond" => respond::serve(arguments),
        "talk" => talk::measure(arguments),
        "churn" => churn::measure(arguments),
        "idle" => idle::connect(arguments),
        "fetch" => fetch::measure(arguments),
        other => Err(format!("there is no case {other}")),
    }
}
