//! `sys/mfa/validate`: the codes for a login that waits for them.

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mfa;
use crate::reply::Reply;
use crate::request::Operation;

const ID: Field = field("mfa_request_id", Kind::Text, "The login, as its reply names it.").required();
const CODES: Field = field("mfa_payload", Kind::Map, "For each method, by its id, a list with the code.").required();

/// The paths.
pub(super) const PATHS: &[Path] = &[Path {
    pattern: "mfa/validate",
    fields: &[&[ID, CODES]],
    operations: &[(Operation::Update, validate)],
    access: Access::Login,
    help: "End a login that asks for one-time codes",
    ..Path::DEFAULT
}];

fn validate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = call.fields.text_or_empty(ID.name).to_owned();
    if id.is_empty() {
        return Err(Error::invalid("missing request ID"));
    }
    let codes = call.fields.map(CODES.name).cloned().unwrap_or_default();
    if codes.is_empty() {
        return Err(Error::invalid("missing mfa_payload: a map of method ids to lists with a code"));
    }
    mfa::validate(call.store, call.context, &id, &codes)
}
