//! What this node may do, in one place: which keys it holds, whether its table is known to be the cluster's, and what is
//! wrong with it.
//!
//! Every change of state is one of the functions here, and each says why in the log. Which state follows from what is the
//! keeper's part (`keeper.rs`). Readers never wait. What surprises: keys exist in most states, but a request gets them only
//! in those that serve.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use conclave_vault::Core;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::keeper::{self, State, Troubles};
use crate::seal::attempts::Attempts;

/// How the check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The table is the cluster's.
    Confirmed,
    /// The rows add up, but no checkpoint says so yet; one that confirms an index from this one on will.
    Unconfirmed {
        /// Index of the imported snapshot.
        since: u64,
    },
}

/// Keys, and what is known of the table that they open.
#[derive(Clone)]
enum HeldKeys {
    /// No keys in memory.
    Absent,
    /// Keys, and the table is being checked. A snapshot that arrives meanwhile is named by its index.
    Checking { core: Arc<Core>, snapshot: Option<u64> },
    /// Keys, and a table that came by snapshot; served once a checkpoint at or after the index confirms it.
    Unconfirmed { core: Arc<Core>, since: u64 },
    /// Keys, and a table that is the cluster's.
    Confirmed { core: Arc<Core> },
}

impl HeldKeys {
    fn core(&self) -> Option<&Arc<Core>> {
        match self {
            Self::Absent => None,
            Self::Checking { core, .. } | Self::Unconfirmed { core, .. } | Self::Confirmed { core } => Some(core),
        }
    }
}

/// Everything that is known of the node, and the state that follows from it.
#[derive(Clone)]
struct Now {
    keys: HeldKeys,
    /// The core that writes a new cluster's first batch; never serves.
    initialising: Option<Arc<Core>>,
    troubles: Troubles,
    state: State,
}

impl Now {
    fn judged(mut self) -> Self {
        let keys = match (&self.keys, &self.initialising) {
            (HeldKeys::Absent, Some(_)) => keeper::Keys::Initialising,
            (HeldKeys::Absent, None) => keeper::Keys::Absent,
            (HeldKeys::Checking { .. }, _) => keeper::Keys::Checking,
            (HeldKeys::Unconfirmed { .. }, _) => keeper::Keys::Unconfirmed,
            (HeldKeys::Confirmed { .. }, _) => keeper::Keys::Confirmed,
        };
        self.state = State::of(keys, &self.troubles);
        self
    }
}

type StateListener = Box<dyn Fn(State) + Send + Sync>;

/// The node's state.
pub struct SealState {
    now: ArcSwap<Now>,
    /// Held while one state is replaced by another that depends on it.
    change: Mutex<()>,
    clock: Arc<Clock>,
    /// Shares entered so far. None is kept when keys come or go.
    pub(crate) attempts: Mutex<Attempts>,
    /// Told of every change, in order.
    listener: OnceLock<StateListener>,
    /// Free bytes on the disk below which it counts as nearly full.
    low_water_mark: AtomicU64,
    /// Log index of the entry that was applied last, or is being applied.
    last_index: AtomicU64,
}

impl Default for SealState {
    fn default() -> Self {
        let (keys, troubles) = (HeldKeys::Absent, Troubles::default());
        Self {
            now: ArcSwap::from_pointee(Now { keys, initialising: None, troubles, state: State::Sealed }),
            change: Mutex::new(()),
            clock: Arc::default(),
            attempts: Mutex::default(),
            listener: OnceLock::new(),
            low_water_mark: AtomicU64::new(0),
            last_index: AtomicU64::new(0),
        }
    }
}

impl SealState {
    /// The core, if this node may answer with it.
    pub fn serving(&self) -> Option<Arc<Core>> {
        let now = self.now();
        if now.state.serves() { now.keys.core().cloned() } else { None }
    }

    /// Whether this node still answers with this core: what a run found is the client's only then.
    pub fn still_serves(&self, core: &Arc<Core>) -> bool {
        let now = self.now();
        now.state.serves() && now.keys.core().is_some_and(|current| Arc::ptr_eq(current, core))
    }

    /// The core, if there are keys in memory at all.
    pub fn unsealed(&self) -> Option<Arc<Core>> {
        self.now.load().keys.core().cloned()
    }

    /// The core that can check tags now.
    pub fn verifier(&self) -> Option<Arc<Core>> {
        let now = self.now.load();
        now.keys.core().or(now.initialising.as_ref()).cloned()
    }

    /// Whether there are no keys in memory, or none of a table that is known to be the cluster's.
    pub fn is_sealed(&self) -> bool {
        !matches!(self.now.load().keys, HeldKeys::Confirmed { .. })
    }

    /// Whether the table waits for a checkpoint that confirms it.
    pub fn is_unconfirmed(&self) -> bool {
        matches!(self.now.load().keys, HeldKeys::Unconfirmed { .. })
    }

    /// What this node is now.
    pub fn state(&self) -> State {
        self.now().state
    }

    /// Why it is what it is, and what ends that.
    pub fn reason(&self) -> String {
        let now = self.now();
        now.state.reason(&now.troubles)
    }

    /// Why it did not serve a moment ago, for whoever it refused then.
    pub fn refusal(&self) -> String {
        let now = self.now();
        if now.state.serves() {
            return "this node's state changed at that moment; try again".into();
        }
        now.state.reason(&now.troubles)
    }

    /// What is wrong with it, as it was last observed.
    pub fn troubles(&self) -> Troubles {
        self.now.load().troubles.clone()
    }

    /// The clock that this node goes by.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Free bytes on the disk below which it counts as nearly full.
    pub fn low_water_mark(&self) -> u64 {
        self.low_water_mark.load(Ordering::Relaxed)
    }

    /// Says how many free bytes are too few.
    pub fn set_low_water_mark(&self, bytes: u64) {
        self.low_water_mark.store(bytes, Ordering::Relaxed);
    }

    /// Calls `listener` with the present state and with each that follows. Only the first listener counts.
    pub fn follow(&self, listener: impl Fn(State) + Send + Sync + 'static) {
        let _alone = self.change.lock();
        listener(self.now.load().state);
        let _ = self.listener.set(Box::new(listener));
    }

    /// Takes keys into a sealed node, whose table must be checked next. `false` if it is not sealed.
    pub fn begin_check(&self, core: &Arc<Core>) -> bool {
        self.change_keys("keys were entered; the table is checked", |keys| match keys {
            HeldKeys::Absent => Some(HeldKeys::Checking { core: Arc::clone(core), snapshot: None }),
            _ => None,
        })
    }

    /// The table was checked. `false` if the node was sealed meanwhile.
    pub(crate) fn end_check(&self, checked: &Arc<Core>, verdict: Verdict) -> bool {
        self.change_keys("the table was checked", |keys| match (keys, &verdict) {
            (HeldKeys::Checking { core, .. }, _) if !Arc::ptr_eq(core, checked) => None,
            // What was checked is not what is there any more.
            (HeldKeys::Checking { core, snapshot: Some(since) }, _)
            | (HeldKeys::Checking { core, snapshot: None }, Verdict::Unconfirmed { since }) => {
                Some(HeldKeys::Unconfirmed { core: Arc::clone(core), since: *since })
            }
            (HeldKeys::Checking { core, snapshot: None }, Verdict::Confirmed) => {
                Some(HeldKeys::Confirmed { core: Arc::clone(core) })
            }
            _ => None,
        })
    }

    /// A check ended without a verdict: back to sealed, if this core was being checked. Then the caller revokes it.
    pub fn abandon_check(&self, checked: &Arc<Core>) -> bool {
        self.change_keys("the table could not be confirmed", |keys| match keys {
            HeldKeys::Checking { core, .. } if Arc::ptr_eq(core, checked) => Some(HeldKeys::Absent),
            _ => None,
        })
    }

    /// A checkpoint confirms the table at an index: serve, if that is new enough. Returns whether the keys may be used now.
    pub fn confirm(&self, index: u64) -> bool {
        self.change_keys("a checkpoint confirmed the table", |keys| match keys {
            HeldKeys::Unconfirmed { core, since } if index >= *since => {
                Some(HeldKeys::Confirmed { core: Arc::clone(core) })
            }
            _ => None,
        })
    }

    /// A snapshot takes the table's place: keeps the keys, and serves nothing before a checkpoint at `since` or later.
    pub fn withdraw(&self, since: u64) -> bool {
        self.change_keys("a snapshot takes the table's place", |keys| match keys {
            HeldKeys::Absent => None,
            HeldKeys::Checking { core, .. } => {
                Some(HeldKeys::Checking { core: Arc::clone(core), snapshot: Some(since) })
            }
            HeldKeys::Unconfirmed { core, .. } | HeldKeys::Confirmed { core } => {
                Some(HeldKeys::Unconfirmed { core: Arc::clone(core), since })
            }
        })
    }

    /// No request gets the keys any more. Returns the core, so that the caller revokes it.
    pub fn seal(&self, reason: &'static str) -> Option<Arc<Core>> {
        let mut sealed = None;
        self.change_keys(reason, |keys| {
            sealed = keys.core().cloned();
            sealed.is_some().then_some(HeldKeys::Absent)
        });
        sealed
    }

    /// Takes over what was found out about this node.
    pub fn observe(&self, troubles: Troubles) {
        if self.now.load().troubles != troubles {
            self.change(None, |now| Some(Now { troubles, ..now.clone() }));
        }
    }

    /// Sets or drops the core of a new cluster's first batch.
    pub fn set_initialising(&self, core: Option<Arc<Core>>) {
        self.change(Some("a cluster is made here"), |now| Some(Now { initialising: core, ..now.clone() }));
    }

    /// What is known, the clock looked at once more: a jump must do no harm until it is found out what it means.
    fn now(&self) -> Guard<Arc<Now>> {
        let now = self.now.load();
        if !now.state.serves() {
            return now;
        }
        let jump = self.clock.jump_millis();
        if !keeper::is_too_far(jump) {
            return now;
        }
        self.change(None, |now| {
            let troubles = Troubles { clock_ahead_millis: Some(jump), ..now.troubles.clone() };
            Some(Now { troubles, ..now.clone() })
        });
        self.now.load()
    }

    fn change_keys(&self, reason: &str, next: impl FnOnce(&HeldKeys) -> Option<HeldKeys>) -> bool {
        self.change(Some(reason), |now| Some(Now { keys: next(&now.keys)?, ..now.clone() }))
    }

    /// The one way from state to state. Without a `reason`, the new state's own is said.
    fn change(&self, reason: Option<&str>, next: impl FnOnce(&Now) -> Option<Now>) -> bool {
        let _alone = self.change.lock();
        let before = self.now.load_full();
        let Some(after) = next(&before).map(Now::judged) else { return false };
        let (from, to) = (before.state, after.state);
        if from != to {
            let reason = reason.map_or_else(|| to.reason(&after.troubles), str::to_owned);
            let (from, to) = (from.name(), to.name());
            if after.state.serves() || matches!(after.keys, HeldKeys::Absent | HeldKeys::Checking { .. }) {
                tracing::info!(from, to, reason, "this node's state changed");
            } else {
                tracing::warn!(from, to, reason, "this node's state changed");
            }
        }
        let keys_came_or_went = before.keys.core().is_some() != after.keys.core().is_some();
        self.now.store(Arc::new(after));
        if keys_came_or_went {
            self.attempts.lock().forget();
        }
        if from != to
            && let Some(listener) = self.listener.get()
        {
            listener(to);
        }
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
}

#[cfg(test)]
mod tests {
    use conclave_raft::Exclusion;

    use conclave_vault::seal::{Parameters, initialize};
    use conclave_vault::{Registry, Time};

    use tokio::time::Instant;

    use super::*;
    use crate::seal::holders::Holders;
    use crate::view::SystemRandomness;

    fn core() -> Arc<Core> {
        let parameters = Parameters { shares: 1, threshold: 1 };
        let mut random = SystemRandomness::default();
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        Arc::new(Core::new(made.barrier, Registry::built_in()))
    }

    /// A node in the named state, with its core.
    fn node(state: &str) -> (SealState, Arc<Core>) {
        let (shared, core) = (SealState::default(), core());
        if state != "sealed" {
            assert!(shared.begin_check(&core));
        }
        match state {
            "unconfirmed" => assert!(shared.end_check(&core, Verdict::Unconfirmed { since: 10 })),
            "serving" => assert!(shared.end_check(&core, Verdict::Confirmed)),
            _ => {}
        }
        assert_eq!(shared.state().name(), state);
        (shared, core)
    }

    #[test]
    fn every_event_leads_from_each_state_where_it_should() {
        type Event = fn(&SealState, &Arc<Core>);
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
                assert_eq!(shared.state().name(), end, "{name} on a node that is {start}");
                assert_eq!(shared.serving().is_some(), end == "serving");
                assert_eq!(shared.unsealed().is_some(), end != "sealed");
            }
        }
    }

    #[test]
    fn shares_that_were_entered_are_forgotten_when_keys_come_or_go() {
        type Event = fn(&SealState, &Arc<Core>);
        let events: [(&str, &str, Event, usize); 5] = [
            ("unsealed, by whatever way", "sealed", |s, c| _ = s.begin_check(c), 0),
            ("sealed", "serving", |s, _| _ = s.seal("test"), 0),
            ("not confirmed", "checking", |s, c| _ = s.abandon_check(c), 0),
            ("a snapshot", "serving", |s, _| _ = s.withdraw(20), 2),
            (
                "a trouble",
                "serving",
                |s, _| s.observe(Troubles { exclusion: Some(Exclusion::Removed), ..Troubles::default() }),
                2,
            ),
        ];
        let (holders, now) = (Holders::new(), Instant::now());
        for (name, start, event, left) in events {
            let (shared, core) = node(start);
            for share in [0, 3] {
                holders.enter(&mut shared.attempts.lock().unseal, share, now);
                holders.enter(&mut shared.attempts.lock().time, share, now);
            }
            event(&shared, &core);
            let attempts = shared.attempts.lock();
            for shares in [&attempts.unseal, &attempts.time] {
                assert_eq!(shares.progress(&holders.outside).entered, left, "{name}");
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
        assert_eq!(shared.refusal(), "Vault is sealed");
        assert!(sealed.revoke(&mut SystemRandomness::default()));
    }

    #[test]
    fn a_trouble_takes_the_keys_from_requests_and_its_end_gives_them_back() {
        let (shared, core) = node("serving");
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        shared.follow(move |state| listener.lock().push(state.name()));
        for (troubles, state) in [
            (Troubles { clock_ahead_millis: Some(6_000), ..Troubles::default() }, "clock off"),
            (Troubles { diverged_at: Some(3), ..Troubles::default() }, "diverged"),
            (Troubles { exclusion: Some(Exclusion::Removed), ..Troubles::default() }, "removed"),
        ] {
            shared.observe(troubles);
            assert_eq!(shared.state().name(), state);
            assert!(shared.serving().is_none() && !shared.still_serves(&core) && shared.unsealed().is_some());
            assert!(!shared.is_sealed(), "it has its keys, and no ceremony would help");
        }
        shared.observe(Troubles::default());
        assert!(shared.still_serves(&core));
        // For a request that was refused just before.
        assert!(shared.refusal().contains("try again"));
        assert_eq!(*told.lock(), ["serving", "clock off", "diverged", "removed", "serving"]);
    }

    #[test]
    fn a_clock_that_jumps_is_noticed_by_the_next_request() {
        for ahead in [31_536_000_000, -31_536_000_000] {
            let (shared, core) = node("serving");
            assert!(shared.still_serves(&core));
            shared.clock().ahead_millis.store(ahead, Ordering::SeqCst);
            assert!(shared.serving().is_none() && !shared.still_serves(&core));
            assert_eq!(shared.state(), State::ClockOff);
            // The others have the same time, so it was this node's clock that was wrong before.
            shared.clock().trust();
            shared.observe(Troubles::default());
            assert!(shared.still_serves(&core));
        }
    }
}
