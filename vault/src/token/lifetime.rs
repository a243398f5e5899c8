//! How long a token lives: the interplay of time to live, maximum and period, at creation and at each renewal.
//!
//! Times are kept to the nanosecond and shown in whole seconds, rounded down; but a token that is alive never shows 0,
//! for 0 means for ever. A renewal counts from now, and its end never passes issue time plus the maximum in force now.

use std::time::Duration;

use crate::context::Context;
use crate::mount::MountRecord;
use crate::time::{Time, format_duration_short};

/// Everything that bounds a life. All in seconds; 0 is "says nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Used when nobody says how long.
    pub default_secs: u64,
    /// The mount's or the system's maximum, never 0.
    pub limit_secs: u64,
    /// Maximum of the auth method's role.
    pub role_max_secs: u64,
    /// Maximum over the whole life, which bounds periodic tokens too.
    pub explicit_max_secs: u64,
    /// Period: each renewal gives this much, without an end to renewals.
    pub period_secs: u64,
}

/// A life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When it ends.
    pub expires: Time,
    /// Until then, in whole seconds, as [`secs_until`] counts them.
    pub ttl_secs: u64,
    /// What was cut, for the client.
    pub warnings: Vec<String>,
}

/// The maximum lies in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("past the max TTL, cannot renew")]
pub struct PastMaximum;

impl Bounds {
    /// What a mount and the system allow.
    pub fn of_mount(context: &Context<'_>, mount: &MountRecord) -> Self {
        let system = context.system_ttl;
        let limit_secs = smallest([mount.max_ttl_secs]).unwrap_or(system.max_secs);
        let default_secs = smallest([mount.default_ttl_secs]).unwrap_or(system.default_secs).min(limit_secs);
        Self { default_secs, limit_secs, ..Self::default() }
    }

    /// The longest that one grant may last, in seconds.
    fn max_secs(&self) -> u64 {
        smallest([self.limit_secs, self.role_max_secs, self.explicit_max_secs]).unwrap_or(self.limit_secs)
    }

    /// The life of a token that was issued at a time and now asks for some seconds (0: whatever is usual).
    pub fn lifetime(&self, issued: Time, now: Time, wanted_secs: u64) -> Result<Lifetime, PastMaximum> {
        let max_secs = self.max_secs();
        let mut warnings = Vec::new();
        let (ttl_secs, end) = if self.period_secs > 0 {
            if self.period_secs > max_secs {
                warnings.push(cut("period", "period", self.period_secs, max_secs));
            }
            let end = (self.explicit_max_secs > 0).then(|| issued.plus_secs(self.explicit_max_secs));
            (self.period_secs.min(max_secs), end)
        } else {
            let wanted = if wanted_secs > 0 { wanted_secs } else { self.default_secs };
            (wanted, Some(issued.plus_secs(max_secs)))
        };
        let mut expires = now.plus_secs(ttl_secs);
        if let Some(end) = end {
            if end <= now {
                return Err(PastMaximum);
            }
            if expires > end {
                warnings.push(cut("TTL", "TTL", ttl_secs, secs_until(now, end)));
                expires = end;
            }
        }
        Ok(Lifetime { expires, ttl_secs: secs_until(now, expires), warnings })
    }
}

/// The smallest of those that say something.
pub(crate) fn smallest<const N: usize>(secs: [u64; N]) -> Option<u64> {
    secs.into_iter().filter(|secs| *secs > 0).min()
}

/// Whole seconds until a time: rounded down, so that nobody relies on what is over, but not to 0, which means for ever.
pub(crate) fn secs_until(now: Time, later: Time) -> u64 {
    let left = now.until(later);
    left.as_secs().max(u64::from(left.subsec_nanos() > 0))
}

fn cut(subject: &str, value: &str, wanted_secs: u64, max_secs: u64) -> String {
    let [wanted, most] = [wanted_secs, max_secs].map(|secs| format_duration_short(Duration::from_secs(secs)));
    format!(
        "{subject} of \"{wanted}\" exceeded the effective max_ttl of \"{most}\"; {value} value is capped accordingly"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn bounds(limit_secs: u64, explicit_max_secs: u64, period_secs: u64) -> Bounds {
        Bounds { default_secs: 600, limit_secs, role_max_secs: 0, explicit_max_secs, period_secs }
    }

    #[test]
    fn a_cut_is_told() {
        let now = Time::from_secs(NOW);
        let life = bounds(7200, 0, 0).lifetime(now, now, 9 * 3600).unwrap();
        assert_eq!(life.ttl_secs, 7200);
        let warning = "TTL of \"9h\" exceeded the effective max_ttl of \"2h\"; TTL value is capped accordingly";
        assert_eq!(life.warnings, [warning]);
        let life = bounds(7200, 0, 9 * 3600).lifetime(now, now, 5).unwrap();
        let warning = "period of \"9h\" exceeded the effective max_ttl of \"2h\"; period value is capped accordingly";
        assert_eq!((life.ttl_secs, life.warnings), (7200, vec![warning.to_owned()]));
    }

    #[test]
    fn a_renewal_around_the_maximum_never_moves_the_end_nor_makes_it_endless() {
        // check 100
        let issued = Time::from_secs(NOW);
        let end = issued.plus_secs(3600);
        for step in -200_i64..=200 {
            let now = Time::from_nanos(end.nanos() + step * 10_000_000);
            match bounds(3600, 0, 0).lifetime(issued, now, 1800) {
                Ok(life) => {
                    assert!(now < end, "{step}");
                    assert_eq!(life.expires, end);
                    assert!(life.ttl_secs >= 1 && life.ttl_secs <= 2, "{step}: {}", life.ttl_secs);
                }
                Err(PastMaximum) => assert!(now >= end, "{step}"),
            }
        }
    }

    #[test]
    fn a_period_renews_without_end_unless_a_maximum_is_explicit() {
        let issued = Time::from_secs(NOW);
        let late = issued.plus_secs(1_000_000);
        assert_eq!(bounds(3600, 0, 900).lifetime(issued, late, 0).unwrap().ttl_secs, 900);
        assert_eq!(bounds(3600, 2000, 900).lifetime(issued, late, 0), Err(PastMaximum));
        assert_eq!(bounds(3600, 2000, 900).lifetime(issued, issued.plus_secs(1500), 0).unwrap().ttl_secs, 500);
    }

    /// The end of a life in nanoseconds after issue, from the definition: the earliest of the points that each rule
    /// allows. `None` where a renewal must be refused.
    fn reference(bounds: &Bounds, age_nanos: i128, wanted_secs: u64) -> Option<i128> {
        let nanos = |secs: u64| i128::from(secs) * 1_000_000_000;
        let said = |secs: u64| if secs == 0 { i128::MAX } else { nanos(secs) };
        let grant_cap = said(bounds.limit_secs).min(said(bounds.role_max_secs)).min(said(bounds.explicit_max_secs));
        let is_periodic = bounds.period_secs > 0;
        let life_cap = if is_periodic { said(bounds.explicit_max_secs) } else { grant_cap };
        if age_nanos >= life_cap {
            return None;
        }
        let asked = match (is_periodic, wanted_secs) {
            (true, _) => nanos(bounds.period_secs).min(grant_cap),
            (false, 0) => nanos(bounds.default_secs),
            (false, wanted) => nanos(wanted),
        };
        Some((age_nanos + asked).min(life_cap))
    }

    proptest! {
        #[test]
        fn every_interplay_agrees_with_the_definition(
            default_secs in 1_u64..5000, limit_secs in 1_u64..5000, role_max_secs in 0_u64..5000,
            explicit_max_secs in 0_u64..5000, period_secs in prop_oneof![Just(0_u64), 1_u64..5000],
            age_nanos in 0_i64..6_000_000_000_000, wanted_secs in prop_oneof![Just(0_u64), 1_u64..10_000],
        ) {
            // check 101
            let bounds = Bounds { default_secs, limit_secs, role_max_secs, explicit_max_secs, period_secs };
            let issued = Time::from_secs(NOW);
            let now = Time::from_nanos(issued.nanos() + age_nanos);
            let got = bounds.lifetime(issued, now, wanted_secs).ok();
            let end = got.as_ref().map(|life| i128::from(life.expires.nanos() - issued.nanos()));
            prop_assert_eq!(end, reference(&bounds, i128::from(age_nanos), wanted_secs));
            if let Some(life) = got {
                prop_assert!(life.ttl_secs >= 1);
                prop_assert!(life.expires > now);
            }
        }
    }
}
