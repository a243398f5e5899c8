//! What the configuration says of lockout; plain data, which every call of the core is given.

use std::collections::BTreeMap;

/// What the server's configuration says for mounts that say nothing themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLockout {
    /// For every kind of auth method.
    pub all: LockoutRule,
    /// For some kinds; what such a rule leaves open, the one for all says.
    pub kinds: BTreeMap<String, LockoutRule>,
}

/// One rule; what is `None` is left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockoutRule {
    /// Wrong attempts before a user is locked out, at most 1,000.
    pub threshold: Option<u64>,
    /// How long a user is locked out, in seconds.
    pub lock_secs: Option<u64>,
    /// After how long without an attempt the count starts again, in seconds.
    pub reset_secs: Option<u64>,
    /// Whether nobody is locked out.
    pub is_disabled: Option<bool>,
}

impl UserLockout {
    /// A configuration that says nothing.
    pub const NONE: &'static Self = &Self {
        all: LockoutRule { threshold: None, lock_secs: None, reset_secs: None, is_disabled: None },
        kinds: BTreeMap::new(),
    };

    /// What it says for a kind.
    pub(crate) fn of(&self, kind: &str) -> LockoutRule {
        let own = self.kinds.get(kind).copied().unwrap_or_default();
        LockoutRule {
            threshold: own.threshold.or(self.all.threshold),
            lock_secs: own.lock_secs.or(self.all.lock_secs),
            reset_secs: own.reset_secs.or(self.all.reset_secs),
            is_disabled: own.is_disabled.or(self.all.is_disabled),
        }
    }
}
