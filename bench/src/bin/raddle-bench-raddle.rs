//! What `raddle-bench threads`, `workqueue` and `sendfile` measure of raddle: its threads, workqueues and `send_path`, on as many cores as `RADDLE_CORES` says, and with slices of
//! `RADDLE_SLICE` where the case wants them; the driver sets both.
#![deny(unsafe_code)]

use raddle::net::{TcpListener, TcpStream};
use raddle::thread::{self, JoinHandle};
use raddle::workqueue::{Builder, Workqueue};
use raddle_bench::blocking::{self, Threads};
use raddle_bench::files::{self, Sends};
use raddle_bench::items::{self, Items};
use raddle_bench::subject::{self, Arguments};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    subject::main(|arguments| {
        let own = arguments.clone();
        if items::is_case(arguments) {
            raddle::runtime::run(move || items::run(&Queue(queue(&own)?), &own))
        } else if arguments.case() == "sendfile" {
            raddle::runtime::run(move || files::serve::<Raddle>(&own))
        } else {
            blocking::run::<Raddle>(arguments)
        }
    })
}

/// With as many items active as tokio has threads that block, at most.
fn queue(arguments: &Arguments) -> Result<Workqueue, String> {
    let builder = Builder::new("bench").max_active(512);
    let builder = if arguments.text("kind") == "bound" { builder.bound() } else { builder };
    builder.build().map_err(|error| error.to_string())
}

struct Queue(Workqueue);

impl Items for Queue {
    fn queue(&self, run: impl FnOnce() + Send + 'static) {
        self.0.queue(run);
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }
}

struct Raddle;

impl Threads for Raddle {
    raddle_bench::calls_named_as_in_std!(raddle::thread, raddle::sync);

    fn enter(_cores: usize) -> Result<(), String> {
        // It starts itself with its first thread.
        Ok(())
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
        thread::Builder::new().spawn(work).map_err(|error| error.to_string())
    }

    fn set_nice(nice: i32) -> Result<(), String> {
        thread::set_priority(thread::Priority::new(nice));
        Ok(())
    }
}

impl Sends for Raddle {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn listen() -> io::Result<(TcpListener, u16)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    }

    fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept()?.0)
    }

    fn spawn(serve: impl FnOnce() + Send + 'static) -> io::Result<()> {
        thread::Builder::new().spawn(serve).map(drop)
    }

    fn send(path: &Path, to: &mut TcpStream) -> io::Result<u64> {
        raddle::fs::send_path(b"", path, to)
    }
}
