//! Unsafe code stands where it was decided to stand, and says why it is sound.
//!
//! Crate roots deny it; a module opts back in with a reason. Each unsafe block and implementation has its argument near by, in tests as
//! well: a test that is unsound itself shows nothing. Clippy's `undocumented_unsafe_blocks` knows better what stands where, so it
//! must not be switched off.

use super::manifest::Package;
use super::source::Attribute;
use super::tree::{File, Finding, Tree};

/// The argument stands on the line itself, or at most so many lines above.
const LINES_ABOVE: usize = 12;

/// Clippy's lint of the same kind.
const CLIPPYS: &str = "undocumented_unsafe_blocks";

pub(super) fn check(tree: &Tree, packages: &[Package<'_>], findings: &mut Vec<Finding>) {
    for root in packages.iter().flat_map(|package| package.roots(tree)) {
        let levels = levels(root);
        let is_denied =
            |level: &Level<'_>| level.is_inner && matches!(level.word, "deny" | "forbid");
        if !levels.iter().any(is_denied) {
            let what = "a crate root without `#![deny(unsafe_code)]`; add it, or `forbid`";
            findings.push(root.finding(1, what));
        }
        for level in levels.iter().filter(|level| level.is_inner && !is_denied(level)) {
            let what =
                "opts in for the whole crate; move the unsafe code into a module that opts in";
            findings.push(root.finding(level.line, what));
        }
    }
    for file in tree.rust() {
        for level in levels(file).iter().filter(|level| level.opts_in() && !level.has_reason) {
            let what = "opts in to unsafe code without a reason; add `reason = \"...\"`";
            findings.push(file.finding(level.line, what));
        }
        arguments(file, findings);
        let silences =
            |one: &Attribute| one.range.clone().any(|at| file.source().text(at) == CLIPPYS);
        for attribute in file.source().attributes().iter().filter(|one| silences(one)) {
            let what = format!("sets the level of `{CLIPPYS}`; the workspace does");
            findings.push(file.finding(file.source().line(attribute.range.start), what));
        }
    }
}

/// An attribute that sets the level of the lint `unsafe_code`.
struct Level<'f> {
    word: &'f str,
    is_inner: bool,
    has_reason: bool,
    line: usize,
}

impl Level<'_> {
    fn opts_in(&self) -> bool {
        matches!(self.word, "allow" | "expect" | "warn")
    }
}

fn levels(file: &File) -> Vec<Level<'_>> {
    file.source().attributes().iter().filter_map(|attribute| level(file, attribute)).collect()
}

fn level<'f>(file: &'f File, attribute: &Attribute) -> Option<Level<'f>> {
    let source = file.source();
    let lint = attribute.range.clone().find(|&at| source.text(at) == "unsafe_code")?;
    let is_word =
        |at: &usize| matches!(source.text(*at), "allow" | "expect" | "warn" | "deny" | "forbid");
    let word = (attribute.range.start..lint).rev().find(is_word)?;
    // An empty string is no reason.
    let is_reason = |at: usize| source.text(at) == "reason" && source.text(at + 2).len() > 2;
    Some(Level {
        word: source.text(word),
        is_inner: attribute.is_inner,
        has_reason: attribute.range.clone().any(is_reason),
        line: source.line(attribute.range.start),
    })
}

/// Each unsafe block and implementation has an argument near it.
fn arguments(file: &File, findings: &mut Vec<Finding>) {
    let source = file.source();
    for (at, token) in source.tokens().iter().enumerate() {
        let opens = token.text == "unsafe" && matches!(source.text(at + 1), "{" | "impl");
        if !opens {
            continue;
        }
        let is_near = |line: usize| line <= token.line && line + LINES_ABOVE >= token.line;
        let argued = |text: &str| text.contains("SAFETY");
        if !source.comments().iter().any(|one| is_near(one.line) && argued(&one.text)) {
            let what = format!(
                "`unsafe {}` without a `SAFETY` comment within {LINES_ABOVE} lines above; say why it is sound",
                source.text(at + 1)
            );
            findings.push(file.finding(token.line, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::packages;
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::new([("Cargo.toml", "[package]\nname = 'a'"), (path, text)]);
        let mut findings = Vec::new();
        check(&tree, &packages(&tree).0, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_root_denies_or_forbids() {
        for text in [
            "#![deny(unsafe_code)]",
            "#![warn(missing_docs)]\n#![forbid(missing_docs, unsafe_code)]",
        ] {
            assert_eq!(findings("src/lib.rs", text), Vec::<String>::new());
        }
        for text in ["", "#[deny(unsafe_code)] mod a;", "//! #![deny(unsafe_code)]"] {
            assert_eq!(findings("src/main.rs", text).len(), 1, "{text}");
        }
        let undone = "#![deny(unsafe_code)]\n#![allow(unsafe_code, reason = \"all of it\")]";
        assert!(
            findings("src/lib.rs", undone)[0].starts_with("src/lib.rs:2: opts in for the whole")
        );
        assert_eq!(findings("src/a.rs", ""), Vec::<String>::new());
    }

    #[test]
    fn opting_in_takes_a_reason() {
        let plain = "#![allow(unsafe_code, reason = \"raw memory\")]";
        assert_eq!(findings("src/a.rs", plain), Vec::<String>::new());
        for text in [
            "\n#![allow(unsafe_code)]",
            "\n#[expect(unsafe_code, reason = \"\")] fn f() {}",
            "\n#![cfg_attr(miri, allow(unsafe_code))]",
        ] {
            let found = findings("src/a.rs", text);
            assert!(found.len() == 1 && found[0].starts_with("src/a.rs:2: opts in"), "{found:?}");
        }
    }

    #[test]
    fn an_argument_stands_on_the_line_or_up_to_twelve_above() {
        let far = |lines| format!("// SAFETY: so.\n{}unsafe {{ f() }}", "\n".repeat(lines));
        assert_eq!(findings("src/a.rs", &far(11)), Vec::<String>::new());
        assert_eq!(findings("src/a.rs", &far(12)).len(), 1);
        assert_eq!(findings("src/a.rs", "unsafe {} // SAFETY: empty"), Vec::<String>::new());
        let found = findings("src/a.rs", "\nunsafe impl Send for A {}\n// SAFETY: late");
        assert!(found[0].starts_with("src/a.rs:2: `unsafe impl` without"), "{found:?}");
    }

    #[test]
    fn tests_need_an_argument_too() {
        let unit = "#[cfg(test)]\nmod tests { fn f() { unsafe { g() } } }";
        assert_eq!(findings("src/a.rs", unit).len(), 1);
        assert_eq!(findings("tests/a.rs", "fn f() { unsafe\n{ g() } }").len(), 1);
        assert_eq!(findings("tests/a/b.rs", "unsafe impl Send for A {}").len(), 1);
    }

    #[test]
    fn clippys_lint_stays_on() {
        let text = "#![allow(clippy::undocumented_unsafe_blocks, reason = \"a test\")]";
        let found = findings("tests/a.rs", text);
        assert!(found.len() == 1 && found[0].starts_with("tests/a.rs:1: sets the"), "{found:?}");
    }

    #[test]
    fn declarations_need_no_argument() {
        for text in
            ["unsafe extern \"C\" { fn f(); }\nunsafe fn g() {}", "const A: &str = \"unsafe { }\";"]
        {
            assert_eq!(findings("src/a.rs", text), Vec::<String>::new(), "{text}");
        }
    }
}
