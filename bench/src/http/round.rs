//! One server and the client, once; and what a server has shown in all its rounds.

use super::cases::{Case, SHORT_S, Scale};
use super::folder::Folder;
use super::peer::{Found, Peer, Serving};
use crate::generators::{Client, Summary};
use crate::neighbours::{Neighbours, TOLERATED};
use raddle_bench::memory;
use raddle_bench::process;
use raddle_bench::subject::Said;
use raddle_bench::watched::Watched;
use std::thread;
use std::time::{Duration, Instant};

/// Where it takes place.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) folder: Folder,
    /// The server's processor.
    pub(super) for_server: usize,
}

/// A server, and what was seen of it.
pub(super) struct Contender<'f> {
    found: &'f Found,
    pub(super) peer: Peer,
    /// What the rounds have said, in turn.
    pub(super) rounds: Vec<Said>,
    /// System calls and memory, from a run of its own; or why they are not known.
    pub(super) counted: Option<Result<Said, String>>,
    /// Rounds that others have disturbed, each time.
    pub(super) disturbed: usize,
    /// Why there are not more rounds.
    pub(super) failure: Option<String>,
}

impl<'f> Contender<'f> {
    pub(super) fn new(found: &'f Found, case: &Case) -> Contender<'f> {
        Contender {
            found,
            peer: found.peer,
            rounds: Vec::new(),
            counted: None,
            disturbed: 0,
            failure: found.peer.lacks(case.asked).map(str::to_owned),
        }
    }

    /// One round, unless one has failed already: it would only fail again, and take its time.
    pub(super) fn measure(&mut self, case: &Case, scale: &Scale, place: &Place) {
        if self.failure.is_some() {
            return;
        }
        match self.undisturbed(case, scale, place) {
            Ok(said) => self.rounds.push(said),
            Err(why) => self.failure = Some(why),
        }
    }

    /// A round, and again as long as others disturb it.
    fn undisturbed(&mut self, case: &Case, scale: &Scale, place: &Place) -> Result<Said, String> {
        const AGAIN_AT_MOST: usize = 3;
        let mut left = AGAIN_AT_MOST;
        loop {
            let (said, others) = self.talk(case, scale.measured_s, place)?;
            if others <= TOLERATED || left == 0 {
                self.disturbed += usize::from(others > TOLERATED);
                return Ok(said);
            }
            left -= 1;
        }
    }

    /// What is seen in that time, and the share of the processors that others have taken; 0 where that is not known.
    fn talk(&self, case: &Case, seconds: u64, place: &Place) -> Result<(Said, f64), String> {
        let server = self.found.start(&place.folder, place.for_server)?;
        load(case, &server, SHORT_S, place)?;
        let watched = Watched::new(server.id() as usize, false)?;
        let neighbours =
            Neighbours::before([place.for_server, place.client.processor], server.id());
        let (began, cpu_ns) = (Instant::now(), watched.cpu_ns()?);
        let client = process::cpu_time_of_children();
        let summary = load(case, &server, seconds, place)?;
        let server_ns = (watched.cpu_ns()? - cpu_ns) as f64;
        let elapsed = began.elapsed().as_secs_f64();
        let client = (process::cpu_time_of_children() - client).as_secs_f64();
        let others = neighbours.and_then(|neighbours| neighbours.share()).unwrap_or(0.0);
        let requests = case.asked.answers(&summary);
        let mut said = Said::figures([
            ("rate", case.asked.rate(&summary, seconds)),
            ("cpu", server_ns / requests),
            ("server_busy", server_ns / 1e9 / elapsed),
            ("client_busy", client / elapsed),
        ]);
        for (name, us) in [("p50", summary.p50_us), ("p99", summary.p99_us)] {
            said.figures.insert(name.to_owned(), us.into_iter().collect());
        }
        Ok((said, others))
    }

    /// A short run more, in which system calls are counted, and in the midst of which memory is looked at: both would disturb a round.
    pub(super) fn count(&mut self, case: &Case, place: &Place) {
        if self.failure.is_none() {
            self.counted = Some(self.counted(case, place));
        }
    }

    fn counted(&self, case: &Case, place: &Place) -> Result<Said, String> {
        /// All connections are there by then.
        const MIDST: Duration = Duration::from_millis(SHORT_S * 700);
        let server = self.found.start(&place.folder, place.for_server)?;
        load(case, &server, SHORT_S, place)?;
        let watched = Watched::new(server.id() as usize, true);
        let before = watched.as_ref().map_err(Clone::clone).and_then(Watched::calls);
        let mut command = place.client.command(&case.job(server.port, SHORT_S));
        let client = command.spawn().map_err(|error| format!("the client: {error}"))?;
        thread::sleep(MIDST);
        let rss = memory::of_process(server.id());
        let summary = place.client.result(client.wait_with_output())?;
        let rss = rss.map_err(|error| error.to_string())?;
        let mut said = Said::figures([("rss", rss as f64)]);
        match (before, watched.and_then(|watched| watched.calls())) {
            (Ok(Some(before)), Ok(Some(after))) => {
                let calls = (after - before) as f64 / case.asked.answers(&summary);
                said.figures.insert("syscalls".to_owned(), vec![calls]);
            }
            (before, after) => said.remark = before.and(after).err(),
        }
        Ok(said)
    }
}

/// The client, to its end.
fn load(case: &Case, server: &Serving, seconds: u64, place: &Place) -> Result<Summary, String> {
    place.client.run(&case.job(server.port, seconds))
}

/// The one sample of a figure.
pub(super) fn value(said: &Said, figure: &str) -> Option<f64> {
    said.figures.get(figure)?.first().copied()
}
