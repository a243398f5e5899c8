//! Rate limits at work: how many requests each client has sent to this node in the interval.
//!
//! A node counts by itself, so a client of several nodes has the limit on each. Counts lie in memory and have a bound; past it
//! what was not used for longest is forgotten, which favours whoever it was about. What surprises: all addresses of one IPv6
//! network of 64 bits are one client, for whoever has one of them usually has all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use conclave_raft::admission::Source;
use conclave_storage::table::Table;
use conclave_vault::Core;
use conclave_vault::quota::{self, Quotas, RateLimit};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::limits::MAX_RATE_CLIENTS;
use crate::gateway::Throttled;
use crate::http::error::failure;
use crate::replica::Replica;

/// What one client has left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) most: u64,
    pub(crate) remaining: u64,
    /// Until it has all of it again.
    pub(crate) resets_after: Duration,
    /// Whether the request is within the limit.
    pub(crate) is_allowed: bool,
}

/// A client's present interval.
struct Window {
    ends: Instant,
    used: u64,
    blocked_until: Option<Instant>,
}

/// The counts, and the rules as they were when they were looked at last.
#[derive(Default)]
pub(crate) struct Throttle {
    windows: Mutex<HashMap<(String, Source), Window>>,
    rules: ArcSwapOption<RulesAsOf>,
}

/// The rules after an index was applied: as long as nothing else is, they are what they were.
struct RulesAsOf {
    index: u64,
    quotas: Arc<Quotas>,
}

impl Throttle {
    /// Judges a request by the rule that its path falls under, if there is one.
    pub(crate) fn judge(&self, core: &Core, replica: &Replica, path: &str, client: IpAddr) -> Throttled {
        let Some(quotas) = self.rules(core, replica) else { return Throttled::default() };
        let path = path.trim_end_matches('/');
        let Some(rule) = quotas.rule(path) else { return Throttled::default() };
        let left = self.count(rule, client, Instant::now());
        let secs = left.resets_after.as_secs() + u64::from(left.resets_after.subsec_nanos() > 0);
        let mut throttled = Throttled::default();
        if quotas.has_headers {
            let reset = replica.clock.now().plus_secs(secs).secs();
            let header = |name: &str, value: String| (name.to_owned(), value);
            throttled.headers = vec![
                header("x-ratelimit-limit", left.most.to_string()),
                header("x-ratelimit-remaining", left.remaining.to_string()),
                header("x-ratelimit-reset", reset.to_string()),
            ];
        }
        if !left.is_allowed {
            let mut refusal = failure(429, &[&format!("request path {path:?}: rate limit quota exceeded")]);
            refusal.headers = vec![("retry-after".to_owned(), secs.max(1).to_string())];
            throttled.refusal = Some((refusal, quotas.is_recorded));
        }
        throttled
    }

    /// The rules; `None` if they cannot be read.
    fn rules(&self, core: &Core, replica: &Replica) -> Option<Arc<Quotas>> {
        // Before the view, which then is as new as the index or newer.
        let index = replica.raft.applied_index();
        if let Some(seen) = self.rules.load().as_ref().filter(|seen| seen.index == index) {
            return Some(Arc::clone(&seen.quotas));
        }
        let view = replica.table.view().ok()?;
        let quotas = quota::load(&mut core.store(&view)).ok()?;
        self.rules.store(Some(Arc::new(RulesAsOf { index, quotas: Arc::clone(&quotas) })));
        Some(quotas)
    }

    /// Counts a request.
    pub(crate) fn count(&self, rule: &RateLimit, client: IpAddr, now: Instant) -> Left {
        let (most, interval) = (rule.most(), Duration::from_secs(rule.interval_secs));
        let mut windows = self.windows.lock();
        let key = (rule.name.clone(), Source::from(client));
        if !windows.contains_key(&key) && windows.len() >= MAX_RATE_CLIENTS {
            make_room(&mut windows, now);
        }
        let fresh = || Window { ends: now + interval, used: 0, blocked_until: None };
        let window = windows.entry(key).or_insert_with(fresh);
        if window.blocked_until.is_some_and(|until| until <= now)
            || window.ends <= now && window.blocked_until.is_none()
        {
            *window = fresh();
        }
        // A rule that was written anew counts from here on.
        window.ends = window.ends.min(now + interval);
        let is_allowed = window.blocked_until.is_none() && window.used < most;
        if is_allowed {
            window.used += 1;
        } else if window.blocked_until.is_none() && rule.block_secs > 0 {
            window.blocked_until = Some(now + Duration::from_secs(rule.block_secs));
        }
        let resets = window.blocked_until.unwrap_or(window.ends);
        let remaining = if is_allowed { most - window.used } else { 0 };
        Left { most, remaining, resets_after: resets.saturating_duration_since(now), is_allowed }
    }
}

/// Forgets what is over, or if nothing is, what ends next.
fn make_room(windows: &mut HashMap<(String, Source), Window>, now: Instant) {
    let end = |window: &Window| window.blocked_until.unwrap_or(window.ends);
    windows.retain(|_, window| end(window) > now);
    if windows.len() >= MAX_RATE_CLIENTS {
        let next = windows.iter().min_by_key(|(_, window)| end(window)).map(|(key, _)| key.clone());
        next.map(|key| windows.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rule(rate: f64, interval_secs: u64, block_secs: u64) -> RateLimit {
        RateLimit { name: "a".into(), path: String::new(), rate, interval_secs, block_secs }
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    fn allowed(throttle: &Throttle, rule: &RateLimit, number: u8, now: Instant) -> bool {
        throttle.count(rule, client(number), now).is_allowed
    }

    #[test]
    fn each_client_has_the_limit_once_an_interval() {
        let (throttle, rule, start) = (Throttle::default(), rule(2.0, 10, 0), Instant::now());
        let found: Vec<bool> = (0..3).map(|_| allowed(&throttle, &rule, 1, start)).collect();
        assert_eq!(found, [true, true, false]);
        assert!(allowed(&throttle, &rule, 2, start), "another client has its own");
        assert!(!allowed(&throttle, &rule, 1, start + Duration::from_secs(9)));
        assert!(allowed(&throttle, &rule, 1, start + Duration::from_secs(10)));
    }

    // check 35
    #[test]
    fn all_addresses_of_a_network_are_one_client() {
        let (throttle, rule, start) = (Throttle::default(), rule(1.0, 10, 0), Instant::now());
        let is_allowed = |address: &str| throttle.count(&rule, address.parse().unwrap(), start).is_allowed;
        assert!(is_allowed("2001:db8::1") && !is_allowed("2001:db8::ffff:1"));
        assert!(is_allowed("2001:db8:0:1::1"), "another network");
        assert!(is_allowed("10.0.0.1") && !is_allowed("::ffff:10.0.0.1"));
    }

    #[test]
    fn who_sent_too_many_is_refused_for_as_long_as_the_rule_says() {
        let (throttle, rule, start) = (Throttle::default(), rule(1.0, 1, 60), Instant::now());
        assert!(allowed(&throttle, &rule, 1, start));
        let refused = throttle.count(&rule, client(1), start);
        assert_eq!((refused.is_allowed, refused.resets_after), (false, Duration::from_secs(60)));
        assert!(!allowed(&throttle, &rule, 1, start + Duration::from_secs(59)));
        assert!(allowed(&throttle, &rule, 1, start + Duration::from_secs(60)));
    }

    #[test]
    fn what_is_left_is_told() {
        let (throttle, rule, start) = (Throttle::default(), rule(1.5, 30, 0), Instant::now());
        let left = throttle.count(&rule, client(1), start);
        assert_eq!((left.most, left.remaining, left.resets_after), (2, 1, Duration::from_secs(30)));
    }

    #[test]
    fn no_number_of_clients_makes_the_counts_grow_without_end() {
        let (throttle, rule, start) = (Throttle::default(), rule(1.0, 10, 0), Instant::now());
        for number in 0..=u32::try_from(MAX_RATE_CLIENTS).unwrap() {
            throttle.count(&rule, IpAddr::V4(Ipv4Addr::from(number)), start);
        }
        assert_eq!(throttle.windows.lock().len(), MAX_RATE_CLIENTS);
    }
}
