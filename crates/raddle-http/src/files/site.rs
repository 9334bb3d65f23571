//! A folder that is served, and what of it is shown.

use super::cache::Cache;
use super::root::Root;
use crate::header::Header;
use crate::headers::Headers;
use crate::response::Response;
use crate::semantics::{CleanPath, FieldRules};
use crate::status::Status;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What [`Files`](super::Files) has been told, field by field.
pub(super) struct Site {
    pub(super) root: Root,
    pub(super) cache: Cache,
    pub(super) indexes: Vec<Box<str>>,
    pub(super) has_listings: bool,
    pub(super) shows_hidden: bool,
    pub(super) has_copies: bool,
    pub(super) has_clean_urls: bool,
    pub(super) fallback: Option<Box<str>>,
    pub(super) error_pages: Vec<(Status, Box<str>)>,
    pub(super) rules: FieldRules,
}

impl Site {
    /// With nothing but index files and compressed copies.
    pub(super) fn open(folder: &Path) -> io::Result<Site> {
        Ok(Site {
            root: Root::open(folder)?,
            cache: Cache::new(Duration::from_secs(1)),
            indexes: vec!["index.html".into()],
            has_listings: false,
            shows_hidden: false,
            has_copies: true,
            has_clean_urls: false,
            fallback: None,
            error_pages: Vec::new(),
            rules: FieldRules::new(),
        })
    }

    /// The fields of the file at a clean path that do not come from the file.
    pub(super) fn fields(&self, path: &[u8]) -> Headers {
        let mut fields = Headers::new();
        fields.add(Header::XContentTypeOptions, "nosniff").expect("valid");
        self.rules.apply([b"/", path].concat(), &mut fields);
        fields
    }

    /// The response with what the rules demand for the path that was asked for, whatever its answer is: a listing, a redirect, an error.
    pub(super) fn dressed(&self, path: &str, mut response: Response) -> Response {
        self.dress(path, &mut response, false);
        response
    }

    /// Sets what the rules demand; if the response keeps its own, that stays as it is.
    pub(super) fn dress(&self, path: &str, response: &mut Response, keeps_own: bool) {
        if self.rules.is_empty() {
            return;
        }
        let mut demanded = Headers::new();
        self.rules.apply_to(response.status(), named(path), &mut demanded);
        let headers = response.headers_mut();
        for (name, value) in demanded.iter() {
            let result = match Header::of(name.as_bytes()) {
                // Beside what the answer itself depends on.
                Some(Header::Vary) if headers.contains(Header::Vary) => {
                    let is_there = headers.list(Header::Vary).any(|one| one == value);
                    if is_there { Ok(()) } else { headers.add(name, value) }
                }
                // Without these it would be another answer.
                Some(
                    Header::Allow | Header::Location | Header::RetryAfter | Header::WwwAuthenticate,
                ) if headers.contains(name) => Ok(()),
                _ if keeps_own && headers.contains(name) => Ok(()),
                _ => headers.set(name, value),
            };
            result.expect("it was valid when the rule was added");
        }
    }
}

/// A request's path as patterns have it. What can't be brought into that form is compared as it came.
fn named(path: &str) -> Vec<u8> {
    match CleanPath::of(path, true) {
        Ok(clean) if clean.as_bytes().is_empty() => b"/".to_vec(),
        Ok(clean) => {
            let slash: &[u8] = if clean.is_folder() { b"/" } else { b"" };
            [b"/", clean.as_bytes(), slash].concat()
        }
        // OPTIONS of the server as a whole.
        Err(_) if path.is_empty() => b"/".to_vec(),
        Err(_) => path.into(),
    }
}
