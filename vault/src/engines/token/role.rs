//! Token roles: what a token made by one may be, set apart from what its maker may.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::engines::listing;
use crate::engines::terms::{Names, check_length, sorted, take_count, take_renamed_addresses, take_renamed_duration};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::policy::name::{self, PolicyName};
use crate::reply::Reply;

/// Directory of the roles in the mount's area.
const FOLDER: &str = "role";

pub(super) const FIELDS: &[Field] = &[
    field("name", Kind::Text, "Name of the role."),
    field("allowed_policies", Kind::CommaNames, "Policies that its tokens may have; none means those of the maker."),
    field("disallowed_policies", Kind::CommaNames, "Policies that its tokens must not have."),
    field("allowed_policies_glob", Kind::CommaNames, "Patterns of policies that its tokens may have; '*' is anything."),
    field("disallowed_policies_glob", Kind::CommaNames, "Patterns of policies that its tokens must not have."),
    field("orphan", Kind::Bool, "Whether its tokens have no parent."),
    field("renewable", Kind::Bool, "Whether its tokens can be renewed; they can unless this says no."),
    field("path_suffix", Kind::Text, "Ends the path under which its tokens are known."),
    field("allowed_entity_aliases", Kind::CommaNames, "Entity aliases that may be asked for."),
    field("token_period", Kind::Duration, "Period of its tokens."),
    field("token_explicit_max_ttl", Kind::Duration, "Longest life of its tokens."),
    field("token_bound_cidrs", Kind::CommaList, "Addresses from which its tokens may be used."),
    field("token_strictly_bind_ip", Kind::Bool, "Whether its tokens may be used only from where they were made."),
    field("token_num_uses", Kind::Int, "Most uses of its tokens; 0 is without limit."),
    field("token_no_default_policy", Kind::Bool, "Whether its tokens lack the default policy."),
    field("token_type", Kind::Text, "service, batch, default-service or default-batch."),
    field("period", Kind::Duration, "Old name of token_period.").renamed_to("token_period"),
    field("explicit_max_ttl", Kind::Duration, "Old name of token_explicit_max_ttl.")
        .renamed_to("token_explicit_max_ttl"),
    field("bound_cidrs", Kind::CommaList, "Old name of token_bound_cidrs.").renamed_to("token_bound_cidrs"),
];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RoleRecord {
    #[prost(string, repeated, tag = "1")]
    pub(super) allowed_policies: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) disallowed_policies: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) allowed_globs: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) disallowed_globs: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(super) orphan: bool,
    #[prost(bool, tag = "6")]
    pub(super) renewable: bool,
    #[prost(string, tag = "7")]
    pub(super) path_suffix: String,
    #[prost(string, repeated, tag = "8")]
    pub(super) entity_aliases: Vec<String>,
    #[prost(uint64, tag = "9")]
    pub(super) token_period_secs: u64,
    #[prost(uint64, tag = "10")]
    pub(super) token_explicit_max_secs: u64,
    #[prost(string, repeated, tag = "11")]
    pub(super) token_bound_cidrs: Vec<String>,
    #[prost(bool, tag = "12")]
    pub(super) strictly_bind_ip: bool,
    #[prost(uint64, tag = "13")]
    pub(super) token_num_uses: u64,
    #[prost(bool, tag = "14")]
    pub(super) no_default_policy: bool,
    /// `service`, `batch`, `default-service` or `default-batch`.
    #[prost(string, tag = "15")]
    pub(super) token_type: String,
    /// Given by its old name, which then is shown too.
    #[prost(uint64, tag = "16")]
    pub(super) old_period_secs: u64,
    /// Given by its old name, which then is shown too.
    #[prost(uint64, tag = "17")]
    pub(super) old_explicit_max_secs: u64,
    /// Given by its old name, which then is shown too.
    #[prost(string, repeated, tag = "18")]
    pub(super) old_bound_cidrs: Vec<String>,
}

impl RoleRecord {
    fn new() -> Self {
        Self { renewable: true, token_type: "default-service".into(), ..Self::default() }
    }

    /// Whether it says anything about policies; if not, its tokens follow the maker's.
    pub(super) fn decides_policies(&self) -> bool {
        [&self.allowed_policies, &self.disallowed_policies, &self.allowed_globs, &self.disallowed_globs]
            .iter()
            .any(|list| !list.is_empty())
    }

    /// Whether a policy may be given by one of the lists of what is allowed. No pattern stands for root.
    pub(super) fn allows(&self, policy: &str) -> bool {
        let by_glob = || policy != name::ROOT && self.allowed_globs.iter().any(|glob| glob_matches(glob, policy));
        self.allowed_policies.iter().any(|allowed| allowed == policy) || by_glob()
    }

    /// Whether a policy is on one of the lists of what is not allowed.
    pub(super) fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|disallowed| disallowed == policy)
            || self.disallowed_globs.iter().any(|glob| glob_matches(glob, policy))
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
pub(super) fn glob_matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A role of this method; `None` if there is none.
pub(super) fn load(call: &mut Call<'_, '_>, role: &str) -> Result<Option<RoleRecord>, Error> {
    let area = call.mount.area.clone();
    call.store.get(&area, &[FOLDER, role])
}

fn role_name(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty("name").to_owned()
}

pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let (area, role) = (call.mount.area.clone(), role_name(call));
    call.store.contains(&area, &[FOLDER, &role])
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let names = call.store.list(&area, &[FOLDER])?;
    listing::page(listing::keys(&names), &call.fields)
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, role) = (call.mount.area.clone(), role_name(call));
    call.store.delete(&area, &[FOLDER, &role]);
    Ok(Reply::empty())
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role_name = role_name(call);
    let role = load(call, &role_name)?.ok_or_else(Error::not_found)?;
    let aliases = if role.entity_aliases.is_empty() { Value::Null } else { json!(role.entity_aliases) };
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    put("name", role_name.into());
    put("allowed_policies", json!(role.allowed_policies));
    put("disallowed_policies", json!(role.disallowed_policies));
    put("allowed_policies_glob", json!(role.allowed_globs));
    put("disallowed_policies_glob", json!(role.disallowed_globs));
    put("orphan", role.orphan.into());
    put("renewable", role.renewable.into());
    put("path_suffix", role.path_suffix.into());
    put("allowed_entity_aliases", aliases);
    put("token_period", role.token_period_secs.into());
    put("token_explicit_max_ttl", role.token_explicit_max_secs.into());
    put("token_no_default_policy", role.no_default_policy.into());
    put("token_type", role.token_type.into());
    put("period", role.old_period_secs.into());
    put("explicit_max_ttl", role.old_explicit_max_secs.into());
    if !role.token_bound_cidrs.is_empty() {
        put("token_bound_cidrs", json!(role.token_bound_cidrs));
    }
    if !role.old_bound_cidrs.is_empty() {
        put("bound_cidrs", json!(role.old_bound_cidrs));
    }
    if role.token_num_uses > 0 {
        put("token_num_uses", role.token_num_uses.into());
    }
    if role.strictly_bind_ip {
        put("token_strictly_bind_ip", true.into());
    }
    Ok(Reply { data: Some(data), ..Reply::default() })
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role_name = role_name(call);
    let mut role = load(call, &role_name)?.unwrap_or_else(RoleRecord::new);
    let mut reply = Reply::empty();
    take_policies(&mut role, &call.fields)?;
    take_times(&mut role, &call.fields, &mut reply.warnings);
    take_addresses(&mut role, &call.fields, &mut reply.warnings)?;
    take_rest(&mut role, &call.fields)?;
    check_batch(&role)?;
    let area = call.mount.area.clone();
    call.store.put(&area, &[FOLDER, &role_name], &role)?;
    Ok(reply)
}

fn take_policies(role: &mut RoleRecord, fields: &Fields) -> Result<(), Error> {
    let lists =
        [("allowed_policies", &mut role.allowed_policies), ("disallowed_policies", &mut role.disallowed_policies)];
    for (field, list) in lists {
        let Some(sent) = fields.list(field) else { continue };
        check_length(field, sent)?;
        // Forbidding root is sensible, giving it is not.
        let parse = if field == "allowed_policies" { PolicyName::assignable } else { PolicyName::listed };
        let names =
            sent.iter().map(|name| Ok(parse(name)?.as_str().to_owned())).collect::<Result<Vec<_>, name::NameError>>();
        *list = sorted(names.map_err(|error| Error::invalid(error.to_string()))?);
    }
    let globs =
        [("allowed_policies_glob", &mut role.allowed_globs), ("disallowed_policies_glob", &mut role.disallowed_globs)];
    for (field, list) in globs {
        let Some(sent) = fields.list(field) else { continue };
        check_length(field, sent)?;
        *list = sorted(sent.iter().map(|glob| glob.to_lowercase()).collect());
    }
    if let Some(sent) = fields.list("allowed_entity_aliases") {
        check_length("allowed_entity_aliases", sent)?;
        role.entity_aliases = sorted(sent.iter().map(|alias| alias.to_lowercase()).collect());
    }
    Ok(())
}

fn take_times(role: &mut RoleRecord, fields: &Fields, warnings: &mut Vec<String>) {
    let names = Names { new: "token_period", old: "period" };
    take_renamed_duration(fields, &names, &mut role.token_period_secs, &mut role.old_period_secs, warnings);
    let names = Names { new: "token_explicit_max_ttl", old: "explicit_max_ttl" };
    let (value, old) = (&mut role.token_explicit_max_secs, &mut role.old_explicit_max_secs);
    take_renamed_duration(fields, &names, value, old, warnings);
}

fn take_addresses(role: &mut RoleRecord, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
    let names = Names { new: "token_bound_cidrs", old: "bound_cidrs" };
    take_renamed_addresses(fields, &names, &mut role.token_bound_cidrs, &mut role.old_bound_cidrs, warnings)
}

fn take_rest(role: &mut RoleRecord, fields: &Fields) -> Result<(), Error> {
    role.orphan = fields.bool("orphan").unwrap_or(role.orphan);
    role.renewable = fields.bool_or("renewable", role.renewable, true);
    role.no_default_policy = fields.bool("token_no_default_policy").unwrap_or(role.no_default_policy);
    role.strictly_bind_ip = fields.bool("token_strictly_bind_ip").unwrap_or(role.strictly_bind_ip);
    take_count(fields, "token_num_uses", &mut role.token_num_uses)?;
    if let Some(suffix) = fields.text("path_suffix") {
        if !suffix.is_empty() && !is_suffix(suffix) {
            return Err(Error::invalid(
                "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
            ));
        }
        suffix.clone_into(&mut role.path_suffix);
    }
    match fields.text("token_type") {
        None => {}
        Some("" | "default-service") => role.token_type = "default-service".into(),
        Some(word @ ("service" | "batch" | "default-batch")) => word.clone_into(&mut role.token_type),
        Some(_) => {
            let message = "invalid 'token_type' value: it must be service, batch, default-service or default-batch";
            return Err(Error::invalid(message));
        }
    }
    Ok(())
}

/// A batch token can have none of these, so a role that makes nothing else must not promise them.
fn check_batch(role: &RoleRecord) -> Result<(), Error> {
    if role.token_type != "batch" {
        return Ok(());
    }
    let refused = [
        (!role.orphan, "non-orphan tokens"),
        (role.token_period_secs > 0, "periodic tokens"),
        (role.renewable, "renewable tokens"),
        (role.token_explicit_max_secs > 0, "tokens with an explicit max TTL"),
        (role.token_num_uses > 0, "tokens with limited use count"),
    ];
    match refused.iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => {
            Err(Error::invalid(format!("'token_type' cannot be 'batch' when role is set to generate {what}")))
        }
        None => Ok(()),
    }
}

/// `\w[\w-.]+\w`
fn is_suffix(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let ends = bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    (3..=128).contains(&bytes.len()) && ends && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'-' | b'.'))
}
