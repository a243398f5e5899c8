//! From when until when a certificate is valid.

use std::time::Duration;

use super::der::{LAST_SECOND, parse_time, shown_time};
use super::issuer;
use super::record::{IssuerRecord, LeafNotAfter};
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::time::format_duration;
use crate::token::lifetime::Bounds;

pub(super) const TTL: Field = field(
    "ttl",
    Kind::Duration,
    "How long the certificate is valid; the default of the role or the mount if not said.",
);
pub(super) const NOT_AFTER: Field =
    field("not_after", Kind::Text, "Until when it is valid, in RFC 3339, in place of ttl; at most the end of 9999.");
pub(super) const NOT_BEFORE_DURATION: Field =
    field("not_before_duration", Kind::Duration, "How long before now it becomes valid.").or("30");

/// Usual time that a certificate is valid before it is issued, in seconds: clocks differ.
pub(super) const NOT_BEFORE_SECS: u64 = 30;
/// Longest time that a certificate is valid before it is issued, in seconds.
pub(super) const MAX_NOT_BEFORE_SECS: u64 = 366 * 24 * 3600;

/// What a role says of times; nothing by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) ttl_secs: u64,
    pub(super) max_secs: u64,
    pub(super) not_after: String,
    pub(super) not_before_secs: u64,
}

/// When a certificate begins and ends, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// What was cut, for the client.
    pub(super) warnings: Vec<String>,
}

impl Validity {
    /// What a request asks for within what a role, or else the mount, allows.
    pub(super) fn asked(call: &Call<'_, '_>, terms: &Terms) -> Result<Self, Error> {
        let bounds = Bounds::of_mount(call.context, &call.mount.record);
        // A role says it in place of the mount, also if it allows more.
        let max_secs = if terms.max_secs > 0 { terms.max_secs } else { bounds.limit_secs };
        let now = call.context.now.secs();
        let not_before_secs =
            call.fields.duration(NOT_BEFORE_DURATION.name).map_or(terms.not_before_secs, |secs| secs.as_secs());
        check_not_before(not_before_secs)?;
        let not_before = now - i64::try_from(not_before_secs).unwrap_or_default();
        let asked_secs = call.fields.duration(TTL.name).map_or(0, |ttl| ttl.as_secs());
        let asked_end = call.fields.text_or_empty(NOT_AFTER.name);
        if asked_secs > 0 && !asked_end.is_empty() {
            return Err(Error::invalid("only one of ttl and not_after can say when the certificate ends"));
        }
        let fixed = if asked_secs == 0 && asked_end.is_empty() { terms.not_after.as_str() } else { asked_end };
        if !fixed.is_empty() {
            return Self::fixed(not_before, now, fixed, terms.max_secs);
        }
        let secs = [asked_secs, terms.ttl_secs].into_iter().find(|secs| *secs > 0).unwrap_or(bounds.default_secs);
        let mut warnings = Vec::new();
        if secs > max_secs {
            let shown = |secs| format_duration(Duration::from_secs(secs));
            warnings.push(format!(
                "TTL \"{}\" is longer than permitted maxTTL \"{}\", so maxTTL is being used",
                shown(secs),
                shown(max_secs)
            ));
        }
        let secs = i64::try_from(secs.min(max_secs)).unwrap_or(LAST_SECOND);
        Ok(Self { not_before, not_after: now.saturating_add(secs).min(LAST_SECOND), warnings })
    }

    fn fixed(not_before: i64, now: i64, text: &str, max_secs: u64) -> Result<Self, Error> {
        let not_after = parse_not_after(text)?;
        if not_after <= now {
            return Err(Error::invalid("not_after lies in the past"));
        }
        // A maximum of the role holds however the end is said.
        if max_secs > 0 && not_after - now > i64::try_from(max_secs).unwrap_or(i64::MAX) {
            return Err(Error::invalid("not_after lies beyond the role's max_ttl; ask for less"));
        }
        Ok(Self { not_before, not_after, warnings: Vec::new() })
    }

    /// What an issuer makes of an end behind its own.
    pub(super) fn within(mut self, issuer: &IssuerRecord) -> Result<Self, Error> {
        let end = issuer.certificate()?.validity().not_after.timestamp();
        if self.not_after <= end {
            return Ok(self);
        }
        match issuer.leaf_not_after() {
            LeafNotAfter::Permit => {}
            LeafNotAfter::Truncate => self.not_after = end,
            LeafNotAfter::Err => {
                return Err(Error::invalid(format!(
                    "cannot satisfy request, as TTL would result in notAfter of {} that is beyond the expiration of the CA \
                     certificate at {}",
                    shown_time(self.not_after),
                    shown_time(end)
                )));
            }
        }
        if self.not_after <= self.not_before {
            return Err(Error::invalid("the issuer is expired; choose another one"));
        }
        Ok(self)
    }

    /// Whether it ends behind its issuer.
    pub(super) fn outlasts(&self, der: &[u8]) -> bool {
        issuer::parse(der).is_some_and(|issuer| self.not_after > issuer.validity().not_after.timestamp())
    }
}

/// Seconds of an end that was sent.
pub(super) fn parse_not_after(text: &str) -> Result<i64, Error> {
    parse_time(text)
        .ok_or_else(|| Error::invalid("not_after must be a time such as 2030-12-31T23:59:59Z, at most the end of 9999"))
}

/// Refuses a begin too long ago.
pub(super) fn check_not_before(secs: u64) -> Result<(), Error> {
    match secs > MAX_NOT_BEFORE_SECS {
        true => Err(Error::invalid(format!("not_before_duration is at most {MAX_NOT_BEFORE_SECS} s"))),
        false => Ok(()),
    }
}
