//! A TCP echo server on the bare queue: `cargo run -p raddle-event --example echo [ADDRESS]`, then `nc localhost 7007`.

use raddle_event::{Config, Events, Interest, Mode, Queue, What};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

const LISTENER: u64 = 0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:7007".to_owned());
    if arguments.next().is_some() {
        eprintln!("echo: give one address at most, like 127.0.0.1:7007");
        std::process::exit(2);
    }
    if let Err(error) = serve(&address) {
        eprintln!("echo: {address}: {error}");
        std::process::exit(1);
    }
}

fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut queue = Queue::new(&Config::default())?;
    let mut events = Events::with_capacity(256);
    queue.register(&listener, LISTENER, Interest::READ, Mode::Level)?;
    println!("echo: {} on {}", listener.local_addr()?, queue.report());
    let mut connections = HashMap::new();
    for key in 1.. {
        queue.wait(&mut events, None)?;
        for event in &events {
            let What::Ready(_) = event.what else { continue };
            if event.key == LISTENER {
                let Ok((stream, _)) = listener.accept() else { continue };
                stream.set_nonblocking(true)?;
                let registration = queue.register(&stream, key, Interest::READ, Mode::Level)?;
                connections.insert(key, (stream, registration));
            } else if connections.get(&event.key).is_some_and(|(stream, _)| !echo(stream)) {
                let (_stream, registration) = connections.remove(&event.key).expect("seen above");
                queue.remove(registration);
            }
        }
    }
    Ok(())
}

/// Sends back what has come; false at the end. Who does not read what it is sent is cut off.
fn echo(mut stream: &TcpStream) -> bool {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(count) => count > 0 && stream.write_all(&buffer[..count]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
