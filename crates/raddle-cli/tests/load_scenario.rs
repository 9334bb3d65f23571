//! `raddle load --scenario`, run as its users run it.

mod kit;

use kit::{Folder, Server, failure, output, raddle, text};

const VISIT: &str = r#"
[variables]
first = "a.txt"

[[flows]]
name = "read on"

[[flows.steps]]
path = "/${first}"
think = "1us"
take.more = { regex = "on at (\\w+)" }
take.kind = { header = "content-type", regex = "^\\w+" }

[[flows.steps]]
method = "HEAD"
path = "/${more}.${kind}"
status = [200]
"#;

#[test]
fn a_file_says_what_visitors_do() {
    let folder = Folder::new("scenario");
    folder.file("site/a.txt", "read on at b");
    folder.file("site/b.text", "");
    let site = folder.path().to_owned() + "/site";
    let server = Server::of(&mut raddle(&["serve", &site, "-l", "127.0.0.1:0"]));
    let based = format!("base = \"http://{}\"\n{VISIT}", server.at);
    let file = folder.file("visit.toml", based);
    let first = format!("scenario {file} on http://{}/\n", server.at);
    // In an open loop it is visits that come.
    for how in [&["-c", "2"][..], &["-c", "30", "--rate", "1000"]] {
        let run = [&["load", "--scenario", &file, "-n", "40", "-q"], how].concat();
        let done = output(&run);
        let (out, errors) = (text(&done.stdout), text(&done.stderr));
        assert_eq!((done.status.code(), errors), (Some(0), ""), "{out}");
        assert!(out.starts_with(&first) && out.contains("\nby status: 200: 40\n"), "{out}");
        let of_step = |number: u32, what: &str| {
            let start = format!("step {number} ");
            out.lines().any(|line| line.starts_with(&start) && line.ends_with(what))
        };
        assert!(of_step(1, "s   read on: GET /${first}"), "{out}");
        assert!(of_step(2, "s   read on: HEAD /${more}.${kind}"), "{out}");
    }

    // What is not as the file says is counted, with the reason; and a URL goes before the base.
    let file = folder.file("gone.toml", VISIT.replace("[200]", "204"));
    let url = format!("http://{}/", server.at);
    let done = output(&["load", &url, "--scenario", &file, "-n", "9", "-q", "-c", "1"]);
    let out = text(&done.stdout);
    let why = format!("scenario: HEAD {url}b.text was answered with 200\n");
    assert!(
        out.contains(&why) && out.contains("\nby status: 200: 5\n4 requests failed:\n"),
        "{out}"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line_and_key() {
    let folder = Folder::new("scenario-wrong");
    let base = "base = \"http://127.0.0.1:1\"\n";
    for (text, expected) in [
        ("flows = []", "2: flows: no flow has a weight above 0"),
        ("[[flows]]\nsteps = []", "3: steps: a flow has a step at least"),
        ("[[flows]]\nstep = 5", "3: flows: unknown field `step`"),
        ("[[flows]]\n[[flows.steps]]\npath = 'a'", "4: path: \"a\" is no path"),
        ("[[flows]]\n[[flows.steps]]\npath = '/${a}'", "4: path: no step before has taken a"),
        ("[[flows]]\n[[flows.steps]]\npath = '/$'", "4: path: a $ has neither"),
        (
            "[[flows]]\n[[flows.steps]]\npath = '/'\nmethod = 'A B'",
            "5: method: a method is one word",
        ),
        ("[[flows]]\n[[flows.steps]]\npath = '/'\nstatus = 99", "5: status: 99 is no status"),
        ("[[flows]]\n[[flows.steps]]\npath = '/'\nthink = '5'", "5: think: \"5\" has no unit"),
        (
            "[[flows]]\n[[flows.steps]]\npath = '/'\ntake.a = { json = 'b' }",
            "5: take.a: \"b\" is no JSON pointer",
        ),
        (
            "[[flows]]\n[[flows.steps]]\npath = '/'\ntake.a = { regex = '(' }",
            "5: take.a: the regular expression \"(\" is wrong",
        ),
        ("[[flows]]\n[[flows.steps]]\npath = '/'\ntake.a = {}", "5: take.a: give header"),
        ("[[flows]]\n[[flows.steps]]\npath = '/'\nbody_file = 'none'", "5: body_file: "),
        ("[[flows]]\n[[flows.steps]]\npath = '/'\nheaders = { 'a b' = 'c' }", "5: headers.a b: "),
        ("[[flows]]\nflows", "3: "),
    ] {
        let file = folder.file("a.toml", format!("{base}{text}\n"));
        let told = failure(raddle(&["load", "--scenario"]).arg(&file));
        let expected = format!("raddle: error: {file}:{expected}");
        assert!(told.starts_with(&expected), "{told}, not {expected}");
    }
    let file = folder.file("a.toml", "[[flows]]\n[[flows.steps]]\npath = '/'\n");
    let told = failure(raddle(&["load", "--scenario"]).arg(&file));
    assert!(told.contains("a.toml: it has no base"), "{told}");
    for arguments in [["-X", "PUT"], ["--pipeline", "2"], ["-b", "x"]] {
        let code = raddle(&["load", "--scenario", &file]).args(arguments).output().unwrap().status;
        assert_eq!(code.code(), Some(2), "{arguments:?}");
    }
}

/// The example is read, and then nobody is there.
#[test]
fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/load/shop.toml");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/");
    let told = failure(&mut raddle(&["load", &url, "--scenario", example]));
    assert!(told.ends_with("connect: Connection refused (ECONNREFUSED, 111)"), "{told}");
}
