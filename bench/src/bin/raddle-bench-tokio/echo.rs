//! An echo server with a task for each connection, whose buffer has as many bytes as the driver says.

use raddle_bench::process;
use raddle_bench::subject::{self, Arguments, Said};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub(crate) fn serve(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    process::raise_descriptors();
    let bytes = arguments.number("buffer")?;
    // On a worker, where it is cheaper to be than outside of them.
    let server = runtime.spawn(listen(bytes));
    let ended = runtime.block_on(server);
    Err(format!("tokio's listener has ended: {ended:?}"))
}

async fn listen(bytes: usize) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    subject::serves(listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        // The client may have gone already.
        _ = stream.set_nodelay(true);
        tokio::spawn(converse(stream, bytes));
    }
}

/// Until the client has gone.
async fn converse(mut stream: TcpStream, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}
