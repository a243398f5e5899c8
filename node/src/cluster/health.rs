//! What this node saw of the members: when it heard each, and since when each is healthy.
//!
//! What surprises: how long a member has been silent counts from when **this** process began to listen. So a new leader takes
//! nobody for dead for what happened before anybody looked.

use std::collections::BTreeMap;
use std::time::Duration;

use conclave_raft::Member;
use conclave_vault::Time;
use conclave_vault::autopilot::AutopilotSettings;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What a look found of one member.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// When this node heard it last, or began to listen.
    pub(crate) heard: Instant,
    /// Since when it is healthy, or is not.
    pub(crate) is_healthy: bool,
    pub(crate) since: Time,
}

/// What this node saw of the members.
#[derive(Default)]
pub(crate) struct Observed(Mutex<BTreeMap<u64, Seen>>);

impl Observed {
    /// Takes a look over.
    pub(crate) fn note(&self, id: u64, heard: Option<Instant>, threshold: Duration, now: (Instant, Time)) {
        let mut seen = self.0.lock();
        let before = seen.get(&id).copied();
        let heard = heard.or(before.map(|seen| seen.heard)).unwrap_or(now.0);
        let is_healthy = now.0.saturating_duration_since(heard) <= threshold;
        let since = before.filter(|seen| seen.is_healthy == is_healthy).map_or(now.1, |seen| seen.since);
        seen.insert(id, Seen { heard, is_healthy, since });
    }

    pub(crate) fn keep_only(&self, members: &[Member]) {
        self.0.lock().retain(|id, _| members.iter().any(|member| member.id == *id));
    }

    pub(crate) fn of(&self, id: u64) -> Option<Seen> {
        self.0.lock().get(&id).copied()
    }

    /// A member that may be removed: the one that has been silent longest, for longer than it may be.
    pub(crate) fn dead(&self, own: u64, members: &[Member], settings: &AutopilotSettings, now: Instant) -> Option<u64> {
        if !settings.cleanup_dead_servers {
            return None;
        }
        let voters = members.iter().filter(|member| member.voter).count() as u64;
        let longest = Duration::from_secs(settings.dead_server_last_contact_threshold_secs);
        let may_go = |member: &&Member| member.id != own && (!member.voter || voters > settings.min_quorum);
        let silent = |id: u64| self.of(id).map(|seen| now.saturating_duration_since(seen.heard));
        let candidates = members.iter().filter(may_go).filter_map(|member| Some((silent(member.id)?, member.id)));
        candidates.filter(|(time, _)| *time >= longest).max().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_700_000_000);
    const THRESHOLD: Duration = Duration::from_secs(10);

    fn members(count: u64) -> Vec<Member> {
        let member = |id| Member {
            id,
            name: String::new(),
            cluster_addr: String::new(),
            api_addr: String::new(),
            public_key: [0; 32],
            voter: true,
        };
        (1..=count).map(member).collect()
    }

    fn settings(min_quorum: u64) -> AutopilotSettings {
        AutopilotSettings {
            cleanup_dead_servers: true,
            dead_server_last_contact_threshold_secs: 60,
            min_quorum,
            ..AutopilotSettings::UNSET
        }
    }

    /// Four members of which the third was heard only at the beginning.
    fn after(secs: u64) -> (Observed, Instant) {
        let (observed, start) = (Observed::default(), Instant::now());
        for second in 0..=secs {
            let now = start + Duration::from_secs(second);
            let time = NOW.plus_secs(second);
            for id in 1..=4 {
                observed.note(id, (id != 3).then_some(now), THRESHOLD, (now, time));
            }
        }
        (observed, start + Duration::from_secs(secs))
    }

    #[test]
    fn a_member_is_dead_once_it_was_silent_for_long_and_not_before() {
        for (secs, dead) in [(59, None), (60, Some(3))] {
            let (observed, now) = after(secs);
            assert_eq!(observed.dead(1, &members(4), &settings(3), now), dead, "{secs}");
        }
    }

    #[test]
    fn nobody_is_removed_below_the_smallest_number_of_voters_or_if_nobody_asked() {
        let (observed, now) = after(100);
        assert_eq!(observed.dead(1, &members(4), &settings(4), now), None);
        assert_eq!(observed.dead(1, &members(4), &AutopilotSettings::UNSET, now), None);
        assert_eq!(observed.dead(3, &members(4), &settings(3), now), None, "nobody removes itself");
    }

    #[test]
    fn health_has_a_beginning() {
        let (observed, now) = after(30);
        assert_eq!(observed.of(1).map(|seen| (seen.is_healthy, seen.since)), Some((true, NOW)));
        let silent = observed.of(3).unwrap();
        assert_eq!((silent.is_healthy, silent.since), (false, NOW.plus_secs(11)));
        observed.note(3, Some(now), THRESHOLD, (now, NOW.plus_secs(31)));
        assert_eq!(observed.of(3).map(|seen| (seen.is_healthy, seen.since)), Some((true, NOW.plus_secs(31))));
    }
}
