//! What RFC 9110 and RFC 9112 demand of a server, as a table: a rule, its section, a raw request, the raw answer.
//!
//! Each row is played whole, split in two at every byte, and byte by byte: the answer is the same, always.

#[path = "../responder/mod.rs"]
mod responder;
mod rows;

use responder::{Answer, answer, limits};

/// One rule.
#[derive(Clone)]
pub(crate) struct Row {
    /// Where it stands.
    section: &'static str,
    rule: &'static str,
    input: Vec<u8>,
    output: String,
    closes: bool,
}

fn shown(answer: &Answer) -> String {
    let end = if answer.closes { "[closed]" } else { "" };
    format!("{}{end}", answer.output.escape_ascii().to_string().replace("\\n", "\\n\n"))
}

#[test]
fn every_rule_holds_however_the_bytes_arrive() {
    let rows = rows::all();
    let mut broken = Vec::new();
    for row in &rows {
        let expected = Answer {
            output: row.output.clone().into_bytes(),
            closes: row.closes,
            ..Answer::default()
        };
        let whole = answer(&limits(), [&row.input[..]]);
        if (&whole.output, whole.closes) != (&expected.output, expected.closes) {
            let input = row.input.escape_ascii().to_string();
            broken.push(format!(
                "{}: {}\n  {input}\nexpected\n{}\nfound\n{}\n",
                row.section,
                row.rule,
                shown(&expected),
                shown(&whole)
            ));
            continue;
        }
        for at in 1..row.input.len() {
            let (first, second) = row.input.split_at(at);
            let split = answer(&limits(), [first, second]);
            assert_eq!(shown(&split), shown(&whole), "{}: {}, at {at}", row.section, row.rule);
            assert_eq!(split, whole);
        }
        let bytes = answer(&limits(), row.input.chunks(1));
        assert_eq!(shown(&bytes), shown(&whole), "{}: {}, by bytes", row.section, row.rule);
        assert_eq!(bytes, whole);
    }
    assert!(broken.is_empty(), "{} of {} rules:\n{}", broken.len(), rows.len(), broken.join("\n"));
    println!("{} rules hold", rows.len());
}

#[test]
fn rows_are_told_apart_by_what_they_say() {
    let rows = rows::all();
    for (at, row) in rows.iter().enumerate() {
        let is_same = |other: &&Row| other.section == row.section && other.rule == row.rule;
        assert!(!rows[..at].iter().any(|other| is_same(&other)), "twice: {}", row.rule);
    }
}
