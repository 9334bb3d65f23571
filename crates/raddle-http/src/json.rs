//! Strings of JSON: all that is written here in it.

use std::fmt::Write;

/// A text in quotes: RFC 8259 section 7.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for one in text.chars() {
        match one {
            '"' | '\\' => quoted.extend(['\\', one]),
            // Those above are no matter of JSON's, but of terminals.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => _ = write!(quoted, "\\u{:04x}", one as u32),
            _ => quoted.push(one),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_string_but_its_end() {
        assert_eq!(quoted("a\"\\\n\u{9b}\u{e9}"), "\"a\\\"\\\\\\u000a\\u009b\u{e9}\"");
    }
}
