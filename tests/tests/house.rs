//! This repository keeps the rules that its design lays down; what they are stands in `tests/src/house`.

use raddle_tests::house::{Tree, check};

#[test]
fn the_house_is_in_order() {
    let tree = Tree::of_repository().expect("the tree that this test stands in");
    // A check that looked at nothing would pass forever.
    assert!(tree.files().any(|file| file.path() == "crates/raddle-context/src/lib.rs"));
    let findings = check(&tree);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} broken rules:\n{}\n", lines.len(), lines.join("\n"));
}
