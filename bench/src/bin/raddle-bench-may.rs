//! What `raddle-bench threads`, `echo` and `http` measure of may: its coroutines, with the stacks of 32 KiB that it gives by default.
#![deny(unsafe_code)]

use may::coroutine::JoinHandle;
use may::net::{TcpListener, TcpStream};
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use raddle_bench::blocking::{self, Threads};
use raddle_bench::process;
use raddle_bench::subject::{self, Arguments, CORES, Said};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The crate counts stacks in words.
const STACK_WORDS: usize = 32 * 1024 / size_of::<usize>();

fn main() -> ExitCode {
    subject::main(|arguments| match arguments.case() {
        "echo" => echo(arguments),
        "http" => http(arguments),
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
    let ended: Result<io::Result<()>, _> = acceptor.join();
    Err(format!("may's listener has ended: {ended:?}"))
}

/// Until the client has gone.
fn converse(mut stream: TcpStream, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

/// may_minihttp's server. It does not say where it listens, so the driver chooses.
fn http(arguments: &Arguments) -> Result<Said, String> {
    May::enter(arguments.number(CORES)?)?;
    process::raise_descriptors();
    let port = arguments.number("port")? as u16;
    let site = Site(PathBuf::from(arguments.text("folder")).leak());
    let failed = |error| format!("may_minihttp's listener: {error}");
    let server = site.start(("127.0.0.1", port)).map_err(failed)?;
    subject::serves(port);
    Err(format!("may_minihttp's server has ended: {:?}", server.join()))
}

/// A handler, and a folder of files, which are read whole: the crate sends nothing else.
#[derive(Clone, Copy)]
struct Site(&'static Path);

impl HttpServiceFactory for Site {
    type Service = Site;

    fn new_service(&self, _id: usize) -> Site {
        *self
    }
}

impl HttpService for Site {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        response.header("Content-Type: text/plain");
        match request.path() {
            "/hello" => response.body("Hello, World!"),
            file => {
                response.body_vec(std::fs::read(self.0.join(file.trim_start_matches('/')))?);
            }
        }
        Ok(())
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
