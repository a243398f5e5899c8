//! What this node may do, in one place: which keys it holds, and whether its table is known to be the cluster's.
//!
//! Every change of state is one of the functions here, and each says why in the log. Readers never wait. What surprises:
//! keys exist in three of the four states, but a request gets them in one only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use conclave_vault::core::Core;
use parking_lot::Mutex;

use crate::cluster::table_check::Verdict;

/// What a node may do.
enum State {
    /// No keys in memory.
    Sealed,
    /// Keys, and the table is being checked. A snapshot that arrives meanwhile is named by its index.
    Checking { core: Arc<Core>, snapshot: Option<u64> },
    /// Keys, and a table that came by snapshot; served once a checkpoint at or after the index confirms it.
    Unconfirmed { core: Arc<Core>, since: u64 },
    /// Serves, proposes and may lead.
    Serving { core: Arc<Core> },
}

impl State {
    fn core(&self) -> Option<&Arc<Core>> {
        match self {
            Self::Sealed => None,
            Self::Checking { core, .. } | Self::Unconfirmed { core, .. } | Self::Serving { core } => Some(core),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Checking { .. } => "checking",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Serving { .. } => "serving",
        }
    }
}

/// The node's seal state.
pub struct Shared {
    state: ArcSwap<State>,
    /// Held while one state is replaced by another that depends on it.
    change: Mutex<()>,
    /// The core that writes a new cluster's first batch; never serves.
    initialising: ArcSwapOption<Core>,
    /// Log index of the entry that was applied last, or is being applied.
    last_index: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: ArcSwap::from_pointee(State::Sealed),
            change: Mutex::new(()),
            initialising: ArcSwapOption::default(),
            last_index: AtomicU64::new(0),
        }
    }
}

impl Shared {
    /// The core, if this node may answer with it.
    pub fn serving(&self) -> Option<Arc<Core>> {
        match &**self.state.load() {
            State::Serving { core } => Some(Arc::clone(core)),
            _ => None,
        }
    }

    /// Whether this node still answers with this core: what a run found is the client's only then.
    pub fn still_serves(&self, core: &Arc<Core>) -> bool {
        matches!(&**self.state.load(), State::Serving { core: current } if Arc::ptr_eq(current, core))
    }

    /// The core, if there are keys in memory at all.
    pub fn unsealed(&self) -> Option<Arc<Core>> {
        self.state.load().core().cloned()
    }

    /// The core that can check tags now.
    pub fn verifier(&self) -> Option<Arc<Core>> {
        self.unsealed().or_else(|| self.initialising.load_full())
    }

    /// Whether there are no keys in memory, or they may not be used yet.
    pub fn is_sealed(&self) -> bool {
        !self.may_lead()
    }

    /// Whether this node may campaign and accept leadership.
    pub fn may_lead(&self) -> bool {
        matches!(&**self.state.load(), State::Serving { .. })
    }

    /// Whether the table waits for a checkpoint that confirms it.
    pub fn is_unconfirmed(&self) -> bool {
        matches!(&**self.state.load(), State::Unconfirmed { .. })
    }

    /// Takes keys into a sealed node, whose table must be checked next. `false` if it is not sealed.
    pub fn begin_check(&self, core: &Arc<Core>) -> bool {
        self.change("keys were entered; the table is checked", |state| match state {
            State::Sealed => Some(State::Checking { core: Arc::clone(core), snapshot: None }),
            _ => None,
        })
    }

    /// The table was checked. `false` if the node was sealed meanwhile.
    pub(crate) fn end_check(&self, checked: &Arc<Core>, verdict: Verdict) -> bool {
        self.change("the table was checked", |state| match (state, &verdict) {
            (State::Checking { core, .. }, _) if !Arc::ptr_eq(core, checked) => None,
            // What was checked is not what is there any more.
            (State::Checking { core, snapshot: Some(since) }, _)
            | (State::Checking { core, snapshot: None }, Verdict::Unconfirmed { since }) => {
                Some(State::Unconfirmed { core: Arc::clone(core), since: *since })
            }
            (State::Checking { core, snapshot: None }, Verdict::Confirmed) => {
                Some(State::Serving { core: Arc::clone(core) })
            }
            _ => None,
        })
    }

    /// A check ended without a verdict: back to sealed, if this core was being checked. Then the caller revokes it.
    pub fn abandon_check(&self, checked: &Arc<Core>) -> bool {
        self.change("the table could not be confirmed", |state| match state {
            State::Checking { core, .. } if Arc::ptr_eq(core, checked) => Some(State::Sealed),
            _ => None,
        })
    }

    /// A checkpoint confirms the table at an index: serve, if that is new enough. Returns whether the state changed.
    pub fn confirm(&self, index: u64) -> bool {
        self.change("a checkpoint confirmed the table", |state| match state {
            State::Unconfirmed { core, since } if index >= *since => Some(State::Serving { core: Arc::clone(core) }),
            _ => None,
        })
    }

    /// A snapshot takes the table's place: keeps the keys, and serves nothing before a checkpoint at `since` or later.
    pub fn withdraw(&self, since: u64) -> bool {
        self.change("a snapshot takes the table's place", |state| match state {
            State::Sealed => None,
            State::Checking { core, .. } => Some(State::Checking { core: Arc::clone(core), snapshot: Some(since) }),
            State::Unconfirmed { core, .. } | State::Serving { core } => {
                Some(State::Unconfirmed { core: Arc::clone(core), since })
            }
        })
    }

    /// No request gets the keys any more. Returns the core, so that the caller revokes it.
    pub fn seal(&self, reason: &'static str) -> Option<Arc<Core>> {
        let mut sealed = None;
        self.change(reason, |state| {
            sealed = state.core().cloned();
            sealed.is_some().then_some(State::Sealed)
        });
        sealed
    }

    fn change(&self, reason: &'static str, next: impl FnOnce(&State) -> Option<State>) -> bool {
        let _alone = self.change.lock();
        let before = self.state.load_full();
        let Some(after) = next(&before) else { return false };
        if before.name() != after.name() {
            tracing::info!(from = before.name(), to = after.name(), reason, "this node's state changed");
        }
        self.state.store(Arc::new(after));
        true
    }

    /// Remembers the entry that is being applied.
    pub fn note_index(&self, index: u64) {
        self.last_index.fetch_max(index, Ordering::AcqRel);
    }

    /// The entry that was applied last, or is being applied.
    pub fn last_index(&self) -> u64 {
        self.last_index.load(Ordering::Acquire)
    }

    /// Sets or drops the core of a new cluster's first batch.
    pub fn set_initialising(&self, core: Option<Arc<Core>>) {
        self.initialising.store(core);
    }
}

#[cfg(test)]
mod tests {
    use conclave_vault::seal::init::{Parameters, initialize};
    use conclave_vault::time::Time;

    use super::*;
    use crate::view::SystemRandomness;

    fn core() -> Arc<Core> {
        let parameters = Parameters { shares: 1, threshold: 1 };
        let mut random = SystemRandomness::default();
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        Arc::new(Core::new(made.barrier))
    }

    /// A node in the named state, with its core.
    fn node(state: &str) -> (Shared, Arc<Core>) {
        let (shared, core) = (Shared::default(), core());
        if state != "sealed" {
            assert!(shared.begin_check(&core));
        }
        match state {
            "unconfirmed" => assert!(shared.end_check(&core, Verdict::Unconfirmed { since: 10 })),
            "serving" => assert!(shared.end_check(&core, Verdict::Confirmed)),
            _ => {}
        }
        assert_eq!(shared.state.load().name(), state);
        (shared, core)
    }

    #[test]
    fn every_event_leads_from_each_state_where_it_should() {
        type Event = fn(&Shared, &Arc<Core>);
        let events: [(&str, Event, [&str; 4]); 8] = [
            ("keys", |s, c| _ = s.begin_check(c), ["checking", "checking", "unconfirmed", "serving"]),
            ("checked", |s, c| _ = s.end_check(c, Verdict::Confirmed), ["sealed", "serving", "unconfirmed", "serving"]),
            (
                "another's check",
                |s, _| _ = s.end_check(&core(), Verdict::Confirmed),
                ["sealed", "checking", "unconfirmed", "serving"],
            ),
            ("abandoned", |s, c| _ = s.abandon_check(c), ["sealed", "sealed", "unconfirmed", "serving"]),
            ("old checkpoint", |s, _| _ = s.confirm(9), ["sealed", "checking", "unconfirmed", "serving"]),
            ("checkpoint", |s, _| _ = s.confirm(10), ["sealed", "checking", "serving", "serving"]),
            ("snapshot", |s, _| _ = s.withdraw(20), ["sealed", "checking", "unconfirmed", "unconfirmed"]),
            ("seal", |s, _| _ = s.seal("test"), ["sealed", "sealed", "sealed", "sealed"]),
        ];
        for (name, event, ends) in events {
            for (start, end) in ["sealed", "checking", "unconfirmed", "serving"].into_iter().zip(ends) {
                let (shared, core) = node(start);
                event(&shared, &core);
                assert_eq!(shared.state.load().name(), end, "{name} on a node that is {start}");
                assert_eq!(shared.serving().is_some(), end == "serving");
                assert_eq!(shared.unsealed().is_some(), end != "sealed");
            }
        }
    }

    #[test]
    fn a_snapshot_during_the_check_is_not_served_by_its_verdict() {
        let (shared, core) = node("checking");
        assert!(shared.withdraw(20));
        assert!(shared.end_check(&core, Verdict::Confirmed));
        assert!(shared.is_unconfirmed());
        assert!(!shared.confirm(19));
        assert!(shared.confirm(20));
    }

    #[test]
    fn a_run_that_began_before_a_seal_answers_nobody() {
        let (shared, core) = node("serving");
        assert!(shared.still_serves(&core));
        let sealed = shared.seal("test").unwrap();
        assert!(!shared.still_serves(&core));
        assert!(sealed.revoke(&mut SystemRandomness::default()));
    }
}
