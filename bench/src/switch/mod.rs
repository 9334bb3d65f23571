//! `raddle-bench switch`: what a switch costs, and what a body costs, beside the peers that have something like it.
//!
//! | module | what it measures |
//! |---|---|
//! | `raddle` | our bodies: a stack and a TLS block each |
//! | `corosensei` | Amanieu d'Antras' coroutines |
//! | `may` | the coroutines of may, from its crate `generator` |
//! | `kernel_thread` | `std::thread`, made and joined |
//! | `peer` | what each library has to do for it |
//!
//! The two coroutine libraries share the worker's TLS among all that run on it, and write no thread pointer; they also leave
//! MXCSR and the x87 control word as the last one had them. raddle's switch pays for both.

mod corosensei;
mod kernel_thread;
mod may;
mod peer;
mod raddle;

use self::peer::{COLD_BATCH, Peer};
use crate::floors::{self, Woken};
use crate::pairs::{Estimate, Pairs, Plan, Subject, Work};
use crate::report::{Record, Report, Unit, progress};
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases:
  switch         one switch between the kernel thread's own stack and a body's; a round trip is two
  switch_body    one switch, two bodies in turns. raddle goes from the one to the other with one switch; the peers can't,
                 and go through the kernel thread's stack with two
  switch_1000    the same with a thousand bodies in turns
  body_warm      make a body on a recycled stack, run it, end it
  body_cold      the same on a stack that was never used before, its memory given back included
  body_bytes     memory of one live, suspended body: resident pages, page tables
  body_mappings  lines that all of these add to /proc/self/maps
  wrfsbase       floor: writing the thread pointer, once in each of raddle's switches
  rdtsc          floor: reading the time stamp counter
  page_fault     floor: the first touch of a page
  guard          floor: making a guard of 16 KiB

Peers: corosensei; may (its crate generator); std (a kernel thread); floor.";

const BENCH: &str = "switch";

/// Contexts that take turns in `switch_1000`.
const MANY: usize = 1000;

/// Measures everything; `bodies` is how many live bodies `body_bytes` is to see.
pub(crate) fn run(plan: &Plan, bodies: usize) -> io::Result<Report> {
    let raddle = raddle::Raddle::new()?;
    let peers: [&dyn Peer; 3] = [&raddle, &corosensei::Corosensei, &may::May];
    let mut report = Report { records: Vec::new(), notes: vec![method(plan)] };

    // First of all, while the heap is small. It goes to the end of the report.
    let memory = memory_of_bodies(&peers, bodies, &mut report.notes)?;
    let records = &mut report.records;
    records.extend(compare(plan, "switch", &mut subjects(&peers, |peer| peer.switch())?)?);
    for (case, contexts) in [("switch_body", 2), ("switch_1000", MANY)] {
        let mut subjects = subjects(&peers, |peer| peer.ring(contexts))?;
        records.extend(compare(plan, case, &mut subjects)?);
    }
    let mut warm = subjects(&peers, |peer| peer.warm())?;
    warm.push(Subject::new("std", kernel_thread::warm()));
    records.extend(compare(plan, "body_warm", &mut warm)?);
    let mut cold = Vec::new();
    for peer in peers {
        cold.push(Subject::of_fixed_size(peer.name(), COLD_BATCH as u64, peer.cold()?));
    }
    records.extend(compare(plan, "body_cold", &mut cold)?);
    records.extend(memory);
    for (case, work) in floors::all() {
        progress(case);
        let samples = Subject::new("floor", work).measure(plan)?;
        records.push(Record::timed(BENCH, case, "floor", Estimate::of(&samples)));
    }
    Ok(report)
}

/// `body_warm` of raddle alone.
pub(crate) fn body_warm(plan: &Plan) -> io::Result<Estimate> {
    let raddle = raddle::Raddle::new()?;
    let samples = Subject::new("raddle", raddle.warm()?).measure(plan)?;
    Ok(Estimate::of(&samples))
}

/// What it takes at least to wake `count` bodies, spread evenly over a second, by a kernel thread that sleeps for `interval` between two looks.
pub(crate) fn wake_bodies(count: usize, interval: Duration) -> io::Result<Woken> {
    const SECOND: Duration = Duration::from_secs(1);
    floors::without_slack(move || {
        let raddle = raddle::Raddle::new()?;
        let mut sleepers = raddle::Sleepers::new(&raddle, count, || {
            black_box(Instant::now());
        })?;
        floors::wake(interval, SECOND, |elapsed| {
            let due = (elapsed.as_secs_f64() * count as f64) as usize;
            while count - sleepers.left() < due.min(count) {
                sleepers.wake();
            }
        })
    })
}

/// The same work of every peer's, to be calibrated.
fn subjects<'a>(
    peers: &[&'a dyn Peer],
    work: impl Fn(&'a dyn Peer) -> io::Result<Work<'a>>,
) -> io::Result<Vec<Subject<'a>>> {
    peers.iter().map(|peer| Ok(Subject::new(peer.name(), work(*peer)?))).collect()
}

/// Pairs the first subject with each of the others. Its own value comes from the blocks of all comparisons.
fn compare(
    plan: &Plan,
    case: &'static str,
    subjects: &mut [Subject<'_>],
) -> io::Result<Vec<Record>> {
    let (base, peers) = subjects.split_first_mut().expect("raddle is always among the subjects");
    let mut base_samples = Vec::new();
    let mut records = Vec::new();
    for peer in peers {
        progress(&format!("{case}: {} and {}", base.peer, peer.peer));
        let pairs = Pairs::measure(plan, base, peer)?;
        records.push(
            Record::timed(BENCH, case, peer.peer, Estimate::of(&pairs.peer))
                .compared(pairs.ratio(), pairs.difference()),
        );
        base_samples.extend(pairs.base);
    }
    records.insert(0, Record::timed(BENCH, case, base.peer, Estimate::of(&base_samples)));
    Ok(records)
}

/// `body_bytes` and `body_mappings`. The memory is counted once: there are no pairs, and ratios have no interval.
fn memory_of_bodies(
    peers: &[&dyn Peer],
    bodies: usize,
    notes: &mut Vec<String>,
) -> io::Result<Vec<Record>> {
    /// Enough to fault in the code and to set up what each library keeps but once.
    const WARM_UP: usize = 64;
    let (mut bytes, mut mappings, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut base = None;
    for peer in peers {
        progress(&format!("body_bytes, body_mappings: {}", peer.name()));
        peer.crowd(WARM_UP.min(bodies))?;
        let crowd = peer.crowd(bodies)?;
        if crowd.bodies == 0 {
            let name = peer.name();
            return Err(io::Error::other(format!("there is no room for a single body of {name}")));
        }
        let each = crowd.bytes as f64 / crowd.bodies as f64;
        let record = Record::counted(BENCH, "body_bytes", peer.name(), each, Unit::Bytes);
        bytes.push(match base {
            None => record,
            Some(base) => record.with_ratio(each / base),
        });
        base = base.or(Some(each));
        let lines = crowd.mappings as f64;
        mappings.push(Record::counted(BENCH, "body_mappings", peer.name(), lines, Unit::Mappings));
        counts.push(format!("{} of {}", crowd.bodies, peer.name()));
    }
    notes.push(format!(
        "body_bytes and body_mappings are of as many bodies: {}.",
        counts.join(", ")
    ));
    Ok(bytes.into_iter().chain(mappings).collect())
}

fn method(plan: &Plan) -> String {
    format!(
        "Medians of {} pairs of blocks, raddle's and the peer's in turns. A block takes {} ms; of body_cold, {COLD_BATCH} bodies. \
         --help says what the cases are.",
        plan.rounds,
        plan.block.as_millis(),
    )
}
