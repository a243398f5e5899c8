//! One-time passwords: a host asks here whether the one that somebody typed there is good, for whom, and uses it up by asking.
//!
//! A password is stored nowhere, only an HMAC of it. Whoever got one has a lease, with whose end it goes.

use std::net::IpAddr;

use prost::Message;
use serde_json::json;

use crate::engine::{Call, Leasing, Work};
use crate::engines::listing;
use crate::engines::named::{self, Named as _};
use crate::engines::ssh::role::{ROLE, SshRoleRecord, by_commas};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::grant::LeaseTerms;
use crate::lease::liveness;
use crate::lease::record::Lease;
use crate::mount::Mount;
use crate::reply::Reply;

/// Directory of the passwords in the mount's area.
const FOLDER: &str = "otp";
/// Where the roles lie that are for every address.
const ZERO: [&str; 1] = ["zero-address"];
/// Longest password that is looked at, in bytes.
const MAX_OTP_BYTES: usize = 128;
/// Most roles that are for every address.
const MAX_ZERO_ROLES: usize = 256;
/// Most roles that are looked at for an address.
const MAX_LOOKED_AT: usize = 1000;
/// What a host sends to see whether it reaches this, and what it is answered.
const ECHO: [&str; 2] = ["verify-echo-request", "verify-echo-response"];

const IP: Field = field("ip", Kind::Text, "Address of the host.").required();
const USERNAME: Field = field("username", Kind::Text, "The user on it; default_user of the role if not said.");
const OTP: Field = field("otp", Kind::Text, "The password.").required();
const ROLES: Field = field("roles", Kind::CommaList, "Names of roles for one-time passwords.").required();

pub(super) const CREDS_FIELDS: &[Field] = &[ROLE, IP, USERNAME];
pub(super) const VERIFY_FIELDS: &[Field] = &[OTP];
pub(super) const LOOKUP_FIELDS: &[Field] = &[IP];
pub(super) const ZERO_FIELDS: &[Field] = &[ROLES];

/// What happens to the leases of passwords.
pub(super) const LEASING: Leasing = Leasing { renew: None, revoke: |_, _| Ok(()), ended: Some(ended) };

/// A password as it is stored: under its HMAC.
#[derive(Clone, PartialEq, Message)]
struct SshOtpRecord {
    #[prost(string, tag = "1")]
    ip: String,
    #[prost(string, tag = "2")]
    username: String,
    #[prost(string, tag = "3")]
    role: String,
    /// Name of the lease with which it ends.
    #[prost(string, tag = "4")]
    lease: String,
}

/// Roles that are for every address.
#[derive(Clone, PartialEq, Message)]
struct SshZeroRecord {
    #[prost(string, repeated, tag = "1")]
    roles: Vec<String>,
}

fn hash(mount: &Mount, otp: &str) -> String {
    hex::encode(mount.keys.index("ssh otp", otp.as_bytes()))
}

fn address(call: &Call<'_, '_>) -> Result<IpAddr, Error> {
    match call.fields.text_or_empty(IP.name) {
        "" => Err(Error::invalid("Missing ip")),
        text => text.parse().map_err(|_| Error::invalid("Invalid IP: it must be an address such as 10.1.2.3")),
    }
}

fn zero_roles(call: &mut Call<'_, '_>) -> Result<Vec<String>, Error> {
    let record: Option<SshZeroRecord> = call.store.get(&call.mount.area, &ZERO)?;
    Ok(record.unwrap_or_default().roles)
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<SshRoleRecord>(call));
    let ip = address(call)?;
    let role: Option<SshRoleRecord> = named::find(call.store, &mount, &name)?;
    let role = role.ok_or_else(|| Error::invalid(format!("Role {name:?} not found")))?;
    let username = user(&role, call.fields.text_or_empty(USERNAME.name))?;
    let is_for_all = role.is_otp && zero_roles(call)?.contains(&name);
    if !is_for_all && !role.has_host(ip) {
        return Err(Error::invalid("Error validating IP: IP does not belong to role"));
    }
    let otp = call.context.uuid();
    let hash = hash(&mount, &otp);
    let lease = call.begin_lease("otp", "", hash.as_bytes())?;
    let data = json!({
        "key_type": "otp",
        "key": otp,
        "ip": ip.to_string(),
        "username": username,
        "port": role.port,
    });
    let record = SshOtpRecord { ip: ip.to_string(), username, role: name, lease: lease.name.clone() };
    call.store.put(&mount.area, &[FOLDER, &hash], &record)?;
    call.give(lease, LeaseTerms { ttl_secs: 0, max_secs: 0, is_renewable: false }, Reply::data(data))
}

fn user(role: &SshRoleRecord, sent: &str) -> Result<String, Error> {
    let wanted = if sent.is_empty() { role.default_user.as_str() } else { sent };
    if wanted.is_empty() {
        return Err(Error::invalid("No default username registered. Use 'username' option"));
    }
    let allowed = role.allowed_users.trim();
    let is_allowed = wanted == role.default_user || allowed == "*" || by_commas(allowed).any(|user| user == wanted);
    // What is sent goes into the log of a host, and into its login.
    match is_allowed && !wanted.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Ok(wanted.to_owned()),
        false => Err(Error::invalid("Username has to be either in allowed users list or has to be a default username")),
    }
}

/// The end of a lease takes its password with it.
fn ended(work: &mut Work<'_, '_>, lease: &Lease) -> Result<(), Error> {
    let hash = String::from_utf8_lossy(&lease.record.data).into_owned();
    work.store.delete(&work.mount.area, &[FOLDER, &hash]);
    Ok(())
}

/// Uses a password up. The read before is a guard, so that of two who ask at once one is told that there is none.
pub(super) fn verify(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let otp = call.fields.text_or_empty(OTP.name);
    if otp == ECHO[0] {
        return Ok(Reply::data(json!({ "message": ECHO[1] })));
    }
    let missing = || Error::invalid("OTP not found");
    if otp.is_empty() || otp.len() > MAX_OTP_BYTES {
        return Err(missing());
    }
    let hash = hash(&mount, otp);
    let record: SshOtpRecord = call.store.get(&mount.area, &[FOLDER, &hash])?.ok_or_else(missing)?;
    let role: Option<SshRoleRecord> = named::find(call.store, &mount, &record.role)?;
    // The lease is looked at and not the record alone: that goes in the background, a while after the lease is over.
    let is_live = match Lease::stored(call.store, &record.lease)? {
        Some(lease) => liveness::is_live(call.store, call.context, &lease)?,
        None => false,
    };
    if !is_live || role.is_none_or(|role| !role.is_otp) {
        return Err(missing());
    }
    call.store.delete(&mount.area, &[FOLDER, &hash]);
    Ok(Reply::data(json!({ "ip": record.ip, "username": record.username, "role_name": record.role })))
}

pub(super) fn lookup(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, ip) = (call.mount.clone(), address(call)?);
    let names = listing::keys(&call.store.list(&mount.area, &[SshRoleRecord::FOLDER])?);
    if names.len() > MAX_LOOKED_AT {
        return Err(Error::invalid(format!("the mount has more than {MAX_LOOKED_AT} roles; name one at creds/")));
    }
    let zero = zero_roles(call)?;
    let mut roles = Vec::new();
    for name in names {
        let role: Option<SshRoleRecord> = named::find(call.store, &mount, &name)?;
        if role.is_some_and(|role| role.is_otp && (zero.contains(&name) || role.has_host(ip))) {
            roles.push(name);
        }
    }
    Ok(Reply::data(json!({ "roles": if roles.is_empty() { None } else { Some(roles) } })))
}

pub(super) fn read_zero(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    match zero_roles(call)? {
        roles if roles.is_empty() => Err(Error::not_found()),
        roles => Ok(Reply::data(json!({ "roles": roles }))),
    }
}

pub(super) fn write_zero(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, roles) = (call.mount.clone(), call.fields.list(ROLES.name).unwrap_or_default().to_vec());
    if roles.is_empty() {
        return Err(Error::invalid("Missing roles"));
    }
    if roles.len() > MAX_ZERO_ROLES {
        return Err(Error::invalid(format!("at most {MAX_ZERO_ROLES} roles are for every address")));
    }
    for name in &roles {
        let role: Option<SshRoleRecord> = named::find(call.store, &mount, name)?;
        if !role.is_some_and(|role| role.is_otp) {
            return Err(Error::invalid("roles must be names of roles for one-time passwords; make them first"));
        }
    }
    call.store.put(&mount.area, &ZERO, &SshZeroRecord { roles })?;
    Ok(Reply::empty())
}

pub(super) fn delete_zero(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.store.delete(&call.mount.area, &ZERO);
    Ok(Reply::empty())
}

/// Deletes a role, and its place among those for every address: a later one of its name begins without.
pub(super) fn delete_role(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<SshRoleRecord>(call));
    let mut roles = zero_roles(call)?;
    if roles.contains(&name) {
        roles.retain(|role| *role != name);
        call.store.put(&mount.area, &ZERO, &SshZeroRecord { roles })?;
    }
    named::delete::<SshRoleRecord>(call)
}
