//! How connections come to cores, and what becomes of those that are too many.

/// How connections come to cores: who accepts them, and where their threads begin.
///
/// From then on a connection's thread is a thread like any other. What arrives for it is found by the core on which it waited, and
/// wakes it there; a core that has nothing to do takes over threads that are ready elsewhere. So a load evens out with each of these, and
/// what they decide is where it begins, what accepting costs, and how much has to be taken over later. docs/http.md has figures.
///
/// ```
/// use raddle_http::server::{Dispatch, Server};
/// let server = Server::new().dispatch(Dispatch::Fair);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// Each core accepts from a listener of its own, and serves what it gets: the kernel spreads connections by a hash of their addresses
    /// (`SO_REUSEPORT`). No two cores touch for a connection, but of few connections one core may well get most.
    #[default]
    ReusePort,
    /// One thread accepts, and gives each connection to the core with the fewest.
    Fair,
    /// As `ReusePort`, but a core whose connections stand out, by more than a quarter and four, gives the next ones to the core with the fewest.
    Balanced,
}

impl Dispatch {
    /// How many sockets listen, on so many cores, and how many threads accept.
    pub(super) fn listeners(self, cores: usize) -> usize {
        match self {
            Dispatch::ReusePort | Dispatch::Balanced => cores,
            Dispatch::Fair => 1,
        }
    }
}

/// What becomes of connections above [the most that may be](super::Server::connections_max), or for which there are no descriptors.
///
/// ```
/// use raddle_http::server::{OverCapacity, Server};
/// let server = Server::new().connections_max(10_000).over_capacity(OverCapacity::Busy);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverCapacity {
    /// They wait, in the kernel's queue, until another one ends.
    #[default]
    Resist,
    /// They are closed at once.
    Drop,
    /// They are answered 503 with `Retry-After`, and closed: 128 at a time, while others are closed at once.
    Busy,
}
