//! Creating tokens: what the maker may give, what a role adds or takes, and what becomes of the wishes.
//!
//! The rules that keep a token from giving more than it has stand in [`policies`] and [`check_rights`]; the rest only
//! shapes the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Call;
use crate::engines::token::role::{self, RoleRecord};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::login::{KnownAs, enter};
use crate::identity::rights;
use crate::lease::Origin;
use crate::policy::name::{self, NameError, PolicyName};
use crate::policy::records;
use crate::printable;
use crate::reply::Reply;
use crate::token::Token;
use crate::token::issue::{self, check_chosen};
use crate::token::lifetime::{Bounds, smallest};
use crate::token::record::TokenRecord;

/// Most policies of one token.
const MAX_POLICIES: usize = 256;
/// Most entries of metadata.
const MAX_META: usize = 64;
/// Longest key or value of metadata, and longest display name, in bytes.
const MAX_META_BYTES: usize = 512;

pub(super) const FIELDS: &[Field] = &[
    field("role_name", Kind::Text, "Name of the role."),
    field("display_name", Kind::Text, "Name for people."),
    field("entity_alias", Kind::Text, "Entity alias to attach, if the role allows it."),
    field("explicit_max_ttl", Kind::Duration, "Longest life, which no renewal passes."),
    field("id", Kind::Text, "The token itself; needs sudo."),
    field("lease", Kind::Duration, "Old name of ttl.").renamed_to("ttl"),
    field("meta", Kind::KeyValues, "Metadata."),
    field("no_default_policy", Kind::Bool, "Whether the default policy is left out."),
    field("no_parent", Kind::Bool, "Whether it has no parent; needs sudo."),
    field("num_uses", Kind::Int, "Number of uses; 0 is without limit."),
    field("period", Kind::Duration, "Makes it periodic; needs sudo."),
    field("policies", Kind::Names, "Its policies; those of the calling token if not given."),
    field("renewable", Kind::Bool, "Whether it can be renewed; it can unless this says no."),
    field("ttl", Kind::Duration, "Time to live."),
    field("type", Kind::Text, "service or batch."),
];

/// `create`
pub(super) fn child(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    create(call, None, false)
}

/// `create-orphan`
pub(super) fn orphan(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    create(call, None, true)
}

/// `create/{role_name}`
pub(super) fn by_role(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role_name = call.fields.text_or_empty("role_name").to_owned();
    let role = role::load(call, &role_name)?.ok_or_else(|| Error::invalid(format!("unknown role {role_name}")))?;
    create(call, Some((&role_name, &role)), false)
}

fn create(call: &mut Call<'_, '_>, role: Option<(&str, &RoleRecord)>, is_orphan_path: bool) -> Result<Reply, Error> {
    let parent = call.caller()?;
    check_parent(&parent)?;
    let is_sudo = call.has_sudo;
    let role_record = role.map(|(_, role)| role);
    check_rights(call, is_sudo, role_record)?;
    let alias = alias(call, role_record)?;
    let is_batch = is_batch(call, role_record)?;
    let policies = policies(call, role_record, &parent, is_sudo)?;
    // With a role the role decides, whatever the request says.
    let is_orphan = is_orphan_path || role_record.map_or_else(|| wants(call, "no_parent"), |role| role.orphan);
    let path = creation_path(call, role);
    let mut record = TokenRecord {
        policies,
        origin: Origin::new(&call.mount.record, &path),
        path,
        display_name: display_name(call)?,
        meta: metadata(call)?,
        issued_nanos: call.context.now.nanos(),
        uses_left: uses(call, role_record)?,
        role: role.map(|(name, _)| name.to_owned()).unwrap_or_default(),
        bound_cidrs: addresses(call, role_record, &parent)?,
        explicit_max_secs: secs(call, "explicit_max_ttl"),
        period_secs: secs(call, "period"),
        is_renewable: !is_batch
            && call.fields.bool_or("renewable", true, true)
            && role_record.is_none_or(|role| role.renewable),
        ..TokenRecord::default()
    };
    if !is_orphan {
        record.parent = parent.hash_hex();
        record.depth = parent.record.depth + 1;
        record.entity_id.clone_from(&parent.record.entity_id);
    }
    if let Some(name) = alias {
        let (mount, known) = (call.mount.clone(), KnownAs { name, ..KnownAs::default() });
        record.entity_id = enter(call.store, call.context, &mount, &known)?;
    }
    if is_batch {
        check_batch(call, &record, role_record)?;
    }
    let mut warnings = give_time(call, &mut record, role_record, &parent)?;
    warnings.extend(missing_policies(call, &record)?);
    let mut reply = issue(call, record, is_batch)?;
    reply.warnings.extend(warnings);
    Ok(reply)
}

fn issue(call: &mut Call<'_, '_>, record: TokenRecord, is_batch: bool) -> Result<Reply, Error> {
    let chosen = call.fields.text("id").filter(|id| !id.is_empty()).map(str::to_owned);
    let issued = if is_batch {
        issue::issue_batch(call.store, call.context, record)?
    } else {
        issue::issue(call.store, call.context, record, chosen.as_deref())?
    };
    let mut auth = issued.auth(call.context.now);
    rights::tell(call.store, &mut auth)?;
    let reply = Reply::auth(auth);
    Ok(match chosen {
        Some(_) => reply.warn(
            "A custom ID for the token is only as hard to guess as the text that was chosen; \
             IDs that the server makes are random.",
        ),
        None => reply,
    })
}

fn check_parent(parent: &Token) -> Result<(), Error> {
    if parent.is_batch() {
        return Err(Error::invalid("batch tokens cannot create more tokens"));
    }
    if parent.record.uses_left > 0 {
        return Err(Error::invalid("restricted use token cannot generate child tokens"));
    }
    Ok(())
}

/// Fields that need `sudo` at the path of the request.
fn check_rights(call: &Call<'_, '_>, is_sudo: bool, role: Option<&RoleRecord>) -> Result<(), Error> {
    let id = call.fields.text_or_empty("id");
    if !is_sudo {
        let refused = [
            (!id.is_empty(), "root or sudo privileges required to specify token id"),
            (wants(call, "no_parent") && role.is_none(), "root or sudo privileges required to create orphan token"),
            (secs(call, "period") > 0, "root or sudo privileges required to create periodic token"),
        ];
        if let Some((_, message)) = refused.iter().find(|(is_wanted, _)| *is_wanted) {
            return Err(Error::invalid(*message));
        }
    }
    if id.is_empty() { Ok(()) } else { check_chosen(id) }
}

/// The alias of the token mount whose entity is to be behind the token instead of the maker's; only a role may permit it.
fn alias(call: &Call<'_, '_>, role: Option<&RoleRecord>) -> Result<Option<String>, Error> {
    let alias = call.fields.text_or_empty("entity_alias").to_lowercase();
    match role {
        _ if alias.is_empty() => Ok(None),
        None => Err(Error::invalid("'entity_alias' is only allowed in combination with token role")),
        Some(role) if !role.entity_aliases.iter().any(|glob| role::glob_matches(glob, &alias)) => {
            Err(Error::invalid("invalid 'entity_alias' value"))
        }
        Some(_) => Ok(Some(alias)),
    }
}

fn is_batch(call: &Call<'_, '_>, role: Option<&RoleRecord>) -> Result<bool, Error> {
    let wanted = match call.fields.text_or_empty("type") {
        "" | "default" => None,
        "service" => Some(false),
        "batch" => Some(true),
        _ => return Err(Error::invalid("invalid 'token_type' value")),
    };
    Ok(match role.map_or("default-service", |role| &role.token_type) {
        "service" => false,
        "batch" => true,
        "default-batch" => wanted.unwrap_or(true),
        _ => wanted.unwrap_or(false),
    })
}

/// What no batch token can be, whether the request or the role would make it so. Nothing ends a batch token before its
/// time, so none is root.
fn check_batch(call: &Call<'_, '_>, record: &TokenRecord, role: Option<&RoleRecord>) -> Result<(), Error> {
    if record.policies.iter().any(|policy| policy == name::ROOT) {
        return Err(Error::invalid("batch tokens cannot be root tokens"));
    }
    let is_periodic = record.period_secs > 0 || role.is_some_and(|role| role.token_period_secs > 0);
    let refused = [
        (!call.fields.text_or_empty("id").is_empty(), "id"),
        (record.uses_left > 0, "num_uses"),
        (is_periodic, "period"),
        (record.explicit_max_secs > 0, "explicit_max_ttl"),
    ];
    match refused.iter().find(|(is_set, _)| *is_set) {
        Some((_, field)) => Err(Error::invalid(format!("batch tokens cannot have \"{field}\" set"))),
        None => Ok(()),
    }
}

/// The policies of the new token. Without `sudo` and without a role that says otherwise they are a subset of the
/// maker's; root comes only from root, whatever a role says.
fn policies(
    call: &Call<'_, '_>,
    role: Option<&RoleRecord>,
    parent: &Token,
    is_sudo: bool,
) -> Result<Vec<String>, Error> {
    let mut sent = normalised(call.fields.list("policies").unwrap_or_default())?;
    if wants(call, "no_default_policy") {
        sent.retain(|policy| policy != name::DEFAULT);
    }
    let wants_default = !wants(call, "no_default_policy") && role.is_none_or(|role| !role.no_default_policy);
    let is_default_sent = sent.iter().any(|policy| policy == name::DEFAULT);
    let mut given = match role.filter(|role| role.decides_policies()) {
        Some(role) => by_role_lists(role, sent, parent, wants_default)?,
        None if sent.is_empty() => parent.policies.clone(),
        None => {
            let is_subset = sent.iter().all(|policy| parent.policies.contains(policy));
            if !is_sudo && !is_subset {
                return Err(Error::invalid("child policies must be subset of parent"));
            }
            let may_have_default = is_sudo || parent.policies.iter().any(|policy| policy == name::DEFAULT);
            with_default(sent, wants_default && may_have_default)
        }
    };
    if !wants_default && !is_default_sent {
        // Also what came from the maker or from a role's list.
        given.retain(|policy| policy != name::DEFAULT);
    }
    if given.iter().any(|policy| policy == name::ROOT) {
        if !parent.is_root() {
            return Err(Error::invalid("root tokens may not be created without parent token being root"));
        }
        given = vec![name::ROOT.to_owned()];
    }
    if given.iter().any(|policy| policy == name::RESPONSE_WRAPPING) {
        return Err(Error::invalid(NameError::NotAssignable(name::RESPONSE_WRAPPING).to_string()));
    }
    Ok(given)
}

/// What a role's lists make of the wishes: the allowed ones if there are none, else only what is allowed.
fn by_role_lists(
    role: &RoleRecord,
    sent: Vec<String>,
    parent: &Token,
    wants_default: bool,
) -> Result<Vec<String>, Error> {
    let wants_default = wants_default && !role.disallows(name::DEFAULT);
    let has_allowed = !(role.allowed_policies.is_empty() && role.allowed_globs.is_empty());
    let given = match sent.is_empty() {
        true if has_allowed => with_default(role.allowed_policies.clone(), wants_default),
        true => with_default(parent.policies.clone(), wants_default && !parent.is_root()),
        false => with_default(sent, wants_default),
    };
    let is_allowed = |policy: &String| role.allows(policy) || (wants_default && policy == name::DEFAULT);
    if has_allowed && !given.iter().all(is_allowed) {
        let message = format!(
            "token policies ({:?}) must be subset of the role's allowed policies ({:?}) or glob policies ({:?})",
            given, role.allowed_policies, role.allowed_globs
        );
        return Err(Error::invalid(message));
    }
    match given.iter().find(|policy| role.disallows(policy)) {
        Some(policy) => Err(Error::invalid(format!("token policy {policy:?} is disallowed by this role"))),
        None => Ok(given),
    }
}

/// Normalised, sorted, each once.
fn normalised(sent: &[String]) -> Result<Vec<String>, Error> {
    if sent.len() > MAX_POLICIES {
        return Err(Error::invalid(format!("the token would have {} policies, at most {MAX_POLICIES}", sent.len())));
    }
    let sent = sent.iter().filter(|policy| !policy.trim().is_empty());
    let names = sent.map(|policy| PolicyName::listed(policy).map(|name| name.as_str().to_owned()));
    let mut names = names.collect::<Result<Vec<_>, _>>().map_err(|error| Error::invalid(error.to_string()))?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn with_default(mut policies: Vec<String>, is_wanted: bool) -> Vec<String> {
    let is_there = policies.iter().any(|policy| policy == name::DEFAULT || policy == name::ROOT);
    if is_wanted && !is_there {
        policies.push(name::DEFAULT.to_owned());
        policies.sort_unstable();
    }
    policies
}

/// Sets time to live and expiry; returns what was cut. Only root without any wish has no end.
fn give_time(
    call: &Call<'_, '_>,
    record: &mut TokenRecord,
    role: Option<&RoleRecord>,
    parent: &Token,
) -> Result<Vec<String>, Error> {
    let bounds = Bounds {
        explicit_max_secs: smallest([record.explicit_max_secs, role.map_or(0, |role| role.token_explicit_max_secs)])
            .unwrap_or(0),
        period_secs: smallest([record.period_secs, role.map_or(0, |role| role.token_period_secs)]).unwrap_or(0),
        ..Bounds::of_mount(call.context, &call.mount.record)
    };
    let asked = smallest([secs(call, "ttl")]).unwrap_or(secs(call, "lease"));
    let is_root = record.policies == [name::ROOT];
    let wanted_secs = if is_root && asked == 0 { bounds.explicit_max_secs } else { asked };
    if is_root && wanted_secs == 0 && bounds.period_secs == 0 {
        if parent.expires().is_some() {
            return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        record.is_renewable = false;
        return Ok(Vec::new());
    }
    // A period renews for ever, which is no end either.
    if is_root && bounds.period_secs > 0 && bounds.explicit_max_secs == 0 && parent.expires().is_some() {
        return Err(Error::invalid("expiring root tokens cannot create periodic root tokens without explicit_max_ttl"));
    }
    let now = call.context.now;
    let life = bounds.lifetime(now, now, wanted_secs).map_err(|error| Error::invalid(error.to_string()))?;
    record.ttl_secs = life.ttl_secs;
    record.expires_nanos = life.expires.nanos();
    Ok(life.warnings)
}

/// A policy may be written after the tokens that name it, but most often its name was mistyped.
fn missing_policies(call: &mut Call<'_, '_>, record: &TokenRecord) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for policy in &record.policies {
        if !records::exists(call.store, policy)? {
            warnings.push(format!("Policy \"{policy}\" does not exist"));
        }
    }
    Ok(warnings)
}

/// Addresses that the role binds to, else those of the maker, so that a bound token cannot make itself a free one.
fn addresses(call: &Call<'_, '_>, role: Option<&RoleRecord>, parent: &Arc<Token>) -> Result<Vec<String>, Error> {
    match role {
        Some(role) if role.strictly_bind_ip => {
            let address = call.request.remote_address.ok_or_else(|| {
                Error::invalid("the role binds tokens to the client's address, and that is not known")
            })?;
            Ok(vec![address.to_string()])
        }
        Some(role) if !role.token_bound_cidrs.is_empty() => Ok(role.token_bound_cidrs.clone()),
        _ => Ok(parent.record.bound_cidrs.clone()),
    }
}

fn uses(call: &Call<'_, '_>, role: Option<&RoleRecord>) -> Result<u64, Error> {
    let wanted = call.fields.int("num_uses").unwrap_or(0);
    let wanted = u64::try_from(wanted).map_err(|_| Error::invalid("number of uses cannot be negative"))?;
    Ok(smallest([wanted, role.map_or(0, |role| role.token_num_uses)]).unwrap_or(0))
}

fn creation_path(call: &Call<'_, '_>, role: Option<(&str, &RoleRecord)>) -> String {
    let path = call.request.path.as_str();
    match role {
        Some((_, role)) if !role.path_suffix.is_empty() => format!("{path}/{}", role.path_suffix),
        _ => path.to_owned(),
    }
}

/// `token`, or `token-` and the wish with everything but letters, digits and dashes turned into dashes.
fn display_name(call: &Call<'_, '_>) -> Result<String, Error> {
    let wanted = call.fields.text_or_empty("display_name");
    if wanted.len() > MAX_META_BYTES {
        return Err(Error::invalid(format!("display_name is longer than {MAX_META_BYTES} bytes")));
    }
    let plain: String = wanted.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_end_matches('-');
    Ok(if plain.is_empty() { "token".to_owned() } else { format!("token-{plain}") })
}

fn metadata(call: &Call<'_, '_>) -> Result<BTreeMap<String, String>, Error> {
    let Some(meta) = call.fields.map("meta") else { return Ok(BTreeMap::new()) };
    if meta.len() > MAX_META {
        return Err(Error::invalid(format!("meta holds {} entries, at most {MAX_META} are kept", meta.len())));
    }
    let pairs = meta.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let meta: BTreeMap<_, _> = pairs.collect();
    if meta.iter().any(|(key, value)| key.len() > MAX_META_BYTES || value.len() > MAX_META_BYTES) {
        return Err(Error::invalid(format!("a key or value of meta is longer than {MAX_META_BYTES} bytes")));
    }
    printable::check_pairs("meta", &meta)?;
    Ok(meta)
}

fn wants(call: &Call<'_, '_>, field: &str) -> bool {
    call.fields.bool(field).unwrap_or(false)
}

/// A duration in whole seconds, rounded up, so that what was asked for does not become "not asked for".
fn secs(call: &Call<'_, '_>, field: &str) -> u64 {
    call.fields.duration(field).map_or(0, |duration| duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}
