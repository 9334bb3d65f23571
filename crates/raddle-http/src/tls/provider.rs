//! Which cryptography TLS stands on: ring's. What depends on that choice is here; docs/dependencies.md says why it fell so.

use rustls::crypto::ring::{self, Ticketer, cipher_suite::TLS13_AES_128_GCM_SHA256};
use rustls::crypto::{CryptoProvider, hash};
use rustls::server::ProducesTickets;
use std::sync::{Arc, LazyLock};

pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    PROVIDER.clone()
}

/// Tickets that hold a session, sealed with a key that changes every six hours: clients that come again are spared half of a handshake, and
/// the server remembers nothing. `None` where the kernel has no randomness.
pub(super) fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
    Ticketer::new().ok()
}

/// It is in the suites anyway.
pub(super) fn sha256(data: &[u8]) -> hash::Output {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("by its name");
    suite.common.hash_provider.hash(data)
}
