//! A folder's entries as a page, or as JSON. The page needs nothing else: no scripts, no pictures, no fonts.

use super::listing::{Entry, Key, Listing};
use crate::calendar::Civil;
use crate::header::Header;
use crate::json::quoted;
use crate::request::Request;
use crate::response::Response;
use crate::semantics::prefer_type;
use crate::status::Status;
use std::fmt::Write;

/// The listing of the folder at that clean path, as the client likes it.
pub(super) fn response(request: &mut Request<'_>, listing: &Listing, path: &[u8]) -> Response {
    let wants_json = prefer_type(request.headers(), &["text/html", "application/json"]) == Some(1);
    let (key, is_descending) = order(request.query().unwrap_or_default());
    let entries = listing.sorted(key, is_descending);
    let response = request
        .reply(Status::OK)
        .header(Header::Vary, "Accept")
        .header(Header::CacheControl, "no-cache")
        .header(Header::XContentTypeOptions, "nosniff");
    if wants_json {
        return response
            .header(Header::ContentType, "application/json")
            .with_body(json(path, &entries));
    }
    response
        .header(Header::ContentType, "text/html; charset=utf-8")
        .header(Header::ContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'")
        .with_body(html(path, &entries, key, is_descending))
}

/// `sort=size&order=desc`; by name if nothing, or nonsense, is said.
fn order(query: &str) -> (Key, bool) {
    let (mut key, mut is_descending) = (Key::Name, false);
    for pair in query.split('&') {
        match pair {
            "sort=name" => key = Key::Name,
            "sort=size" => key = Key::Size,
            "sort=modified" => key = Key::Modified,
            "order=desc" => is_descending = true,
            "order=asc" => is_descending = false,
            _ => {}
        }
    }
    (key, is_descending)
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8883;--soft:#666;--link:#0550ae}\
@media(prefers-color-scheme:dark){:root{--soft:#a3a3a3;--link:#79b8ff}}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:1.5rem 1rem 3rem}\
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere;margin:0 .5rem 1rem}\
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}\
table{border-collapse:collapse;width:100%}\
caption{text-align:left;color:var(--soft);padding:0 .5rem .5rem}\
th,td{padding:.375rem .5rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\
th{font-weight:600;white-space:nowrap}tbody th{font-weight:400;width:100%;white-space:normal;overflow-wrap:anywhere}\
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}\
thead .n{color:inherit}tbody tr:hover{background:#8881}\
@media(max-width:36rem){.m{display:none}}";

fn html(path: &[u8], entries: &[&Entry], key: Key, is_descending: bool) -> String {
    let mut page = String::with_capacity(2048 + entries.len() * 256);
    let shown = escaped(&format!("/{}", String::from_utf8_lossy(path)));
    let title = if path.is_empty() { shown } else { format!("{shown}/") };
    _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{}</h1>\n<table>\n<caption>{}</caption>\n<thead>\n<tr>",
        trail(path),
        counted(entries),
    );
    for (column, word, name, class) in [
        (Key::Name, "name", "Name", ""),
        (Key::Size, "size", "Size", " class=\"n\""),
        (Key::Modified, "modified", "Modified (UTC)", " class=\"n m\""),
    ] {
        // A second click turns the order round.
        let next = if column == key && !is_descending { "desc" } else { "asc" };
        let (state, arrow) = match (column == key, is_descending) {
            (true, false) => {
                (" aria-sort=\"ascending\"", " <span aria-hidden=\"true\">&#8593;</span>")
            }
            (true, true) => {
                (" aria-sort=\"descending\"", " <span aria-hidden=\"true\">&#8595;</span>")
            }
            (false, _) => ("", ""),
        };
        _ = write!(
            page,
            "<th scope=\"col\"{class}{state}><a href=\"?sort={word}&amp;order={next}\">{name}</a>{arrow}</th>"
        );
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    if !path.is_empty() {
        page.push_str("<tr><th scope=\"row\"><a href=\"../\">../ <span class=\"n\">(up)</span></a></th><td class=\"n\"></td><td class=\"n m\"></td></tr>\n");
    }
    entries.iter().for_each(|entry| row(&mut page, entry));
    page.push_str("</tbody>\n</table>\n</main>\n</body>\n</html>\n");
    page
}

fn row(page: &mut String, entry: &Entry) {
    let slash = if entry.is_folder { "/" } else { "" };
    // With the dot a name with a colon is no scheme.
    let link = encoded(&entry.name, false);
    let name = escaped(&String::from_utf8_lossy(&entry.name));
    let time = Civil::of(entry.modified).iso();
    _ = write!(page, "<tr><th scope=\"row\"><a href=\"./{link}{slash}\">{name}{slash}</a></th>");
    let size = if entry.is_folder { String::new() } else { size(entry.length) };
    _ = writeln!(
        page,
        "<td class=\"n\">{size}</td><td class=\"n m\"><time datetime=\"{time}\">{} {}</time></td></tr>",
        &time[..10],
        &time[11..16],
    );
}

/// The path, with a link to each folder on the way.
fn trail(path: &[u8]) -> String {
    let names: Vec<&[u8]> = match path {
        [] => Vec::new(),
        path => path.split(|byte| *byte == b'/').collect(),
    };
    let mut trail = match names.len() {
        0 => "/".to_owned(),
        depth => format!("<a href=\"{}\">/</a>", "../".repeat(depth)),
    };
    for (at, name) in names.iter().enumerate() {
        let name = escaped(&String::from_utf8_lossy(name));
        match names.len() - 1 - at {
            0 => _ = write!(trail, "<span aria-current=\"page\">{name}/</span>"),
            above => _ = write!(trail, "<a href=\"{}\">{name}/</a>", "../".repeat(above)),
        }
    }
    trail
}

fn counted(entries: &[&Entry]) -> String {
    let folders = entries.iter().filter(|entry| entry.is_folder).count();
    let say =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (folders, entries.len() - folders) {
        (0, 0) => "Empty".to_owned(),
        (0, files) => say(files, "file"),
        (folders, 0) => say(folders, "folder"),
        (folders, files) => format!("{}, {}", say(folders, "folder"), say(files, "file")),
    }
}

fn json(path: &[u8], entries: &[&Entry]) -> String {
    let folder = String::from_utf8_lossy(path);
    let slash = if path.is_empty() { "" } else { "/" };
    let mut text = format!("{{\"path\":{},\"entries\":[", quoted(&format!("/{folder}{slash}")));
    for (at, entry) in entries.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let kind = if entry.is_folder { "folder" } else { "file" };
        let name = quoted(&String::from_utf8_lossy(&entry.name));
        _ = write!(text, "{comma}\n{{\"name\":{name},\"type\":\"{kind}\"");
        if !entry.is_folder {
            _ = write!(text, ",\"size\":{}", entry.length);
        }
        _ = write!(text, ",\"modified\":\"{}\"}}", Civil::of(entry.modified).iso());
    }
    text.push_str("\n]}\n");
    text
}

/// A name, or a path if slashes are kept, as it stands in a link. RFC 3986 section 2.
pub(super) fn encoded(bytes: &[u8], keeps_slashes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte as char)
            }
            b'/' if keeps_slashes => text.push('/'),
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

/// As it stands in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(one),
        }
    }
    safe
}

/// Bytes, in the largest binary unit of which there is one at least.
fn size(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if scaled < 1024.0 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn names_are_harmless_everywhere() {
        let entry = Entry {
            name: b"<b>&\"'\n\xff:\\.txt".to_vec(),
            is_folder: false,
            length: 1536,
            modified: SystemTime::UNIX_EPOCH,
        };
        let page = html(b"a&b/<c>", &[&entry], Key::Size, true);
        assert!(
            page.contains("&lt;b&gt;&amp;&quot;&#39;\n\u{fffd}:\\.txt</a>")
                && !page.contains("<b>")
        );
        assert!(page.contains("href=\"./%3Cb%3E%26%22%27%0A%FF%3A%5C.txt\""), "{page}");
        assert!(page.contains("<title>/a&amp;b/&lt;c&gt;/</title>") && page.contains("1.5 KiB"));
        assert!(page.contains("<a href=\"../../\">/</a><a href=\"../\">a&amp;b/</a>"));
        let text = json(b"a\"b", &[&entry]);
        assert!(
            text.starts_with("{\"path\":\"/a\\\"b/\",\"entries\":[\n{\"name\":\"<b>&\\\"'\\u000a")
        );
        assert!(text.contains("\u{fffd}:\\\\.txt\",\"type\":\"file\",\"size\":1536,"), "{text}");
    }

    #[test]
    fn the_order_is_what_the_query_says() {
        assert_eq!(order(""), (Key::Name, false));
        assert_eq!(order("sort=size&order=desc"), (Key::Size, true));
        assert_eq!(order("sort=modified&x=1"), (Key::Modified, false));
        assert_eq!(order("sort=%00&order="), (Key::Name, false));
    }
}
