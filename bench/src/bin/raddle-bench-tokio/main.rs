//! What `raddle-bench threads`, `echo` and `http` measure of tokio: tasks on the runtime that `#[tokio::main]` would make, with as many workers as
//! the case has cores. On one core the driver tries `current_thread` too, and takes the better.
//!
//! | module | what it measures |
//! |---|---|
//! | `costs` | making tasks, yielding, messages, a mutex |
//! | `blocking` | its pool of threads that may block |
//! | `echo` | an echo server |
//! | `http` | a web server, of hyper's |
//! | `neighbours` | what tasks that compute or block do to others, and many that sleep |
#![deny(unsafe_code)]

mod blocking;
mod costs;
mod echo;
mod http;
mod neighbours;

use raddle_bench::items;
use raddle_bench::subject::{self, Arguments, CORES, Said};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    subject::main(run)
}

fn run(arguments: &Arguments) -> Result<Said, String> {
    // Never dropped: that would wait for tasks that loop forever.
    let runtime: &Runtime = Box::leak(Box::new(runtime(arguments)?));
    match arguments.case() {
        "echo" => echo::serve(runtime, arguments),
        "http" => http::serve(runtime, arguments),
        "spawn_join" => costs::spawn_join(runtime, arguments),
        "spawn_many" => costs::spawn_many(runtime, arguments),
        "yield" => costs::yields(runtime, arguments),
        "channel" => costs::channel(runtime, arguments),
        "mutex_contended" => costs::mutex_contended(runtime, arguments),
        "sleeping" => neighbours::sleeping(runtime, arguments),
        "timers" => neighbours::timers(runtime, arguments),
        "idle" => neighbours::idle(runtime, arguments),
        "hog_lateness" => neighbours::hog_lateness(runtime, arguments),
        "blocked_recovery" => neighbours::blocked_recovery(runtime, arguments),
        "share_spread" => neighbours::share_spread(runtime, arguments),
        _ if items::is_case(arguments) => items::run(&blocking::Pool(runtime), arguments),
        other => Err(format!("tokio has no case {other}")),
    }
}

fn runtime(arguments: &Arguments) -> Result<Runtime, String> {
    let mut builder = match arguments.text("flavor") {
        "current_thread" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let builder = builder.worker_threads(arguments.number(CORES)?).enable_all();
    builder.build().map_err(|error| format!("no runtime: {error}"))
}
