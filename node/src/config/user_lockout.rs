//! `user_lockout "KIND" {}`: when auth methods lock users out, where a mount was not tuned.

use conclave_vault::{LockoutRule, MAX_LOCKOUT_THRESHOLD, Registry, UserLockout};

use crate::config::section::Section;

/// The label for every kind.
const ALL: &str = "all";

/// Reads the blocks of a file; a later one for the same kind takes the place of an earlier one.
pub(super) fn read(section: &Section<'_>, found: &mut Option<UserLockout>) {
    for (kind, block) in section.labelled("user_lockout") {
        let kinds = Registry::built_in().locking_out();
        if kind != ALL && !kinds.contains(&kind.as_str()) {
            let kinds = kinds.join(", ");
            block.error(block.line(), &format!("user_lockout is for {ALL} or one of {kinds}, not for \"{kind}\""));
        }
        let rule = rule(block);
        let found = found.get_or_insert_with(|| UserLockout::NONE.clone());
        if kind == ALL {
            found.all = rule;
        } else {
            found.kinds.insert(kind, rule);
        }
    }
}

/// As in Vault, 0 leaves open.
fn rule(block: Section<'_>) -> LockoutRule {
    let secs = |name| block.duration(name).map(|time| time.as_secs()).filter(|secs| *secs > 0);
    let threshold = block.whole("lockout_threshold").filter(|threshold| *threshold > 0);
    if threshold.is_some_and(|threshold| threshold > MAX_LOCKOUT_THRESHOLD.unsigned_abs()) {
        block.error(
            block.line_of("lockout_threshold"),
            &format!("lockout_threshold is at most {MAX_LOCKOUT_THRESHOLD}; disable_lockout = true turns lockout off"),
        );
    }
    let rule = LockoutRule {
        threshold,
        lock_secs: secs("lockout_duration"),
        reset_secs: secs("lockout_counter_reset"),
        is_disabled: block.boolean("disable_lockout"),
    };
    block.finish();
    rule
}
