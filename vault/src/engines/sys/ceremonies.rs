//! `sys/generate-root` and `sys/rekey`: ceremonies with shares on an unsealed node. The core decides who may take part, the
//! node counts the shares ([`CeremonyStep`]). Their replies have no envelope.

use serde_json::json;

use crate::action::{Action, CeremonyStep, Confidential, GivenShare, NewShares, TokenCover};
use crate::engine::{Access, Call, CeremonyKind, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::request::Operation;
use crate::token::pad;

/// A share of an attempt.
const SHARE: &[Field] = &[
    field("key", Kind::Text, "One share"),
    field("nonce", Kind::Text, "The attempt's nonce, as its beginning answered it"),
];

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "generate-root/attempt",
        fields: &[&[
            field("otp", Kind::Text, "One-time pad of 28 characters that hides the token; made if not said"),
            field("age_recipient", Kind::Text, "The age recipient that the token is encrypted to, in place of a pad"),
            field(
                "pgp_key",
                Kind::Text,
                "Refused: tokens are hidden by a one-time pad or encrypted to an age recipient",
            ),
        ]],
        operations: &[
            (Operation::Read, root_status),
            (Operation::Update, root_begin),
            (Operation::Delete, root_cancel),
        ],
        access: Access::Sharers(CeremonyKind::GenerateRoot),
        effect: Effect::Reads,
        help: "Begin, look at or cancel the making of a root token",
        ..Path::DEFAULT
    },
    Path {
        pattern: "generate-root/update",
        fields: &[SHARE],
        operations: &[(Operation::Update, root_share)],
        access: Access::Sharers(CeremonyKind::GenerateRoot),
        effect: Effect::Reads,
        help: "Enter a share; the last one needed makes a root token, hidden by the one-time pad",
        ..Path::DEFAULT
    },
    Path {
        pattern: "decode-token",
        fields: &[&[
            field("encoded_token", Kind::Text, "The hidden token"),
            field("otp", Kind::Text, "The one-time pad"),
        ]],
        operations: &[(Operation::Update, decode)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Read a token that is hidden by a one-time pad",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rekey/init",
        fields: &[&[
            field("secret_shares", Kind::Int, "Number of shares to make"),
            field("secret_threshold", Kind::Int, "Number of shares that unseal"),
            field("require_verification", Kind::Bool, "Whether the new shares count only once they were entered"),
            field(
                "age_recipients",
                Kind::CommaList,
                "The age recipients that the shares are encrypted to, one for each",
            ),
            field("pgp_keys", Kind::CommaList, "Refused: shares are encrypted to age recipients only"),
            field("backup", Kind::Bool, "Refused: encrypted shares are not kept"),
            field("stored_shares", Kind::Int, "Refused unless 0: no share is stored"),
        ]],
        operations: &[
            (Operation::Read, rekey_status),
            (Operation::Update, rekey_begin),
            (Operation::Delete, rekey_cancel),
        ],
        access: Access::Sharers(CeremonyKind::Rekey),
        effect: Effect::Reads,
        help: "Begin, look at or cancel the making of new shares",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rekey/update",
        fields: &[SHARE],
        operations: &[(Operation::Update, rekey_share)],
        access: Access::Sharers(CeremonyKind::Rekey),
        effect: Effect::Reads,
        help: "Enter a share of before; the last one needed answers the new shares",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rekey/verify",
        fields: &[SHARE],
        operations: &[
            (Operation::Read, verify_status),
            (Operation::Update, verify_share),
            (Operation::Delete, verify_restart),
        ],
        access: Access::Sharers(CeremonyKind::Rekey),
        effect: Effect::Reads,
        help: "Enter a new share; the last one needed lets the new shares count",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rekey/backup",
        operations: &[(Operation::Read, no_backup), (Operation::Delete, no_backup)],
        access: Access::Sudo,
        help: "Read or delete the encrypted shares that a rekey kept; none are kept",
        ..Path::DEFAULT
    },
];

fn step(call: &mut Call<'_, '_>, step: CeremonyStep) -> Result<Reply, Error> {
    let reply = call.context.ask_node(Action::Ceremony(step))?;
    let plain = reply.data.is_some();
    Ok(Reply { plain, ..reply })
}

fn given(call: &Call<'_, '_>) -> GivenShare {
    GivenShare {
        key: Confidential::new(call.fields.text_or_empty("key")),
        nonce: call.fields.text_or_empty("nonce").to_owned(),
        address: call.request.remote_address,
    }
}

fn root_status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::RootStatus)
}

fn root_begin(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if !call.fields.text_or_empty("pgp_key").is_empty() {
        return Err(Error::invalid(
            "pgp_key is not supported: leave it out, and the token is hidden by a one-time pad, or give an age_recipient",
        ));
    }
    let (pad, recipient) = (call.fields.text_or_empty("otp"), call.fields.text_or_empty("age_recipient"));
    let cover = match (pad.is_empty(), recipient.is_empty()) {
        (true, true) => TokenCover::FreshPad,
        (false, true) => TokenCover::GivenPad(Confidential::new(pad)),
        (true, false) => TokenCover::Recipient(recipient.to_owned()),
        (false, false) => return Err(Error::invalid("give otp or age_recipient, not both")),
    };
    step(call, CeremonyStep::RootBegin(cover))
}

fn root_cancel(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::RootCancel)
}

fn root_share(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let share = given(call);
    step(call, CeremonyStep::RootShare(share))
}

fn decode(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (encoded, otp) = (call.fields.text_or_empty("encoded_token"), call.fields.text_or_empty("otp"));
    if encoded.is_empty() || otp.is_empty() {
        return Err(Error::invalid("provided 'encoded_token' or 'otp' is empty"));
    }
    Ok(Reply::data(json!({ "token": pad::reveal(encoded, otp)?.as_str() })))
}

fn rekey_status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::RekeyStatus)
}

fn rekey_begin(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if call.fields.list("pgp_keys").is_some_and(|keys| !keys.is_empty()) || call.fields.bool_or("backup", false, false)
    {
        return Err(Error::invalid(
            "encrypting shares with PGP keys, and keeping them, is not supported: leave out pgp_keys and backup, and give \
             age_recipients",
        ));
    }
    if call.fields.int("stored_shares").is_some_and(|stored| stored != 0) {
        return Err(Error::invalid("no share is stored: leave out stored_shares"));
    }
    // A negative number is as wrong as none.
    let number = |name| call.fields.int(name).map_or(0, |number| u64::try_from(number).unwrap_or(0));
    let wanted = NewShares {
        shares: number("secret_shares"),
        threshold: number("secret_threshold"),
        is_to_be_verified: call.fields.bool_or("require_verification", false, false),
        recipients: call.fields.list("age_recipients").unwrap_or_default().to_vec(),
    };
    step(call, CeremonyStep::RekeyBegin(wanted))
}

fn rekey_cancel(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::RekeyCancel)
}

fn rekey_share(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let share = given(call);
    step(call, CeremonyStep::RekeyShare(share))
}

fn verify_status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::VerifyStatus)
}

fn verify_share(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let share = given(call);
    step(call, CeremonyStep::VerifyShare(share))
}

fn verify_restart(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    step(call, CeremonyStep::VerifyRestart)
}

fn no_backup(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::invalid("no backed-up keys found"))
}
