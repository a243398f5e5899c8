//! Signing keys of users and hosts, and making pairs for them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{self, SHA256};
use serde_json::{Map, Value, json};
use ssh_key::HashAlg;
use ssh_key::public::KeyData;

use crate::engine::Call;
use crate::engines::named;
use crate::engines::ssh::certificate::{Statement, blob};
use crate::engines::ssh::key::PairKind;
use crate::engines::ssh::role::{ROLE, SshRoleRecord};
use crate::engines::ssh::template::{self, KeyIdValues};
use crate::engines::ssh::{issuer, option, principal, public};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::policy::template::{Subject as _, TemplateValues};
use crate::reply::Reply;
use crate::token::lifetime::Bounds;

const PUBLIC_KEY: Field = field("public_key", Kind::Text, "The key to sign, as a line of id_ed25519.pub.").required();
const PRINCIPALS: Field = field(
    "valid_principals",
    Kind::Text,
    "Users or hosts that the certificate speaks for, by commas; default_user of the role if not said.",
);
const CERT_TYPE: Field = field("cert_type", Kind::Text, "Whose key it is.").one_of(&["user", "host"]).or("user");
const TTL: Field = field("ttl", Kind::Duration, "How long the certificate lasts; the role's if not said.");
const KEY_ID: Field = field("key_id", Kind::Text, "The key id, if the role lets a request say it.");
const OPTIONS: Field = field("critical_options", Kind::KeyValues, "Critical options, in place of the role's.");
const EXTENSIONS: Field = field("extensions", Kind::KeyValues, "Extensions, in place of the role's.");
const KEY_TYPE: Field =
    field("key_type", Kind::Text, "Kind of the key: ed25519, ec or rsa, or as SSH names them.").or("rsa");
const KEY_BITS: Field = field("key_bits", Kind::Int, "Size of the key; 0 is 4096 for rsa, 256 for ec.").or("0");

const COMMON: [Field; 7] = [ROLE, PRINCIPALS, CERT_TYPE, TTL, KEY_ID, OPTIONS, EXTENSIONS];
pub(super) const SIGN_FIELDS: &[&[Field]] = &[&COMMON, &[PUBLIC_KEY]];
pub(super) const ISSUE_FIELDS: &[&[Field]] = &[&COMMON, &[KEY_TYPE, KEY_BITS]];

pub(super) fn sign(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role = role_of(call)?;
    let text = call.fields.text_or_empty(PUBLIC_KEY.name).trim().to_owned();
    if text.is_empty() {
        return Err(Error::invalid("missing public_key"));
    }
    let data = certify(call, &role, public::parse_public(&text)?)?;
    Ok(Reply { data: Some(data), ..Reply::default() })
}

pub(super) fn issue(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role = role_of(call)?;
    let key_type = call.fields.text(KEY_TYPE.name).filter(|text| !text.is_empty()).unwrap_or("rsa").to_owned();
    let kind = PairKind::named(&key_type, call.fields.int(KEY_BITS.name).unwrap_or(0))?;
    let pair = kind.make(call.context)?;
    let mut data = certify(call, &role, pair.public()?)?;
    data.insert("private_key".to_owned(), Value::from(pair.to_text()?.as_str()));
    data.insert("private_key_type".to_owned(), Value::from(key_type));
    Ok(Reply { data: Some(data), ..Reply::default() })
}

fn role_of(call: &mut Call<'_, '_>) -> Result<SshRoleRecord, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<SshRoleRecord>(call));
    let role = named::find(call.store, &mount, &name)?;
    role.ok_or_else(|| Error::invalid(format!("Unknown role: {name}")))
}

/// Makes a certificate for a key, as far as the role allows what is asked for.
fn certify(call: &mut Call<'_, '_>, role: &SshRoleRecord, key: KeyData) -> Result<Map<String, Value>, Error> {
    public::check(&key, &role.key_lengths)?;
    let is_host = is_for_host(call, role)?;
    let entity_id = call.caller()?.record.entity_id.clone();
    let values = Standing::of(call.store, &entity_id)?.values();
    let sent = call.fields.text_or_empty(PRINCIPALS.name);
    let principals = match is_host {
        true => principal::of_host(role, sent, &values)?,
        false => principal::of_user(role, sent, &values)?,
    };
    let now = u64::try_from(call.context.now.secs()).unwrap_or(0);
    let ttl_secs = ttl_secs(call, role)?;
    let statement = Statement {
        nonce: call.context.bytes(),
        serial: serial(call),
        is_host,
        key_id: key_id(call, role, &key)?,
        principals,
        valid_after: now.saturating_sub(role.not_before_secs),
        valid_before: now.saturating_add(ttl_secs),
        critical_options: critical_options(call, role)?,
        extensions: extensions(call, role, &values)?,
        key,
    };
    let mount = call.mount.clone();
    let (issuer, signer) = issuer::signer(call.store, &mount, &role.issuer_ref)?;
    let rsa_hash = if role.algorithm_signer == "rsa-sha2-512" { HashAlg::Sha512 } else { HashAlg::Sha256 };
    let data = json!({
        "serial_number": format!("{:x}", statement.serial),
        "signed_key": statement.sign(&signer, rsa_hash)?,
        "issuer_id": issuer.id,
    });
    Ok(data.as_object().cloned().unwrap_or_default())
}

/// Random, and never 0, which is what certificates have that no list of revoked ones can name.
fn serial(call: &mut Call<'_, '_>) -> u64 {
    u64::from_be_bytes(call.context.bytes()).max(1)
}

fn is_for_host(call: &Call<'_, '_>, role: &SshRoleRecord) -> Result<bool, Error> {
    let (is_host, is_allowed) = match call.fields.text_or_empty(CERT_TYPE.name) {
        "" | "user" => (false, role.allow_user_certificates),
        "host" => (true, role.allow_host_certificates),
        _ => return Err(Error::invalid("cert_type must be either 'user' or 'host'")),
    };
    match is_allowed {
        true => Ok(is_host),
        false if is_host => Err(Error::invalid("cert_type 'host' is not allowed by role")),
        false => Err(Error::invalid("cert_type 'user' is not allowed by role")),
    }
}

/// How long the certificate lasts. More than the most is refused if the request asks for it, and cut if the role does.
fn ttl_secs(call: &Call<'_, '_>, role: &SshRoleRecord) -> Result<u64, Error> {
    let bounds = Bounds::of_mount(call.context, &call.mount.record);
    let max_secs = if role.max_ttl_secs == 0 { bounds.limit_secs } else { role.max_ttl_secs };
    match call.fields.duration(TTL.name).map_or(0, |ttl| ttl.as_secs()) {
        0 if role.ttl_secs == 0 => Ok(bounds.default_secs.min(max_secs)),
        0 => Ok(role.ttl_secs.min(max_secs)),
        sent if sent > max_secs => Err(Error::invalid(format!("ttl is larger than maximum allowed {max_secs}"))),
        sent => Ok(sent),
    }
}

fn key_id(call: &Call<'_, '_>, role: &SshRoleRecord, key: &KeyData) -> Result<String, Error> {
    let sent = call.fields.text_or_empty(KEY_ID.name);
    if !sent.is_empty() {
        if !role.allow_user_key_ids {
            return Err(Error::invalid("setting key_id is not allowed by role"));
        }
        template::check_key_id_text(sent)?;
        return Ok(sent.to_owned());
    }
    let blob = blob(key).map_err(|_| Error::internal("a public key could not be written"))?;
    let token = call.caller()?;
    let values = KeyIdValues {
        display_name: &token.record.display_name,
        role: &named::name_of::<SshRoleRecord>(call),
        key_hash: &hex::encode(digest::digest(&SHA256, &blob)),
    };
    template::key_id(&role.key_id_format, &values)
}

fn critical_options(call: &Call<'_, '_>, role: &SshRoleRecord) -> Result<BTreeMap<String, String>, Error> {
    let sent = option::map(&call.fields, &OPTIONS)?;
    if sent.is_empty() {
        return Ok(role.default_critical_options.clone());
    }
    option::check(&sent)?;
    let beyond = option::beyond(&sent, &role.allowed_critical_options);
    match role.allowed_critical_options.trim().is_empty() || beyond.is_empty() {
        true => Ok(sent),
        false => Err(Error::invalid(format!("critical options not on allowed list: [{}]", beyond.join(" ")))),
    }
}

fn extensions(
    call: &Call<'_, '_>,
    role: &SshRoleRecord,
    values: &TemplateValues,
) -> Result<BTreeMap<String, String>, Error> {
    let sent = option::map(&call.fields, &EXTENSIONS)?;
    if sent.is_empty() {
        let fill = |(name, value): (&String, &String)| {
            let value = if role.default_extensions_template { template::fill(value, values)? } else { value.clone() };
            Some((name.clone(), value))
        };
        let filled: Option<_> = role.default_extensions.iter().map(fill).collect();
        return filled.ok_or_else(|| Error::invalid("a template of default_extensions has no value for this token"));
    }
    option::check(&sent)?;
    let beyond = option::beyond(&sent, &role.allowed_extensions);
    match role.allowed_extensions.trim() == "*" || beyond.is_empty() {
        true => Ok(sent),
        false => Err(Error::invalid(format!("extensions [{}] are not on allowed list", beyond.join(" ")))),
    }
}
