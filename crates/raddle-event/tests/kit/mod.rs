//! What the suites of this crate share: a queue on a given backend, and ways to wait that say what did not come.

#![allow(dead_code, reason = "each suite uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use raddle_event::{
    BackendKind, Completion, Config, Event, Events, Op, Operation, Queue, WakeKind, What,
};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// So long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// So long it looks out for what must not come.
pub const QUIET: Duration = Duration::from_millis(15);

/// Which backend and wake channel.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub backend: BackendKind,
    pub wake: WakeKind,
}

impl Setup {
    pub fn all() -> Vec<Setup> {
        let with = |backend| WakeKind::ALL.map(move |wake| Setup { backend, wake });
        BackendKind::ALL.into_iter().flat_map(with).collect()
    }

    pub fn config(self) -> Config {
        Config { backend: Some(self.backend), wake: Some(self.wake), ..Config::default() }
    }

    pub fn kit(self) -> Kit {
        self.kit_with(self.config(), 64)
    }

    pub fn kit_with(self, config: Config, capacity: usize) -> Kit {
        let queue = Queue::new(&config).expect("it worked before");
        Kit { queue, events: Events::with_capacity(capacity) }
    }
}

/// A queue and a batch.
pub struct Kit {
    pub queue: Queue,
    pub events: Events,
}

impl Kit {
    /// One wait, of at most [`PATIENCE`].
    pub fn wait(&mut self) -> Vec<Event> {
        self.queue.wait(&mut self.events, Some(PATIENCE)).expect("wait");
        assert!(!self.events.is_empty(), "nothing in {PATIENCE:?}");
        self.events.iter().copied().collect()
    }

    /// The next event, which must be the only one of its batch.
    pub fn one(&mut self) -> Event {
        let events = self.wait();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    }

    /// Waits until an event has what is wanted; others are dropped.
    pub fn until(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Event {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(event) = self.wait().into_iter().find(&is_wanted) {
                return event;
            }
        }
        panic!("it did not come in {PATIENCE:?}");
    }

    /// Nothing comes, for a while; except for what `is_allowed`.
    pub fn nothing_but(&mut self, is_allowed: impl Fn(&Event) -> bool) {
        let start = Instant::now();
        while let Some(left) = QUIET.checked_sub(start.elapsed()) {
            self.queue.wait(&mut self.events, Some(left)).expect("wait");
            let odd = self.events.iter().find(|event| !is_allowed(event));
            assert_eq!(odd, None);
        }
    }

    pub fn nothing(&mut self) {
        self.nothing_but(|_| false);
    }

    /// Waits for the end of that operation.
    pub fn done(&mut self, operation: Operation) -> io::Result<usize> {
        let is_it =
            |event: &Event| completion(event).is_some_and(|done| done.operation == operation);
        completion(&self.until(is_it)).expect("it is one").result()
    }

    /// Submits; the test keeps the memory.
    pub fn submit(&mut self, key: u64, op: Op) -> Operation {
        // SAFETY: tests keep buffers and descriptors until the operation has been reported or the queue is gone.
        unsafe { self.queue.submit(key, op) }.expect("submit")
    }

    /// Submits and waits.
    pub fn perform(&mut self, op: Op) -> io::Result<usize> {
        let operation = self.submit(0, op);
        self.done(operation)
    }
}

pub fn completion(event: &Event) -> Option<Completion> {
    match event.what {
        What::Done(completion) => Some(completion),
        _ => None,
    }
}

/// Two ends, of which reads and writes by hand do not wait.
pub fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("socketpair");
    a.set_nonblocking(true).expect("fcntl");
    b.set_nonblocking(true).expect("fcntl");
    (a, b)
}

/// Reads until nothing is there; how much there was.
pub fn drain(mut from: &UnixStream) -> usize {
    let mut total = 0;
    let mut bytes = [0; 4096];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return total,
            Err(error) => panic!("read: {error}"),
        }
    }
}

pub fn write(mut to: &UnixStream, bytes: &[u8]) {
    to.write_all(bytes).expect("write");
}

/// Makes the number of `old` name `new`'s file, in one step: so no other thread's descriptor gets in between.
pub fn replace(old: &impl AsRawFd, new: &impl AsRawFd) {
    // SAFETY: both are open; the owner of `old` owns the copy from here on.
    assert!(unsafe { libc::dup2(new.as_raw_fd(), old.as_raw_fd()) } >= 0);
}

pub fn recv(socket: &impl AsRawFd, buffer: &mut [u8]) -> Op {
    recv_raw(socket.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
}

pub fn recv_raw(socket: RawFd, buffer: *mut u8, len: usize) -> Op {
    Op::Recv { socket, buffer, len, flags: 0, is_drained: false }
}

pub fn send(socket: &impl AsRawFd, buffer: &[u8]) -> Op {
    Op::Send { socket: socket.as_raw_fd(), buffer: buffer.as_ptr(), len: buffer.len(), flags: 0 }
}

/// The number of an error.
pub fn errno(result: io::Result<usize>) -> Option<i32> {
    result.expect_err("an error").raw_os_error()
}

/// Runs a case on each backend, each a test of its own; a backend that the machine lacks counts as ignored, with the reason.
pub fn on_each_backend(name: &str, case: fn(BackendKind)) -> ! {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = BackendKind::ALL.map(|backend| {
        let usable = Queue::new(&Config { backend: Some(backend), ..Config::default() });
        if let Err(error) = &usable {
            eprintln!("{backend}: ignored: {error}");
        }
        let run = move || {
            case(backend);
            Ok(())
        };
        libtest_mimic::Trial::test(format!("{backend}::{name}"), run)
            .with_ignored_flag(usable.is_err())
    });
    libtest_mimic::run(&arguments, trials.into()).exit()
}
