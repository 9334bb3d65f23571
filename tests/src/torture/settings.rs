//! What a run of the torture is to be like.

use std::time::Duration;

/// What a run is to be like. The runtime's own settings come from the environment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long new operations are begun.
    pub time: Duration,
    /// What decides the actors' choices.
    pub seed: u64,
    /// How many raddle threads act; an eighth as many kernel threads join them, eight at most.
    pub threads: usize,
    /// Names of the operations to do; all if it is empty.
    pub only: Vec<String>,
    /// Whether progress is shown once a second.
    pub shows_progress: bool,
}
