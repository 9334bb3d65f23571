//! Rust text as tokens and comments: a lexer, as far as the rules need one.
//!
//! Comments and code are told apart here and nowhere else, so that a rule about code is not tripped by a word in a
//! comment or a string, and a rule about comments finds them all.

use std::ops::Range;

/// A file's tokens, in order, and its comments by line.
#[derive(Debug, Default)]
pub(super) struct Source {
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

/// An identifier, number, lifetime, string or character literal, `::`, or one other character.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// One line of a comment, with its slashes.
#[derive(Debug)]
pub(super) struct Comment {
    pub(super) text: String,
    pub(super) line: usize,
}

/// `#[...]` or `#![...]`: its tokens, brackets included.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) range: Range<usize>,
    pub(super) is_inner: bool,
}

impl Source {
    pub(super) fn of(text: &str) -> Source {
        let mut source = Source::default();
        let mut rest = text;
        let mut line = 1;
        while let Some(first) = rest.chars().next() {
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment(rest)
            } else if first.is_whitespace() {
                first.len_utf8()
            } else {
                token(rest)
            };
            let piece = &rest[..length];
            if piece.starts_with("//") || piece.starts_with("/*") {
                for (below, text) in piece.lines().enumerate() {
                    let text = text.trim().to_owned();
                    source.comments.push(Comment { text, line: line + below });
                }
            } else if !first.is_whitespace() {
                let text = piece.strip_prefix("r#").filter(|raw| is_word(raw)).unwrap_or(piece);
                source.tokens.push(Token { text: text.to_owned(), line });
            }
            line += piece.matches('\n').count();
            rest = &rest[length..];
        }
        source
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(super) fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// The text of token `at`; empty outside the file, so that a rule may look left and right freely.
    pub(super) fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// The text of the token before `at`.
    pub(super) fn text_before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |before| self.text(before))
    }

    /// The first line of token `at`.
    pub(super) fn line(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(0, |token| token.line)
    }

    /// The token that closes the bracket at `open`, or the file's end.
    pub(super) fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let mut all = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let is_inner = self.text(at + 1) == "!";
            let open = at + 1 + usize::from(is_inner);
            if self.text(at) == "#" && self.text(open) == "[" {
                let end = self.closing(open) + 1;
                all.push(Attribute { range: at..end, is_inner });
                at = end;
            } else {
                at += 1;
            }
        }
        all
    }

    /// The tokens that are compiled for unit tests only: items under a `cfg` that asks for `test`.
    pub(super) fn tests(&self) -> Vec<Range<usize>> {
        let asking = self.attributes().into_iter().filter(|one| self.asks_for_test(&one.range));
        let item = |one: Attribute| {
            let end = if one.is_inner { self.tokens.len() } else { self.item_end(one.range.end) };
            one.range.start..end
        };
        asking.map(item).collect()
    }

    /// Whether the attribute leaves its item out of every build but the tests'.
    fn asks_for_test(&self, attribute: &Range<usize>) -> bool {
        let is_in = |outer: &str, at: usize| {
            let mut heads = attribute.clone().filter(|&head| self.text(head) == outer);
            heads.any(|head| (head + 1..self.closing(head + 1)).contains(&at))
        };
        attribute.clone().any(|at| {
            self.text(at) == "test" && is_in("cfg", at) && !is_in("not", at) && !is_in("any", at)
        })
    }

    /// Where the item that begins at `start` ends: behind its body or its semicolon.
    fn item_end(&self, start: usize) -> usize {
        let mut at = start;
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at + 1,
                "{" => return self.closing(at) + 1,
                "(" | "[" => at = self.closing(at) + 1,
                ")" | "]" | "}" => return at,
                _ => at += 1,
            }
        }
        at
    }
}

/// Whether `text` is an identifier, a keyword or a number.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_character)
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment that `text` begins with. They nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of the token that `text` begins with.
fn token(text: &str) -> usize {
    if let Some(length) = string(text).or_else(|| character(text)) {
        return length;
    }
    let name = text.strip_prefix("r#").filter(|rest| rest.starts_with(is_word_character));
    let name = name.or_else(|| text.strip_prefix('\'')).unwrap_or(text);
    let end = name.find(|c| !is_word_character(c)).unwrap_or(name.len());
    let before = text.len() - name.len();
    match end {
        0 if text.starts_with("::") => 2,
        0 => text.chars().next().map_or(0, char::len_utf8),
        _ => before + end,
    }
}

/// The length of the string literal that `text` begins with, prefix included.
fn string(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    if text.len() - body.len() > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let quoted = raw.trim_start_matches('#');
        let hashes = raw.len() - quoted.len();
        let inside = quoted.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(text.len() - inside.len() + length);
    }
    let inside = body.strip_prefix('"')?;
    Some(text.len() - inside.len() + until_quote(inside, '"'))
}

/// The length of the character literal that `text` begins with; none if it is a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(1 + until_quote(inside, '\''));
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// The length up to and with the first `quote` that no backslash escapes.
fn until_quote(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !is_escaped {
            return at + quote.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &Source) -> Vec<&str> {
        source.tokens().iter().map(|token| token.text.as_str()).collect()
    }

    #[test]
    fn code_is_told_from_comments_strings_and_characters() {
        let source = Source::of(
            "let a = \"// no \\\" comment\"; // one\nlet b = r#\"a \"quote\" /* \"#; /* two /* nested */\nthree */ c",
        );
        let expected = [
            "let",
            "a",
            "=",
            "\"// no \\\" comment\"",
            ";",
            "let",
            "b",
            "=",
            "r#\"a \"quote\" /* \"#",
            ";",
            "c",
        ];
        assert_eq!(texts(&source), expected);
        let comments: Vec<(usize, &str)> =
            source.comments().iter().map(|one| (one.line, one.text.as_str())).collect();
        assert_eq!(comments, [(1, "// one"), (2, "/* two /* nested */"), (3, "three */")]);
        assert_eq!(source.tokens().last().unwrap().line, 3);
    }

    #[test]
    fn lifetimes_are_no_characters() {
        let source = Source::of(r"f::<'a, '\''>('{', b'\\', r#type, 'ä', '_) x");
        let expected = [
            "f", "::", "<", "'a", ",", r"'\''", ">", "(", "'{'", ",", "b", r"'\\'", ",", "type",
            ",", "'ä'", ",", "'_", ")", "x",
        ];
        assert_eq!(texts(&source), expected);
    }

    #[test]
    fn an_unfinished_file_ends() {
        for text in ["\"", "r#\"", "/* /*", "'", "'\\", "#[", "r#", "b", "("] {
            let source = Source::of(text);
            source.attributes();
            source.tests();
        }
    }

    #[test]
    fn attributes_are_found_whole() {
        let source = Source::of("#![deny(a)]\n#[cfg(all(x, y))] fn f() {}");
        let all = source.attributes();
        let inner: Vec<bool> = all.iter().map(|one| one.is_inner).collect();
        assert_eq!(inner, [true, false]);
        assert_eq!(source.text(all[1].range.end), "fn");
    }

    #[test]
    fn test_code_is_found_whole() {
        let tests_of = |text| {
            let source = Source::of(text);
            let lines = |one: &Range<usize>| (source.line(one.start), source.line(one.end - 1));
            source.tests().iter().map(lines).collect::<Vec<_>>()
        };
        let module = "fn a() {}\n#[cfg(all(test, not(loom)))]\nmod tests {\n{}\n}\nfn b() {}";
        assert_eq!(tests_of(module), [(2, 5)]);
        assert_eq!(tests_of("#[cfg(test)]\nuse a;\nfn b() {}"), [(1, 2)]);
        assert_eq!(tests_of("#[cfg(not(any(loom, test)))]\nfn b() {}"), []);
        assert_eq!(tests_of("#[cfg(any(loom, test))]\nfn b() {}"), []);
        assert_eq!(tests_of("#![cfg(test)]\nfn b() {}\n"), [(1, 2)]);
    }
}
