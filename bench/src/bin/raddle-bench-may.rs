//! What `raddle-bench threads` and `raddle-bench echo` measure of may: its coroutines, with the stacks of 32 KiB that it gives by default.
#![deny(unsafe_code)]

use may::coroutine::JoinHandle;
use may::net::{TcpListener, TcpStream};
use raddle_bench::blocking::{self, Threads};
use raddle_bench::process;
use raddle_bench::subject::{self, Arguments, CORES, Said};
use std::io::{Read, Write};
use std::process::ExitCode;

/// The crate counts stacks in words.
const STACK_WORDS: usize = 32 * 1024 / size_of::<usize>();

fn main() -> ExitCode {
    subject::main(|arguments| match arguments.case() {
        "echo" => echo(arguments),
        _ => blocking::run::<May>(arguments),
    })
}

/// An echo server with a coroutine for each connection, whose buffer has as many bytes as the driver says.
fn echo(arguments: &Arguments) -> Result<Said, String> {
    May::enter(arguments.number(CORES)?)?;
    process::raise_descriptors();
    let bytes = arguments.number("buffer")?;
    let failed = |error| format!("may's listener: {error}");
    let listener = TcpListener::bind("0.0.0.0:0").map_err(failed)?;
    subject::serves(listener.local_addr().map_err(failed)?.port());
    let acceptor = may::go!(move || {
        loop {
            let (stream, _) = listener.accept()?;
            // The client may have gone already.
            _ = stream.set_nodelay(true);
            may::go!(move || converse(stream, bytes));
        }
    });
    let ended: Result<std::io::Result<()>, _> = acceptor.join();
    Err(format!("may's listener has ended: {ended:?}"))
}

/// Until the client has gone.
fn converse(mut stream: TcpStream, bytes: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

struct May;

impl Threads for May {
    raddle_bench::calls_named_as_in_std!(may::coroutine, may::sync);

    fn enter(cores: usize) -> Result<(), String> {
        may::config().set_workers(cores).set_stack_size(STACK_WORDS);
        Ok(())
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
        Ok(may::go!(work))
    }
}
