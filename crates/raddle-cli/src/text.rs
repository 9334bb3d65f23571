//! Numbers as people read them: the load generator's words, for what this program counts in integers.

use raddle_load::words;
pub(crate) use raddle_load::words::{count, number};
use std::time::Duration;

/// Bytes, in the largest binary unit of which there is one at least.
pub(crate) fn bytes(value: u64) -> String {
    words::bytes(value as f64)
}

/// A time with three digits that matter.
pub(crate) fn time(value: Duration) -> String {
    words::time(value.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_have_a_unit_as_well() {
        assert_eq!((bytes(1024), bytes(u64::MAX)), ("1.0 KiB".into(), "16777216.0 TiB".into()));
        assert_eq!(time(Duration::from_secs(90)), "90.0 s");
    }
}
