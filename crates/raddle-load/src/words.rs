//! Numbers as people read them, in reports and in what else is said of a run.

/// With a comma after each three digits.
///
/// ```
/// assert_eq!(raddle_load::words::number(1_234_567), "1,234,567");
/// ```
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in nanoseconds: three digits that matter, and the unit.
///
/// ```
/// assert_eq!(raddle_load::words::time(1_500.0), "1.50 us");
/// ```
pub fn time(ns: f64) -> String {
    let (scaled, unit) = match ns {
        ns if ns < 1e3 => return format!("{ns:.0} ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
    format!("{scaled:.digits$} {unit}")
}

/// Bytes, in the largest binary unit of which there is one at least.
///
/// ```
/// assert_eq!(raddle_load::words::bytes(1_572_864.0), "1.5 MiB");
/// ```
pub fn bytes(value: f64) -> String {
    let mut scaled = value;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1024.0 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, next);
    }
    let digits = usize::from(unit != "B");
    format!("{scaled:.digits$} {unit}")
}

/// `1 request`, `2 requests`.
///
/// ```
/// assert_eq!(raddle_load::words::count(2_000, "request"), "2,000 requests");
/// ```
pub fn count(value: u64, one: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {one}{plural}", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_what_matters() {
        assert_eq!([number(0), number(999), number(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!(
            [time(999.0), time(1_500.0), time(12_345_678.0)],
            ["999 ns", "1.50 us", "12.3 ms"]
        );
        assert_eq!([time(123_456_789.0), time(2e9)], ["123 ms", "2.00 s"]);
        assert_eq!([bytes(1023.0), bytes(1_572_864.0)], ["1023 B", "1.5 MiB"]);
        assert_eq!([count(1, "request"), count(2_000, "request")], ["1 request", "2,000 requests"]);
    }
}
