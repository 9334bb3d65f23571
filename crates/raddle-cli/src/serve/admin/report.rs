//! How it goes: for Prometheus, and as JSON.

use super::history::{KEPT, Point};
use super::state::{Now, State};
use raddle::sync::PoisonError;
use raddle_http::metrics::{Exposition, Kind};
use raddle_http::server::Running;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

/// All metrics, in Prometheus' text format; names after its conventions, those of the process as all its clients have them.
pub(super) fn prometheus(state: &State) -> String {
    let mut page = Exposition::new();
    state.metrics.counts().expose(&mut page);
    servers(state, &mut page);
    runtime(state, &mut page);
    process(state, &mut page);
    page.into_text()
}

fn servers(state: &State, page: &mut Exposition) {
    let open: usize = state.watched.servers.iter().map(Running::connections).sum();
    page.family("raddle_http_connections", Kind::Gauge, "Connections that are open.")
        .value(&[], open);
    let Now { tls, lost } = state.now();
    let lost = lost.map_or(0, |lost| lost.load(Ordering::Relaxed));
    page.family(
        "raddle_http_log_lines_lost_total",
        Kind::Counter,
        "Lines that are missing in the access log, because it was stuck or its disk full.",
    )
    .value(&[], lost);
    if let Some(tls) = tls {
        let handshakes = tls.handshakes();
        page.family("raddle_tls_handshakes_total", Kind::Counter, "TLS handshakes, by their end.")
            .value(&[("result", "full")], handshakes.done.saturating_sub(handshakes.resumed))
            .value(&[("result", "resumed")], handshakes.resumed)
            .value(&[("result", "failed")], handshakes.failed)
            .value(&[("result", "plain_http")], handshakes.plain);
    }
    let is_draining = u8::from(state.is_draining.load(Ordering::SeqCst));
    page.family("raddle_draining", Kind::Gauge, "1 when the server is about to end.")
        .value(&[], is_draining);
}

fn runtime(state: &State, page: &mut Exposition) {
    let counters = state.runtime.counters();
    page.family("raddle_threads", Kind::Gauge, "Threads of the runtime that have not ended.")
        .value(&[], counters.threads);
    page.family(
        "raddle_workers",
        Kind::Gauge,
        "Kernel threads that run threads, or could: blocked in the kernel, or with a core or as spares.",
    )
    .value(&[("state", "blocked")], counters.workers_blocked)
    .value(&[("state", "other")], counters.workers.saturating_sub(counters.workers_blocked));
    let cores = state.runtime.core_counters();
    page.family("raddle_cores", Kind::Gauge, "Threads that run at once.").value(&[], cores.len());
    let numbers: Vec<String> = (0..cores.len()).map(|number| number.to_string()).collect();
    let mut each = |name, kind, help, read: &dyn Fn(usize) -> f64| {
        let mut family = page.family(name, kind, help);
        for (at, number) in numbers.iter().enumerate() {
            family.value(&[("core", number)], read(at));
        }
    };
    each("raddle_core_ready_threads", Kind::Gauge, "Threads that wait for their turn.", &|at| {
        cores[at].ready as f64
    });
    each(
        "raddle_core_idle_seconds_total",
        Kind::Counter,
        "Time in which a core had nothing to run.",
        &|at| cores[at].idle_ns as f64 / 1e9,
    );
    each(
        "raddle_core_dispatches_total",
        Kind::Counter,
        "Switches from one thread to the next.",
        &|at| cores[at].dispatches as f64,
    );
    each("raddle_core_preemptions_total", Kind::Counter, "Threads that had to give way.", &|at| {
        cores[at].preemptions as f64
    });
    each(
        "raddle_core_steals_total",
        Kind::Counter,
        "Threads that a core, being idle, took from another.",
        &|at| cores[at].steals as f64,
    );
    each(
        "raddle_core_handovers_total",
        Kind::Counter,
        "How often a core was taken from a worker that was blocked in the kernel.",
        &|at| cores[at].handovers as f64,
    );
}

fn process(state: &State, page: &mut Exposition) {
    let begun = state.begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    page.family("process_start_time_seconds", Kind::Gauge, "When it began, since 1970.")
        .value(&[], begun);
    let process = &state.process;
    let mut maybe = |name, kind, help, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help).value(&[], value);
        }
    };
    maybe(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time, of the program and of the kernel for it.",
        process.cpu_seconds(),
    );
    maybe(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory that is in use.",
        process.resident_bytes().map(|bytes| bytes as f64),
    );
    maybe(
        "process_open_fds",
        Kind::Gauge,
        "Descriptors that are open.",
        process.descriptors().map(|count| count as f64),
    );
    maybe(
        "process_max_fds",
        Kind::Gauge,
        "Descriptors that may be open.",
        process.descriptors_max().map(|count| count as f64),
    );
    page.family("raddle_build_info", Kind::Gauge, "The program's version, as a label.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

/// What there is now, and the seconds after number `after`: whoever has those before need not get them again.
pub(super) fn json(state: &State, after: u64) -> String {
    let (counts, counters) = (state.metrics.counts(), state.runtime.counters());
    let Now { tls, lost } = state.now();
    let mut json = String::with_capacity(4096);
    let uptime = state.begun.elapsed().unwrap_or_default().as_secs();
    let is_draining = state.is_draining.load(Ordering::SeqCst);
    let open: usize = state.watched.servers.iter().map(Running::connections).sum();
    _ = write!(
        json,
        "{{\"version\":\"{}\",\"pid\":{},\"uptime_s\":{uptime},\"state\":\"{}\",\"kept\":{KEPT}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        if is_draining { "draining" } else { "serving" },
    );
    let addresses: Vec<String> =
        state.watched.servers.iter().map(|server| format!("\"{}\"", server.local_addr())).collect();
    _ = write!(json, ",\"listening\":[{}]", addresses.join(","));
    let (process, class) = (&state.process, counts.by_class());
    for (name, value) in [
        ("memory_bytes", process.resident_bytes()),
        ("descriptors", process.descriptors()),
        ("descriptors_max", process.descriptors_max()),
        ("requests", Some(counts.requests())),
        ("bytes", Some(counts.bytes)),
        ("accepted", Some(counts.connections)),
        ("connections", Some(open as u64)),
        ("log_lines_lost", lost.map(|lost| lost.load(Ordering::Relaxed))),
        ("threads", Some(counters.threads as u64)),
        ("workers", Some(counters.workers as u64)),
        ("workers_blocked", Some(counters.workers_blocked as u64)),
    ] {
        if let Some(value) = value {
            _ = write!(json, ",\"{name}\":{value}");
        }
    }
    if let Some(seconds) = process.cpu_seconds() {
        _ = write!(json, ",\"cpu_s\":{seconds}");
    }
    _ = write!(
        json,
        ",\"by_class\":{{\"1xx\":{},\"2xx\":{},\"3xx\":{},\"4xx\":{},\"5xx\":{}}}",
        class[0], class[1], class[2], class[3], class[4]
    );
    let errors: Vec<String> =
        counts.troubles().map(|(kind, count)| format!("\"{kind}\":{count}")).collect();
    _ = write!(json, ",\"errors\":{{{}}}", errors.join(","));
    if let Some(tls) = tls {
        let handshakes = tls.handshakes();
        _ = write!(
            json,
            ",\"handshakes\":{{\"done\":{},\"resumed\":{},\"failed\":{},\"plain\":{}}}",
            handshakes.done, handshakes.resumed, handshakes.failed, handshakes.plain
        );
    }
    let cores = state.runtime.core_counters().into_iter().map(|core| {
        format!(
            "{{\"ready\":{},\"dispatches\":{},\"preemptions\":{},\"steals\":{},\"handovers\":{},\"idle_s\":{:.3}}}",
            core.ready,
            core.dispatches,
            core.preemptions,
            core.steals,
            core.handovers,
            core.idle_ns as f64 / 1e9
        )
    });
    _ = write!(json, ",\"cores\":[{}]", cores.collect::<Vec<_>>().join(","));
    let history = state.history.lock().unwrap_or_else(PoisonError::into_inner);
    let points = history.points.iter().filter(|point| point.number > after).map(point);
    _ = write!(json, ",\"points\":[{}]}}", points.collect::<Vec<_>>().join(","));
    json
}

fn point(point: &Point) -> String {
    let us = |value: Option<f64>| value.map_or("null".to_owned(), |us| us.to_string());
    let loads: Vec<String> = point.loads.iter().map(|load| format!("{load:.3}")).collect();
    format!(
        "{{\"number\":{},\"at_ms\":{},\"requests\":{:.1},\"errors\":{:.1},\"bytes\":{:.0},\"accepted\":{:.1},\
         \"connections\":{},\"threads\":{},\"ready\":{},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"max_us\":{},\"loads\":[{}]}}",
        point.number,
        point.at_ms,
        point.requests,
        point.errors,
        point.bytes,
        point.accepted,
        point.connections,
        point.threads,
        point.ready,
        us(point.p50_us),
        us(point.p90_us),
        us(point.p99_us),
        us(point.max_us),
        loads.join(",")
    )
}
