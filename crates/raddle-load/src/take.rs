//! What is taken from an answer: a field, what a regular expression finds, a value in JSON.

use regex_lite::Regex;
use serde_json::Value;

/// What a variable is taken from.
///
/// ```
/// use raddle_load::Take;
/// let session = Take::field("session", "Set-Cookie", Some("sid=([^;]+)"))?;
/// let wrong = Take::body("id", "id=(").unwrap_err();
/// assert!(wrong.starts_with("the regular expression \"id=(\" is wrong: "), "{wrong}");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
pub struct Take {
    variable: String,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    /// The first field of that name, or of those of that name what the expression finds.
    Field(String, Option<Regex>),
    Body(Regex),
    /// RFC 6901.
    Json(String),
}

/// An answer, as far as somebody takes something from it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// What the variables are at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<(String, String)>);

impl Values {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        // There are a few; a map would be slower.
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn begin(&mut self, variables: &[(String, String)]) {
        self.0.clear();
        self.0.extend_from_slice(variables);
    }
}

impl Take {
    /// From a field of the head; with an expression, what its first group has found, or all of it, in the first field of that name where it does.
    ///
    /// # Errors
    ///
    /// What is wrong with a name or the expression, in words.
    pub fn field(variable: &str, field: &str, pattern: Option<&str>) -> Result<Take, String> {
        let pattern = pattern.map(regex).transpose()?;
        Take::new(variable, From::Field(field.to_owned(), pattern))
    }

    /// From the content: what an expression's first group has found, or all of it.
    ///
    /// # Errors
    ///
    /// What is wrong with the name or the expression, in words.
    pub fn body(variable: &str, pattern: &str) -> Result<Take, String> {
        Take::new(variable, From::Body(regex(pattern)?))
    }

    /// From content in JSON: what a pointer (RFC 6901) leads to. A text is taken without its quotation marks.
    ///
    /// # Errors
    ///
    /// What is wrong with the name or the pointer, in words.
    pub fn json(variable: &str, pointer: &str) -> Result<Take, String> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!(
                "{pointer:?} is no JSON pointer: it begins with /, as in /items/0/id"
            ));
        }
        Take::new(variable, From::Json(pointer.to_owned()))
    }

    fn new(variable: &str, from: From) -> Result<Take, String> {
        is_name(variable)?;
        Ok(Take { variable: variable.to_owned(), from })
    }

    /// Whose value it is.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// Takes it, or says why it is not there.
    pub(crate) fn take(&self, seen: &Seen, values: &mut Values) -> Result<(), String> {
        let found = match &self.from {
            From::Field(name, pattern) => {
                fields(&seen.head, name).find_map(|value| match pattern {
                    Some(pattern) => found(pattern, &value),
                    None => Some(value),
                })
            }
            From::Body(pattern) => found(pattern, &String::from_utf8_lossy(&seen.body)),
            From::Json(pointer) => {
                let json = serde_json::from_slice::<Value>(&seen.body).ok();
                json.as_ref().and_then(|json| json.pointer(pointer)).map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
            }
        };
        match found {
            Some(value) => {
                values.set(&self.variable, value);
                Ok(())
            }
            None => Err(format!("the answer has no value for {}", self.variable)),
        }
    }
}

/// What a variable may be called.
pub(crate) fn is_name(name: &str) -> Result<(), String> {
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    match name.is_empty() || name.contains(is_odd) {
        false => Ok(()),
        true => Err(format!("{name:?} is no variable's name: letters, digits and _ are")),
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern)
        .map_err(|error| format!("the regular expression {pattern:?} is wrong: {error}"))
}

/// The first group, if there is one.
fn found(pattern: &Regex, text: &str) -> Option<String> {
    let captures = pattern.captures(text)?;
    let group = captures.get(1).or_else(|| captures.get(0))?;
    Some(group.as_str().to_owned())
}

/// The values of all fields of that name.
fn fields<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(move |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].trim_ascii();
        let is_it = line[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| String::from_utf8_lossy(value).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(take: Result<Take, String>) -> Result<String, String> {
        let seen = Seen {
            head: b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nSet-Cookie: sid=x7; Path=/\r\n\r\n"
                .to_vec(),
            body: br#"{"id": 5, "items": [{"name": "b c"}]}"#.to_vec(),
        };
        let mut values = Values::default();
        take?.take(&seen, &mut values)?;
        Ok(values.get("v").unwrap_or_default().to_owned())
    }

    #[test]
    fn values_are_taken_from_heads_and_content() {
        for (take, expected) in [
            (Take::field("v", "SET-COOKIE", None), "a=1"),
            (Take::field("v", "Set-Cookie", Some("sid=([^;]+)")), "x7"),
            (Take::field("v", "Set-Cookie", Some("sid=[^;]+")), "sid=x7"),
            (Take::json("v", "/items/0/name"), "b c"),
            (Take::json("v", "/id"), "5"),
            (Take::body("v", r#""id": (\d+)"#), "5"),
        ] {
            assert_eq!(taken(take).as_deref(), Ok(expected));
        }
        let none = Err("the answer has no value for v".to_owned());
        for take in [
            Take::field("v", "Location", None),
            Take::field("v", "Set-Cookie", Some("none")),
            Take::json("v", "/items/1"),
            Take::body("v", "none"),
        ] {
            assert_eq!(taken(take), none);
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (take, why) in [
            (Take::json("v", "items"), "begins with /"),
            (Take::json("v w", ""), "\"v w\" is no variable's name"),
            (Take::field("v", "a", Some("(")), "the regular expression \"(\" is wrong"),
        ] {
            assert!(taken(take).is_err_and(|error| error.contains(why)), "{why}");
        }
    }
}
