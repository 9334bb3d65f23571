//! How connections come to a server: to which core, how many, and from whom.

mod serve_kit;

use raddle_http::protocol::RequestHead;
use raddle_http::server::{ClientLimits, Dispatch, OverCapacity, Plugin, Running, Served, Server};
use raddle_http::{Response, Status};
use rustix::process::{Resource, Rlimit, setrlimit};
use serve_kit::{Answer, Case, Client, PATIENCE};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const CASES: &[Case] = &[
    ("each_way_serves_on_all_cores", each_way_serves_on_all_cores),
    ("fair_is_even_and_no_core_stands_out", fair_is_even_and_no_core_stands_out),
    ("cores_that_share_a_listener", cores_that_share_a_listener),
    ("whoever_had_connected_is_served_at_the_end", whoever_had_connected_is_served_at_the_end),
    ("there_are_never_more_than_may_be", there_are_never_more_than_may_be),
    ("an_end_does_not_wait_for_room", an_end_does_not_wait_for_room),
    ("too_many_are_dropped", too_many_are_dropped),
    ("too_many_are_told", too_many_are_told),
    ("no_descriptors_and_they_wait", no_descriptors_and_they_wait),
    ("no_descriptors_and_they_are_dropped", no_descriptors_and_they_are_dropped),
    ("no_descriptors_and_they_are_told", no_descriptors_and_they_are_told),
    ("a_client_has_so_many_connections", a_client_has_so_many_connections),
    ("a_client_has_so_many_requests", a_client_has_so_many_requests),
    ("what_is_refused_for_its_rate_leaves_the_connection", what_is_refused_leaves_the_connection),
    ("a_port_is_taken_or_shared", a_port_is_taken_or_shared),
];

const WAYS: [Dispatch; 3] = [Dispatch::ReusePort, Dispatch::Fair, Dispatch::Balanced];
const CORES: usize = 3;

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

fn started(server: Server) -> Running {
    // More than one, also where there is one processor. The first call starts the runtime.
    _ = raddle::runtime::Builder::new().cores(CORES).start();
    server.bind("127.0.0.1:0").expect("some port is free")
}

fn server(way: Dispatch) -> Server {
    Server::new().dispatch(way).otherwise(|_| Response::text("here"))
}

fn finished(running: &Running) {
    running.drain();
    assert!(running.wait_timeout(PATIENCE), "{} are left", running.connections());
    assert_eq!(running.connections_by_core(), [0; CORES]);
}

fn connect(at: SocketAddr, count: usize) -> Vec<Client> {
    (0..count).map(|_| Client::connect(at)).collect()
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn each_way_serves_on_all_cores() {
    for way in WAYS {
        let running = started(server(way));
        let mut clients = connect(running.local_addr(), 60);
        for _ in 0..2 {
            for client in &mut clients {
                assert_eq!(client.get("/", &[]).text(), "here");
            }
        }
        assert_eq!(running.connections(), 60);
        assert_eq!(running.connections_by_core().iter().sum::<usize>(), 60);
        finished(&running);
        clients.iter_mut().for_each(Client::expect_end);
    }
}

/// Who asks for nothing stays where it was placed.
fn fair_is_even_and_no_core_stands_out() {
    for way in [Dispatch::Fair, Dispatch::Balanced] {
        let running = started(server(way));
        let clients = connect(running.local_addr(), 60);
        until("all are taken", || running.connections() == 60);
        let counts = running.connections_by_core();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        match way {
            Dispatch::Fair => assert_eq!(counts, [20; CORES]),
            // Others may accept while one looks: one each.
            _ => assert!(*most <= least + least / 4 + 5 + CORES, "{counts:?}"),
        }
        finished(&running);
        drop(clients);
    }
}

fn cores_that_share_a_listener() {
    for way in WAYS {
        _ = raddle::runtime::Builder::new().cores(CORES).start();
        let listener = raddle::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let running = server(way).serve(listener).expect("threads can be had");
        let mut clients = connect(running.local_addr(), 20);
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
        finished(&running);
        assert!(TcpStream::connect(running.local_addr()).is_err(), "nobody listens");
    }
    let none = Server::new().serve_all(Vec::new()).expect_err("there is nothing to accept from");
    assert_eq!(none.kind(), io::ErrorKind::InvalidInput);
}

/// Whether all that clients have sent has reached the server's sockets: a busy kernel may take its time for it. proc_pid_net(5).
fn have_arrived(clients: &[Client]) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let hex = |end: io::Result<SocketAddr>| {
        format!("0100007F:{:04X}", end.expect("it is connected").port())
    };
    let server = hex(clients[0].stream.peer_addr());
    let mut unsent: HashMap<&str, &str> = HashMap::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().take(5).collect();
        if let [_, local, remote, _, queues] = words[..]
            && remote == server
        {
            unsent.insert(local, queues);
        }
    }
    clients.iter().all(|client| unsent[&*hex(client.stream.local_addr())].starts_with("00000000:"))
}

/// Connections in the queues of all listeners when the end begins: as many as acceptors have not seen yet.
fn whoever_had_connected_is_served_at_the_end() {
    for way in WAYS {
        for _ in 0..5 {
            let running = started(server(way));
            let at = running.local_addr();
            let mut clients = connect(at, 40);
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            until("all has arrived", || have_arrived(&clients));
            running.drain();
            for client in &mut clients {
                let answer = client.answer(false);
                assert_eq!(answer.text(), "here");
            }
            drop(clients);
            assert!(running.wait_timeout(PATIENCE));
            assert!(TcpStream::connect(at).is_err(), "nobody listens");
        }
    }
}

/// Sees how many are served at once: now, and at most.
#[derive(Clone, Default)]
struct Most(Arc<[AtomicUsize; 2]>);

impl Plugin for Most {
    fn accepted(&self, _: Option<SocketAddr>) -> bool {
        let [now, most] = &*self.0;
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        true
    }

    fn ended(&self, _: Option<SocketAddr>) {
        self.0[0].fetch_sub(1, SeqCst);
    }
}

fn there_are_never_more_than_may_be() {
    for way in WAYS {
        let most = Most::default();
        let server = server(way).connections_max(4).plugin(most.clone());
        let running = started(server);
        let at = running.local_addr();
        // Several acceptors race for each place that becomes free.
        let clients: Vec<_> = (0..12)
            .map(|_| {
                thread::spawn(move || {
                    for _ in 0..20 {
                        let mut client = Client::connect(at);
                        let answer = client.get("/", &["Connection: close"]);
                        assert_eq!(answer.text(), "here");
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("each is served in the end"));
        finished(&running);
        let most = most.0[1].load(SeqCst);
        assert!((1..=4).contains(&most), "{way:?}: {most}");
    }
}

/// One place, taken; others wait in the kernel's queues, and perhaps in an acceptor's hands.
fn an_end_does_not_wait_for_room() {
    for way in WAYS {
        let (begun, begins) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        let (begun, goes) = (Mutex::new(begun), Mutex::new(goes));
        let server = server(way).connections_max(1).otherwise(move |_| {
            begun.lock().unwrap().send(()).expect("the test lives");
            _ = goes.lock().unwrap().recv();
            Response::text("done")
        });
        let running = started(server);
        let mut first = Client::connect(running.local_addr());
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        begins.recv_timeout(PATIENCE).expect("the handler runs");
        assert_eq!(running.connections(), 1);
        let others = connect(running.local_addr(), 6);
        drop(go);
        assert_eq!(first.answer(false).text(), "done");
        drop(others);
        drop(first);
        finished(&running);
    }
}

fn full(way: Dispatch, over_capacity: OverCapacity) -> (Running, Vec<Client>) {
    let server = server(way).connections_max(3).over_capacity(over_capacity);
    let running = started(server);
    let mut inside = connect(running.local_addr(), 3);
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    (running, inside)
}

/// After one has gone another one is served.
fn there_is_room_again(running: &Running, mut inside: Vec<Client>) {
    inside.pop();
    until("one has gone", || running.connections() == 2);
    let mut next = Client::connect(running.local_addr());
    assert_eq!(next.get("/", &[]).text(), "here");
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    finished(running);
}

fn too_many_are_dropped() {
    for way in WAYS {
        let (running, inside) = full(way, OverCapacity::Drop);
        for mut client in connect(running.local_addr(), 10) {
            client.expect_end();
        }
        assert_eq!(running.connections(), 3);
        there_is_room_again(&running, inside);
    }
}

/// Notes the statuses of what was no request.
struct Told(Arc<Mutex<Vec<Status>>>);

impl Plugin for Told {
    fn served(&self, served: &Served<'_>) {
        if served.head.is_none() {
            self.0.lock().unwrap().push(served.status);
        }
    }
}

fn too_many_are_told() {
    for way in WAYS {
        let (running, inside) = full(way, OverCapacity::Busy);
        for mut client in connect(running.local_addr(), 10) {
            let answer = client.answer(false);
            assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
            assert!(answer.says_close());
            client.expect_end();
        }
        assert_eq!(running.connections(), 3);
        there_is_room_again(&running, inside);
    }
    // Who asks as well reads the answer all the same, and logs know of it.
    let told = Arc::new(Mutex::new(Vec::new()));
    let server = server(Dispatch::ReusePort).connections_max(1).over_capacity(OverCapacity::Busy);
    let running = started(server.plugin(Told(told.clone())));
    let mut inside = Client::connect(running.local_addr());
    assert_eq!(inside.get("/", &[]).status, 200);
    let mut client = Client::connect(running.local_addr());
    client.send(
        [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", &[b'x'; 60_000][..]]
            .concat(),
    );
    assert_eq!(client.answer(false).status, 503);
    drop((client, inside));
    finished(&running);
    assert_eq!(*told.lock().unwrap(), [Status::SERVICE_UNAVAILABLE]);
}

/// A server that has its last descriptors, and what keeps them.
fn without_descriptors(over_capacity: OverCapacity) -> (Running, Vec<Client>, Vec<File>) {
    let running = started(server(Dispatch::ReusePort).over_capacity(over_capacity));
    let mut inside = connect(running.local_addr(), 12);
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    let most = open_descriptors() + 40;
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Nofile, limit).expect("a lower limit is granted");
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    (running, inside, taken)
}

/// The largest number that is in use.
fn open_descriptors() -> u64 {
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .max()
        .unwrap_or(0)
}

/// One descriptor is free: a client of this process takes it, and the server has none. What that gets until it ends.
fn client_without_descriptor(at: SocketAddr, taken: &mut Vec<File>) -> TcpStream {
    taken.pop();
    let stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    stream
}

fn no_descriptors_and_they_wait() {
    let (running, mut inside, mut taken) = without_descriptors(OverCapacity::Resist);
    let mut stream = client_without_descriptor(running.local_addr(), &mut taken);
    // Others are served meanwhile.
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").expect("it is connected");
    taken.clear();
    let answer = Answer::read(&mut BufReader::new(stream), false).expect("there is room again");
    assert_eq!(answer.text(), "here");
    finished(&running);
}

fn no_descriptors_and_they_are_dropped() {
    let (running, mut inside, mut taken) = without_descriptors(OverCapacity::Drop);
    for _ in 0..5 {
        let mut stream = client_without_descriptor(running.local_addr(), &mut taken);
        assert_eq!(stream.read(&mut [0; 64]).expect("it is closed in good order"), 0);
        drop(stream);
        taken.extend(File::open("/dev/null"));
    }
    there_are_descriptors_again(&running, &mut inside, taken);
}

fn no_descriptors_and_they_are_told() {
    let (running, mut inside, mut taken) = without_descriptors(OverCapacity::Busy);
    for _ in 0..5 {
        let stream = client_without_descriptor(running.local_addr(), &mut taken);
        let answer = Answer::read(&mut BufReader::new(&stream), false).expect("an answer");
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        drop(stream);
        taken.extend(File::open("/dev/null"));
    }
    there_are_descriptors_again(&running, &mut inside, taken);
}

fn there_are_descriptors_again(running: &Running, inside: &mut [Client], taken: Vec<File>) {
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
    drop(taken);
    let mut next = Client::connect(running.local_addr());
    assert_eq!(next.get("/", &[]).text(), "here");
    finished(running);
}

fn a_client_has_so_many_connections() {
    for way in WAYS {
        for over_capacity in [OverCapacity::Resist, OverCapacity::Drop, OverCapacity::Busy] {
            let limits = ClientLimits::new().connections(2);
            let running = started(server(way).client_limits(limits).over_capacity(over_capacity));
            let mut inside = connect(running.local_addr(), 2);
            inside.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
            let mut third = Client::connect(running.local_addr());
            if over_capacity == OverCapacity::Busy {
                let answer = third.answer(false);
                assert_eq!((answer.status, answer.field("retry-after")), (429, Some("1")));
            }
            third.expect_end();
            // Another address of this machine is another client.
            let other = connected_from("127.0.0.2", running.local_addr());
            let answer = get(&other);
            assert_eq!(answer.text(), "here");
            drop(inside.pop());
            until("one has gone", || running.connections() == 2);
            let mut next = Client::connect(running.local_addr());
            assert_eq!(next.get("/", &[]).status, 200);
            finished(&running);
        }
    }
}

/// A connection from this address.
fn connected_from(address: &str, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::new(address.parse().expect("an address"), 0);
    let options = raddle::net::SocketOptions::new().from_addr(from);
    let stream = options.connect(to).expect("it listens");
    let stream: TcpStream = stream.into();
    stream.set_nonblocking(false).expect("a socket of ours");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    stream
}

fn get(mut stream: &TcpStream) -> Answer {
    io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("connected");
    Answer::read(&mut BufReader::new(stream), false).expect("an answer")
}

fn a_client_has_so_many_requests() {
    // The next one comes to it in a second, which no test may wait for or be slower than: a rate of one in so many requests.
    let limits = ClientLimits::new().requests(1, 1000);
    let running = started(server(Dispatch::Balanced).client_limits(limits));
    let at = running.local_addr();
    let begun = Instant::now();
    let (mut served, mut refused) = (0, None);
    // On several connections, as it is the client that is limited.
    while refused.is_none() {
        let mut client = Client::connect(at);
        for _ in 0..50 {
            let answer = client.get("/", &[]);
            match answer.status {
                200 => served += 1,
                _ => refused = Some(answer),
            }
            if refused.is_some() {
                break;
            }
        }
    }
    let refused = refused.expect("it is so now");
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")));
    assert!(!refused.says_close(), "the connection stays");
    let come = begun.elapsed().as_secs() as usize + 1;
    assert!((1000..=1000 + come).contains(&served), "{served} in {come} s");
    let other = connected_from("127.0.0.2", at);
    assert_eq!(get(&other).status, 200, "another client has its own");
    finished(&running);
}

/// Notes how often it is asked for its word.
struct Counts(Arc<AtomicUsize>);

impl Plugin for Counts {
    fn arrived(&self, _: &mut raddle_http::Request<'_>) -> Option<Response> {
        self.0.fetch_add(1, SeqCst);
        None
    }

    fn answered(&self, _: &RequestHead, response: &mut Response) {
        let set = response.headers_mut().set(raddle_http::Header::Server, "counted");
        set.expect("a valid field");
    }
}

fn what_is_refused_leaves_the_connection() {
    let seen = Arc::new(AtomicUsize::new(0));
    let limits = ClientLimits::new().requests(1, 1);
    let server = server(Dispatch::Fair).client_limits(limits).plugin(Counts(seen.clone()));
    let running = started(server);
    let mut client = Client::connect(running.local_addr());
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    // More than come in the time that a test may take.
    client.send(post.repeat(100));
    let statuses: Vec<u16> = (0..100)
        .map(|_| {
            let answer = client.answer(false);
            assert_eq!(answer.field("server"), Some("counted"), "plugins see each answer");
            assert_eq!(answer.status == 429, answer.field("retry-after").is_some());
            answer.status
        })
        .collect();
    assert_eq!(statuses[0], 200);
    assert!(statuses.contains(&429), "{statuses:?}");
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(seen.load(SeqCst), served, "a request that is refused goes no further");
    finished(&running);
}

fn a_port_is_taken_or_shared() {
    let sharing = |way| server(way).allow_shared_sockets(true);
    for way in WAYS {
        let running = started(server(way));
        let taken = server(way).bind(running.local_addr()).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        finished(&running);
        // Two servers, of which one ends: the other one serves whoever comes then.
        let first = started(sharing(way));
        let second = sharing(way).bind(first.local_addr()).expect("both share");
        assert!(server(way).bind(first.local_addr()).is_err(), "who does not share is refused");
        finished(&first);
        let mut clients = connect(second.local_addr(), 20);
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/", &[]).status, 200));
        assert_eq!(second.connections(), 20);
        finished(&second);
    }
}
