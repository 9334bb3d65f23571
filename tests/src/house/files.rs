//! Every file says at its top what it is, tells one story, and leaves nothing open.

use super::tree::{File, Finding, Tree};

/// More lines than that are two stories in one file.
const LINES_MAX: usize = 600;

/// Macros that stand for code which isn't there.
const OPEN_MACROS: &[&str] = &["todo", "unimplemented"];

/// Marks for what isn't done, in pieces so that a plain search through the tree finds real ones only.
const OPEN_MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.rust() {
        documentation(file, findings);
        length(file, findings);
        open_ends(file, findings);
    }
}

fn documentation(file: &File, findings: &mut Vec<Finding>) {
    let source = file.source();
    let is_text = |comment: &str| comment.strip_prefix("//!").is_some_and(|text| !text.is_empty());
    let opening = source.comments().iter().find(|comment| is_text(&comment.text));
    let mut code = 0;
    // What stands inside of a module further down is no attribute of the file.
    for attribute in source.attributes().iter().filter(|one| one.is_inner) {
        code = if attribute.range.start == code { attribute.range.end } else { code };
    }
    let code = source.tokens().get(code).map_or(usize::MAX, |token| token.line);
    if opening.is_none_or(|comment| comment.line > code) {
        findings
            .push(file.finding(1, "no `//!` at the top; say what this file is and why it exists"));
    }
}

fn length(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.text().lines().count();
    if lines > LINES_MAX {
        let what = format!("{lines} lines, more than {LINES_MAX}; two stories: give each a file");
        findings.push(file.finding(LINES_MAX + 1, what));
    }
}

fn open_ends(file: &File, findings: &mut Vec<Finding>) {
    let source = file.source();
    let mut found = |line, what: String| {
        findings
            .push(file.finding(line, format!("{what} leaves work open; do it, or open an issue")));
    };
    for (at, token) in source.tokens().iter().enumerate() {
        if OPEN_MACROS.contains(&token.text.as_str()) && source.text(at + 1) == "!" {
            found(token.line, format!("`{}!`", token.text));
        }
    }
    for comment in source.comments() {
        let mut words = comment.text.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| OPEN_MARKS.contains(word)) {
            found(comment.line, format!("`{mark}`"));
        }
    }
    for attribute in source.attributes() {
        let ignore = attribute.range.clone().find(|at| source.text(*at) == "ignore");
        // Under one condition, with the reason that the runner then prints, it counts as skipped and runs everywhere else.
        let is_conditional = attribute.range.clone().any(|at| source.text(at) == "cfg_attr")
            && ignore.is_some_and(|at| source.text(at + 1) == "=");
        if ignore.is_some() && !is_conditional {
            let line = source.line(attribute.range.start);
            let what =
                "an ignored test never runs; mend it, or let it say at run time what it misses";
            findings.push(file.finding(line, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Tree::new([("a.rs", text)]), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_top_comment_may_stand_before_or_after_inner_attributes() {
        for text in [
            "//! What it is.\n#![cfg(loom)]\nfn f() {}",
            "#![cfg(\n    loom\n)]\n\n//! What it is.\nfn f() {}",
            "//\n//! What it is.\n",
        ] {
            assert_eq!(findings(text), Vec::<String>::new(), "{text}");
        }
        for text in [
            "",
            "//!\n",
            "fn f() {}\n",
            "mod a {\n#![allow(b)]\n//! Late.\n}",
            "/// Of f.\nfn f() {}",
        ] {
            let found = findings(text);
            assert!(
                found.len() == 1 && found[0].starts_with("a.rs:1: no `//!`"),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_file_of_six_hundred_lines_passes_and_one_more_does_not() {
        let text = |lines| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert!(findings(&text(LINES_MAX)).is_empty());
        let found = findings(&text(LINES_MAX + 1));
        assert!(found[0].starts_with("a.rs:601: 601 lines, more than 600"), "{found:?}");
    }

    #[test]
    fn open_ends_are_found_in_code_and_comments() {
        let open = OPEN_MACROS.iter().map(|name| format!("fn f() {{ {name}!() }}"));
        let open = open.chain(OPEN_MARKS.iter().map(|mark| format!("// {mark}: later")));
        let open = open.chain([["#[ig", "nore] fn f() {}"].concat()]);
        for line in open {
            let found = findings(&format!("//! A file.\n\n{line}\n"));
            assert!(found.len() == 1 && found[0].starts_with("a.rs:3: "), "{line}: {found:?}");
        }
    }

    #[test]
    fn a_test_may_be_ignored_under_a_condition_and_with_a_reason() {
        let ignored =
            |how: &str| ["//! A file.\n\n#[cfg_attr(here, ig", how, ")] fn f() {}\n"].concat();
        assert_eq!(findings(&ignored("nore = \"why\"")), Vec::<String>::new());
        assert_eq!(findings(&ignored("nore")).len(), 1);
    }

    #[test]
    fn open_ends_in_strings_and_parts_of_words_pass() {
        let mark = OPEN_MARKS[1];
        let text = format!(
            "//! A file: /tmp/{mark}{mark}.\nconst A: &str = \"{mark}\"; fn todo() {{ ignore }}"
        );
        assert_eq!(findings(&text), Vec::<String>::new());
    }
}
