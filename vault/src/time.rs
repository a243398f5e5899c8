//! A point in time, and how clients see it.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since the Unix epoch, UTC. Before 1970 and after 2262 does not exist here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    nanos: i64,
}

impl Time {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos: if nanos < 0 { 0 } else { nanos } }
    }

    /// From milliseconds since the Unix epoch, as batches and terms have them; the end of time if they are too many.
    pub const fn from_millis(millis: u64) -> Self {
        let most = (i64::MAX / 1_000_000) as u64;
        Self::from_nanos(if millis > most { i64::MAX } else { millis as i64 * 1_000_000 })
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_nanos(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        (self.nanos / 1_000_000) as u64
    }

    /// Whole seconds since the Unix epoch.
    pub const fn secs(self) -> i64 {
        self.nanos / 1_000_000_000
    }

    /// Later by some seconds; stays at the end of time.
    pub const fn plus_secs(self, secs: u64) -> Self {
        let secs = if secs > i64::MAX as u64 { i64::MAX } else { secs as i64 };
        Self { nanos: self.nanos.saturating_add(secs.saturating_mul(1_000_000_000)) }
    }

    /// How long until a later time; zero if it is past.
    pub const fn until(self, later: Self) -> Duration {
        let nanos = later.nanos.saturating_sub(self.nanos);
        Duration::from_nanos(if nanos > 0 { nanos as u64 } else { 0 })
    }
}

impl fmt::Display for Time {
    /// RFC 3339 with as many digits of the second as needed, at most nine, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.nanos)) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{}", jiff::Timestamp::MAX),
        }
    }
}

/// A duration as clients of Vault's API know it: `768h0m0s`, `30m0s`, `1h30m0s`, `5s`, `0s`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    let fraction = duration.subsec_nanos();
    let seconds = match fraction {
        0 => seconds.to_string(),
        nanos => format!("{seconds}.{}", format!("{nanos:09}").trim_end_matches('0')),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A duration without its zero units, as warnings write it: `768h`, `1h30m`, `5s`, `0s`.
pub(crate) fn format_duration_short(duration: Duration) -> String {
    let long = format_duration(duration);
    let short = long.strip_suffix("m0s").map(|rest| format!("{rest}m")).unwrap_or(long);
    short.strip_suffix("h0m").map(|rest| format!("{rest}h")).unwrap_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_the_api_writes_them() {
        let cases = [
            (0, "0s", "0s"),
            (5, "5s", "5s"),
            (1800, "30m0s", "30m"),
            (5400, "1h30m0s", "1h30m"),
            (7200, "2h0m0s", "2h"),
            (2764800, "768h0m0s", "768h"),
            (3605, "1h0m5s", "1h0m5s"),
        ];
        for (secs, long, short) in cases {
            assert_eq!(format_duration(Duration::from_secs(secs)), long);
            assert_eq!(format_duration_short(Duration::from_secs(secs)), short);
        }
    }

    #[test]
    fn milliseconds_that_are_too_many_are_the_end_of_time() {
        assert_eq!(Time::from_millis(1_700_000_000_123), Time::from_nanos(1_700_000_000_123_000_000));
        assert_eq!(Time::from_millis(u64::MAX), Time::from_nanos(i64::MAX));
    }

    #[test]
    fn a_time_prints_as_rfc_3339() {
        assert_eq!(Time::from_nanos(1_700_000_000_123_456_789).to_string(), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(Time::from_secs(1_700_000_000).to_string(), "2023-11-14T22:13:20Z");
    }
}
