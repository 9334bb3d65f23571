//! For whoever runs the server: how it goes, by a listener of its own that only he reaches.
//!
//! ```text
//!   connections ─▶ Metrics ─▶ a sample each second ─▶ five minutes of history ─▶ /status.json ─▶ the page of /status
//!                         └─▶ /metrics, of the moment                 the runtime, /proc ──▶ both
//! ```
//!
//! Without it nothing is counted, and no thread wakes each second.
//!
//! | module | what it is |
//! |---|---|
//! | `place` | where it listens |
//! | `history` | samples |
//! | `process` | what the kernel says of the process |
//! | `state` | who is asked about, and what is kept of it |
//! | `report` | all of it for Prometheus, and as JSON |
//! | `page` | the page, and what it needs |

mod history;
mod page;
mod place;
mod process;
mod report;
mod state;

pub(super) use self::state::{Now, Watched};

use self::place::{Bound, Open};
use self::process::Process;
use self::state::State;
use super::config::Source;
use super::operating::At;
use raddle::cancel::Token;
use raddle::runtime::Runtime;
use raddle::sync::Mutex;
use raddle::thread::{self, Builder};
use raddle_http::metrics::{Exposition, Metrics};
use raddle_http::server::Server;
use raddle_http::{Header, Method, Request, Response, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// It has its address, and answers nobody yet.
pub(super) struct Admin {
    bound: Bound,
    metrics: Metrics,
    process: Process,
}

/// It answers.
pub(super) struct Desk {
    open: Open,
    sampling: Token,
    state: Arc<State>,
}

/// What pages and answers have in common: they need nothing from elsewhere, and nobody else shows them.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Enough for a few pages that are open, and what asks besides.
const CONNECTIONS_MAX: usize = 100;

impl Admin {
    /// Takes the address, if one is configured.
    pub(super) fn bind(source: &Source) -> Result<Option<Admin>, String> {
        let Some(wanted) = &source.config.admin.listen else { return Ok(None) };
        let At(place) = wanted.get_ref();
        let bound = Bound::bind(place)
            .map_err(|why| source.mistake(wanted.span(), &format!("admin.listen: {why}")))?;
        Ok(Some(Admin { bound, metrics: Metrics::new(), process: Process::open() }))
    }

    /// To be a plugin of every server that is asked about.
    pub(super) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Answers from now on.
    pub(super) fn start(self, watched: Watched) -> Result<Desk, String> {
        let failed = |error| format!("serve: admin: {error}");
        let state = Arc::new(State {
            metrics: self.metrics,
            process: self.process,
            watched,
            runtime: Runtime::get().map_err(failed)?,
            history: Mutex::default(),
            begun: SystemTime::now(),
            is_draining: AtomicBool::new(false),
        });
        let (sampling, sampled) = (Token::new(), state.clone());
        let token = sampling.clone();
        let sampler = Builder::new().name("status".into());
        let samples = move || {
            const SECOND: Duration = Duration::from_secs(1);
            loop {
                sampled.sample();
                if token.carry(|| thread::sleep(SECOND)).is_err() {
                    break;
                }
            }
        };
        sampler.spawn(samples).map_err(failed)?;
        let open = self.bound.serve(server(&state)).map_err(failed)?;
        Ok(Desk { open, sampling, state })
    }
}

impl Desk {
    /// Where it listens, as it is said to the user.
    pub(super) fn place(&self) -> &str {
        self.open.place()
    }

    /// The servers are about to end: whoever asks for their health is to look for others.
    pub(super) fn is_draining(&self) {
        self.state.is_draining.store(true, Ordering::SeqCst);
    }

    /// Answers no more.
    pub(super) fn end(self) {
        self.sampling.cancel();
        self.open.end();
    }
}

fn server(state: &Arc<State>) -> Server {
    let state = state.clone();
    Server::new().connections_max(CONNECTIONS_MAX).otherwise(move |request| {
        if !matches!(request.method(), Method::Get | Method::Head) {
            let response = request.reply(Status::METHOD_NOT_ALLOWED);
            return response.header(Header::Allow, "GET, HEAD");
        }
        answer(&state, request)
            .header(Header::CacheControl, "no-store")
            .header(Header::ContentSecurityPolicy, POLICY)
            .header(Header::XContentTypeOptions, "nosniff")
            .header("Referrer-Policy", "no-referrer")
            .header("Cross-Origin-Resource-Policy", "same-origin")
    })
}

fn answer(state: &State, request: &mut Request<'_>) -> Response {
    match request.path() {
        "/" => Response::redirect(Status::SEE_OTHER, "/status"),
        "/health" if state.is_draining.load(Ordering::SeqCst) => {
            Response::text("draining\n").with_status(Status::SERVICE_UNAVAILABLE)
        }
        "/health" => Response::text("ok\n"),
        "/metrics" => Response::of_type(Exposition::CONTENT_TYPE, report::prometheus(state)),
        "/status.json" => {
            let after = request.query().and_then(|query| query.strip_prefix("after="));
            let after = after.and_then(|number| number.parse().ok()).unwrap_or(0);
            Response::json(report::json(state, after))
        }
        path => page::find(path).unwrap_or_else(|| {
            let known = "There is /status, /status.json, /metrics and /health.\n";
            Response::text(known).with_status(Status::NOT_FOUND)
        }),
    }
}
