//! A server's certificates: which one a client gets, and that new files are seen.
//!
//! Files are looked at when a client comes, once a second at most: nothing wakes a server that nobody uses, and no watch has to be kept for every
//! folder on the way of every link, which is how authorities' tools and Kubernetes exchange files.

use super::certificate::Certificate;
use super::files::{Files, Stamps};
use super::loaded::Loaded;
use super::names::wildcard;
use raddle::cancel;
use raddle::sync::{Mutex, PoisonError, RwLock, TryLockError};
use raddle::time::Instant;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shelf {
    shown: RwLock<Arc<Shown>>,
    books: Mutex<Vec<Book>>,
    begun: Instant,
    /// When to look again, in nanoseconds since the beginning.
    look_ns: AtomicU64,
}

/// What handshakes see: the certificates in their order, and who they are for.
#[derive(Debug, Default)]
struct Shown {
    keys: Vec<Arc<CertifiedKey>>,
    by_name: HashMap<Box<str>, Vec<usize>>,
}

#[derive(Debug)]
struct Book {
    loaded: Loaded,
    given: Option<Vec<Box<str>>>,
    /// What they were when they were last read: with success, or in vain.
    files: Option<(Files, Stamps)>,
}

impl Shelf {
    pub(super) fn new() -> Shelf {
        Shelf {
            shown: RwLock::default(),
            books: Mutex::default(),
            begun: Instant::now(),
            look_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, certificate: Certificate) {
        let Certificate { loaded, files, given } = certificate;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.push(Book { loaded, given, files });
        self.show(&books);
    }

    /// Reads what has changed, if nobody has looked a moment ago. Whoever comes meanwhile gets what is there.
    pub(super) fn look(&self) {
        let now_ns = self.begun.elapsed().as_nanos() as u64;
        let due_ns = self.look_ns.load(Ordering::Relaxed);
        let next_ns = now_ns + LOOK_EVERY.as_nanos() as u64;
        let order = Ordering::Relaxed;
        if now_ns < due_ns || self.look_ns.compare_exchange(due_ns, next_ns, order, order).is_err()
        {
            return;
        }
        self.look_now();
    }

    /// Reads what has changed.
    pub(super) fn look_now(&self) {
        // Files and logs may take their time, and this one client's is limited: what is read is to be shown all the same.
        cancel::shield(|| {
            let mut books = match self.books.try_lock() {
                Ok(books) => books,
                Err(TryLockError::Poisoned(books)) => books.into_inner(),
                // Whoever looks longer than a second is not waited for.
                Err(TryLockError::WouldBlock) => return,
            };
            let mut is_changed = false;
            for book in books.iter_mut() {
                is_changed |= book.look();
            }
            if is_changed {
                self.show(&books);
            }
        });
    }

    fn show(&self, books: &[Book]) {
        let mut shown = Shown::default();
        for (at, book) in books.iter().enumerate() {
            shown.keys.push(book.loaded.key.clone());
            for name in book.given.as_ref().unwrap_or(&book.loaded.own) {
                shown.by_name.entry(name.clone()).or_default().push(at);
            }
        }
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
    }
}

impl Book {
    /// Whether there is something new.
    fn look(&mut self) -> bool {
        let Some((files, seen)) = &mut self.files else { return false };
        let now = files.stamps();
        if now == *seen {
            return false;
        }
        match files.read() {
            Ok(loaded) => {
                *seen = now;
                if loaded.key.cert != self.loaded.key.cert {
                    log::info!("{}: read anew", files.certificate.display());
                }
                self.loaded = loaded;
                true
            }
            Err(_) if now.are_fresh() => false,
            Err(error) => {
                *seen = now;
                log::warn!("{error}; the certificate from before stays in use");
                false
            }
        }
    }
}

impl Shown {
    /// Those for this name, else those for its wildcard, else all; of these the first whose key suits the client, the very first if none does.
    fn choose(
        &self,
        name: Option<&str>,
        suits: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<&Arc<CertifiedKey>> {
        let by_name = name.and_then(|name| {
            let exact = self.by_name.get(name);
            exact.or_else(|| self.by_name.get(&*wildcard(name)?))
        });
        match by_name {
            Some(found) => {
                let mut keys = found.iter().map(|at| &self.keys[*at]);
                let first = keys.clone().next();
                keys.find(|key| suits(key)).or(first)
            }
            None => self.keys.iter().find(|key| suits(key)).or(self.keys.first()),
        }
    }
}

impl ResolvesServerCert for Shelf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        let schemes = hello.signature_schemes();
        shown.choose(hello.server_name(), |key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}
