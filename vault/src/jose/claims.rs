//! What a token claims, and whether it claims it for now (RFC 7519, section 4.1).

use serde_json::{Map, Value};

use crate::time::Time;

/// How much later a token ends that does not say when, and how much earlier it begins, in seconds.
const ABSENT_SECS: i64 = 150;
/// How far clocks may be apart, in seconds, if nobody says.
const SKEW_SECS: i64 = 60;

/// The claims of a token whose signature was checked.
pub(crate) struct Claims(Value);

/// How exactly times are meant, in seconds: 0 is the default, less is none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Leeways {
    /// Added to when a token without an end began.
    pub(crate) expiration: i64,
    /// Taken off the end of a token without a beginning.
    pub(crate) not_before: i64,
    /// How far clocks may be apart.
    pub(crate) skew: i64,
}

fn secs(leeway: i64, default: i64) -> f64 {
    let secs = if leeway == 0 { default } else { leeway.max(0) };
    secs as f64
}

impl Claims {
    pub(crate) fn new(claims: Map<String, Value>) -> Self {
        Self(Value::Object(claims))
    }

    /// A claim by its name, exactly.
    pub(crate) fn named(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim by its name or, if that begins with a slash, by a JSON pointer (RFC 6901).
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        if name.starts_with('/') { self.0.pointer(name) } else { self.named(name) }
    }

    /// A claim that is text; empty if it is not there or something else.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.named(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whom the token is for: one text or a list of them (RFC 7519, section 4.1.3).
    ///
    /// # Errors
    /// If the claim is neither.
    pub(crate) fn audience(&self) -> Result<Vec<&str>, String> {
        let wrong = || "invalid audience (aud) claim: it is neither a text nor a list of texts".to_owned();
        match self.named("aud") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(list)) => list.iter().map(|one| one.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// A time in seconds since the Unix epoch, which may have a fraction (RFC 7519, section 2); 0 says nothing.
    fn date(&self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.named(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let date = value.as_f64().filter(|date| date.is_finite() && *date >= 0.0);
        let date = date.ok_or_else(|| format!("the claim {name} is not a time in seconds"))?;
        Ok((date != 0.0).then_some(date))
    }

    /// Checks that a token counts at a time. One that says nothing of when it was made, begins or ends does not.
    pub(crate) fn check_times(&self, leeways: Leeways, now: Time) -> Result<(), String> {
        let (issued, begins, ends) = (self.date("iat")?, self.date("nbf")?, self.date("exp")?);
        let Some(known) = ends.or(begins).or(issued) else {
            return Err("no issued at (iat), not before (nbf), or expiration time (exp) claims in token".to_owned());
        };
        let latest = begins.unwrap_or(0.0).max(issued.unwrap_or(0.0));
        let ends = ends.unwrap_or(latest + secs(leeways.expiration, ABSENT_SECS));
        let begins = begins.or(issued).unwrap_or(known - secs(leeways.not_before, ABSENT_SECS));
        let (now, skew) = (seconds(now), secs(leeways.skew, SKEW_SECS));
        if ends + skew <= now {
            return Err("invalid expiration time (exp) claim: token is expired".to_owned());
        }
        if begins > now + skew {
            return Err("invalid not before (nbf) claim: token not yet valid".to_owned());
        }
        if issued.is_some_and(|issued| issued > now + skew) {
            return Err("invalid issued at (iat) claim: token issued in the future".to_owned());
        }
        Ok(())
    }

    /// Checks that the user was asked who they are within a time (OpenID Connect Core 1.0, section 3.1.3.7).
    pub(crate) fn check_age(&self, max_age_secs: u64, leeways: Leeways, now: Time) -> Result<(), String> {
        let asked = self.date("auth_time")?.ok_or("invalid auth_time claim: it is missing, and max_age asks for it")?;
        match asked + max_age_secs as f64 + secs(leeways.skew, SKEW_SECS) >= seconds(now) {
            true => Ok(()),
            false => Err("invalid auth_time claim: the user's login is older than max_age".to_owned()),
        }
    }
}

/// Seconds since the Unix epoch.
fn seconds(time: Time) -> f64 {
    time.nanos() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json;

    const NOW: i64 = 1_700_000_000;

    fn check(claims: Value, leeways: Leeways) -> Result<(), String> {
        Claims::new(claims.as_object().unwrap().clone()).check_times(leeways, Time::from_secs(NOW))
    }

    // check 139
    #[test]
    fn times_count_with_their_leeways() {
        let default = Leeways::default();
        let exact = Leeways { expiration: -1, not_before: 0, skew: -1 };
        for (claims, leeways, is_valid) in [
            (json!({ "exp": NOW + 1 }), exact, true),
            (json!({ "exp": NOW }), exact, false),
            (json!({ "exp": NOW - 59 }), default, true),
            (json!({ "exp": NOW - 61 }), default, false),
            (json!({ "exp": 1_700_000_000.5 }), exact, true),
            (json!({ "nbf": NOW + 59 }), default, true),
            (json!({ "nbf": NOW + 61 }), default, false),
            (json!({ "iat": NOW - 149 }), Leeways { skew: -1, ..default }, true),
            (json!({ "iat": NOW - 151 }), Leeways { skew: -1, ..default }, false),
            (json!({ "iat": NOW - 5 }), Leeways { expiration: 4, skew: -1, ..default }, false),
            (json!({ "iat": NOW + 61, "nbf": NOW, "exp": NOW + 100 }), default, false),
            (json!({ "iat": NOW, "exp": 1e20 }), exact, true),
            (json!({ "exp": NOW + 151 }), exact, false),
            (json!({ "exp": NOW + 1 }), Leeways { not_before: -1, ..exact }, false),
            (json!({ "exp": -1 }), default, false),
            (json!({ "exp": "1800000000" }), default, false),
            (json!({ "exp": NOW + 9, "nbf": true }), default, false),
            (json!({}), default, false),
            (json!({ "exp": 0, "nbf": null }), default, false),
        ] {
            assert_eq!(check(claims.clone(), leeways).is_ok(), is_valid, "{claims}");
        }
        let huge = json::parse_object(br#"{"exp":1e999}"#).unwrap().unwrap();
        assert!(Claims::new(huge).check_times(default, Time::from_secs(NOW)).is_err());
    }

    #[test]
    fn a_login_that_is_too_old_does_not_count() {
        let claims = |secs: i64| Claims::new(json!({ "auth_time": secs }).as_object().unwrap().clone());
        let age = |secs| claims(secs).check_age(100, Leeways::default(), Time::from_secs(NOW)).is_ok();
        assert!(age(NOW - 159) && !age(NOW - 161) && !age(0));
    }

    #[test]
    fn a_name_with_a_slash_in_front_is_a_pointer() {
        let claims = Claims::new(json!({ "a": { "b": [1, 2] }, "/a": 3 }).as_object().unwrap().clone());
        assert_eq!(claims.get("/a/b/1"), Some(&json!(2)));
        assert_eq!((claims.named("/a"), claims.get("/a/c")), (Some(&json!(3)), None));
    }
}
