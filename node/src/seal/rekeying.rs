//! Rekey: a threshold of shares makes new ones.
//!
//! ```text
//! collecting ──last old share──► made ──one batch──► done          without verification
//!                                 └────► verifying ──last new share──► one batch ──► done
//! ```
//!
//! Until the batch is committed the old shares count, from then on the new ones. What surprises: once made, the new shares
//! stay here under the attempt's nonce for [`SHARES_TIME`](crate::config::limits::SHARES_TIME), so that whoever lost the
//! answer asks again with a share of before. Only verification helps against the loss of this node in that moment.

use std::sync::Arc;
use std::time::Duration;

use conclave_vault::seal::{NewSeal, Outside, Parameters};
use conclave_vault::{Core, Error, ErrorKind, GivenShare, NewShares, replace_seal};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Seal;
use super::attempt::{ShareAttempt, StepAnswer, object, outside, refused};
use super::recipients::Recipients;
use crate::view::SystemRandomness;

/// How long writing the new seal may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause before it is tried again after an outcome that is unknown.
const PAUSE: Duration = Duration::from_millis(200);
/// What is being done, for errors.
const WHAT: &str = "rekey";

/// How far the new shares are.
enum Stage {
    /// Old shares are entered.
    Collecting,
    /// They are made, and may be written or not.
    Made(Arc<NewSeal>),
    /// They are made, and count once enough of them were entered.
    Verifying { new: Arc<NewSeal>, trial: ShareAttempt },
    /// They count.
    Done(Arc<NewSeal>),
}

/// The making of new shares.
pub(crate) struct Rekeying {
    attempt: ShareAttempt,
    wanted: Parameters,
    is_to_be_verified: bool,
    /// Whom the new shares are for.
    recipients: Recipients,
    /// The seal whose shares decide.
    before: Outside,
    stage: Stage,
}

impl Rekeying {
    /// Whether it waited too long for another share, or for somebody who lost the answer.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        match &self.stage {
            Stage::Verifying { trial, .. } => trial.is_over(now),
            _ => self.attempt.is_over(now),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// The new shares, if they are made already and whoever asks has an old one.
    fn made(&self, share: &GivenShare) -> Option<Result<Arc<NewSeal>, ()>> {
        let new = match &self.stage {
            Stage::Collecting => return None,
            Stage::Made(new) | Stage::Done(new) | Stage::Verifying { new, .. } => Arc::clone(new),
        };
        Some(if self.before.has_share(share.key.expose()) { Ok(new) } else { Err(()) })
    }

    fn verification_nonce(&self) -> Option<&str> {
        match &self.stage {
            Stage::Verifying { trial, .. } => Some(&trial.nonce),
            _ => None,
        }
    }

    fn status(&self) -> Value {
        let progress = match self.stage {
            Stage::Collecting => self.attempt.progress(&self.before),
            _ => self.before.seal.threshold as usize,
        };
        let mut status = json!({
            "nonce": self.attempt.nonce,
            "started": true,
            "t": self.wanted.threshold,
            "n": self.wanted.shares,
            "progress": progress,
            "required": self.before.seal.threshold,
            "pgp_fingerprints": null,
            "backup": false,
            "verification_required": self.is_to_be_verified,
        });
        if let Some(nonce) = self.verification_nonce() {
            status["verification_nonce"] = nonce.into();
        }
        if let Some(recipients) = self.recipients.texts() {
            status["age_recipients"] = recipients.into();
        }
        status
    }

    /// The answer to the last old share.
    fn result(&self, new: &NewSeal) -> Result<StepAnswer, Error> {
        let [hex, base64] = self.recipients.present(new.shares())?;
        let mut result = json!({
            "nonce": self.attempt.nonce,
            "complete": true,
            "keys": hex,
            "keys_base64": base64,
            "pgp_fingerprints": null,
            "backup": false,
            "verification_required": self.is_to_be_verified,
        });
        if let Some(nonce) = self.verification_nonce() {
            result["verification_nonce"] = nonce.into();
        }
        if let Some(recipients) = self.recipients.texts() {
            result["age_recipients"] = recipients.into();
        }
        Ok(object(result))
    }
}

pub(super) fn status(seal: &Seal) -> Result<StepAnswer, Error> {
    let outside = outside(seal)?;
    let attempts = seal.state.attempts.lock();
    Ok(object(match attempts.rekey.as_ref().filter(|rekey| !rekey.is_done()) {
        Some(rekey) => rekey.status(),
        None => json!({
            "nonce": "",
            "started": false,
            "t": 0,
            "n": 0,
            "progress": 0,
            "required": outside.seal.threshold,
            "pgp_fingerprints": null,
            "backup": false,
            "verification_required": false,
        }),
    }))
}

pub(super) fn begin(seal: &Seal, wanted: &NewShares) -> Result<StepAnswer, Error> {
    let parameters = Parameters { shares: wanted.shares, threshold: wanted.threshold };
    parameters.check().map_err(|error| Error::invalid(error.to_string()))?;
    let recipients = Recipients::parse(&wanted.recipients, wanted.shares)?;
    let before = outside(seal)?;
    let mut attempts = seal.state.attempts.lock();
    if attempts.rekey.as_ref().is_some_and(|rekey| !rekey.is_done()) {
        return Err(Error::invalid("rekey already in progress"));
    }
    let rekey = attempts.rekey.insert(Rekeying {
        attempt: ShareAttempt::begin(),
        wanted: parameters,
        is_to_be_verified: wanted.is_to_be_verified,
        recipients,
        before,
        stage: Stage::Collecting,
    });
    let nonce = &rekey.attempt.nonce;
    tracing::warn!(nonce, shares = wanted.shares, threshold = wanted.threshold, "a rekey was begun on this node");
    Ok(object(rekey.status()))
}

/// Forgets the attempt. New shares that count already stay what they are.
pub(super) fn cancel(seal: &Seal) -> StepAnswer {
    if let Some(rekey) = seal.state.attempts.lock().rekey.take() {
        tracing::info!(nonce = rekey.attempt.nonce, "a rekey was cancelled");
    }
    None
}

/// Takes a share of before. The last one makes the new shares.
pub(super) async fn enter(seal: &Seal, core: &Core, share: &GivenShare) -> Result<StepAnswer, Error> {
    let (new, nonce) = {
        let mut attempts = seal.state.attempts.lock();
        let rekey = attempts.rekey.as_mut().ok_or_else(none_in_progress)?;
        if rekey.is_done() && rekey.attempt.nonce != share.nonce {
            return Err(none_in_progress());
        }
        rekey.attempt.check(share, WHAT)?;
        if !collect(seal, core, rekey, share)? {
            return Ok(object(rekey.status()));
        }
        match &rekey.stage {
            Stage::Made(new) => (Arc::clone(new), rekey.attempt.nonce.clone()),
            Stage::Verifying { new, .. } | Stage::Done(new) => return rekey.result(new),
            Stage::Collecting => return Err(Error::internal("a rekey without shares")),
        }
    };
    write(seal, core, &new).await?;
    let mut attempts = seal.state.attempts.lock();
    let rekey = attempts.rekey.as_mut().filter(|rekey| rekey.attempt.nonce == nonce);
    let rekey = rekey.ok_or_else(|| Error::unavailable("this node was sealed while its new shares were written"))?;
    rekey.stage = Stage::Done(Arc::clone(&new));
    rekey.result(&new)
}

/// Takes a share into an attempt. Answers whether the new shares are made.
fn collect(seal: &Seal, core: &Core, rekey: &mut Rekeying, share: &GivenShare) -> Result<bool, Error> {
    if let Some(made) = rekey.made(share) {
        let wrong = conclave_vault::seal::ShareError::Wrong;
        return made.map(|_| true).map_err(|()| refused(seal, share, &wrong));
    }
    let is_complete = rekey.attempt.enter(share, &rekey.before).map_err(|error| refused(seal, share, &error))?;
    tracing::info!(address = ?share.address, is_complete, "a share was entered for a rekey");
    if !is_complete {
        return Ok(false);
    }
    let mut random = SystemRandomness::default();
    let new = NewSeal::make(rekey.wanted, core.barrier(), &rekey.before, &mut random);
    let new = Arc::new(new.map_err(|error| Error::invalid(error.to_string()))?);
    rekey.stage =
        if rekey.is_to_be_verified { Stage::Verifying { new, trial: ShareAttempt::begin() } } else { Stage::Made(new) };
    Ok(true)
}

pub(super) fn verify_status(seal: &Seal) -> Result<StepAnswer, Error> {
    let attempts = seal.state.attempts.lock();
    let rekey = attempts.rekey.as_ref().ok_or_else(none_in_progress)?;
    trial_status(rekey)
}

fn trial_status(rekey: &Rekeying) -> Result<StepAnswer, Error> {
    let Stage::Verifying { new, trial } = &rekey.stage else { return Err(nothing_to_verify()) };
    let progress = trial.progress(&new.foreseen(&rekey.before));
    let (t, n) = (rekey.wanted.threshold, rekey.wanted.shares);
    Ok(object(json!({ "nonce": trial.nonce, "started": true, "t": t, "n": n, "progress": progress })))
}

/// Takes a new share. The last one needed lets them count.
pub(super) async fn verify(seal: &Seal, core: &Core, share: &GivenShare) -> Result<StepAnswer, Error> {
    let (new, nonce) = {
        let mut attempts = seal.state.attempts.lock();
        let rekey = attempts.rekey.as_mut().ok_or_else(none_in_progress)?;
        let Stage::Verifying { new, trial } = &mut rekey.stage else { return Err(nothing_to_verify()) };
        trial.check(share, "rekey verification")?;
        let foreseen = new.foreseen(&rekey.before);
        if !trial.enter(share, &foreseen).map_err(|error| refused(seal, share, &error))? {
            return trial_status(rekey);
        }
        (Arc::clone(new), trial.nonce.clone())
    };
    write(seal, core, &new).await?;
    let mut attempts = seal.state.attempts.lock();
    if let Some(rekey) = attempts.rekey.as_mut().filter(|rekey| rekey.verification_nonce() == Some(&nonce)) {
        rekey.stage = Stage::Done(new);
    }
    Ok(object(json!({ "nonce": nonce, "complete": true })))
}

/// Forgets the new shares that were entered; the trial begins anew under another nonce.
pub(super) fn restart_verification(seal: &Seal) -> Result<StepAnswer, Error> {
    let mut attempts = seal.state.attempts.lock();
    let rekey = attempts.rekey.as_mut().ok_or_else(none_in_progress)?;
    let Stage::Verifying { trial, .. } = &mut rekey.stage else { return Err(nothing_to_verify()) };
    *trial = ShareAttempt::begin();
    trial_status(rekey)
}

/// Has the new seal written. An outcome that is unknown is found out: the batch changes nothing where it was applied before.
async fn write(seal: &Seal, core: &Core, new: &NewSeal) -> Result<(), Error> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let written = seal.replica.change(core, deadline, |store, context| replace_seal(store, context, new)).await;
        match written {
            Ok(()) => {
                seal.replica.remember_committed().await;
                tracing::warn!("new shares take the place of the old ones; give the old ones up");
                return Ok(());
            }
            Err(error) if error.kind == ErrorKind::Unavailable && Instant::now() + PAUSE < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if error.kind == ErrorKind::Unavailable => {
                return Err(Error::unavailable(
                    "it is not known yet whether the new shares count: keep both, and enter a share again on this node with \
                     the same nonce",
                ));
            }
            Err(error) => return Err(error),
        }
    }
}

fn none_in_progress() -> Error {
    Error::invalid("no barrier rekey in progress")
}

fn nothing_to_verify() -> Error {
    Error::invalid("no rekey verification in progress")
}
