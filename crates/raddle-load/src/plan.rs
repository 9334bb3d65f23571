//! All that is said of a run before it begins.

use crate::pace::Pace;
use crate::scenario::Scenario;
use crate::target::Target;
use std::time::Duration;

/// What is to be done.
///
/// ```
/// use raddle_load::{Ask, Detour, Place, Plan, Target, Url};
/// use std::{sync::Arc, time::Duration};
/// let url: Url = "http://127.0.0.1:1/".parse()?;
/// let place = Arc::new(Place::of(&url, &Detour::default(), None)?);
/// let mut plan = Plan::new(vec![Target::new(&url, place, &Ask::default())]);
/// plan.connections = 64;
/// plan.time = Some(Duration::from_secs(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked for, one at least if there is no scenario.
    pub targets: Vec<Target>,
    /// What clients do in place of asking for targets. In an open loop it is visits that begin by the pace; what follows in a visit does when the
    /// answer before it has come, and the visitor has thought.
    pub scenario: Option<Scenario>,
    /// So many clients, each with a connection of its own.
    pub connections: usize,
    /// When requests begin: by this pace, whatever the server does; `None`: each when the one before it has been answered.
    pub pace: Option<Pace>,
    /// So many requests that count.
    pub requests: Option<u64>,
    /// In such a time, from the end of the warm-up.
    pub time: Option<Duration>,
    /// What begins in this time at the beginning does not count.
    pub warm_up: Duration,
    /// Whether a connection serves for many requests.
    pub keeps: bool,
    /// So many requests are on their way on a connection. More than one in a closed loop only.
    pub depth: usize,
    /// So long for a connection, a handshake, an answer.
    pub patience: Duration,
    /// After the end, requests that are on their way may finish within this time.
    pub grace: Duration,
    /// In an open loop: so long before a request is due its thread stops sleeping, and looks at the clock until it is. If it is not zero no core
    /// sleeps, so that answers are seen as soon as they come. A simulated clock would stand still: there it is zero.
    pub spin: Duration,
    /// Figures are taken for each such interval.
    pub interval: Duration,
    /// What is drawn is drawn from this.
    pub seed: u64,
    /// On how many cores it runs: as many places for figures there are, so that nobody waits for one.
    pub cores: usize,
}

impl Plan {
    /// One client that does this, as [`Plan::new`] has it.
    pub fn visiting(scenario: Scenario) -> Plan {
        Plan { scenario: Some(scenario), ..Plan::new(Vec::new()) }
    }

    /// One client, ten seconds, no warm-up.
    pub fn new(targets: Vec<Target>) -> Plan {
        Plan {
            targets,
            scenario: None,
            connections: 1,
            pace: None,
            requests: None,
            time: Some(Duration::from_secs(10)),
            warm_up: Duration::ZERO,
            keeps: true,
            depth: 1,
            patience: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            spin: Duration::ZERO,
            interval: Duration::from_secs(1),
            seed: 1,
            cores: 1,
        }
    }
}
