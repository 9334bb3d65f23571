//! How many may come, and what becomes of more: what a configuration says of it.

use serde::Deserialize;
use toml::Spanned;

/// What becomes of connections that are too many.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Excess {
    #[default]
    Resist,
    Drop,
    Busy,
}

/// What one client may have.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Clients {
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) requests_per_s: Option<Spanned<u32>>,
    pub(super) burst: Option<Spanned<u32>>,
    pub(super) remembered: u32,
    pub(super) exempt: Vec<Spanned<String>>,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients {
            connections: None,
            requests_per_s: None,
            burst: None,
            remembered: 65_536,
            exempt: Vec::new(),
        }
    }
}

impl Clients {
    /// Each limit with its key, and the most that it may be.
    pub(super) fn limits(&self) -> [(&'static str, Option<&Spanned<u32>>, u32); 3] {
        [
            ("connections", self.connections.as_ref(), u32::MAX),
            ("requests_per_s", self.requests_per_s.as_ref(), 1_000_000),
            ("burst", self.burst.as_ref(), u32::MAX),
        ]
    }
}
