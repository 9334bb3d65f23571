//! A moment as a date in UTC, in the forms that are not HTTP's own: RFC 3339, and the one of access logs.

use std::time::SystemTime;

/// A date and a time of day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    ms: u32,
}

impl Civil {
    /// The days to a date as in Howard Hinnant's "chrono-compatible low-level date algorithms". What is before 1970 counts as its beginning.
    pub(crate) fn of(time: SystemTime) -> Civil {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Years begin in March here, so that the day that is there only sometimes is a year's last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: month as usize,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            ms: since.subsec_millis(),
        }
    }

    /// Year, month and day, from 1.
    pub(crate) fn date(&self) -> (i32, u8, u8) {
        (self.year as i32, self.month as u8, self.day as u8)
    }

    /// `2026-09-21T14:13:20Z`: RFC 3339.
    pub(crate) fn iso(&self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// The same with milliseconds.
    pub(crate) fn iso_ms(&self) -> String {
        let Civil { year, month, day, hour, minute, second, ms } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }

    /// `21/Sep/2026:14:13:20 +0000`: as access logs have it since the first servers.
    pub(crate) fn common(&self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Civil { year, month, day, hour, minute, second, .. } = self;
        let month = MONTHS[month - 1];
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        let civil = |ms| Civil::of(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        for (seconds, expected) in rows {
            assert_eq!(civil(seconds * 1000).iso(), expected);
        }
        let date = civil(784_111_777_042);
        assert_eq!(date.common(), "06/Nov/1994:08:49:37 +0000");
        assert_eq!(date.iso_ms(), "1994-11-06T08:49:37.042Z");
        assert_eq!(Civil::of(SystemTime::UNIX_EPOCH - Duration::from_secs(9)), civil(0));
    }
}
