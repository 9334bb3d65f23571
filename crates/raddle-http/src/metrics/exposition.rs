//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

/// A page of metrics, as Prometheus reads it.
///
/// ```
/// use raddle_http::metrics::{Exposition, Kind};
///
/// let mut page = Exposition::new();
/// page.family("jobs_total", Kind::Counter, "Jobs that are done.").value(&[("queue", "a")], 7);
/// assert_eq!(page.text(), "# HELP jobs_total Jobs that are done.\n# TYPE jobs_total counter\njobs_total{queue=\"a\"} 7\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    text: String,
}

/// What a metric is.
///
/// ```
/// assert_ne!(raddle_http::metrics::Kind::Counter, raddle_http::metrics::Kind::Gauge);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by bounds.
    Histogram,
}

/// The values of one name, to be added to its page.
///
/// ```
/// use raddle_http::metrics::{Exposition, Kind};
/// let mut page = Exposition::new();
/// let mut threads = page.family("threads", Kind::Gauge, "Threads that there are.");
/// threads.value(&[], 3);
/// ```
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Exposition {
    /// What the format is called in `Content-Type`.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Without metrics.
    ///
    /// ```
    /// assert!(raddle_http::metrics::Exposition::new().text().is_empty());
    /// ```
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// A metric, whose values come next. Each name is there once.
    ///
    /// ```
    /// # use raddle_http::metrics::{Exposition, Kind};
    /// Exposition::new().family("cores", Kind::Gauge, "Cores.").value(&[], 2);
    /// ```
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { name, text: &mut self.text }
    }

    /// The page so far.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Exposition::new().text(), "");
    /// ```
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The page.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Exposition::new().into_text(), "");
    /// ```
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A value, with labels that tell it from the others of its name.
    ///
    /// ```
    /// # use raddle_http::metrics::{Exposition, Kind};
    /// let mut page = Exposition::new();
    /// page.family("ready", Kind::Gauge, "Ready threads.").value(&[("core", "0")], 0).value(&[("core", "1")], 2);
    /// ```
    pub fn value(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, value)
    }

    /// With something behind the name: a histogram's parts.
    pub(super) fn line(
        &mut self,
        part: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) -> &mut Self {
        _ = write!(self.text, "{}{part}", self.name);
        for (at, (name, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            _ = write!(self.text, "{}{name}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_value_but_its_end() {
        let mut page = Exposition::new();
        page.family("a", Kind::Gauge, "b\n\\").value(&[("c", "\"\\\n"), ("d", "")], 0.5);
        let expected = "# HELP a b\\n\\\\\n# TYPE a gauge\na{c=\"\\\"\\\\\\n\",d=\"\"} 0.5\n";
        assert_eq!(page.text(), expected);
    }
}
