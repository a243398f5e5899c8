//! Rotation of the barrier's key term: when it is due, and the batch that does it.
//!
//! The batch only replaces the keyring's record. Each unsealed node loads the new keyring when it applies that record,
//! and reserves encryptions under the new term before it writes again. What was written under older terms stays readable.

use conclave_batch::View;
use prost::Message;

use crate::barrier::error::BarrierError;
use crate::barrier::uses::{DEFAULT_ROTATION_LIMIT, NodeUses, needs_rotation, total_uses};
use crate::batch::Proposal;
use crate::context::Context;
use crate::core::Core;
use crate::error::Error;
use crate::seal::record::KEYRING;
use crate::store::Store;
use crate::time::Time;

/// Where the settings lie in the system area.
const SETTINGS: &[&str] = &["core", "rotation"];
/// Where each node's reservations lie in the system area.
const USES: &[&str] = &["core", "uses"];
/// Shortest interval between rotations by time, in seconds.
pub(crate) const MIN_INTERVAL_SECS: u64 = 24 * 3600;

/// When a term rotates by itself.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RotationSettings {
    /// Encryptions after which it does; 0 is [`DEFAULT_ROTATION_LIMIT`].
    #[prost(uint64, tag = "1")]
    pub max_operations: u64,
    /// Age after which it does, in seconds; 0 is never.
    #[prost(uint64, tag = "2")]
    pub interval_secs: u64,
    /// Whether only [`DEFAULT_ROTATION_LIMIT`] counts, which nothing turns off: behind it nonces would repeat.
    #[prost(bool, tag = "3")]
    pub is_disabled: bool,
}

impl RotationSettings {
    /// Encryptions after which a term rotates.
    pub(crate) fn limit(&self) -> u64 {
        if self.max_operations == 0 { DEFAULT_ROTATION_LIMIT } else { self.max_operations }
    }

    fn is_due(&self, encryptions: u64, made_at: Time, now: Time) -> bool {
        if self.is_disabled {
            return needs_rotation(encryptions, DEFAULT_ROTATION_LIMIT);
        }
        let is_old = self.interval_secs > 0 && made_at.plus_secs(self.interval_secs) <= now;
        is_old || needs_rotation(encryptions, self.limit())
    }
}

/// The settings.
pub(crate) fn settings(store: &mut Store<'_>) -> Result<RotationSettings, Error> {
    let system = store.system();
    Ok(store.get(&system, SETTINGS)?.unwrap_or_default())
}

/// Stores the settings, which the caller checked.
pub(crate) fn put_settings(store: &mut Store<'_>, settings: &RotationSettings) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, SETTINGS, settings)
}

/// Encryptions that all nodes reserved under the active term. What a crash lost is counted too.
pub(crate) fn encryptions(store: &mut Store<'_>) -> Result<u64, Error> {
    let system = store.system();
    let names = store.list(&system, USES)?;
    let mut nodes = Vec::with_capacity(names.len());
    for name in names.iter() {
        nodes.extend(store.get::<NodeUses>(&system, &[USES[0], USES[1], &name.name])?);
    }
    Ok(total_uses(&nodes, store.barrier().active_term()))
}

/// Makes the keyring's next term.
pub fn rotate_term(store: &mut Store<'_>, context: &mut Context<'_>) -> Result<(), Error> {
    let sealed = rotated(store, context)?;
    store.put_open(KEYRING, sealed.map_err(does_not_rotate)?);
    Ok(())
}

/// As [`rotate_term`], but a keyring that is full stays as it is: for what must not fail for want of a new term.
pub(crate) fn rotate_term_if_there_is_room(store: &mut Store<'_>, context: &mut Context<'_>) -> Result<(), Error> {
    match rotated(store, context)? {
        Err(BarrierError::TooManyTerms { .. }) => {}
        sealed => store.put_open(KEYRING, sealed.map_err(does_not_rotate)?),
    }
    Ok(())
}

/// The keyring with one more term, sealed.
fn rotated(store: &mut Store<'_>, context: &mut Context<'_>) -> Result<Result<Vec<u8>, BarrierError>, Error> {
    // Of two rotations at once one must lose, or its term would vanish with what was encrypted under it: so the record
    // that is guarded is the one that is built on.
    let present = store.get_open(KEYRING)?.ok_or_else(|| Error::internal("there is no keyring to rotate"))?;
    let rotated = store.barrier().rotated_keyring(&present, context.now, context.random);
    Ok(rotated.map(|(_, sealed)| sealed))
}

fn does_not_rotate(error: BarrierError) -> Error {
    Error::internal(format!("the keyring does not rotate: {error}"))
}

/// The batch that rotates the term, if its age or its number of encryptions asks for it. For the leader, now and then.
pub fn rotate_term_if_due<'a>(
    core: &'a Core,
    context: &mut Context<'a>,
    view: &'a dyn View,
) -> Result<Option<Proposal>, Error> {
    let mut store = core.store(view);
    let (settings, encryptions) = (settings(&mut store)?, encryptions(&mut store)?);
    if !settings.is_due(encryptions, core.barrier().active_term_made_at(), context.now) {
        return Ok(None);
    }
    rotate_term(&mut store, context)?;
    store.finish(context)
}

#[cfg(test)]
mod tests {
    use conclave_batch::{Outcome, View};

    use super::*;
    use crate::barrier::uses::MIN_ROTATION_LIMIT;
    use crate::store::open_key;
    use crate::testing::{Harness, context};

    #[test]
    fn a_term_is_due_by_age_or_by_use() {
        let made_at = Time::from_secs(1000);
        let day = MIN_INTERVAL_SECS;
        let usual = RotationSettings::default();
        let daily = RotationSettings { interval_secs: day, ..RotationSettings::default() };
        let few = RotationSettings { max_operations: MIN_ROTATION_LIMIT, ..RotationSettings::default() };
        let off = RotationSettings { is_disabled: true, interval_secs: day, max_operations: MIN_ROTATION_LIMIT };
        let cases = [
            (&usual, DEFAULT_ROTATION_LIMIT - 1, 100 * day, false),
            (&usual, DEFAULT_ROTATION_LIMIT, 0, true),
            (&daily, 0, day - 1, false),
            (&daily, 0, day, true),
            (&few, MIN_ROTATION_LIMIT - 1, 0, false),
            (&few, MIN_ROTATION_LIMIT, 0, true),
            (&off, MIN_ROTATION_LIMIT, 100 * day, false),
            (&off, DEFAULT_ROTATION_LIMIT, 0, true),
        ];
        for (settings, encryptions, age_secs, expected) in cases {
            assert_eq!(
                settings.is_due(encryptions, made_at, made_at.plus_secs(age_secs)),
                expected,
                "{encryptions} {age_secs}"
            );
        }
    }

    /// A batch that rotates, from the harness's present view.
    fn rotation(harness: &mut Harness) -> Proposal {
        let mut context = context(&mut harness.random, harness.now);
        let mut store = harness.core.store(&harness.table);
        rotate_term(&mut store, &mut context).unwrap();
        store.finish(&mut context).unwrap().unwrap()
    }

    #[test]
    fn a_rotation_that_was_applied_and_not_yet_loaded_is_built_on() {
        let mut harness = Harness::new();
        let first = rotation(&mut harness);
        // The table shows it already; the node loads it a moment later.
        assert!(matches!(harness.table.apply(&first), Outcome::Applied { .. }));
        let loaded_at = harness.table.index();
        let second = rotation(&mut harness);
        let keyring = harness.table.get(&open_key(KEYRING)).unwrap().unwrap();
        assert_eq!(harness.core.barrier().load_keyring(&keyring.value, loaded_at), Ok(2));
        assert!(harness.commit(&second));
        assert_eq!(harness.core.barrier().active_term(), 3);
    }

    #[test]
    fn a_due_term_rotates_once() {
        let mut harness = Harness::new();
        let (status, _) = harness.request("POST", "sys/rotate/config", serde_json::json!({ "interval": "24h" }));
        assert_eq!(status, 204);
        let due = |harness: &mut Harness| {
            let mut context = context(&mut harness.random, harness.now);
            rotate_term_if_due(&harness.core, &mut context, &harness.table).unwrap()
        };
        assert!(due(&mut harness).is_none());
        harness.advance(MIN_INTERVAL_SECS);
        let batch = due(&mut harness).unwrap();
        assert!(harness.commit(&batch));
        assert_eq!(harness.core.barrier().active_term(), 2);
        assert!(due(&mut harness).is_none());
    }
}
