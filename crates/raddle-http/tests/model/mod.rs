//! A server's reading of a stream, as simple as can be: all bytes are there, each rule is one line, nothing is fast. And streams to
//! read: well-formed ones, and such as are nearly so.
#![allow(dead_code, reason = "each test uses its part")]

use crate::responder::Seen;
use proptest::prelude::*;

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Between requests, or behind the last one that was to be served.
    Clean,
    /// Within a request.
    Incomplete,
    /// In a request that is refused.
    Refused,
}

/// The requests that a stream holds, up to its end.
pub(crate) fn read(mut stream: &[u8]) -> (Vec<Seen>, End) {
    let mut all = Vec::new();
    loop {
        while let Some(rest) = stream.strip_prefix(b"\r\n") {
            stream = rest;
        }
        if stream.is_empty() || stream == b"\r" {
            return (all, End::Clean);
        }
        match request(stream) {
            Ok((seen, is_kept, rest)) => {
                all.push(seen);
                stream = rest;
                if !is_kept {
                    return (all, End::Clean);
                }
            }
            Err(end) => return (all, end),
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token)
}

/// Lines up to the empty one, and what follows.
fn lines(mut text: &[u8], has_first: bool) -> Result<(Vec<&[u8]>, &[u8]), End> {
    let mut lines = Vec::new();
    loop {
        if has_first && lines.is_empty() && !text.is_empty() && !is_token(&text[..1]) {
            return Err(End::Refused);
        }
        let Some(at) = text.iter().position(|byte| *byte == b'\n') else {
            return Err(End::Incomplete);
        };
        let line = text[..at].strip_suffix(b"\r").ok_or(End::Refused)?;
        text = &text[at + 1..];
        if line.is_empty() {
            return Ok((lines, text));
        }
        let is_folded = line[0] == b' ' || line[0] == b'\t';
        if is_folded && !(has_first && lines.is_empty()) {
            return Err(End::Refused);
        }
        lines.push(line);
    }
}

type Fields = Vec<(String, Vec<u8>)>;

fn fields(lines: &[&[u8]]) -> Result<Fields, End> {
    let field = |line: &&[u8]| {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(End::Refused)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let is_text = value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 127));
        if !is_token(name) || !is_text {
            return Err(End::Refused);
        }
        let is_solid = |byte: &u8| *byte != b' ' && *byte != b'\t';
        let value = match (value.iter().position(is_solid), value.iter().rposition(is_solid)) {
            (Some(first), Some(last)) => &value[first..=last],
            _ => b"",
        };
        Ok((String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
    };
    lines.iter().map(field).collect()
}

fn all<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| &value[..]).collect()
}

/// A list's elements in lower case; none of the lists here have quotes with commas in them.
fn elements(fields: &Fields, name: &str) -> Vec<String> {
    let text = all(fields, name).join(&b","[..]).to_ascii_lowercase();
    let text = String::from_utf8_lossy(&text).into_owned();
    let elements = text.split(',').map(|one| one.trim_matches([' ', '\t']).to_owned());
    elements.filter(|one| !one.is_empty()).collect()
}

fn is_host(host: &[u8]) -> bool {
    let text = String::from_utf8_lossy(host).into_owned();
    let (name, port) = text.split_once(':').unwrap_or((&text, ""));
    let is_port = port.chars().all(|c| c.is_ascii_digit())
        && (port.is_empty() || port.parse::<u64>().is_ok_and(|port| port < 65536));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c);
    is_port && name.chars().all(is_plain)
}

fn request(stream: &[u8]) -> Result<(Seen, bool, &[u8]), End> {
    let (lines, rest) = lines(stream, true)?;
    let first: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = first[..] else { return Err(End::Refused) };
    let is_new = match version {
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => true,
        _ => return Err(End::Refused),
    };
    let is_target = target.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'#');
    let is_whole = target == b"*" && method == b"OPTIONS";
    let is_path = target.first() == Some(&b'/');
    if !is_token(method) || method.len() > 22 || !is_target || !(is_path || is_whole) {
        return Err(End::Refused);
    }
    let fields = fields(&lines[1..])?;
    let hosts = all(&fields, "Host");
    if hosts.len() > 1 || (hosts.is_empty() && is_new) || hosts.iter().any(|host| !is_host(host)) {
        return Err(End::Refused);
    }
    if is_new && elements(&fields, "Expect").iter().any(|one| one != "100-continue") {
        return Err(End::Refused);
    }
    let lengths = all(&fields, "Content-Length");
    let (body, trailers, rest) = match &lengths[..] {
        _ if !all(&fields, "Transfer-Encoding").is_empty() => {
            if !is_new
                || !lengths.is_empty()
                || elements(&fields, "Transfer-Encoding") != ["chunked"]
            {
                return Err(End::Refused);
            }
            chunks(rest)?
        }
        [] => (Vec::new(), 0, rest),
        [length] if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length: usize =
                String::from_utf8_lossy(length).parse().map_err(|_| End::Refused)?;
            if length > BODY_MAX {
                return Err(End::Refused);
            }
            let body = rest.get(..length).ok_or(End::Incomplete)?;
            (body.to_vec(), 0, &rest[length..])
        }
        _ => return Err(End::Refused),
    };
    let options = elements(&fields, "Connection");
    let has = |option: &str| options.iter().any(|one| one == option);
    let is_kept = !has("close") && (is_new || has("keep-alive"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let seen = Seen { method: text(method), target: text(target), fields, body, trailers };
    Ok((seen, is_kept, rest))
}

/// More content than that is refused; nobody makes so much here but by chance.
pub(crate) const BODY_MAX: usize = 1 << 20;

fn chunks(mut stream: &[u8]) -> Result<(Vec<u8>, usize, &[u8]), End> {
    let mut body = Vec::new();
    loop {
        let digits = stream.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 {
            return Err(End::Refused);
        }
        // What is there of the line must be the beginning of a good one.
        let end = stream.iter().position(|byte| *byte == b'\n');
        let line = &stream[..end.unwrap_or(stream.len())];
        let spaces = line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let extension = &line[digits + spaces..];
        let has_cr = extension.last() == Some(&b'\r');
        let extension = extension.strip_suffix(b"\r").unwrap_or(extension);
        let is_text =
            extension.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 127));
        let is_extension = extension.first().is_none_or(|byte| *byte == b';');
        let is_bare = extension.is_empty() && spaces > 0 && (has_cr || end.is_some());
        let is_empty = digits == 0 && !line.is_empty();
        if is_empty
            || !is_text
            || !is_extension
            || is_bare
            || (end.is_some() && (!has_cr || digits == 0))
        {
            return Err(End::Refused);
        }
        let Some(end) = end else { return Err(End::Incomplete) };
        let size = u64::from_str_radix(str::from_utf8(&stream[..digits]).unwrap(), 16).unwrap();
        stream = &stream[end + 1..];
        if body.len() as u64 + size.min(u64::MAX / 2) > BODY_MAX as u64 {
            return Err(End::Refused);
        }
        if size == 0 {
            let (lines, rest) = lines(stream, false)?;
            return Ok((body, fields(&lines)?.len(), rest));
        }
        let size = size as usize;
        let data = stream.get(..size).ok_or(End::Incomplete)?;
        body.extend_from_slice(data);
        stream = &stream[size..];
        if !b"\r\n".starts_with(&stream[..stream.len().min(2)]) {
            return Err(End::Refused);
        }
        stream = stream.get(2..).ok_or(End::Incomplete)?;
    }
}

/// A stream of requests, each mostly well-formed.
pub(crate) fn streams() -> impl Strategy<Value = Vec<u8>> {
    let requests = prop::collection::vec(requests(), 1..5).prop_map(|requests| requests.concat());
    (requests, prop::collection::vec(mutation(), 0..3), any::<bool>()).prop_map(
        |(mut stream, mutations, is_changed)| {
            if is_changed {
                mutations.iter().for_each(|mutation| mutate(&mut stream, mutation));
            }
            stream
        },
    )
}

/// Where, how, and with what.
type Mutation = (prop::sample::Index, u8, Vec<u8>);

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces: Vec<Vec<u8>> = [
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        ":",
        "\0",
        ",",
        ";",
        "0",
        "1",
        "a",
        "/",
        "\u{e9}",
        "\r\n\r\n",
        "chunked",
        "Content-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "ffffffff",
        "\x7f",
        "#",
        "*",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    (any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(pieces))
}

fn mutate(stream: &mut Vec<u8>, (index, kind, piece): &Mutation) {
    if stream.is_empty() {
        return;
    }
    let at = index.index(stream.len());
    match kind {
        0 => _ = stream.splice(at..at, piece.iter().copied()),
        1 => _ = stream.remove(at),
        2 => _ = stream.splice(at..=at, piece.iter().copied()),
        _ => stream.truncate(at),
    }
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let methods =
        prop::sample::select(vec!["GET", "POST", "PUT", "HEAD", "OPTIONS", "PURGE", "get"]);
    let targets =
        prop::sample::select(vec!["/echo", "/echo?a=b&c", "/echo", "/", "/%41//x", "*", "/a|b"]);
    let versions =
        prop::sample::select(vec!["1.1", "1.1", "1.1", "1.1", "1.0", "1.2", "2.0", "1.x"]);
    let hosts = prop::sample::select(vec!["Host: a\r\n"; 12]).boxed().prop_union(
        prop::sample::select(vec![
            "",
            "Host:\r\n",
            "host: a:80\r\n",
            "Host: a b\r\n",
            "Host: a\r\nHost: a\r\n",
        ])
        .boxed(),
    );
    let others = prop::collection::vec(
        prop::sample::select(vec![
            "Accept: */*\r\n",
            "X-Empty:\r\n",
            "X-Space: \t a b \t\r\n",
            "Connection: keep-alive\r\n",
            "Connection: close\r\n",
            "Expect: 100-continue\r\n",
            "TE: trailers\r\n",
            "X-Twice: 1\r\nx-twice: 2\r\n",
            "Cookie: a=\"b, c\"; d\r\n",
        ]),
        0..3,
    );
    let framings = (0..10_u8, prop::collection::vec(any::<u8>(), 0..40), any::<bool>());
    (methods, targets, versions, hosts, others, framings).prop_map(
        |(method, target, version, host, others, (framing, body, has_trailers))| {
            let mut request =
                format!("{method} {target} HTTP/{version}\r\n{host}{}", others.concat())
                    .into_bytes();
            let length = format!("Content-Length: {}\r\n", body.len());
            match framing {
                0..=2 => request.extend_from_slice(b"\r\n"),
                3..=5 => {
                    request.extend_from_slice(length.as_bytes());
                    request.extend_from_slice(b"\r\n");
                    request.extend_from_slice(&body);
                }
                6..=8 => {
                    request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(17) {
                        request.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
                        request.extend_from_slice(chunk);
                        request.extend_from_slice(b"\r\n");
                    }
                    let trailers = if has_trailers { "A: b\r\n" } else { "" };
                    request.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
                }
                _ => {
                    let chunked = "Transfer-Encoding: chunked\r\n";
                    let odd = [
                        format!("{length}{length}"),
                        format!("{length}{chunked}"),
                        format!("{chunked}{length}"),
                        format!("{chunked}{chunked}"),
                        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
                        "Transfer-Encoding: chunked, gzip\r\n".to_owned(),
                        "Transfer-Encoding: , Chunked ,\r\n".to_owned(),
                        "Transfer-Encoding:\r\n".to_owned(),
                        "Content-Length: 00000000000000000002\r\n".to_owned(),
                        "Content-Length: 5 \t\r\n".to_owned(),
                        "Content-Length: 1, 1\r\n".to_owned(),
                        "Content-Length: +1\r\n".to_owned(),
                    ];
                    request.extend_from_slice(odd[body.len() % odd.len()].as_bytes());
                    request.extend_from_slice(b"\r\n2\r\nok\r\n0\r\n\r\n");
                }
            }
            request
        },
    )
}
