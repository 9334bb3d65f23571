//! What `raddle-bench threads` and `sendfile` measure of `std`: kernel threads, restricted to as many processors as the case has cores; calls that
//! block.
#![deny(unsafe_code)]

use raddle_bench::blocking::{self, Threads};
use raddle_bench::files::{self, Sends};
use raddle_bench::{process, subject};
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};

fn main() -> ExitCode {
    subject::main(|arguments| match arguments.case() {
        "sendfile" => files::serve::<Std>(arguments),
        _ => blocking::run::<Std>(arguments),
    })
}

struct Std;

impl Threads for Std {
    raddle_bench::calls_named_as_in_std!(std::thread, std::sync);

    fn enter(cores: usize) -> Result<(), String> {
        process::use_cores(cores)
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
        thread::Builder::new().spawn(work).map_err(|error| error.to_string())
    }

    fn set_nice(nice: i32) -> Result<(), String> {
        process::set_nice(nice)
    }
}

impl Sends for Std {
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
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        process::send_file(&file, to, len)
    }
}
