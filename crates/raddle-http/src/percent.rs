//! Percent-encoding, undone. RFC 3986 section 2.1.

use std::borrow::Cow;

/// The bytes that a text stands for; `None` if a `%` is not followed by two hexadecimal digits. Decoded once, never again: what comes
/// out may look encoded.
pub(crate) fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'%', text) else { return Some(Cow::Borrowed(text)) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => (digit(*high)? << 4 | digit(*low)?, tail),
            (b'%', _) => return None,
            _ => (*byte, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    Some(Cow::Owned(decoded))
}

fn digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_once() {
        let decoded = |text: &str| decode(text.as_bytes()).map(|bytes| bytes.into_owned());
        assert_eq!(decoded("a-b").unwrap(), b"a-b");
        assert_eq!(decoded("%41%2fb%c3%A9").unwrap(), "A/b\u{e9}".as_bytes());
        assert_eq!(decoded("%252e").unwrap(), b"%2e");
        for text in ["%", "%4", "a%4g", "%%41", "%-1", "%+1"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
