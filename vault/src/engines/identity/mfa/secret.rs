//! Keys of entities for methods: made and shown once, or removed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use crate::engine::Call;
use crate::engines::identity::mfa::method::{self, METHOD_ID};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::mfa::{self, MfaMethodRecord, MfaSecretRecord};
use crate::otp::image;
use crate::otp::url::OtpUrl;
use crate::reply::Reply;

const ENTITY: Field = field("entity_id", Kind::Text, "Id of the entity.").required();

pub(super) const FIELDS: &[Field] = &[METHOD_ID.required(), ENTITY];
pub(super) const OWN_FIELDS: &[Field] = &[METHOD_ID.required()];

fn method_of(call: &mut Call<'_, '_>) -> Result<MfaMethodRecord, Error> {
    if call.fields.text_or_empty(METHOD_ID.name).is_empty() {
        return Err(Error::invalid("missing method ID"));
    }
    method::named(call)?.ok_or_else(|| Error::invalid("no configuration found for method ID"))
}

/// The id that an entity has now, who may have been merged into another.
fn entity_of(call: &mut Call<'_, '_>, id: &str) -> Result<(String, String), Error> {
    if id.is_empty() {
        return Err(Error::invalid("missing entity ID"));
    }
    let standing = Standing::of(call.store, id)?;
    let entity = standing.entity.ok_or_else(|| Error::invalid("invalid entity ID"))?;
    Ok((entity.record.id.clone(), entity.record.name.clone()))
}

pub(super) fn generate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let method = method_of(call)?;
    let id = call.fields.text_or_empty(ENTITY.name).to_owned();
    make(call, &method, &id)
}

pub(super) fn generate_own(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let method = method_of(call)?;
    let id = call.caller()?.record.entity_id.clone();
    make(call, &method, &id)
}

fn make(call: &mut Call<'_, '_>, method: &MfaMethodRecord, entity_id: &str) -> Result<Reply, Error> {
    let (entity_id, account) = entity_of(call, entity_id)?;
    if mfa::secret(call.store, &entity_id, &method.id)?.is_some() {
        return Ok(Reply::empty().warn(format!("Entity already has a secret for MFA method {:?}", method.name)));
    }
    let mut key = MfaSecretRecord::default();
    key.secret.resize(method.key_bytes as usize, 0);
    call.context.random.fill(&mut key.secret);
    mfa::save_secret(call.store, &entity_id, &method.id, Some(&key))?;
    let url = OtpUrl::write(&method.codes(&key.secret), &method.issuer, &account);
    let pixels = Some(method.qr_pixels).filter(|pixels| *pixels > 0);
    let image = pixels.and_then(|pixels| image::png(&url, pixels)).map(Zeroizing::new);
    let barcode = image.map_or(String::new(), |image| STANDARD.encode(&*image));
    Ok(Reply::data(json!({ "barcode": barcode, "url": *url })))
}

pub(super) fn destroy(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let method = method_of(call)?;
    let id = call.fields.text_or_empty(ENTITY.name).to_owned();
    let (entity_id, _) = entity_of(call, &id)?;
    mfa::save_secret(call.store, &entity_id, &method.id, None)?;
    Ok(Reply::empty())
}
