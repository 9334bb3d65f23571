//! Folders as `raddle serve` serves them: which site a host has, its files, and addresses that lead elsewhere.

use super::config::{Code, Fields, Host, Redirect, Source};
use super::redirects::Redirects;
use crate::say;
use raddle_http::files::Files;
use raddle_http::protocol::RequestHead;
use raddle_http::semantics::Hosts;
use raddle_http::server::Plugin;
use raddle_http::{Header, Request, Response, Status};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// All that are served: by the host that is asked for, or else the first.
pub(super) struct Sites {
    sites: Vec<Site>,
    by_host: Hosts<usize>,
}

impl Sites {
    /// Those that a configuration describes.
    pub(super) fn of(source: &Source) -> Result<Sites, String> {
        let (mut sites, mut by_host) =
            (vec![Site::of(source, &Wanted::first(source)?)?], Hosts::new());
        for host in &source.config.hosts {
            if host.names.get_ref().is_empty() {
                return Err(source.mistake(
                    host.names.span(),
                    "hosts.names: nobody could ask for it; give a name",
                ));
            }
            for name in host.names.get_ref() {
                by_host.insert(name.get_ref(), sites.len()).map_err(|error| {
                    source.mistake(name.span(), &format!("hosts.names: {error}"))
                })?;
            }
            sites.push(Site::of(source, &Wanted::of(source, host))?);
        }
        Ok(Sites { sites, by_host })
    }

    pub(super) fn find(&self, head: &RequestHead) -> &Site {
        let found = head.host().and_then(|host| self.by_host.find(host));
        &self.sites[found.copied().unwrap_or(0)]
    }

    fn have_headers(&self) -> bool {
        self.sites.iter().any(|site| site.files.has_headers())
    }
}

/// What is said of a site, and under which key.
struct Wanted<'a> {
    /// Before the names of keys.
    key: &'static str,
    folder: &'a Path,
    /// Where that stands, if it is this file's.
    at: Option<Range<usize>>,
    index: &'a [String],
    listings: bool,
    hidden: bool,
    compressed: bool,
    clean_urls: bool,
    fallback: Option<&'a str>,
    error_pages: &'a BTreeMap<Code, String>,
    headers: &'a [Fields],
    redirects: &'a [Redirect],
}

impl Wanted<'_> {
    fn first(source: &Source) -> Result<Wanted<'_>, String> {
        let config = &source.config;
        let folder = config.folder.as_ref();
        let folder = folder.ok_or("no folder; give DIR, or `folder` in the configuration")?;
        Ok(Wanted {
            key: "",
            folder: folder.get_ref(),
            // That of an option stands nowhere.
            at: Some(folder.span()).filter(|span| *span != (0..0)),
            index: &config.index.0,
            listings: config.listings,
            hidden: config.hidden,
            compressed: config.compressed,
            clean_urls: config.clean_urls,
            fallback: config.fallback.as_deref(),
            error_pages: &config.error_pages,
            headers: &config.headers,
            redirects: &config.redirects,
        })
    }

    fn of<'a>(source: &'a Source, host: &'a Host) -> Wanted<'a> {
        let config = &source.config;
        Wanted {
            key: "hosts.",
            folder: host.folder.get_ref(),
            at: Some(host.folder.span()),
            index: &host.index.as_ref().unwrap_or(&config.index).0,
            listings: host.listings.unwrap_or(config.listings),
            hidden: host.hidden.unwrap_or(config.hidden),
            compressed: host.compressed.unwrap_or(config.compressed),
            clean_urls: host.clean_urls.unwrap_or(config.clean_urls),
            fallback: host.fallback.as_deref(),
            error_pages: &host.error_pages,
            headers: &host.headers,
            redirects: &host.redirects,
        }
    }
}

/// A folder, and addresses that lead elsewhere.
pub(super) struct Site {
    redirects: Redirects,
    files: Files,
}

impl Site {
    fn of(source: &Source, wanted: &Wanted<'_>) -> Result<Site, String> {
        let redirects = Redirects::of(source, wanted.key, wanted.redirects)?;
        Ok(Site { redirects, files: files(source, wanted)? })
    }

    pub(super) fn answer(&self, request: &mut Request<'_>) -> Response {
        // A redirect gets its fields with what else is no file's: see `Dress`.
        self.redirects.find(request).unwrap_or_else(|| self.files.serve(request))
    }

    /// 401, with the site's page for it.
    pub(super) fn refuse(&self, request: &mut Request<'_>, challenge: &str) -> Response {
        let response = self.files.failed(request, Status::UNAUTHORIZED);
        response.header(Header::WwwAuthenticate, challenge)
    }

    /// 503, with the site's page for it: too many wait for their passwords to be hashed.
    pub(super) fn put_off(&self, request: &mut Request<'_>) -> Response {
        let response = self.files.failed(request, Status::SERVICE_UNAVAILABLE);
        response.header(Header::RetryAfter, "1")
    }
}

/// Fields by path for what is not the files' to answer: redirects, whoever asks too much, preflight requests, a handler's panic. What they have
/// answered has its fields.
pub(super) struct Dress(pub(super) Arc<Sites>);

impl Plugin for Dress {
    fn answered(&self, head: &RequestHead, response: &mut Response) {
        let is_files = matches!(response.status().code(), 200 | 206 | 304);
        if !is_files && self.0.have_headers() {
            self.0.find(head).files.dress(head.path(), response);
        }
    }
}

fn files(source: &Source, wanted: &Wanted<'_>) -> Result<Files, String> {
    let shown = wanted.folder.display();
    let files = Files::new(wanted.folder).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("{shown}: there is no such folder"),
            io::ErrorKind::NotADirectory => {
                format!("{shown} is no folder; give the one that it is in")
            }
            _ => format!("{shown}: the folder can't be opened: {error}"),
        };
        match &wanted.at {
            Some(at) => source.mistake(at.clone(), &format!("{}folder: {what}", wanted.key)),
            None => what,
        }
    })?;
    let mut files = files
        .indexes(wanted.index.iter().map(String::as_str))
        .listings(wanted.listings)
        .hidden(wanted.hidden)
        .compressed(wanted.compressed)
        .clean_urls(wanted.clean_urls)
        .freshness(Duration::from_millis(source.config.freshness_ms.into()));
    // Pages may be made later, so that is no mistake.
    let look = |key: &str, page: &str| {
        if !wanted.folder.join(page.trim_start_matches('/')).is_file() {
            let key = format!("{}{key}", wanted.key);
            say::warning(&format!("{key}: there is no file {page} in {shown} so far"));
        }
    };
    if let Some(fallback) = wanted.fallback {
        look("fallback", fallback);
        files = files.fallback(fallback);
    }
    for (code, page) in wanted.error_pages {
        look(&format!("error_pages.{}", code.0.code()), page);
        files = files.error_page(code.0, page);
    }
    for fields in wanted.headers {
        for (name, value) in &fields.set {
            let (path, text) = (&fields.path, value.get_ref());
            let set = match fields.always {
                true => files.header_always(path, name, text),
                false => files.header(path, name, text),
            };
            files = set.map_err(|_| {
                let what = format!(
                    "{}headers.set.{name}: it can't be set: a name is a token, a value has no control characters, and what \
                     describes the content comes from the file",
                    wanted.key,
                );
                source.mistake(value.span(), &what)
            })?;
        }
    }
    Ok(files)
}
