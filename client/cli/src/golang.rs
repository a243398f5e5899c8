//! Values and durations as Go prints them, because that is how Vault's tables look and what scripts cut out of them.
//!
//! It is for people and `cut`; whoever wants to parse uses JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// A value as Go's `%v` shows it: `<nil>`, `[a b]`, `map[k:v]`.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let pairs: Vec<_> = members.iter().map(|(name, item)| format!("{name}:{}", self::value(item))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// A field of a table: seconds become a duration where the field's name says that it is one.
pub(crate) fn field(name: &str, value: &Value) -> String {
    let endings = ["_ttl", "_period", "_duration", "lease_max", "ttl_max"];
    let is_duration = matches!(name, "ttl" | "period" | "duration") || endings.iter().any(|end| name.ends_with(end));
    match value.as_u64() {
        Some(seconds) if is_duration => duration(seconds),
        _ => self::value(value),
    }
}

/// Seconds as hours, minutes and seconds, without the parts that are zero at the end.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A point in time as Go prints one that nobody formatted; anything else as [`value`] shows it.
pub(crate) fn time(value: &Value) -> String {
    in_utc(value, "%Y-%m-%d %H:%M:%S%.f +0000 UTC")
}

/// A point in time as RFC 822 writes it, to the minute.
pub(crate) fn rfc_822(value: &Value) -> String {
    in_utc(value, "%d %b %y %H:%M UTC")
}

fn in_utc(value: &Value, format: &str) -> String {
    match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => time.to_zoned(TimeZone::UTC).strftime(format).to_string(),
        None => self::value(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_look_as_in_go() {
        assert_eq!(value(&json!({"a": [1, "b"], "c": null})), "map[a:[1 b] c:<nil>]");
    }

    #[test]
    fn seconds_become_a_duration_only_in_fields_of_time() {
        assert_eq!(field("creation_ttl", &json!(2_764_800)), "768h");
        assert_eq!(field("num_uses", &json!(60)), "60");
    }

    #[test]
    fn points_in_time_are_shown_in_utc() {
        let (whole, parts) = (json!("2026-11-28T12:34:56Z"), json!("2026-11-28T12:34:56.250+02:00"));
        assert_eq!(time(&whole), "2026-11-28 12:34:56 +0000 UTC");
        assert_eq!(time(&parts), "2026-11-28 10:34:56.25 +0000 UTC");
        assert_eq!(rfc_822(&parts), "28 Nov 26 10:34 UTC");
    }

    #[test]
    fn durations_leave_out_zeros() {
        assert_eq!([0, 59, 60, 3605, 5400].map(duration), ["0s", "59s", "1m", "1h5s", "1h30m"]);
    }
}
