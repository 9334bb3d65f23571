//! Operations on sockets and pipes.

use crate::kit::{self, Setup, completion, errno, pair, recv, send, write};
use raddle_event::{Config, Interest, Op};
use std::io::Read;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

crate::cases![
    accept_connect_send_and_receive,
    a_refused_connection_says_so,
    a_receive_waits_for_data_whatever_the_descriptors_mode,
    a_receive_from_a_socket_known_to_be_empty,
    a_closed_peer_is_the_end,
    a_write_waits_for_room,
    vectored_reads_and_writes,
    messages_carry_addresses,
    a_poll_waits_once,
    what_has_no_readiness_is_ready_always,
    what_is_wrong_is_the_result,
    more_operations_than_the_ring_has_room_for,
    more_completions_than_the_ring_has_room_for,
    receives_on_one_socket_share_what_comes,
    flush_and_harvest_do_what_wait_does,
    what_has_ended_is_in_flight_or_an_event,
];

fn address(port: u16) -> libc::sockaddr_in {
    let ip = u32::from(Ipv4Addr::LOCALHOST).to_be();
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: ip },
        sin_zero: [0; 8],
    }
}

fn socket() -> OwnedFd {
    // SAFETY: no memory is involved, and nobody else has the new descriptor.
    unsafe {
        OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))
    }
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

fn connect(socket: &OwnedFd, address: &libc::sockaddr_in) -> Op {
    Op::Connect {
        socket: socket.as_raw_fd(),
        address: ptr::from_ref(address).cast(),
        address_len: ADDRESS_LEN,
    }
}

fn accept_connect_send_and_receive(setup: Setup) {
    let mut kit = setup.kit();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = socket();
    let to = address(listener.local_addr().unwrap().port());
    let mut from = address(0);
    let mut from_len = ADDRESS_LEN;
    let accepting = kit.submit(
        1,
        Op::Accept {
            listener: listener.as_raw_fd(),
            address: ptr::from_mut(&mut from).cast(),
            address_len: &mut from_len,
            flags: libc::SOCK_NONBLOCK,
        },
    );
    kit.nothing();
    let connecting = kit.submit(2, connect(&client, &to));
    let mut results = std::collections::BTreeMap::new();
    while results.len() < 2 {
        for event in kit.wait() {
            results.insert(event.key, completion(&event).unwrap());
        }
    }
    assert_eq!((results[&1].operation, results[&2].operation), (accepting, connecting));
    assert_eq!(results[&2].result().unwrap(), 0);
    // SAFETY: the operation has made it for us.
    let server = unsafe { TcpStream::from_raw_fd(results[&1].result().unwrap() as i32) };
    assert_eq!(from_len, ADDRESS_LEN);
    assert_eq!(from.sin_port, server.peer_addr().unwrap().port().to_be());
    // SAFETY: asks for flags.
    let flags = unsafe {
        (
            libc::fcntl(server.as_raw_fd(), libc::F_GETFD),
            libc::fcntl(server.as_raw_fd(), libc::F_GETFL),
        )
    };
    assert!(flags.0 & libc::FD_CLOEXEC != 0 && flags.1 & libc::O_NONBLOCK != 0);
    let mut buffer = [0; 16];
    kit.submit(3, recv(&server, &mut buffer));
    kit.nothing();
    kit.submit(4, send(&client, b"ping"));
    let mut counts = [0; 5];
    while counts[3..] != [4, 4] {
        for event in kit.wait() {
            counts[event.key as usize] = completion(&event).unwrap().result().unwrap();
        }
    }
    assert_eq!(&buffer[..4], b"ping");
}

fn a_refused_connection_says_so(setup: Setup) {
    let mut kit = setup.kit();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let (client, to) = (socket(), address(port));
    assert_eq!(errno(kit.perform(connect(&client, &to))), Some(libc::ECONNREFUSED));
}

fn a_receive_waits_for_data_whatever_the_descriptors_mode(setup: Setup) {
    let mut kit = setup.kit();
    for nonblocking in [false, true] {
        let (here, there) = pair();
        there.set_nonblocking(nonblocking).unwrap();
        let mut buffer = [0; 16];
        let receiving = kit.submit(1, recv(&there, &mut buffer));
        kit.nothing();
        write(&here, b"late");
        assert_eq!(kit.done(receiving).unwrap(), 4);
        assert_eq!(&buffer[..4], b"late");
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: sets flags.
        unsafe {
            libc::fcntl(
                reader.as_raw_fd(),
                libc::F_SETFL,
                if nonblocking { libc::O_NONBLOCK } else { 0 },
            )
        };
        let read = |buffer: &mut [u8]| Op::Read {
            file: reader.as_raw_fd(),
            buffer: buffer.as_mut_ptr(),
            len: buffer.len(),
            offset: None,
        };
        let reading = kit.submit(2, read(&mut buffer));
        kit.nothing();
        std::io::Write::write_all(&mut writer, b"pipe").unwrap();
        assert_eq!(kit.done(reading).unwrap(), 4);
        assert_eq!(&buffer[..4], b"pipe");
        drop(writer);
        assert_eq!(kit.perform(read(&mut buffer)).unwrap(), 0);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }
}

fn a_receive_from_a_socket_known_to_be_empty(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0; 16];
    let drained = |buffer: &mut [u8]| Op::Recv {
        socket: there.as_raw_fd(),
        buffer: buffer.as_mut_ptr(),
        len: buffer.len(),
        flags: 0,
        is_drained: true,
    };
    let receiving = kit.submit(1, drained(&mut buffer));
    kit.nothing();
    write(&here, b"x");
    assert_eq!(kit.done(receiving).unwrap(), 1);
    // Also if the hint is late, and something has come meanwhile.
    write(&here, b"y");
    assert_eq!(kit.perform(drained(&mut buffer)).unwrap(), 1);
    assert_eq!(buffer[0], b'y');
}

fn a_closed_peer_is_the_end(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0; 16];
    let receiving = kit.submit(1, recv(&there, &mut buffer));
    kit.nothing();
    drop(here);
    assert_eq!(kit.done(receiving).unwrap(), 0);
    assert_eq!(errno(kit.perform(send(&there, b"x"))), Some(libc::EPIPE));
}

fn a_write_waits_for_room(setup: Setup) {
    let mut kit = setup.kit();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let bytes = vec![7; 48 * 1024];
    let write = || Op::Write {
        file: writer.as_raw_fd(),
        buffer: bytes.as_ptr(),
        len: bytes.len(),
        offset: None,
    };
    let (mut sent, mut received) = (kit.perform(write()).unwrap(), 0);
    sent += kit.perform(write()).unwrap();
    // By now it may be full, or not: the next one waits, or does a part.
    let third = kit.submit(3, write());
    let mut buffer = vec![0; 16 * 1024];
    while received < sent {
        received += reader.read(&mut buffer).unwrap();
    }
    sent += kit.done(third).unwrap();
    while received < sent {
        received += reader.read(&mut buffer).unwrap();
    }
    drop(writer);
    assert_eq!(reader.read(&mut buffer).unwrap(), 0);
}

fn vectored_reads_and_writes(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let slice = |bytes: &mut [u8]| libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let (mut a, mut b) = (*b"hel", *b"lo");
    let out = [slice(&mut a), slice(&mut b)];
    let (mut c, mut d) = ([0; 2], [0; 8]);
    let into = [slice(&mut c), slice(&mut d)];
    let reading = kit.submit(
        1,
        Op::ReadVectored { file: there.as_raw_fd(), slices: into.as_ptr(), count: 2, offset: None },
    );
    kit.nothing();
    let written = kit.submit(
        2,
        Op::WriteVectored { file: here.as_raw_fd(), slices: out.as_ptr(), count: 2, offset: None },
    );
    let mut counts = [0; 3];
    while counts[1] == 0 || counts[2] == 0 {
        for event in kit.wait() {
            counts[event.key as usize] = completion(&event).unwrap().result().unwrap();
        }
    }
    assert_eq!(counts, [0, 5, 5]);
    assert_ne!(reading, written);
    assert_eq!((&c, &d[..3]), (b"he", &b"llo"[..]));
}

fn messages_carry_addresses(setup: Setup) {
    let mut kit = setup.kit();
    let a = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let b = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut to = address(b.local_addr().unwrap().port());
    let mut from = address(0);
    let (mut out, mut into) = (*b"datagram", [0; 32]);
    let message = |address: &mut libc::sockaddr_in, slice: &mut libc::iovec| {
        // SAFETY: all of it may be zero.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_name = ptr::from_mut(address).cast();
        message.msg_namelen = ADDRESS_LEN;
        message.msg_iov = slice;
        message.msg_iovlen = 1;
        message
    };
    let mut into_slice = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let mut out_slice = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    let mut received = message(&mut from, &mut into_slice);
    let sent = message(&mut to, &mut out_slice);
    let receiving =
        kit.submit(1, Op::RecvMessage { socket: b.as_raw_fd(), message: &mut received, flags: 0 });
    kit.nothing();
    kit.submit(2, Op::SendMessage { socket: a.as_raw_fd(), message: &sent, flags: 0 });
    assert_eq!(kit.done(receiving).unwrap(), out.len());
    assert_eq!(&into[..out.len()], &out);
    let sender = SocketAddrV4::new(Ipv4Addr::LOCALHOST, u16::from_be(from.sin_port));
    assert_eq!(a.local_addr().unwrap(), sender.into());
}

fn a_poll_waits_once(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let poll = |interest| Op::Poll { file: there.as_raw_fd(), interest };
    let reading = kit.submit(1, poll(Interest::READ));
    kit.nothing();
    write(&here, b"x");
    assert!(kit.done(reading).unwrap() & libc::POLLIN as usize != 0);
    kit.nothing();
    let both = kit.perform(poll(Interest::READ | Interest::WRITE)).unwrap();
    assert!(both & (libc::POLLIN | libc::POLLOUT) as usize != 0);
}

fn what_has_no_readiness_is_ready_always(setup: Setup) {
    let mut kit = setup.kit();
    for path in ["/proc/self/exe", "/proc/self/stat", "/dev/zero"] {
        let file = std::fs::File::open(path).unwrap();
        for interest in [Interest::READ, Interest::READ | Interest::WRITE] {
            let bits = kit.perform(Op::Poll { file: file.as_raw_fd(), interest }).unwrap();
            assert!(bits & libc::POLLIN as usize != 0, "{path}");
        }
        let mut buffer = [1; 8];
        let (pointer, len) = (buffer.as_mut_ptr(), buffer.len());
        let op = Op::Read { file: file.as_raw_fd(), buffer: pointer, len, offset: None };
        assert_eq!(kit.perform(op).unwrap(), 8, "{path}");
    }
}

fn what_is_wrong_is_the_result(setup: Setup) {
    let mut kit = setup.kit();
    let mut buffer = [0; 8];
    for fd in [-1, 900_000, i32::MAX] {
        let op = kit::recv_raw(fd, buffer.as_mut_ptr(), 8);
        assert_eq!(errno(kit.perform(op)), Some(libc::EBADF), "{fd}");
        let op = Op::Poll { file: fd, interest: Interest::READ };
        assert_eq!(errno(kit.perform(op)), Some(libc::EBADF), "{fd}");
        assert_eq!(errno(kit.perform(Op::Close { file: fd })), Some(libc::EBADF), "{fd}");
    }
    let (reader, _writer) = std::io::pipe().unwrap();
    let op = kit::recv_raw(reader.as_raw_fd(), buffer.as_mut_ptr(), 8);
    assert_eq!(errno(kit.perform(op)), Some(libc::ENOTSOCK));
    let (here, _there) = pair();
    let op = kit::recv_raw(here.as_raw_fd(), ptr::without_provenance_mut(1), 8);
    let operation = kit.submit(1, op);
    write(&_there, b"x");
    assert_eq!(errno(kit.done(operation)), Some(libc::EFAULT));
}

fn more_operations_than_the_ring_has_room_for(setup: Setup) {
    let mut kit = setup.kit_with(Config { ring_entries: 4, ..setup.config() }, 16);
    let pairs: Vec<_> = (0..500).map(|_| pair()).collect();
    let mut buffers = vec![[0u8; 4]; pairs.len()];
    for (key, ((_, there), buffer)) in pairs.iter().zip(&mut buffers).enumerate() {
        kit.submit(key as u64, recv(there, buffer));
    }
    assert_eq!(kit.queue.in_flight(), 500);
    pairs.iter().enumerate().for_each(|(at, (here, _))| write(here, &(at as u32).to_ne_bytes()));
    let mut seen = vec![false; pairs.len()];
    while seen.contains(&false) {
        for event in kit.wait() {
            assert_eq!(completion(&event).unwrap().result().unwrap(), 4);
            let at = event.key as usize;
            assert!(!std::mem::replace(&mut seen[at], true), "twice");
            assert_eq!(buffers[at], (at as u32).to_ne_bytes());
        }
        // However few of them a batch has room for.
        assert_eq!(kit.queue.is_quiet(), !seen.contains(&false));
    }
    assert_eq!(kit.queue.in_flight(), 0);
}

/// All of them are done before anybody looks.
fn more_completions_than_the_ring_has_room_for(setup: Setup) {
    let mut kit = setup.kit_with(Config { ring_entries: 4, ..setup.config() }, 16);
    let (here, there) = pair();
    write(&here, &[9; 2000]);
    let mut buffers = vec![[0u8; 1]; 2000];
    for (key, buffer) in buffers.iter_mut().enumerate() {
        kit.submit(key as u64, recv(&there, buffer));
    }
    let mut seen = vec![false; buffers.len()];
    while seen.contains(&false) {
        for event in kit.wait() {
            assert_eq!(completion(&event).unwrap().result().unwrap(), 1);
            assert!(!std::mem::replace(&mut seen[event.key as usize], true), "twice");
        }
    }
    assert!(buffers.iter().all(|buffer| buffer[0] == 9));
}

fn receives_on_one_socket_share_what_comes(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffers = [[0u8; 1]; 8];
    for (key, buffer) in buffers.iter_mut().enumerate() {
        kit.submit(key as u64, recv(&there, buffer));
    }
    kit.nothing();
    for byte in 1..=8 {
        write(&here, &[byte]);
        let event = kit.one();
        assert_eq!(completion(&event).unwrap().result().unwrap(), 1);
    }
    let mut bytes: Vec<u8> = buffers.iter().map(|buffer| buffer[0]).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
}

fn flush_and_harvest_do_what_wait_does(setup: Setup) {
    let mut kit = setup.kit();
    let (here, there) = pair();
    let mut buffer = [0; 8];
    kit.submit(1, recv(&there, &mut buffer));
    kit.queue.flush().unwrap();
    assert_eq!(kit.queue.harvest(&mut kit.events).unwrap(), 0);
    write(&here, b"x");
    let start = std::time::Instant::now();
    while kit.queue.harvest(&mut kit.events).unwrap() == 0 {
        assert!(start.elapsed() < kit::PATIENCE);
        std::thread::yield_now();
    }
    assert_eq!(kit.events.iter().next().unwrap().key, 1);
    assert_eq!(buffer[0], b'x');
}

/// Whoever waits only while there is something to wait for needs to be told of both.
fn what_has_ended_is_in_flight_or_an_event(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let (here, there) = pair();
    write(&here, b"abc");
    let mut bytes = [[0; 1]; 3];
    for buffer in &mut bytes {
        kit.submit(1, recv(&there, buffer));
    }
    for left in (0..3).rev() {
        assert!(!kit.queue.is_quiet(), "{left} to come");
        kit.one();
    }
    assert!(kit.queue.is_quiet() && kit.queue.in_flight() == 0);
    let mut sorted = bytes.concat();
    sorted.sort_unstable();
    assert_eq!(sorted, b"abc");
}
