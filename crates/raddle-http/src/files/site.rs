//! A folder that is served, and what of it is shown.

use super::cache::Cache;
use super::root::Root;
use crate::header::Header;
use crate::headers::Headers;
use crate::semantics::FieldRules;
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
}
