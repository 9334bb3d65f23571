//! Dates as HTTP writes them, to the second; and a cache of the current one. RFC 9110 section 5.6.7.

use httpdate::HttpDate;
use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime};

/// The last second that the format can hold: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// A moment, to the second, from 1970 to 9999. The caller's clock says what is now; nothing here asks one.
///
/// ```
/// use raddle_http::Date;
///
/// let date = Date::from_seconds(784111777);
/// assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// let now = Date::from_seconds(1_790_000_000);
/// assert_eq!(Date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT", now), Some(date));
/// assert_eq!(Date::parse(b"Sun Nov  6 08:49:37 1994", now), Some(date));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u64);

impl Date {
    /// So many seconds after 1970 began; what is later than 9999 counts as its end.
    ///
    /// ```
    /// assert_eq!(raddle_http::Date::from_seconds(1).seconds(), 1);
    /// ```
    pub fn from_seconds(seconds: u64) -> Date {
        Date(seconds.min(SECONDS_MAX))
    }

    /// Seconds since 1970 began.
    ///
    /// ```
    /// assert_eq!(raddle_http::Date::from_seconds(7).seconds(), 7);
    /// ```
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Reads one of the three formats that RFC 9110 section 5.6.7 tells recipients to accept; `None` if it is no date.
    ///
    /// The second format's years have two digits: what would lie more than 50 years after `now` is in the past.
    ///
    /// ```
    /// use raddle_http::Date;
    /// let now = Date::from_seconds(1_790_000_000);
    /// assert_eq!(Date::parse(b"yesterday", now), None);
    /// ```
    pub fn parse(text: &[u8], now: Date) -> Option<Date> {
        let text = str::from_utf8(text).ok()?;
        let parsed = match with_whole_year(text, now) {
            Some(text) => text.parse::<HttpDate>(),
            None => text.parse::<HttpDate>(),
        };
        let since = SystemTime::from(parsed.ok()?).duration_since(SystemTime::UNIX_EPOCH);
        Some(Date(since.ok()?.as_secs()))
    }

    fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0)
    }
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` in the format with four digits; `None` if it has another form.
fn with_whole_year(text: &str, now: Date) -> Option<String> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut parts = rest.split('-');
    let (day, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (short, time) = rest.split_once(' ')?;
    if short.len() != 2 || parts.next().is_some() {
        return None;
    }
    let long_names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let weekday = long_names.contains(&weekday).then(|| &weekday[..3])?;
    let this_year = 1970 + now.0 / 31_556_952;
    let mut year = this_year / 100 * 100 + short.parse::<u64>().ok()?;
    if year > this_year + 50 {
        year -= 100;
    } else if year + 50 <= this_year {
        // The century that has begun is not the nearest one.
        year += 100;
    }
    Some(format!("{weekday}, {day} {month} {year:04} {time}"))
}

impl From<SystemTime> for Date {
    /// Cut to the second; what is before 1970 counts as its beginning.
    fn from(time: SystemTime) -> Date {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Date::from_seconds(since.as_secs())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HttpDate::from(self.time()).fmt(f)
    }
}

/// The current date's text, made once a second: `Date` stands in every response. RFC 9110 section 6.6.1.
///
/// ```
/// use raddle_http::{Date, DateCache};
///
/// let mut cache = DateCache::default();
/// assert_eq!(cache.text(Date::from_seconds(0)), b"Thu, 01 Jan 1970 00:00:00 GMT");
/// assert_eq!(&cache.text(Date::from_seconds(1))[17..25], b"00:00:01");
/// ```
#[derive(Clone, Debug)]
pub struct DateCache {
    date: Date,
    text: [u8; 29],
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache { date: Date(0), text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }
}

impl DateCache {
    /// The text of `now`.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache};
    /// let mut cache = DateCache::default();
    /// assert_eq!(cache.text(Date::from_seconds(784111777)), b"Sun, 06 Nov 1994 08:49:37 GMT");
    /// ```
    pub fn text(&mut self, now: Date) -> &[u8; 29] {
        if self.date != now {
            self.date = now;
            let written = write!(&mut self.text[..], "{now}");
            written.expect("a date has as many bytes as there is room for");
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Date = Date(1_790_000_000); // 2026

    #[test]
    fn two_digits_are_a_year_within_fifty_of_now() {
        // Section 5.6.7: "more than 50 years in the future" is in the past.
        let year = |text: &str| Date::parse(text.as_bytes(), NOW).map(|date| date.to_string());
        assert_eq!(year("Friday, 06-Nov-76 08:49:37 GMT").unwrap()[12..16], *"2076");
        assert_eq!(year("Sunday, 06-Nov-77 08:49:37 GMT").unwrap()[12..16], *"1977");
        assert_eq!(year("Sunday, 06-Nov-94 08:49:37 GMT").unwrap()[12..16], *"1994");
        assert_eq!(year("Monday, 06-Nov-00 08:49:37 GMT").unwrap()[12..16], *"2000");
        let late = Date::from_seconds(4_000_000_000); // 2096
        let next = Date::parse(b"Friday, 06-Nov-05 08:49:37 GMT", late).unwrap();
        assert_eq!(next.to_string(), "Fri, 06 Nov 2105 08:49:37 GMT");
    }

    #[test]
    fn what_is_no_date_is_none() {
        let texts = [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-9x 08:49:37 GMT",
            "Sunday, 06-Nov-94-1 08:49:37 GMT",
            "784111777",
            "\u{e9}un, 06 Nov 1994 08:49:37 GMT",
        ];
        for text in texts {
            assert_eq!(Date::parse(text.as_bytes(), NOW), None, "{text}");
        }
        assert_eq!(Date::parse(b"\xff", NOW), None);
    }

    #[test]
    fn both_ends_of_time_can_be_written() {
        assert_eq!(Date::from_seconds(u64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(9);
        assert_eq!(Date::from(before).to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
