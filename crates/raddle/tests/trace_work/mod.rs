//! Reads a trace and checks what is true of every trace, whatever its story.

use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const CORES: u64 = 2001;
pub(crate) const THREADS: u64 = 2002;
pub(crate) const KERNEL_THREADS: u64 = 2003;

/// Group and number.
pub(crate) type Track = (u64, u64);

/// What lasted. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    args: Value,
}

impl Span {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.args[key].as_str().unwrap_or("")
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.args[key].as_u64()
    }
}

pub(crate) struct Trace {
    head: Value,
    events: Vec<Value>,
    tracks: BTreeMap<Track, Vec<Span>>,
    names: BTreeMap<Track, String>,
}

impl Trace {
    /// # Panics
    ///
    /// If it is no trace, or contradicts itself.
    pub(crate) fn parse(text: &str) -> Trace {
        let mut whole: Value = serde_json::from_str(text).expect("a trace is JSON");
        let Value::Array(events) = whole["traceEvents"].take() else { panic!("no events") };
        let head = whole["otherData"].take();
        let mut trace = Trace { head, events, tracks: BTreeMap::new(), names: BTreeMap::new() };
        for event in &trace.events {
            let track = track_of(event);
            match event["ph"].as_str().expect("every event has its phase") {
                "X" => {
                    let start = trace.ns(&event["ts"]);
                    let ns = trace.ns(&event["dur"]);
                    trace.tracks.entry(track).or_default().push(Span {
                        name: event["name"].as_str().unwrap().into(),
                        start,
                        end: start + ns,
                        args: event["args"].clone(),
                    });
                }
                "M" => {
                    if event["name"] == "thread_name" {
                        let name = event["args"]["name"].as_str().unwrap();
                        assert!(
                            trace.names.insert(track, name.into()).is_none(),
                            "named twice: {event}"
                        );
                    }
                }
                "i" => assert_eq!(event["s"], "t", "{event}"),
                "s" => assert!(event["id"].is_u64(), "{event}"),
                "f" => assert!(event["id"].is_u64() && event["bp"] == "e", "{event}"),
                "C" => assert!(event["args"]["threads"].is_u64(), "{event}"),
                other => panic!("an unknown phase: {other}"),
            }
        }
        trace.tracks.values_mut().for_each(|spans| spans.sort_by_key(|span| span.start));
        trace.check();
        trace
    }

    fn check(&self) {
        for event in self.events.iter().filter(|event| event["ph"] != "M") {
            assert!(
                self.names.contains_key(&track_of(event)),
                "on a track without a name: {event}"
            );
        }
        for (track, spans) in &self.tracks {
            for pair in spans.windows(2) {
                assert!(
                    pair[0].end <= pair[1].start,
                    "{track:?} does two things at once: {pair:?}"
                );
            }
        }
        self.check_that_cores_and_threads_agree();
        self.arrows();
    }

    /// Each dispatch is on both tracks, begins at the same moment, and ends.
    fn check_that_cores_and_threads_agree(&self) {
        let mut on_cores: Vec<(u64, u64, u64)> = Vec::new();
        let mut on_threads = Vec::new();
        for (&(group, id), spans) in &self.tracks {
            match group {
                CORES => on_cores.extend(
                    spans.iter().map(|span| (span.start, span.number("thread").unwrap(), id)),
                ),
                THREADS => {
                    let running = spans.iter().filter(|span| span.name == "running");
                    on_threads
                        .extend(running.map(|span| (span.start, id, span.number("core").unwrap())));
                }
                _ => {}
            }
        }
        on_cores.sort_unstable();
        on_threads.sort_unstable();
        assert_eq!(on_cores, on_threads);
    }

    /// What happened at moments of that track.
    pub(crate) fn marks_on(&self, group: u64, id: u64) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["ph"] == "i" && track_of(event) == (group, id))
    }

    /// All arrows, from track to track. Each starts in a span and ends in one, later.
    pub(crate) fn arrows(&self) -> Vec<(Track, Track)> {
        let mut starts = BTreeMap::new();
        for event in self.events.iter().filter(|event| event["ph"] == "s") {
            let (track, at) = (track_of(event), self.ns(&event["ts"]));
            assert!(
                starts.insert(event["id"].as_u64(), (track, at)).is_none(),
                "starts twice: {event}"
            );
            let holds = |span: &&Span| span.start <= at && at <= span.end;
            assert!(
                self.tracks[&track].iter().any(|span| holds(&span)),
                "starts in nothing: {event}"
            );
        }
        let mut arrows = Vec::new();
        for event in self.events.iter().filter(|event| event["ph"] == "f") {
            let (track, at) = (track_of(event), self.ns(&event["ts"]));
            let (from, started) =
                starts.remove(&event["id"].as_u64()).expect("an arrow that ends has started");
            assert!(started <= at, "an arrow back in time: {event}");
            let begins = |span: &Span| span.start == at && span.name == "running";
            assert!(self.tracks[&track].iter().any(begins), "ends in nothing: {event}");
            arrows.push((from, track));
        }
        arrows
    }

    pub(crate) fn head(&self, key: &str) -> &Value {
        &self.head[key]
    }

    pub(crate) fn find(&self, group: u64, name: &str) -> Option<u64> {
        let mut tracks = self.names.iter().filter(|(track, is)| track.0 == group && *is == name);
        tracks.next().map(|(track, _)| track.1)
    }

    pub(crate) fn find_thread(&self, name: &str) -> Option<u64> {
        self.find(THREADS, name)
    }

    pub(crate) fn thread(&self, name: &str) -> u64 {
        self.find_thread(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.names))
    }

    pub(crate) fn spans(&self, group: u64, id: u64) -> Vec<Span> {
        self.tracks.get(&(group, id)).cloned().unwrap_or_default()
    }

    /// How often a thread stopped running without having asked for it.
    pub(crate) fn interruptions(&self, thread: u64) -> usize {
        let interrupted = |span: &&Span| {
            span.name == "running"
                && ["preempted", "blocked in the kernel"].contains(&span.text("then"))
        };
        self.spans(THREADS, thread).iter().filter(interrupted).count()
    }

    pub(crate) fn marks(&self, name: &str) -> Vec<Value> {
        let marks = self.events.iter().filter(|event| event["ph"] == "i" && event["name"] == name);
        marks.cloned().collect()
    }

    /// The highest value of a counter.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let values = self.events.iter().filter(|event| event["ph"] == "C" && event["name"] == name);
        values.filter_map(|event| event["args"]["threads"].as_u64()).max().unwrap_or(0)
    }

    /// Nanoseconds of a time as the format has it.
    pub(crate) fn ns(&self, micros: &Value) -> u64 {
        (micros.as_f64().expect("times are numbers") * 1000.0).round() as u64
    }
}

fn track_of(event: &Value) -> Track {
    (event["pid"].as_u64().expect("every event has its group"), event["tid"].as_u64().unwrap_or(0))
}
