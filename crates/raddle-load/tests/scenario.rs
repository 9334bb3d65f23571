//! Visits by a scenario, against a server that knows how one has to go.

mod kit;

use kit::{ANSWER, listen, read_head};
use raddle_http::server::Server;
use raddle_http::{Header, Method, Response, Status};
use raddle_load::{
    About, Detour, Flow, Outcome, Place, Plan, Report, Request, Run, Scenario, Take, Template, Url,
};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

fn scenario(at: SocketAddr, flows: Vec<Flow>) -> Scenario {
    let base: Url = format!("http://{at}/").parse().unwrap();
    let place = Arc::new(Place::of(&base, &Detour::default(), None).unwrap());
    Scenario::new(base, place, flows)
}

fn flow(weight: u32, requests: Vec<Request>) -> Flow {
    Flow { name: "a flow".to_owned(), weight, requests }
}

fn text(text: &str) -> Template {
    text.parse().unwrap()
}

fn run(scenario: Scenario, requests: u64) -> Outcome {
    let mut plan = Plan::visiting(scenario);
    (plan.connections, plan.requests, plan.time) = (3, Some(requests), None);
    Run::new(plan).run(|_| ()).expect("the server is there")
}

fn failures(outcome: &Outcome) -> Vec<(String, u64)> {
    let failures = outcome.figures.failures.iter();
    failures.map(|(failure, count)| (failure.to_string(), *count)).collect()
}

/// Each login gets another session, without which there is nothing to be had; and each thing taken is sent back.
#[test]
fn what_an_answer_says_is_in_the_next_request() {
    static LOGINS: AtomicU64 = AtomicU64::new(0);
    static PUTS: AtomicU64 = AtomicU64::new(0);
    let server = Server::new().otherwise(|request| {
        let mut content = String::new();
        request.body().read_to_string(&mut content).expect("it is short");
        let target = request.path().to_owned();
        let field = |name: &str| request.headers().get_str(name).unwrap_or_default().to_owned();
        if target == "/login" {
            assert_eq!((content.as_str(), field("X-All").as_str()), ("alice", "yes"));
            let number = LOGINS.fetch_add(1, Relaxed);
            return request
                .reply(Status::OK)
                .header("set-cookie", format!("sid=s{number}; Path=/"))
                .with_body(format!(
                    r#"{{"items": [{{"id": {}}}], "more": "t{number}"}}"#,
                    number + 1000
                ));
        }
        let number: u64 = field("Authorization").trim_start_matches("Bearer t").parse().unwrap();
        assert_eq!(target, format!("/s{number}/{}", number + 1000));
        assert_eq!(content, format!("5$ for {}", number + 1000));
        PUTS.fetch_add(1, Relaxed);
        request.reply(Status::CREATED).with_body("")
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let mut login = Request::new(text("/login"));
    (login.method, login.body) = (Method::Post, text("${user}"));
    login.takes = vec![
        Take::field("session", "Set-Cookie", Some("sid=([^;]+)")).unwrap(),
        Take::json("token", "/more").unwrap(),
        Take::body("item", r#""id": (\d+)"#).unwrap(),
    ];
    login.think = (Duration::from_micros(1), Duration::from_micros(50));
    let mut put = Request::new(text("/${session}/${item}"));
    (put.method, put.body, put.statuses) = (Method::Put, text("5$$ for ${item}"), vec![201]);
    put.fields = vec![("Authorization".to_owned(), text("Bearer ${token}"))];
    for closes in [false, true] {
        let flows = vec![flow(1, vec![login.clone(), put.clone()])];
        let mut scenario = scenario(server.local_addr(), flows);
        scenario.variables = vec![("user".to_owned(), "alice".to_owned())];
        scenario.fields = vec![("X-All".to_owned(), "yes".to_owned())];
        scenario.closes = closes;
        let outcome = run(scenario, 300);
        assert_eq!(failures(&outcome), []);
        let (logins, puts) = (LOGINS.swap(0, Relaxed), PUTS.swap(0, Relaxed));
        // Whose second step was not to count any more has not asked for it.
        assert!(logins + puts == 300 && (150..=153).contains(&logins), "{logins} {puts}");
        assert_eq!(outcome.figures.answers(), 300);
        let connects = outcome.figures.connect.count();
        assert_eq!(connects, if closes { 300 } else { connects.min(3) });
    }
}

/// Whatever goes wrong ends the visit: what follows in it is never asked for.
#[test]
fn a_step_that_fails_ends_its_visit() {
    let server = Server::new().otherwise(|request| {
        let target = request.path().to_owned();
        assert!(!target.contains("never"), "it follows what has failed");
        match target.as_str() {
            "/gone" => request.reply(Status::GONE).with_body(""),
            "/large" => Response::text("x".repeat(3 << 20)),
            _ => request.reply(Status::OK).header("x-odd", "a b").with_body("{}"),
        }
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let at = server.local_addr();
    let take = |path: &str, take: Take| Request { takes: vec![take], ..Request::new(text(path)) };
    let odd = Take::field("v", "X-Odd", None).unwrap();
    let large = Take::json("v", "/a").unwrap();
    for (first, second, what, answers) in [
        (
            Request::new(text("/gone")),
            "/never",
            format!("GET http://{at}/gone was answered with 410"),
            0,
        ),
        (
            take("/a", large.clone()),
            "/never",
            format!("GET http://{at}/a: the answer has no value for v"),
            0,
        ),
        (
            take("/large", large),
            "/never",
            "an answer from which something is to be taken has more than 1 MiB".to_owned(),
            0,
        ),
        (take("/a", odd), "/never/${v}", "\"/never/a b\" is no path".to_owned(), 5),
        (Request::new(text("/a")), "/never/${w}", "the variable w has no value".to_owned(), 5),
    ] {
        let outcome = run(scenario(at, vec![flow(1, vec![first, Request::new(text(second))])]), 10);
        let failed = 10 - answers;
        // The three clients may end in the midst of a visit each.
        let [(told, count)] = &failures(&outcome)[..] else { panic!("{:?}", failures(&outcome)) };
        assert_eq!(told, &format!("scenario: {what}"));
        assert!(count.abs_diff(failed) <= 3 && count + outcome.figures.answers() == 10, "{count}");
    }
}

#[test]
fn flows_are_drawn_by_weight() {
    static SEEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
    let server = Server::new().otherwise(|request| {
        SEEN[usize::from(request.path() == "/b")].fetch_add(1, Relaxed);
        let host = request.headers().get_str(Header::Host).unwrap_or_default().to_owned();
        Response::text(host)
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let one = |path: &str, weight| flow(weight, vec![Request::new(text(path))]);
    let outcome = run(
        scenario(server.local_addr(), vec![one("/a", 3), one("/b", 1), one("/never", 0)]),
        4_000,
    );
    assert_eq!((failures(&outcome), outcome.figures.answers()), (vec![], 4_000));
    let [one, other] = SEEN.each_ref().map(|count| count.load(Relaxed));
    assert!(one + other == 4_000 && (800..1_200).contains(&other), "{one} {other}");
}

/// Each step has its own latencies, whichever flow it stands in; one that was never answered has none.
#[test]
fn steps_are_told_apart() {
    const SLOW: Duration = Duration::from_millis(20);
    let server = Server::new().otherwise(|request| {
        match request.path() {
            "/slow" => raddle::thread::sleep(SLOW),
            "/gone" => return request.reply(Status::GONE).with_body(""),
            _ => {}
        }
        Response::text("")
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let flow = |weight, paths: &[&str]| Flow {
        name: paths.len().to_string(),
        weight,
        requests: paths.iter().map(|path| Request::new(text(path))).collect(),
    };
    let flows = vec![flow(0, &["/never"]), flow(1, &["/", "/slow"]), flow(1, &["/", "/", "/gone"])];
    let outcome = run(scenario(server.local_addr(), flows), 300);
    let report = Report::of(&outcome, About::default());
    let names: Vec<&str> = report.by_step.iter().map(|one| one.step.as_str()).collect();
    let expected =
        ["1: GET /never", "2: GET /", "2: GET /slow", "3: GET /", "3: GET /", "3: GET /gone"];
    assert_eq!(names, expected);
    let counts: Vec<u64> = report.by_step.iter().map(|one| one.latency.count).collect();
    assert_eq!((counts[0], counts[5]), (0, 0));
    // Whose visit was cut short at the end has done the first of its steps only.
    assert!(counts[1].abs_diff(counts[2]) <= 3 && counts[3].abs_diff(counts[4]) <= 3, "{counts:?}");
    assert!(counts[1] > 0 && counts[3] > 0 && counts.iter().sum::<u64>() == report.answers);
    assert!(report.by_step[2].latency.min_ns >= SLOW.as_nanos() as u64);
    assert!(report.by_step[1].latency.percentile(50.0) < SLOW.as_nanos() as u64);
}

/// A server that closes a connection while the visitor thinks is asked again on a new one, if that does no harm.
#[test]
fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let at = listen(|mut stream| {
        if read_head(&mut stream) {
            stream.write_all(ANSWER).unwrap();
        }
    });
    let requests = vec![Request::new(text("/a")), Request::new(text("/b"))];
    let outcome = run(scenario(at, vec![flow(1, requests.clone())]), 40);
    assert_eq!((failures(&outcome), outcome.figures.answers()), (vec![], 40));
    assert_eq!(outcome.figures.connect.count(), 40);
    let posts = requests.into_iter().map(|one| Request { method: Method::Post, ..one }).collect();
    let outcome = run(scenario(at, vec![flow(1, posts)]), 40);
    assert!(!failures(&outcome).is_empty(), "what may have been done is not done again");
}
