//! Files in TOML that users write: what is wrong with one is a line with its name, the place and the key.

use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;

/// Reads the file's text.
///
/// # Errors
///
/// `FILE:7: key: what`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let mut bare = error.clone();
        // Without the text it names the key.
        bare.set_input(None);
        let what = bare.to_string();
        let mut lines = what.trim_end().lines();
        let message = lines.next().unwrap_or("malformed");
        let key = lines.find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
        let key = key.map_or(String::new(), |key| format!("{key}: "));
        // Of this one it tells neither the key nor the table.
        let twice = error.span().filter(|_| message == "duplicate key");
        let twice = twice.and_then(|span| text.get(span));
        let key = twice.map_or(key, |name| format!("{}: ", name.trim()));
        place(path, text, error.span(), &format!("{key}{message}"))
    })
}

/// `FILE:7: what`.
pub(crate) fn place(path: &Path, text: &str, span: Option<Range<usize>>, what: &str) -> String {
    let path = path.display();
    match span {
        Some(span) => {
            let line = text.as_bytes()[..span.start.min(text.len())]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            format!("{path}:{}: {what}", line + 1)
        }
        None => format!("{path}: {what}"),
    }
}
