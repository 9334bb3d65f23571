//! What the contract lets a host do with wakers: wake at once, for nothing, twice, and when nobody waits any more.

use raddle::host::{Endpoint, Family, Host, Kind, LookUp, Network, SocketOption, Way};
use raddle::net::UdpSocket;
use raddle::thread;
use raddle::time::{Duration, Instant, timeout};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Waker;

const MS: Duration = Duration::from_millis(1);

/// A host with one socket, on which something is received after some attempts in vain.
#[derive(Clone, Debug)]
struct Scripted(Arc<State>);

#[derive(Debug)]
struct State {
    now_ns: AtomicU64,
    /// So many attempts are in vain.
    vain: usize,
    attempts: AtomicUsize,
    /// How long after a waker was left it is woken, each time.
    wakes: &'static [Duration],
    alarms: Mutex<Vec<(u64, Waker)>>,
    forgotten: AtomicUsize,
}

impl Host for Scripted {
    fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Relaxed)
    }

    fn choose(&self, _ready: usize) -> usize {
        0
    }

    fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
        let first = self.0.alarms.lock().unwrap().iter().map(|(at_ns, _)| *at_ns).min();
        let Some(next) = first.into_iter().chain(deadline_ns).min() else { return false };
        self.0.now_ns.store(next, Relaxed);
        let mut due = Vec::new();
        self.0.alarms.lock().unwrap().retain(|(at_ns, waker)| {
            let is_due = *at_ns <= next;
            due.extend(is_due.then(|| waker.clone()));
            !is_due
        });
        due.into_iter().for_each(Waker::wake);
        true
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(self)
    }
}

impl Network for Scripted {
    fn socket(&self, _family: Family, _kind: Kind) -> io::Result<Arc<dyn Endpoint>> {
        Ok(Arc::new(self.clone()))
    }

    fn look_up(&self, _name: &str) -> LookUp {
        Box::pin(std::future::ready(Err(ErrorKind::NotFound.into())))
    }
}

fn lacks<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
}

impl Endpoint for Scripted {
    fn bind(&self, _address: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn listen(&self, _backlog: u32) -> io::Result<()> {
        lacks()
    }

    fn accept(&self) -> io::Result<(Arc<dyn Endpoint>, SocketAddr)> {
        lacks()
    }

    fn connect(&self, _peer: SocketAddr) -> io::Result<()> {
        lacks()
    }

    fn recv(&self, _buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)> {
        let attempt = self.0.attempts.fetch_add(1, Relaxed);
        if attempt < self.0.vain { Err(ErrorKind::WouldBlock.into()) } else { Ok((attempt, None)) }
    }

    fn peek(&self, _buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)> {
        lacks()
    }

    fn send(&self, _buffers: &[IoSlice<'_>], _to: Option<SocketAddr>) -> io::Result<usize> {
        lacks()
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        lacks()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        lacks()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        lacks()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        lacks()
    }

    fn set_option(&self, _option: SocketOption, _value: i32) -> io::Result<()> {
        lacks()
    }

    fn option(&self, _option: SocketOption) -> io::Result<i32> {
        lacks()
    }

    fn set_linger(&self, _linger: Option<Duration>) -> io::Result<()> {
        lacks()
    }

    fn linger(&self) -> io::Result<Option<Duration>> {
        lacks()
    }

    fn wake_when(&self, way: Way, waker: &Waker) {
        assert_eq!(way, Way::In);
        let now = self.now_ns();
        for after in self.0.wakes {
            if after.is_zero() {
                waker.wake_by_ref();
            } else {
                let at_ns = now + after.as_nanos() as u64;
                self.0.alarms.lock().unwrap().push((at_ns, waker.clone()));
            }
        }
    }

    /// They are woken nevertheless: the contract allows that.
    fn forget(&self, _way: Way, _waker: &Waker) {
        self.0.forgotten.fetch_add(1, Relaxed);
    }
}

/// What `main` does with the socket; how long that took, and how many wakers were taken back.
fn run<T: Send + 'static>(
    vain: usize,
    wakes: &'static [Duration],
    main: impl FnOnce(UdpSocket) -> T + Send + 'static,
) -> (T, Duration, usize) {
    let state = Arc::new(State {
        now_ns: AtomicU64::new(1),
        vain,
        attempts: AtomicUsize::new(0),
        wakes,
        alarms: Mutex::default(),
        forgotten: AtomicUsize::new(0),
    });
    let result = raddle::runtime::simulate(Box::new(Scripted(state.clone())), move || {
        let start = Instant::now();
        let result = main(UdpSocket::bind("10.0.0.1:1").unwrap());
        (result, start.elapsed())
    });
    let (result, time) = result.unwrap();
    (result, time, state.forgotten.load(Relaxed))
}

fn recv(socket: &UdpSocket) -> Result<usize, ErrorKind> {
    socket.recv(&mut [0; 8]).map_err(|error| error.kind())
}

#[test]
fn woken_before_it_sleeps_it_does_not() {
    let (result, time, forgotten) = run(9, &[Duration::ZERO], |socket| recv(&socket));
    assert_eq!((result, time, forgotten), (Ok(9), Duration::ZERO, 0));
}

#[test]
fn woken_for_nothing_it_waits_again_and_no_longer_than_it_would() {
    // The first attempt, one more before it waits, and then one each millisecond.
    let (result, time, _) = run(12, &[MS], |socket| recv(&socket));
    assert_eq!(result, Ok(12));
    assert_eq!(time, 11 * MS);
    let (result, time, forgotten) = run(usize::MAX, &[MS], |socket| {
        socket.set_read_timeout(Some(100 * MS)).unwrap();
        recv(&socket)
    });
    assert_eq!((result, forgotten), (Err(ErrorKind::WouldBlock), 1));
    assert!(time >= 100 * MS && time < 101 * MS, "{time:?}");
}

#[test]
fn a_late_waker_ends_no_other_wait() {
    const LATE: &[Duration] = &[MS, MS, Duration::from_millis(7), Duration::from_millis(70)];
    let (result, time, _) = run(3, LATE, |socket| {
        let result = recv(&socket);
        // Of those that were left, some are woken during these.
        thread::sleep(20 * MS);
        let (_sender, receiver) = raddle::sync::mpsc::channel::<u8>();
        assert!(receiver.recv_timeout(30 * MS).is_err());
        let joined = thread::spawn(|| thread::sleep(40 * MS));
        joined.join().unwrap();
        result
    });
    assert_eq!(result, Ok(3));
    assert!(time >= 92 * MS && time < 93 * MS, "{time:?}");
}

#[test]
fn who_was_cut_short_is_not_woken_for_it() {
    const LATE: &[Duration] = &[Duration::from_millis(15)];
    let (result, time, forgotten) = run(usize::MAX, LATE, |socket| {
        let cut = timeout(10 * MS, || recv(&socket));
        thread::sleep(20 * MS);
        cut.is_err()
    });
    assert!(result);
    assert_eq!(forgotten, 1);
    assert!(time >= 30 * MS && time < 31 * MS, "{time:?}");
}
