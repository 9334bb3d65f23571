//! What may be sent, shared, moved while it is borrowed, and used after a panic was caught: raddle's types wherever std's may. Those of `std::thread`
//! and `std::sync` are `std_shape`'s.

use std::panic::{RefUnwindSafe, UnwindSafe};

fn all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

/// The same names in std and in raddle: the compiler says where they differ.
macro_rules! as_in_std {
    ($($module:ident: $($name:ident)+;)+) => {$($(
        all::<std::$module::$name>();
        all::<raddle::$module::$name>();
    )+)+};
}

#[test]
fn handles_may_go_wherever_those_of_std_may() {
    as_in_std! {
        fs: File OpenOptions;
        io: PipeReader PipeWriter Stdin Stdout Stderr;
        net: TcpListener TcpStream UdpSocket;
        process: Child ChildStdin ChildStdout ChildStderr;
        time: Instant;
    }
    all::<(
        std::os::unix::net::UnixListener,
        std::os::unix::net::UnixStream,
        std::os::unix::net::UnixDatagram,
    )>();
    all::<(raddle::net::UnixListener, raddle::net::UnixStream, raddle::net::UnixDatagram)>();
    all::<(raddle::workqueue::Workqueue, raddle::workqueue::Work)>();
}

#[test]
fn a_socket_is_used_after_a_panic_that_was_caught() {
    let (stream, _other) = raddle::net::UnixStream::pair().unwrap();
    let queue = raddle::workqueue::Builder::new("caught").build().unwrap();
    let caught = std::panic::catch_unwind(|| {
        stream.set_nonblocking(true).unwrap();
        queue.queue(|| ());
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(caught.is_err());
    stream.set_nonblocking(false).unwrap();
    queue.drain().unwrap();
}
