//! A folder as `raddle serve` serves it: its files, and addresses that lead elsewhere.

use super::config::Source;
use raddle_http::files::Files;
use raddle_http::semantics::canonical;
use raddle_http::{Header, Request, Response, Router, Status};
use std::io;
use std::time::Duration;

pub(super) struct Site {
    redirects: Router<(Status, String)>,
    files: Files,
}

impl Site {
    /// The one that a configuration describes.
    pub(super) fn of(source: &Source) -> Result<Site, String> {
        Ok(Site { redirects: redirects(source)?, files: files(source)? })
    }

    pub(super) fn answer(&self, request: &mut Request<'_>) -> Response {
        let path = canonical(request.path()).ok();
        match path.as_deref().and_then(|path| self.redirects.find(path)) {
            Some(found) => Response::redirect(found.value.0, &found.value.1),
            None => self.files.serve(request),
        }
    }

    /// 401, with the site's page for it.
    pub(super) fn refuse(&self, request: &mut Request<'_>, challenge: &str) -> Response {
        let response = self.files.failed(request, Status::UNAUTHORIZED);
        response.header(Header::WwwAuthenticate, challenge)
    }
}

fn redirects(source: &Source) -> Result<Router<(Status, String)>, String> {
    let mut redirects = Router::new();
    for redirect in &source.config.redirects {
        let (status, to) = (redirect.status.0, redirect.to.get_ref().clone());
        if !to.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "redirects.to: an address has letters, digits and signs of ASCII only; encode others with %";
            return Err(source.mistake(redirect.to.span(), what));
        }
        redirects.insert(redirect.from.get_ref(), (status, to)).map_err(|error| {
            source.mistake(redirect.from.span(), &format!("redirects.from: {error}"))
        })?;
    }
    Ok(redirects)
}

fn files(source: &Source) -> Result<Files, String> {
    let config = &source.config;
    let Some(folder) = &config.folder else {
        return Err("no folder; give DIR, or `folder` in the configuration".to_owned());
    };
    let shown = folder.display();
    let files = Files::new(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{shown}: there is no such folder"),
        io::ErrorKind::NotADirectory => format!("{shown} is no folder; give the one that it is in"),
        _ => format!("{shown}: the folder can't be opened: {error}"),
    })?;
    let mut files = files
        .indexes(config.index.iter().map(String::as_str))
        .listings(config.listings)
        .hidden(config.hidden)
        .compressed(config.compressed)
        .clean_urls(config.clean_urls)
        .freshness(Duration::from_millis(config.freshness_ms.into()));
    if let Some(fallback) = &config.fallback {
        files = files.fallback(fallback);
    }
    for (code, page) in &config.error_pages {
        files = files.error_page(code.0, page);
    }
    for fields in &config.headers {
        for (name, value) in &fields.set {
            files = files.header(&fields.path, name, value.get_ref()).map_err(|_| {
                let what = format!(
                    "headers.set.{name}: it can't be set: a name is a token, a value has no control characters, and what \
                     describes the content comes from the file"
                );
                source.mistake(value.span(), &what)
            })?;
        }
    }
    Ok(files)
}
