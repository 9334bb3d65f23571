//! What a server does, in numbers: requests, bytes, connections, latency, what went wrong.
//!
//! ```text
//!   connections ──▶ a stripe of counts for each core ──▶ Counts, their sum, when somebody asks ──▶ Exposition
//! ```
//!
//! *To count costs next to nothing*: a request is five additions to numbers of the core that it is on, and no other core has written to their
//! cache lines lately. A server without [`Metrics`] counts nothing.
//!
//! | module | what it is |
//! |---|---|
//! | `latency` | a histogram |
//! | `exposition` | Prometheus' text format |

mod exposition;
mod latency;

pub use exposition::{Exposition, Family, Kind};
pub use latency::Latency;

use self::latency::Latencies;
use crate::method::Method;
use crate::server::{Plugin, Served, Trouble};
use raddle::runtime::current_core;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts, as a server's plugin. Clones count into the same: several servers can have it.
///
/// ```
/// use raddle_http::{Response, metrics::{Exposition, Metrics}, server::Server};
///
/// let metrics = Metrics::new();
/// let read = metrics.clone();
/// let server = Server::new().plugin(metrics).route("/metrics", move |_| {
///     let mut page = Exposition::new();
///     read.counts().expose(&mut page);
///     Response::of_type(Exposition::CONTENT_TYPE, page.into_text())
/// })?;
/// # Ok::<(), raddle_http::InvalidRoute>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    stripes: Arc<[Stripe]>,
}

/// The methods that are told apart; all others are one.
const METHODS: [Method; 9] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Delete,
    Method::Connect,
    Method::Options,
    Method::Trace,
    Method::Patch,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What can go wrong, by its names in labels.
const TROUBLES: [&str; 5] = ["malformed", "refused", "too_slow", "handler_panic", "broken_off"];

/// What one core has counted. Two lines are what processors fetch at once.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    /// By method, the last for all others, and by class.
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len() + 1],
    bytes: AtomicU64,
    troubles: [AtomicU64; TROUBLES.len()],
    connections: AtomicU64,
    latencies: Latencies,
}

impl Stripe {
    fn new() -> Stripe {
        Stripe {
            requests: Default::default(),
            bytes: AtomicU64::new(0),
            troubles: Default::default(),
            connections: AtomicU64::new(0),
            latencies: Latencies::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All are zero.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Metrics::new().counts().requests(), 0);
    /// ```
    pub fn new() -> Metrics {
        let cores = raddle::thread::available_parallelism().map_or(1, NonZero::get);
        Metrics { stripes: (0..cores).map(|_| Stripe::new()).collect() }
    }

    /// The numbers of about this moment.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Metrics::new().counts().bytes, 0);
    /// ```
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for stripe in &*self.stripes {
            for (sums, ones) in counts.by_method.iter_mut().zip(&stripe.requests) {
                sums.iter_mut().zip(ones).for_each(|(sum, one)| *sum += one.load(Relaxed));
            }
            for (sum, one) in counts.troubles.iter_mut().zip(&stripe.troubles) {
                *sum += one.load(Relaxed);
            }
            counts.bytes += stripe.bytes.load(Relaxed);
            counts.connections += stripe.connections.load(Relaxed);
            stripe.latencies.add_to(&mut counts.latency);
        }
        counts
    }

    /// Where the calling thread counts.
    #[inline]
    fn stripe(&self) -> &Stripe {
        &self.stripes[current_core().unwrap_or(0) % self.stripes.len()]
    }
}

impl Plugin for Metrics {
    fn accepted(&self, _: Option<SocketAddr>) -> bool {
        self.stripe().connections.fetch_add(1, Relaxed);
        true
    }

    fn served(&self, served: &Served<'_>) {
        let stripe = self.stripe();
        let method = served.head.and_then(|head| {
            let method = head.method();
            METHODS.iter().position(|known| *known == method)
        });
        let class = usize::from(served.status.code() / 100).clamp(1, CLASSES.len()) - 1;
        stripe.requests[method.unwrap_or(METHODS.len())][class].fetch_add(1, Relaxed);
        stripe.bytes.fetch_add(served.content, Relaxed);
        stripe.latencies.add(served.took);
        if let Some(trouble) = served.trouble {
            stripe.troubles[number(trouble)].fetch_add(1, Relaxed);
        }
    }
}

/// A trouble's place in [`TROUBLES`].
fn number(trouble: Trouble) -> usize {
    match trouble {
        Trouble::Fault(_) => 0,
        Trouble::Refused => 1,
        Trouble::TooSlow => 2,
        Trouble::Panicked => 3,
        Trouble::BrokenOff => 4,
    }
}

/// What was counted, all cores together.
///
/// ```
/// use raddle_http::metrics::Counts;
/// assert_eq!(Counts::default().errors(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    by_method: [[u64; CLASSES.len()]; METHODS.len() + 1],
    troubles: [u64; TROUBLES.len()],
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// From a request's head to the end of its answer.
    pub latency: Latency,
}

impl Counts {
    /// Requests that were answered, and what was none and was answered all the same.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Counts::default().requests(), 0);
    /// ```
    pub fn requests(&self) -> u64 {
        self.by_method.as_flattened().iter().sum()
    }

    /// The same by class: 1xx to 5xx.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Counts::default().by_class(), [0; 5]);
    /// ```
    pub fn by_class(&self) -> [u64; 5] {
        let mut sums = [0; CLASSES.len()];
        for classes in &self.by_method {
            sums.iter_mut().zip(classes).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// What went wrong, of all kinds.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Counts::default().errors(), 0);
    /// ```
    pub fn errors(&self) -> u64 {
        self.troubles.iter().sum()
    }

    /// What clients can't be blamed for: answers of 5xx, and handlers that panicked are among them.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Counts::default().failures(), 0);
    /// ```
    pub fn failures(&self) -> u64 {
        self.by_class()[4]
    }

    /// What went wrong by kind, with the names that they have in Prometheus' labels.
    ///
    /// ```
    /// assert!(raddle_http::metrics::Counts::default().troubles().any(|(kind, _)| kind == "too_slow"));
    /// ```
    pub fn troubles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TROUBLES.into_iter().zip(self.troubles)
    }

    /// Adds all to a page for Prometheus.
    ///
    /// ```
    /// use raddle_http::metrics::{Counts, Exposition};
    /// let mut page = Exposition::new();
    /// Counts::default().expose(&mut page);
    /// assert!(page.text().contains("\nraddle_http_connections_total 0\n"));
    /// ```
    pub fn expose(&self, page: &mut Exposition) {
        let mut requests = page.family(
            "raddle_http_requests_total",
            Kind::Counter,
            "Requests that were answered, by method and class of status.",
        );
        let names = METHODS.iter().map(Method::as_str).chain(["other"]);
        for (method, classes) in names.zip(&self.by_method) {
            for (class, count) in CLASSES.iter().zip(classes) {
                // What is usual is there from the beginning, so that rates begin with the first one.
                if *count > 0 || (method == "GET" && *class != "1xx") {
                    requests.value(&[("method", method), ("status", class)], count);
                }
            }
        }
        page.family(
            "raddle_http_response_content_bytes_total",
            Kind::Counter,
            "Bytes of content that were sent.",
        )
        .value(&[], self.bytes);
        page.family(
            "raddle_http_connections_total",
            Kind::Counter,
            "Connections that were accepted.",
        )
        .value(&[], self.connections);
        let mut errors = page.family(
            "raddle_http_errors_total",
            Kind::Counter,
            "Requests with which something went wrong, by kind.",
        );
        for (kind, count) in self.troubles() {
            errors.value(&[("kind", kind)], count);
        }
        let mut latency = page.family(
            "raddle_http_request_duration_seconds",
            Kind::Histogram,
            "From the end of a request's head until its answer was given to be sent.",
        );
        for (bound_us, count) in self.latency.doublings() {
            let bound = bound_us as f64 / 1e6;
            latency.line("_bucket", &[("le", &bound.to_string())], count);
        }
        let count = self.latency.count();
        latency.line("_bucket", &[("le", "+Inf")], count);
        latency.line("_sum", &[], self.latency.sum().as_secs_f64());
        latency.line("_count", &[], count);
    }
}
