//! Who is asked about, and what is kept of it.

use super::history::History;
use super::process::Process;
use raddle::runtime::Runtime;
use raddle::sync::{Mutex, PoisonError};
use raddle_http::metrics::Metrics;
use raddle_http::server::Running;
use raddle_http::tls::Tls;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::SystemTime;

/// Who is asked about.
pub(in crate::serve) struct Watched {
    pub(in crate::serve) servers: Vec<Running>,
    pub(in crate::serve) now: Arc<Mutex<Now>>,
}

/// What another configuration may bring.
#[derive(Clone, Default)]
pub(in crate::serve) struct Now {
    pub(in crate::serve) tls: Option<Tls>,
    /// Lines that are missing in the access log.
    pub(in crate::serve) lost: Option<Arc<AtomicU64>>,
}

/// What all answers are made of.
pub(super) struct State {
    pub(super) metrics: Metrics,
    pub(super) process: Process,
    pub(super) watched: Watched,
    pub(super) runtime: Runtime,
    pub(super) history: Mutex<History>,
    pub(super) begun: SystemTime,
    pub(super) is_draining: AtomicBool,
}

impl State {
    pub(super) fn now(&self) -> Now {
        self.watched.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn sample(&self) {
        let counts = self.metrics.counts();
        let connections = self.watched.servers.iter().map(Running::connections).sum();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.sample(counts, connections, self.runtime);
    }
}
