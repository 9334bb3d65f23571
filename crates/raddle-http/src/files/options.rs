//! Which folder is served, and what of it.

use super::answer;
use super::cache::Cache;
use super::site::Site;
use crate::header::Header;
use crate::headers::InvalidField;
use crate::request::Request;
use crate::response::Response;
use crate::status::Status;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A folder that is served. The [module](super) has an example.
///
/// Nothing outside of it is ever opened: not by `..`, an encoded slash or a NUL in a path, nor by a symbolic link that leads out. Names that
/// begin with a dot are not there, but for `.well-known` in the root.
///
/// A file has a strong `ETag` and `Last-Modified`; conditions and ranges are obeyed. If `a.css.br`, `a.css.gz` or `a.css.zst` stands beside
/// `a.css` and is not older, clients that take it get that.
pub struct Files(Site);

impl Files {
    /// Serves this folder. What is opened is the folder, not its name: if it is renamed it is served on.
    ///
    /// # Errors
    ///
    /// If it can't be opened.
    ///
    /// ```
    /// use raddle_http::files::Files;
    /// assert!(Files::new(std::env::temp_dir()).is_ok());
    /// assert!(Files::new("/no/such/folder").is_err());
    /// ```
    pub fn new(folder: impl AsRef<Path>) -> io::Result<Files> {
        Ok(Files(Site::open(folder.as_ref())?))
    }

    /// Which file stands for its folder: the first of these that is there. By default `index.html`.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.indexes(["index.html", "index.htm"]);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn indexes<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Files {
        self.0.indexes = names.into_iter().map(Box::from).collect();
        self
    }

    /// Whether a folder without an index is listed: as a page, or as JSON for clients that prefer that. By default it is not found.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.listings(true);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn listings(mut self, has_listings: bool) -> Files {
        self.0.has_listings = has_listings;
        self
    }

    /// Whether names that begin with a dot are served and listed. By default they are not.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.hidden(true);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn hidden(mut self, shows_hidden: bool) -> Files {
        self.0.shows_hidden = shows_hidden;
        self
    }

    /// Whether compressed copies beside a file are looked for. By default they are.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.compressed(false);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn compressed(mut self, has_copies: bool) -> Files {
        self.0.has_copies = has_copies;
        self
    }

    /// For how long a file is believed to be as it was found: so late a change is seen at the latest. By default one second; with zero
    /// each request opens its file.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.freshness(std::time::Duration::ZERO);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn freshness(mut self, time: Duration) -> Files {
        self.0.cache = Cache::new(time);
        self
    }

    /// Has this field stand in all responses for paths that match a [pattern](crate::semantics::PathPattern): with files, and about
    /// them, such as 304; in listings, redirects and errors. A file's path is its own, also where it stands for its folder. Where several patterns
    /// match, the last one that names a field decides.
    ///
    /// `Cache-Control` and `Expires` do not stand in errors, unless it is said by [`header_always`](Files::header_always).
    ///
    /// # Errors
    ///
    /// If the name is no token, the value holds control characters, or the field is one that says what the content is, or which version:
    /// those are made from the file.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?
    ///     .header("**", "Cache-Control", "no-cache")?
    ///     .header("/assets/**", "Cache-Control", "max-age=31536000, immutable")?;
    /// assert!(files.header("*", "Content-Type", "text/html").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn header(mut self, pattern: &str, name: &str, value: &str) -> Result<Files, InvalidField> {
        may_be_set(name)?;
        self.0.rules.add(pattern, name, value)?;
        self.0.cache = self.0.cache.emptied();
        Ok(self)
    }

    /// As [`header`](Files::header), and `Cache-Control` and `Expires` hold for errors, too.
    ///
    /// # Errors
    ///
    /// As [`header`](Files::header).
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.header_always("/api/**", "Cache-Control", "no-store")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn header_always(
        mut self,
        pattern: &str,
        name: &str,
        value: &str,
    ) -> Result<Files, InvalidField> {
        may_be_set(name)?;
        self.0.rules.add_always(pattern, name, value)?;
        self.0.cache = self.0.cache.emptied();
        Ok(self)
    }

    /// Which file is sent with responses of that status, by its path below the folder: a page that says 404 in the site's own way.
    ///
    /// ```
    /// use raddle_http::{Status, files::Files};
    /// let files = Files::new(std::env::temp_dir())?.error_page(Status::NOT_FOUND, "404.html");
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn error_page(mut self, status: Status, path: &str) -> Files {
        self.0.error_pages.retain(|(other, _)| *other != status);
        self.0.error_pages.push((status, path.trim_start_matches('/').into()));
        self
    }

    /// Which file is sent, with 200, where there is none and the client takes HTML: for pages that find their way by script. Where the last name of
    /// the path has a dot, `Accept` has to name `text/html` or `application/xhtml+xml`: a script that is missing is missing.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.fallback("index.html");
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn fallback(mut self, path: &str) -> Files {
        self.0.fallback = Some(path.trim_start_matches('/').into());
        self
    }

    /// Whether `/about` is `about.html`, where there is no `about`. By default it is not.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// let files = Files::new(std::env::temp_dir())?.clean_urls(true);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn clean_urls(mut self, has_clean_urls: bool) -> Files {
        self.0.has_clean_urls = has_clean_urls;
        self
    }

    /// Answers a request by its path.
    ///
    /// ```
    /// use raddle_http::{Params, Request, files::Files, protocol::{Limits, RequestHead}};
    /// let files = Files::new(std::env::temp_dir())?;
    /// let head = RequestHead::parse(b"GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default()).unwrap();
    /// let mut content = std::io::empty();
    /// let response = files.serve(&mut Request::new(&head, Params::default(), &mut content));
    /// assert_eq!(response.status().code(), 400);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn serve(&self, request: &mut Request<'_>) -> Response {
        let path = request.path();
        answer::answer(&self.0, request, path)
    }

    /// A response of that status with the [page](Files::error_page) that the site has for it, or else a line of text: for whoever refuses a
    /// request before its file is looked for.
    ///
    /// ```
    /// use raddle_http::{Params, Request, Status, files::Files, protocol::RequestHead};
    /// let files = Files::new(std::env::temp_dir())?;
    /// let (head, mut content) = (RequestHead::new(), std::io::empty());
    /// let response = files.failed(&mut Request::new(&head, Params::default(), &mut content), Status::UNAUTHORIZED);
    /// assert_eq!(response.status().code(), 401);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn failed(&self, request: &mut Request<'_>, status: Status) -> Response {
        let path = request.path();
        answer::failed(&self.0, request, path, status)
    }

    /// Adds to a response that was made by somebody else, for this path, what [`header`](Files::header) demands and it has not.
    ///
    /// ```
    /// use raddle_http::{Response, Status, files::Files};
    /// let files = Files::new(std::env::temp_dir())?.header("**", "X-Frame-Options", "DENY")?;
    /// let mut response = Response::redirect(Status::FOUND, "/new");
    /// files.dress("/old", &mut response);
    /// assert_eq!(response.headers().get("X-Frame-Options"), Some(&b"DENY"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dress(&self, path: &str, response: &mut Response) {
        self.0.dress(path, response, true);
    }

    /// Whether any field was set by path.
    ///
    /// ```
    /// # use raddle_http::files::Files;
    /// assert!(!Files::new(std::env::temp_dir())?.has_headers());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn has_headers(&self) -> bool {
        !self.0.rules.is_empty()
    }

    /// Answers a request by another path than its own, encoded as there: for a folder that is served below a prefix.
    ///
    /// ```
    /// use raddle_http::{files::Files, server::Server};
    /// let files = Files::new(std::env::temp_dir())?;
    /// let server = Server::new().route("/static/{*path}", move |request| {
    ///     let path = request.path()["/static".len()..].to_owned();
    ///     files.serve_path(request, &path)
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn serve_path(&self, request: &mut Request<'_>, path: &str) -> Response {
        answer::answer(&self.0, request, path)
    }
}

/// What says what the content is, or which version, comes from the file.
fn may_be_set(name: &str) -> Result<(), InvalidField> {
    use Header::*;
    let is_made = Header::of(name.as_bytes()).is_some_and(|header| {
        matches!(
            header,
            AcceptRanges
                | ContentEncoding
                | ContentLength
                | ContentRange
                | ContentType
                | Etag
                | LastModified
        )
    });
    if is_made { Err(InvalidField) } else { Ok(()) }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.0.root).finish()
    }
}
