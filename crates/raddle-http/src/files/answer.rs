//! Requests for files to responses.

use super::cache::Known;
use super::listing::Listing;
use super::page;
use super::resource::{Found, Resource, Variant};
use super::root::join;
use super::site::Site;
use crate::date::Date;
use crate::header::Header;
use crate::method::Method;
use crate::request::Request;
use crate::response::{Body, Response};
use crate::semantics::{CleanPath, Content, Part, names_type, prefer_type, serve};
use crate::status::Status;
use rustix::io::Errno;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

/// What there is to do with site.
const METHODS: &[Method] = &[Method::Get, Method::Head, Method::Options];

/// What a page is sent as, or may be.
const PAGES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// Fields that make more of a request than a plain one.
const QUESTIONS: u64 = Header::Range.bit()
    | Header::IfMatch.bit()
    | Header::IfNoneMatch.bit()
    | Header::IfModifiedSince.bit()
    | Header::IfUnmodifiedSince.bit();

pub(super) fn answer(site: &Site, request: &mut Request<'_>, path: &str) -> Response {
    match request.method() {
        Method::Get | Method::Head => {}
        Method::Options => {
            let response = request.reply(Status::NO_CONTENT);
            return site.dressed(path, response.header(Header::Allow, Method::list(METHODS)));
        }
        // RFC 9110 section 9.1: what nobody knows is not implemented, and no matter of this path.
        Method::Extension(_) => return failed(site, request, path, Status::NOT_IMPLEMENTED),
        _ => {
            let response = failed(site, request, path, Status::METHOD_NOT_ALLOWED);
            return response.header(Header::Allow, Method::list(METHODS));
        }
    }
    let clean = match CleanPath::of(path, site.shows_hidden) {
        Ok(clean) => clean,
        Err(fault) => return failed(site, request, path, fault.status()),
    };
    let result = match clean.is_folder() {
        true => folder(site, request, clean.as_bytes()),
        false => file(site, request, clean.as_bytes()),
    };
    match result {
        // Which fields a file's path has is known since it was opened.
        Ok(Answer::File(response)) => response,
        Ok(Answer::Other(response)) => site.dressed(path, response),
        Err(error) => {
            let status = status_of(error, clean.as_bytes());
            let fallback = instead(site, request, clean.as_bytes(), status);
            fallback.unwrap_or_else(|| failed(site, request, path, status))
        }
    }
}

/// What is there.
enum Answer {
    File(Response),
    /// A listing, or a redirect.
    Other(Response),
}

fn file(site: &Site, request: &mut Request<'_>, path: &[u8]) -> Result<Answer, Errno> {
    let found = match find(site, path) {
        Err(Errno::NOENT) if site.has_clean_urls => {
            find(site, &[path, b".html"].concat())?.map_or(Err(Errno::NOENT), |page| Ok(Some(page)))
        }
        found => found,
    };
    match found? {
        Some(resource) => Ok(Answer::File(send(site, request, &resource))),
        // Relative links in a folder's page need the slash. The path is written anew: what was asked may begin with two slashes, which a
        // client would take for a host.
        None => {
            let query = request.query().map_or(String::new(), |query| format!("?{query}"));
            let location = format!("/{}/{query}", page::encoded(path, true));
            Ok(Answer::Other(Response::redirect(Status::MOVED_PERMANENTLY, &location)))
        }
    }
}

fn folder(site: &Site, request: &mut Request<'_>, path: &[u8]) -> Result<Answer, Errno> {
    for index in &site.indexes {
        let path = join(path, index.as_bytes());
        match find(site, &path) {
            Ok(Some(resource)) => return Ok(Answer::File(send(site, request, &resource))),
            Ok(None) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    if !site.has_listings {
        return Err(Errno::NOENT);
    }
    let listing = raddle::blocking(|| Listing::read(site, path))?;
    Ok(Answer::Other(page::response(request, &listing, path)))
}

/// The file of that path; `None` if it is a folder.
fn find(site: &Site, path: &[u8]) -> Result<Option<Arc<Resource>>, Errno> {
    let known = match site.cache.find(path) {
        Known::Fresh(resource) => return Ok(Some(resource)),
        Known::Stale(resource) => Some(resource),
        Known::Nothing => None,
    };
    let open = || Resource::open(&site.root, path, site.has_copies, site.fields(path));
    let found = match open() {
        // What was asked for a moment ago is held open, and gives way.
        Err(Errno::MFILE | Errno::NFILE) => {
            site.cache.clear();
            open()
        }
        found => found,
    };
    match (found, known) {
        (Ok(Found::File(found)), Some(known)) if known.is_same(&found) => Ok(Some(known)),
        (Ok(Found::File(found)), _) => {
            site.cache.insert(path, found.clone());
            Ok(Some(found))
        }
        (other, known) => {
            if known.is_some() {
                site.cache.remove(path);
            }
            other.map(|_| None)
        }
    }
}

fn send(site: &Site, request: &mut Request<'_>, resource: &Resource) -> Response {
    let headers = request.headers();
    let variant = resource.preferred(headers);
    if !headers.has_any(QUESTIONS) {
        let mut response = request.reply(Status::OK);
        response.headers_mut().clone_from(&variant.fields);
        return response.with_body(variant.body(0..variant.length));
    }
    let mut response = request.reply(Status::OK);
    response.headers_mut().clone_from(&resource.fields);
    let representation = variant.representation(variant.content_type(), resource.varies());
    let now = Date::from(SystemTime::now());
    let (status, content) =
        serve(request.method(), headers, &representation, now, boundary, response.headers_mut());
    let mut response = response.with_status(status);
    if status.is_error() {
        site.rules.apply_to_failed(status, &resource.path, response.headers_mut());
    }
    match content {
        Content::Nothing if status.is_error() => says(response),
        Content::Nothing => response,
        Content::Bytes(range) => response.with_body(variant.body(range)),
        Content::Parts(parts) => response.with_body(several(variant, parts.parts())),
    }
}

fn several(variant: &Variant, parts: impl Iterator<Item = Part>) -> Body {
    let body = |part| match part {
        Part::Text(text) => Body::from(text),
        Part::Range(range) => variant.body(range),
    };
    Body::Parts(parts.map(body).collect())
}

/// What stands between several ranges: nobody can know it beforehand, and write it into a file.
fn boundary() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

fn status_of(error: Errno, path: &[u8]) -> Status {
    let status = match error {
        // What leads out, or nowhere, is not there.
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::XDEV
        | Errno::LOOP
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::ILSEQ => Status::NOT_FOUND,
        Errno::ACCESS | Errno::PERM => Status::FORBIDDEN,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    };
    if status.code() >= 500 {
        log::warn!("/{}: {}", String::from_utf8_lossy(path), std::io::Error::from(error));
    }
    status
}

/// The page that is sent where there is none, to those who take pages. Who takes anything may be a script, a style or a picture that is missing:
/// for a path with an extension the client has to name a page's type, as browsers do when somebody goes there.
fn instead(
    site: &Site,
    request: &mut Request<'_>,
    asked: &[u8],
    status: Status,
) -> Option<Response> {
    let path = site.fallback.as_ref().filter(|_| status == Status::NOT_FOUND)?;
    let name = asked.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_meant = match name.contains(&b'.') {
        true => names_type(request.headers(), &PAGES),
        false => prefer_type(request.headers(), &PAGES).is_some(),
    };
    let page = is_meant.then(|| find(site, path.as_bytes()).ok())???;
    Some(send(site, request, &page))
}

/// A status, with the page that the site has for it.
pub(super) fn failed(
    site: &Site,
    request: &mut Request<'_>,
    asked: &str,
    status: Status,
) -> Response {
    let response = request.reply(status);
    let path = site.error_pages.iter().find(|(of, _)| *of == status).map(|(_, path)| path);
    let response = match path.map(|path| find(site, path.as_bytes())) {
        Some(Ok(Some(page))) => {
            let page = page.plain();
            let response = response.header(Header::ContentType, page.content_type());
            response.with_body(page.body(0..page.length))
        }
        _ => says(response),
    };
    site.dressed(asked, response)
}

/// With its status as a line of text.
fn says(response: Response) -> Response {
    let text = format!("{}\n", response.status());
    response.header(Header::ContentType, "text/plain; charset=utf-8").with_body(text)
}
