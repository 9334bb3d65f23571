//! What fuzzing has found worth keeping, and some to begin with, played on every run.

mod fuzzed;
mod responder;

use std::fs;
use std::path::Path;

fn play(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "nothing in {}", folder.display());
}

#[test]
fn connections() {
    play("connection", fuzzed::connection);
}

#[test]
fn chunks() {
    play("chunked", fuzzed::chunked);
}

#[test]
fn fields_and_paths() {
    play("semantics", fuzzed::semantics);
}

#[test]
fn responses() {
    play("response", fuzzed::response);
}
