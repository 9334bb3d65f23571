//! The check of this repository's own rules: style as a test, after TigerBeetle's `tidy.zig`.
//!
//! A rule that only a document states is broken within a month, and a reader of the code can't tell an exception from an
//! oversight. What can be read off the text is therefore checked with every `cargo test`:
//!
//! | module | rule |
//! |---|---|
//! | `arrows` | arrows between crates point one way, as its table says |
//! | `modules` | arrows between the modules of a crate make no circle |
//! | `assembly` | assembly stands in one folder |
//! | `unsafety` | crate roots deny unsafe code; modules opt in with a reason, blocks say why they are sound |
//! | `files` | every file says what it is, tells one story and leaves nothing open |
//! | `register` | every dependency has its reason in `docs/dependencies.md` |
//!
//! `tree` holds the files, `source` takes Rust apart into tokens, `manifest` reads `Cargo.toml`s; `outline` and `resolve`
//! find out which module a path leads to, `circles` finds circles.
//!
//! The rules see text, no types: a call of another module's method is no arrow to them, and what a macro expands to stays
//! hidden. Rejected: `syn` (it drops comments, which half of the rules are about, and builds slower than all
//! of this runs); shell checks in CI (they silently stop running).

mod arrows;
mod assembly;
mod circles;
mod files;
mod manifest;
mod modules;
mod outline;
mod register;
mod resolve;
mod source;
mod tree;
mod unsafety;

pub use tree::{File, Finding, Tree};

/// All broken rules of `tree`, in the order of files and lines.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let (packages, mut findings) = manifest::packages(tree);
    arrows::check(&packages, &mut findings);
    register::check(tree, &packages, &mut findings);
    modules::check(tree, &packages, &mut findings);
    assembly::check(tree, &mut findings);
    unsafety::check(tree, &packages, &mut findings);
    files::check(tree, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: (&str, &str) = ("docs/dependencies.md", "");

    #[test]
    fn a_tree_in_order_has_no_findings() {
        let tree = Tree::new([
            REGISTER,
            ("crates/raddle-core/Cargo.toml", "[package]\nname = 'raddle-core'\n"),
            ("crates/raddle-core/src/lib.rs", "//! The core.\n#![forbid(unsafe_code)]\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn all_findings_come_together_each_on_one_line() {
        let tree = Tree::new([
            REGISTER,
            (
                "crates/raddle-core/Cargo.toml",
                "[package]\nname = 'raddle-core'\n[dependencies]\nx = '1'",
            ),
            ("crates/raddle-core/src/lib.rs", "mod a;\nfn f() { std::arch::asm!(\"\") }\n"),
        ]);
        let lines: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        let places: Vec<&str> = lines.iter().map(|line| line.split(": ").next().unwrap()).collect();
        let root = "crates/raddle-core/src/lib.rs";
        assert_eq!(
            places,
            [
                "crates/raddle-core/Cargo.toml:4".to_owned(),
                format!("{root}:1"),
                format!("{root}:1"),
                format!("{root}:2")
            ]
        );
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }
}
