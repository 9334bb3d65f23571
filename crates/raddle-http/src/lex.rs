//! The small grammar that all fields share: tokens, white space, lists, parameters, weights. RFC 9110 section 5.6.

/// Whether each byte may stand in a token, RFC 9110 section 5.6.2.
const TOKEN: [bool; 256] = alphanumerics_and(b"!#$%&'*+-.^_`|~");

/// A table of bytes: letters, digits and these.
pub(crate) const fn alphanumerics_and(mut others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    while let [other, rest @ ..] = others {
        table[*other as usize] = true;
        others = rest;
    }
    table
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A token is never empty.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// What may stand in a field's value: visible characters, spaces, tabs, and bytes above 127, which nobody interprets.
pub(crate) fn is_value(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without the spaces and tabs at both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list, trimmed; empty ones are left out, as section 5.6.1.2 demands.
///
/// A comma within a quoted string separates nothing.
pub(crate) fn list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(text, b',').map(trim).filter(|element| !element.is_empty())
}

/// What stands between separators that are not quoted, untrimmed.
pub(crate) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let mut is_escaped = false;
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ if byte == separator && !is_quoted => {
                    rest = Some(&text[at + 1..]);
                    return Some(&text[..at]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// An element's first part and its weight in thousandths; RFC 9110 section 12.4.2. A malformed weight counts as 0: who asks
/// unclearly for something is not given it.
pub(crate) fn weighted(element: &[u8]) -> (&[u8], u16) {
    let mut parts = split(element, b';').map(trim);
    let first = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| match part {
        [b'q' | b'Q', b'=', value @ ..] => Some(weight(value).unwrap_or(0)),
        _ => None,
    });
    (first, weight.unwrap_or(1000))
}

/// `0`, `0.5`, `1.000`: at most three digits behind the point, and no more than 1.
fn weight(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole] => (*whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (*whole, digits),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, value) in digits.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * value;
    }
    (thousandths <= 1000).then_some(thousandths)
}

/// A decimal number without sign; `None` if it is none, or above `u64::MAX`.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Adds a decimal number, without the formatter and without allocating.
pub(crate) fn push_decimal(to: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
        parts.map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn lists_leave_out_what_is_empty_and_respect_quotes() {
        assert_eq!(texts(list(b" a , ,b,\t,")), ["a", "b"]);
        assert_eq!(texts(list(br#""a,b", "c\",d", e"#)), [r#""a,b""#, r#""c\",d""#, "e"]);
        assert_eq!(texts(list(b"")), Vec::<&str>::new());
        assert_eq!(texts(list(b"\"open, end")), ["\"open, end"]);
    }

    #[test]
    fn weights_have_three_digits_at_most() {
        let cases: [(&str, u16); 12] = [
            ("a", 1000),
            ("a;q=1", 1000),
            ("a; Q=0.5", 500),
            ("a;x=1;q=0.123", 123),
            ("a;q=0.", 0),
            ("a;q=1.000", 1000),
            ("a;q=1.001", 0),
            ("a;q=0.1234", 0),
            ("a;q=2", 0),
            ("a;q=.5", 0),
            ("a;q=", 0),
            ("a;q=0.x", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(weighted(text.as_bytes()), (&b"a"[..], expected), "{text}");
        }
    }

    #[test]
    fn numbers_go_both_ways() {
        for number in [0, 9, 10, 1234567890, u64::MAX] {
            let mut text = Vec::new();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
            assert_eq!(decimal(&text), Some(number));
        }
        for text in ["", "+1", "-1", "1 ", "0x1", "18446744073709551616", "1_0"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }
}
