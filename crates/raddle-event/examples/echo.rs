//! A TCP echo server on the bare queue: `cargo run -p raddle-event --example echo [ADDRESS]`, then `nc localhost 7007`.

use raddle_event::{Config, Events, Interest, Mode, Queue, What};
use std::{collections::HashMap, net::TcpListener, os::fd::AsRawFd, sync::Arc, time::Duration};

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

fn serve(address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut queue = Queue::new(&Config::default())?;
    let mut events = Events::with_capacity(256);
    let accepting = queue.register(&listener, 0, Interest::READ, Mode::OneShot)?;
    println!("echo: {} on {}", listener.local_addr()?, queue.report());
    // By descriptor, which is the key; each has an operation in flight that reads, or else one that writes.
    let mut connections = HashMap::new();
    loop {
        queue.wait(&mut events, None)?;
        for event in events.iter().copied().collect::<Vec<_>>() {
            match event.what {
                What::Ready(_) => match listener.accept() {
                    Ok((stream, _)) => {
                        let (key, stream) = (stream.as_raw_fd() as u64, Arc::new(stream));
                        queue.read(key, &stream, Vec::with_capacity(16 * 1024), None)?;
                        connections.insert(key, (stream, true));
                        queue.modify(accepting, Interest::READ, Mode::OneShot)?;
                    }
                    // No descriptors, perhaps: who waits is there a moment later, when there may be some.
                    Err(_) => _ = queue.timer_after(0, Duration::from_millis(50)),
                },
                What::Expired(..) => queue.modify(accepting, Interest::READ, Mode::OneShot)?,
                What::Done(done) => {
                    let mut buffer = events.take_buffer(done.operation).expect("it was given");
                    let (stream, reads) = connections.remove(&event.key).expect("it is in flight");
                    let Ok(count @ 1..) = done.result() else { continue };
                    // What a write has left over is next; then it is read again.
                    buffer.drain(..if reads { 0 } else { count });
                    let reads = buffer.is_empty();
                    let next = if reads { Queue::read } else { Queue::write };
                    next(&mut queue, event.key, &stream, buffer, None)?;
                    connections.insert(event.key, (stream, reads));
                }
                _ => {}
            }
        }
    }
}
