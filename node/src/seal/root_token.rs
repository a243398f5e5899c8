//! Generate-root: a threshold of shares makes a root token.
//!
//! The token leaves under a one-time pad, which only whoever began has, or encrypted to an age recipient. It is made by the
//! same step that the last share is entered with; if its answer is lost, so is the token, and nobody can use it.

use std::time::Duration;

use conclave_vault::seal::Outside;
use conclave_vault::{Core, Error, GivenShare, Pad, TokenCover, create_root};
use serde_json::json;
use tokio::time::Instant;

use super::Seal;
use super::attempt::{ShareAttempt, StepAnswer, object, outside, refused};
use super::recipients::Recipient;
use crate::view::SystemRandomness;

/// How long making the token may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What is being done, for errors.
const WHAT: &str = "root generation";

/// The making of a root token.
pub(crate) struct RootGeneration {
    attempt: ShareAttempt,
    cover: Cover,
}

/// What hides the token.
enum Cover {
    Pad(Pad),
    Recipient(Recipient),
}

impl Cover {
    fn hide(&self, token: &str) -> Result<String, Error> {
        match self {
            Self::Pad(pad) => pad.hide(token),
            Self::Recipient(recipient) => recipient.encrypt_to_base64(token),
        }
    }

    fn recipient(&self) -> Option<&str> {
        match self {
            Self::Pad(_) => None,
            Self::Recipient(recipient) => Some(recipient.text()),
        }
    }
}

impl RootGeneration {
    /// Whether it waited too long for another share.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.attempt.is_over(now)
    }
}

/// What an answer says of an attempt.
struct Shown<'a> {
    nonce: &'a str,
    progress: usize,
    /// The hidden token, once it is made.
    token: Option<&'a str>,
    /// The pad, for whoever began.
    pad: Option<&'a str>,
    /// Whom the token is encrypted to.
    recipient: Option<&'a str>,
}

pub(super) fn status(seal: &Seal) -> Result<StepAnswer, Error> {
    let outside = outside(seal)?;
    let attempts = seal.state.attempts.lock();
    let (nonce, progress, recipient) = match &attempts.root {
        Some(root) => (root.attempt.nonce.as_str(), root.attempt.progress(&outside), root.cover.recipient()),
        None => ("", 0, None),
    };
    Ok(shown(&outside, &Shown { nonce, progress, token: None, pad: None, recipient }))
}

/// Begins. Whoever sends no pad is told the one that was made, this one time.
pub(super) fn begin(seal: &Seal, wanted: &TokenCover) -> Result<StepAnswer, Error> {
    let outside = outside(seal)?;
    let mut attempts = seal.state.attempts.lock();
    if attempts.root.is_some() {
        return Err(Error::invalid("root generation already in progress"));
    }
    let cover = match wanted {
        TokenCover::GivenPad(text) => Cover::Pad(Pad::given(text.expose())?),
        TokenCover::FreshPad => Cover::Pad(Pad::random(&mut seal.replica.context(&mut SystemRandomness::default()))),
        TokenCover::Recipient(text) => Cover::Recipient(Recipient::parse(text, "age_recipient")?),
    };
    let root = attempts.root.insert(RootGeneration { attempt: ShareAttempt::begin(), cover });
    tracing::warn!(nonce = root.attempt.nonce, "the making of a root token was begun on this node");
    let pad = match (&root.cover, wanted) {
        (Cover::Pad(pad), TokenCover::FreshPad) => Some(pad.expose()),
        _ => None,
    };
    let recipient = root.cover.recipient();
    Ok(shown(&outside, &Shown { nonce: &root.attempt.nonce, progress: 0, token: None, pad, recipient }))
}

pub(super) fn cancel(seal: &Seal) -> StepAnswer {
    if let Some(root) = seal.state.attempts.lock().root.take() {
        tracing::info!(nonce = root.attempt.nonce, "the making of a root token was cancelled");
    }
    None
}

/// Takes a share. The last one makes the token.
pub(super) async fn enter(seal: &Seal, core: &Core, share: &GivenShare) -> Result<StepAnswer, Error> {
    let outside = outside(seal)?;
    let complete = {
        let mut attempts = seal.state.attempts.lock();
        let root = attempts.root.as_mut().ok_or_else(|| Error::invalid("no root generation in progress"))?;
        root.attempt.check(share, WHAT)?;
        let is_complete = root.attempt.enter(share, &outside).map_err(|error| refused(seal, share, &error))?;
        let progress = root.attempt.progress(&outside);
        tracing::info!(address = ?share.address, progress, "a share was entered to make a root token");
        if !is_complete {
            let (nonce, recipient) = (&root.attempt.nonce, root.cover.recipient());
            return Ok(shown(&outside, &Shown { nonce, progress, token: None, pad: None, recipient }));
        }
        attempts.root.take()
    };
    let RootGeneration { attempt, cover } = complete.ok_or_else(|| Error::internal("the attempt is gone"))?;
    let deadline = Instant::now() + TIMEOUT;
    let token = seal.replica.change(core, deadline, |store, context| create_root(store, context, None)).await?;
    tracing::warn!(nonce = attempt.nonce, "a root token was made by a threshold of shares");
    let (token, progress) = (cover.hide(&token)?, outside.seal.threshold as usize);
    let (nonce, recipient) = (&attempt.nonce, cover.recipient());
    Ok(shown(&outside, &Shown { nonce, progress, token: Some(&token), pad: None, recipient }))
}

fn shown(outside: &Outside, shown: &Shown<'_>) -> StepAnswer {
    let token = shown.token.unwrap_or_default();
    let mut answer = json!({
        "nonce": shown.nonce,
        "started": !shown.nonce.is_empty(),
        "progress": shown.progress,
        "required": outside.seal.threshold,
        "complete": shown.token.is_some(),
        "encoded_token": token,
        "encoded_root_token": token,
        "pgp_fingerprint": "",
        "otp": shown.pad.unwrap_or_default(),
        "otp_length": if shown.token.is_some() { 0 } else { Pad::LENGTH },
    });
    if let Some(recipient) = shown.recipient {
        answer["age_recipient"] = recipient.into();
    }
    object(answer)
}
