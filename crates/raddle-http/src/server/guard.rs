//! Who may see which folder: passwords, and whom they have let in already.

use super::plugin::Plugin;
use super::service::plain;
use super::turns::{Crowded, Turns};
use crate::header::Header;
use crate::percent;
use crate::request::Request;
use crate::response::Response;
use crate::semantics::{Credentials, Folders, InvalidFolder, Users, canonical, challenge};
use crate::status::Status;
use raddle::sync::{Mutex, PoisonError};
use raddle::time::Instant;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZero;
use std::ptr;
use std::time::Duration;

/// For how long a password that was right is right without being hashed.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// So many requests wait for their passwords to be hashed: some three seconds for the last one, with one core for that and bcrypt's cost 10.
const WAITING_MAX: usize = 64;

/// Asks for a password, by Basic authentication, where a request's path leads into one of these folders. As a [`Plugin`] it answers 401
/// before any handler is called.
///
/// *Passwords are slow on purpose*: a hash takes some ten milliseconds and more. So a right password is known for five minutes, by a keyed hash
/// that is fast; and wrong ones are hashed on half of the cores at most, while the others wait for their turn: whoever guesses takes
/// the time of those who guess, and connections without passwords go on. 64 wait, and others are answered 503, to come again.
///
/// ```
/// use raddle_http::{Response, semantics::{Users, hash_password}, server::{Guard, Server}};
///
/// let users = Users::parse(&format!("ann:{}", hash_password("secret", 4).unwrap()))?;
/// let guard = Guard::new().folder("/private/", "the house", users)?;
/// let server = Server::new().plugin(guard).route("/private/{*rest}", |_| Response::text("welcome"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Guard {
    realms: Folders<Realm>,
    /// For passwords to be hashed.
    turns: Turns,
}

/// What becomes of a request.
///
/// ```
/// use raddle_http::{Params, Request, protocol::RequestHead, server::{Admission, Guard}};
/// let (head, mut content) = (RequestHead::new(), std::io::empty());
/// let request = Request::new(&head, Params::default(), &mut content);
/// assert_eq!(Guard::new().check(&request), Admission::Granted);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who is refused must not see it"]
pub enum Admission<'a> {
    /// It may see what it has asked for.
    Granted,
    /// It is to be answered 401, with this as the value of `WWW-Authenticate`.
    Refused(&'a str),
    /// It is to be answered 503: too many wait for their passwords to be hashed.
    Crowded,
}

/// Users, and what they are asked by.
struct Realm {
    challenge: String,
    users: Users,
    /// A password's hash under two keys that only this process has, and until when it is believed. Of users that exist only: so it is bounded.
    known: Mutex<HashMap<String, ([u64; 2], Instant)>>,
    keys: [RandomState; 2],
}

impl Default for Guard {
    fn default() -> Guard {
        Guard::new()
    }
}

impl Guard {
    /// Everybody may see everything.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().plugin(raddle_http::server::Guard::new());
    /// ```
    pub fn new() -> Guard {
        let cores = raddle::thread::available_parallelism().map_or(1, NonZero::get);
        Guard { realms: Folders::new(), turns: Turns::new((cores / 2).max(1), WAITING_MAX) }
    }

    /// Only these users may see this folder, and what is below it. The realm is what they are asked by. Of folders in each other the
    /// inner one decides.
    ///
    /// # Errors
    ///
    /// [`InvalidFolder`], as [`Folders::insert`] has it.
    ///
    /// ```
    /// use raddle_http::{semantics::Users, server::Guard};
    /// let nobody = Users::parse("").unwrap();
    /// assert!(Guard::new().folder("/private/", "", nobody.clone()).is_ok());
    /// assert!(Guard::new().folder("/private/*", "", nobody).is_err());
    /// ```
    pub fn folder(mut self, path: &str, realm: &str, users: Users) -> Result<Guard, InvalidFolder> {
        let realm = Realm {
            challenge: challenge(realm),
            users,
            known: Mutex::default(),
            keys: [RandomState::new(), RandomState::new()],
        };
        self.realms.insert(path, realm)?;
        Ok(self)
    }

    /// How many requests may wait for their passwords to be hashed, beside those that are: 64 by default.
    ///
    /// ```
    /// let guard = raddle_http::server::Guard::new().waiting_max(16);
    /// ```
    pub fn waiting_max(self, most: usize) -> Guard {
        Guard { turns: self.turns.with_waiting_max(most), ..self }
    }

    /// Whether a request may pass. To find out may take as long as a password's hash, and those of who waits before it.
    ///
    /// ```
    /// use raddle_http::{Params, Request, protocol::{Limits, RequestHead}, semantics::Users, server::{Admission, Guard}};
    ///
    /// let guard = Guard::new().folder("/private/", "the house", Users::parse("").unwrap()).unwrap();
    /// let head = RequestHead::parse(b"GET /private/a HTTP/1.1\r\nHost: b\r\n\r\n", &Limits::default()).unwrap();
    /// let mut content = std::io::empty();
    /// let request = Request::new(&head, Params::default(), &mut content);
    /// assert_eq!(guard.check(&request), Admission::Refused("Basic realm=\"the house\", charset=\"UTF-8\""));
    /// ```
    pub fn check(&self, request: &Request<'_>) -> Admission<'_> {
        if self.realms.is_empty() {
            return Admission::Granted;
        }
        let path = request.path();
        let by_file = self.realms.find(path);
        // Routes and files differ in what `//..` is. Whoever is asked by either must be let in by both.
        let by_route = self
            .by_route(path)
            .filter(|realm| by_file.is_none_or(|by_file| !ptr::eq::<Realm>(*realm, by_file)));
        for realm in by_file.into_iter().chain(by_route) {
            let admits = match Credentials::of(request.headers()) {
                Some(credentials) => realm.admits(&credentials, &self.turns),
                None => Ok(false),
            };
            match admits {
                Ok(true) => {}
                Ok(false) => return Admission::Refused(&realm.challenge),
                Err(Crowded) => return Admission::Crowded,
            }
        }
        Admission::Granted
    }

    /// As routes see the path; what is an encoded slash for them is one here: in doubt there is a password.
    fn by_route(&self, path: &str) -> Option<&Realm> {
        let path = canonical(path).ok()?;
        let decoded = percent::decode(path.as_bytes())?;
        let names = decoded.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        self.realms.find_clean(&names.collect::<Vec<_>>().join(&b'/'))
    }
}

impl Realm {
    fn admits(&self, credentials: &Credentials, turns: &Turns) -> Result<bool, Crowded> {
        let hash = [0, 1].map(|key: usize| self.keys[key].hash_one(credentials.password()));
        if self.knows(credentials.user(), hash) {
            return Ok(true);
        }
        let _turn = turns.take()?;
        // A page's pictures are asked for at once, and the first has found out meanwhile.
        if self.knows(credentials.user(), hash) {
            return Ok(true);
        }
        let is_right = self.users.verify(credentials);
        if is_right && let Some(until) = Instant::now().checked_add(KNOWN_FOR) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(credentials.user().to_owned(), (hash, until));
        }
        Ok(is_right)
    }

    fn knows(&self, user: &str, hash: [u64; 2]) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user).is_some_and(|(other, until)| *other == hash && Instant::now() < *until)
    }
}

impl Plugin for Guard {
    fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
        match self.check(request) {
            Admission::Granted => None,
            Admission::Refused(challenge) => {
                Some(plain(Status::UNAUTHORIZED).header(Header::WwwAuthenticate, challenge))
            }
            Admission::Crowded => {
                Some(plain(Status::SERVICE_UNAVAILABLE).header(Header::RetryAfter, "1"))
            }
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Limits, RequestHead};
    use crate::router::Params;
    use crate::semantics::hash_password;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use std::io;

    fn users(user: &str, password: &str) -> Users {
        Users::parse(&format!("{user}:{}", hash_password(password, 4).unwrap())).unwrap()
    }

    fn challenge(guard: &Guard, path: &str, pair: &str) -> Option<String> {
        let field = match pair {
            "" => String::new(),
            pair => format!("Authorization: Basic {}\r\n", STANDARD.encode(pair)),
        };
        let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n");
        let head = RequestHead::parse(text.as_bytes(), &Limits::default()).unwrap();
        let mut content = std::io::empty();
        let request = Request::new(&head, Params::default(), &mut content);
        match guard.check(&request) {
            Admission::Granted => None,
            Admission::Refused(challenge) => Some(challenge.to_owned()),
            Admission::Crowded => Some("crowded".to_owned()),
        }
    }

    #[test]
    fn however_a_path_is_written_it_is_guarded() {
        let guard = Guard::new().folder("/p/", "r", users("a", "b")).unwrap();
        for path in [
            "/p",
            "/p/",
            "/p/x",
            "//p/x",
            "/%70/x",
            "/./p/x",
            "/x/../p/x",
            "/x//../p",
            "/x/%2e%2e/p/",
            "/p%2Fx",
            "http://other/p/x",
            "/p/x?q",
            "/x//../../p/x",
            "/p/%00",
        ] {
            assert!(challenge(&guard, path, "").is_some(), "{path}");
            assert!(challenge(&guard, path, "a:c").is_some(), "{path}");
            assert!(challenge(&guard, path, "a:b").is_none(), "{path}");
        }
        for path in ["/", "/px", "/x/p", "/x?/p/", "/p/../x"] {
            assert!(challenge(&guard, path, "").is_none(), "{path}");
        }
    }

    #[test]
    fn as_a_plugin_it_answers_before_handlers() {
        let server = crate::server::Server::new()
            .plugin(Guard::new().folder("/p/", "r", users("a", "b")).unwrap())
            .otherwise(|_| Response::text("seen"));
        let answer = |field: &str| {
            let (mut client, mut theirs) = raddle::net::UnixStream::pair().unwrap();
            let request = format!("GET /p/ HTTP/1.0\r\n{field}\r\n");
            io::Write::write_all(&mut client, request.as_bytes()).unwrap();
            server.serve_one(&mut theirs).unwrap();
            drop(theirs);
            let mut text = String::new();
            io::Read::read_to_string(&mut client, &mut text).unwrap();
            text
        };
        let refused = answer("");
        assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{refused}");
        assert!(refused.contains("\r\nWWW-Authenticate: Basic realm=\"r\", charset=\"UTF-8\"\r\n"));
        assert!(answer("Authorization: Basic YTpi\r\n").ends_with("\r\n\r\nseen"));
    }

    #[test]
    fn an_inner_folder_has_users_of_its_own() {
        let guard = Guard::new().folder("/", "all", users("a", "1")).unwrap();
        let guard = guard.folder("/in/", "inner", users("b", "2")).unwrap();
        let inner = "Basic realm=\"inner\", charset=\"UTF-8\"";
        assert_eq!(challenge(&guard, "/in/x", "a:1").as_deref(), Some(inner));
        assert_eq!(challenge(&guard, "/in/x", "b:2"), None);
        assert!(
            challenge(&guard, "/x", "b:2").is_some() && challenge(&guard, "/x", "a:1").is_none()
        );
        // For files that is /x/in, for routes /in.
        assert!(challenge(&guard, "/x//../in", "b:2").is_some());
    }

    #[test]
    fn who_is_known_is_not_hashed_again() {
        let mut guard = Guard::new().folder("/", "r", users("a", "b")).unwrap();
        assert_eq!(challenge(&guard, "/", "a:b"), None);
        assert!(challenge(&guard, "/", "a:c").is_some(), "a wrong one afterwards");
        assert!(challenge(&guard, "/", "x:b").is_some());
        // No turns, and no room to wait for one.
        guard.turns = Turns::new(0, 0);
        assert_eq!(challenge(&guard, "/", "a:b"), None);
        assert_eq!(challenge(&guard, "/", "a:c").as_deref(), Some("crowded"));
        let unasked = challenge(&guard, "/", "");
        assert!(unasked.is_some_and(|told| told != "crowded"), "nothing is to be hashed");
        let realm = guard.realms.find("/").unwrap();
        let mut known = realm.known.lock().unwrap();
        assert_eq!(known.len(), 1, "what is wrong is not kept");
        known.get_mut("a").unwrap().1 = Instant::now();
        drop(known);
        let hash = [0, 1].map(|key: usize| realm.keys[key].hash_one(&b"b"[..]));
        assert!(!realm.knows("a", hash), "not for ever");
    }
}
