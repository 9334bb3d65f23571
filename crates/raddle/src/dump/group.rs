//! Threads that are alike: the same frames, doing the same.

use super::look::{Doing, Sample};
use crate::label::Label;
use crate::record::RecordRef;
use raddle_context::trace::Trace;
use std::collections::HashMap;

/// Threads of a group that are named.
const NAMED: usize = 5;

/// What threads of one group have in common, beside their frames. In the order in which groups are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Running,
    Inside,
    Blocked(Option<u64>),
    Ready,
    Sleeps(Label),
}

/// The smallest and the largest of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Span {
    fn of(value: u64) -> Span {
        Span { low: value, high: value }
    }

    fn add(&mut self, value: u64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) trace: Trace,
    pub(super) count: usize,
    /// The first few, as the list met them: their records, and what each was found doing.
    pub(super) named: Vec<(Option<RecordRef>, Doing)>,
    /// The block of the first.
    pub(super) first: usize,
    /// When they began.
    pub(super) since_ns: Option<Span>,
    /// Until when they sleep.
    pub(super) until_ns: Option<Span>,
    /// What they wait for stands there, if it is the same for all: 0 for nowhere.
    pub(super) address: Option<usize>,
}

/// All groups so far.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<(Kind, Trace), Group>);

impl Groups {
    pub(super) fn add(&mut self, sample: Sample) {
        let Sample { block, doing, record, since_ns, trace } = sample;
        let (kind, address, until) = match doing {
            Doing::Running(_) => (Kind::Running, 0, u64::MAX),
            Doing::Inside => (Kind::Inside, 0, u64::MAX),
            Doing::Blocked { call, .. } => (Kind::Blocked(call), 0, u64::MAX),
            Doing::Ready => (Kind::Ready, 0, u64::MAX),
            Doing::Sleeps { what, address, until_ns } => (Kind::Sleeps(what), address, until_ns),
        };
        let group = self.0.entry((kind, trace)).or_insert_with(|| Group {
            kind,
            trace,
            count: 0,
            named: Vec::new(),
            first: block,
            since_ns: None,
            until_ns: None,
            address: Some(address),
        });
        group.count += 1;
        if since_ns != 0 {
            group.since_ns.get_or_insert(Span::of(since_ns)).add(since_ns);
        }
        if until != u64::MAX {
            group.until_ns.get_or_insert(Span::of(until)).add(until);
        }
        if group.address != Some(address) {
            group.address = None;
        }
        if group.named.len() < NAMED {
            group.named.push((record, doing));
        }
    }

    /// In the order to be written: who runs first, then large groups before small ones.
    pub(super) fn sorted(self) -> Vec<Group> {
        let mut all: Vec<Group> = self.0.into_values().collect();
        let place = |group: &Group| match group.kind {
            Kind::Sleeps(_) => Kind::Sleeps(Label::PARK),
            Kind::Blocked(_) => Kind::Blocked(None),
            kind => kind,
        };
        all.sort_by_key(|group| (place(group), std::cmp::Reverse(group.count), group.first));
        all
    }
}
