//! What `raddle-bench http` measures of raddle: its library's server, with a handler and a folder of files, on as many cores as `RADDLE_CORES` says.
//! `raddle serve` is the same server without the handler. Apart from raddle's other program, so that nothing of HTTP is linked into that.
#![deny(unsafe_code)]

use raddle_bench::process;
use raddle_bench::subject::{self, Arguments, Said};
use raddle_http::files::Files;
use raddle_http::server::Server;
use raddle_http::{Request, Response, Status};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    subject::main(|arguments| {
        let own = arguments.clone();
        raddle::runtime::run(move || serve(&own))
    })
}

fn serve(arguments: &Arguments) -> Result<Said, String> {
    process::raise_descriptors();
    let files = Files::new(Path::new(arguments.text("folder")));
    let files = files.map_err(|error| format!("raddle's folder: {error}"))?;
    let server = Server::new().route("/hello", hello).map_err(|error| error.to_string())?;
    let server = server.otherwise(move |request| files.serve(request)).bind("127.0.0.1:0");
    let server = server.map_err(|error| format!("raddle's listener: {error}"))?;
    subject::serves(server.local_addr().port());
    server.wait();
    Err("raddle's server has ended".to_owned())
}

fn hello(request: &mut Request<'_>) -> Response {
    request.reply(Status::OK).header("content-type", "text/plain").with_body("Hello, World!")
}
