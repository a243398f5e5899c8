//! `login`: a name and a password that a directory takes, for a token; and what bounds such a token's renewal.
//!
//! A name that the directory does not know and a password that it does not take are answered in the same words. Both are
//! counted ([`crate::lockout`]); what the directory could not say is not.
//!
//! What surprises: a directory takes a name in many spellings. The token's renewal and the lockout go by one of them, and so
//! does identity: by the user's attribute as the directory has it, or, with `username_as_alias`, by the name in lower case and
//! without white space that does not count.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::directory::{DirectoryAnswer, DirectoryVerdict};
use crate::engine::{Call, Work};
use crate::engines::ldap::config::{self, LdapConfigRecord};
use crate::engines::ldap::{mapping, question};
use crate::engines::login::{Login, log_in, permits};
use crate::engines::terms::{TermsRecord, sorted};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::login::{KnownAs, refresh_groups};
use crate::lockout::{self, Who};
use crate::policy::name::DEFAULT;
use crate::reply::Reply;
use crate::spelling;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;

const USERNAME: Field = field("username", Kind::Text, "The name in the directory.");
const PASSWORD: Field = field("password", Kind::Text, "The password there.").required();

pub(super) const FIELDS: &[Field] = &[USERNAME, PASSWORD];

/// What a user gets.
struct Gains {
    /// Policies of the configuration, of the user and of the groups.
    policies: Vec<String>,
    /// Names of groups, as external groups of identity may have them.
    groups: Vec<String>,
}

/// `login/{username}`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = config::find(call.store, &mount)?;
    let config = config.ok_or_else(|| Error::invalid("ldap backend not configured: write config first"))?;
    let username = username(call)?;
    let password = Zeroizing::new(call.fields.text_or_empty(PASSWORD.name).to_owned());
    if password.is_empty() && !config.takes_empty_passwords {
        return Err(Error::invalid("password cannot be of zero length when passwordless binds are being denied"));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(Error::invalid(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")));
    }
    if !permits(&config.terms.bound_cidrs, call.request.remote_address) {
        return Err(Error::bad_token());
    }
    let key = folded(&username);
    lockout::check(call, Who::User(&key))?;
    lockout::check(call, Who::Stranger(&key))?;
    let answer = question::ask(call.context, &config, &username, Some(password.as_str()))?;
    judge(call, &answer, &key)?;
    for who in [Who::User(&key), Who::Stranger(&key)] {
        lockout::forgive(call.store, &mount, who)?;
    }
    admit(call, &config, username, &answer)
}

/// The name that was sent. Paths hold no control characters.
fn username(call: &Call<'_, '_>) -> Result<String, Error> {
    let username = call.fields.text_or_empty(USERNAME.name).trim_end_matches('/').to_owned();
    let most = mapping::MAX_NAME_BYTES;
    match !username.trim().is_empty() && username.len() <= most {
        true => Ok(username),
        false => Err(Error::invalid(format!("the username must have 1 to {most} bytes"))),
    }
}

/// A name as it is counted, and with `username_as_alias` known: directories compare names without regard to case and to how
/// much white space there is (RFC 4518).
fn folded(username: &str) -> String {
    let words: Vec<_> = username.split_whitespace().collect();
    spelling::lower(&words.join(" ")).into_owned()
}

/// Refuses all but a user whose password it is.
fn judge(call: &mut Call<'_, '_>, answer: &DirectoryAnswer, key: &str) -> Result<(), Error> {
    match answer.verdict() {
        DirectoryVerdict::Known => Ok(()),
        DirectoryVerdict::Unknown | DirectoryVerdict::Refused => {
            // Of who binds without a search before it is not known whether they are there.
            lockout::count(call, if answer.is_found { Who::User(key) } else { Who::Stranger(key) })?;
            Err(Error::invalid("ldap operation failed: failed to bind as user"))
        }
        DirectoryVerdict::MustChange => {
            Err(Error::invalid("ldap operation failed: the password must be changed in the directory first"))
        }
        DirectoryVerdict::Misconfigured => Err(Error::invalid(format!("ldap operation failed: {}", answer.reason))),
    }
}

fn admit(
    call: &mut Call<'_, '_>,
    config: &LdapConfigRecord,
    username: String,
    answer: &DirectoryAnswer,
) -> Result<Reply, Error> {
    let known_as = alias(config, &username, answer)?;
    let mut work = call.work();
    let gains = gains(&mut work, config, &username, answer)?;
    let terms = TermsRecord { policies: gains.policies, ..config.terms.clone() };
    log_in(
        call,
        Login {
            terms: &terms,
            role: username.clone(),
            role_mark: answer.user_dn.clone(),
            shown_as: Some(username.clone()),
            known_as: KnownAs {
                metadata: BTreeMap::from([("name".to_owned(), known_as.clone())]),
                name: known_as,
                groups: gains.groups,
            },
            meta: BTreeMap::from([("username".to_owned(), username)]),
            bound_cidrs: config.terms.bound_cidrs.clone(),
        },
    )
}

/// By what identity knows the user.
fn alias(config: &LdapConfigRecord, username: &str, answer: &DirectoryAnswer) -> Result<String, Error> {
    let attribute = config.user_attribute();
    if !config.knows_by_username {
        return match answer.user_values.as_slice() {
            [value] if !value.is_empty() => Ok(value.clone()),
            values => Err(Error::invalid(format!(
                "the user's entry has {} values of {attribute}, and identity needs one: set userattr",
                values.len()
            ))),
        };
    }
    // What directories unite beyond case and white space lies outside of ASCII, so such a name must be spelled as it is there.
    let key = folded(username);
    let is_spelled_so = || answer.user_values.iter().any(|value| folded(value) == key);
    match key.is_ascii() || is_spelled_so() {
        true => Ok(key),
        false => Err(Error::invalid(format!("the username must be spelled as {attribute} of the user's entry"))),
    }
}

fn gains(
    work: &mut Work<'_, '_>,
    config: &LdapConfigRecord,
    username: &str,
    answer: &DirectoryAnswer,
) -> Result<Gains, Error> {
    let mount = work.mount.clone();
    let user = mapping::user(work.store, &mount, &config.spelled(username))?;
    let mut groups = question::group_names(config, answer);
    groups.extend(user.groups.iter().cloned());
    let spelled: BTreeSet<String> = groups.iter().map(|name| config.spelled(name)).collect();
    let mut policies = mapping::policies_of_groups(work.store, &mount, &spelled)?;
    policies.extend(user.policies);
    policies.extend(config.terms.policies.iter().cloned());
    // An external group may be known by the name as the directory spells it, or by the one that counts here.
    groups.extend(spelled);
    Ok(Gains { policies: sorted(policies), groups: groups.into_iter().collect() })
}

/// What bounds a token's renewal: the user as the directory has them now, if a service account can ask. Their external groups
/// are those of now from then on. Without one only the configuration bounds it, since no password is kept to ask with.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if the user is gone, or has other policies by now: a renewal would keep the old ones
/// alive.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let mount = work.mount.clone();
    let config = config::find(work.store, &mount)?;
    let config = config.ok_or_else(|| Error::invalid("ldap backend not configured, so the token cannot be renewed"))?;
    if question::can_look_up(&config) {
        let answer = question::ask(work.context, &config, &token.method_role, None)?;
        check_still(&answer, token)?;
        let gains = gains(work, &config, &token.method_role, &answer)?;
        let is_other = |name: &&String| *name != DEFAULT;
        if !token.policies.iter().filter(is_other).eq(gains.policies.iter().filter(is_other)) {
            return Err(Error::invalid("policies have changed, not renewing"));
        }
        refresh_groups(work.store, &mount, &token.entity_id, &gains.groups)?;
    }
    let terms = &config.terms;
    Ok(Some(Bounds { role_max_secs: terms.max_ttl_secs, period_secs: terms.period_secs, ..bounds }))
}

/// Refuses the token of somebody whom the directory does not know any more, also if another has their name by now.
fn check_still(answer: &DirectoryAnswer, token: &TokenRecord) -> Result<(), Error> {
    match answer.verdict() {
        DirectoryVerdict::Known if answer.user_dn.eq_ignore_ascii_case(&token.method_role_mark) => Ok(()),
        DirectoryVerdict::Misconfigured => Err(Error::invalid(format!("ldap operation failed: {}", answer.reason))),
        _ => Err(Error::invalid("the directory does not know the user any more, so the token cannot be renewed")),
    }
}
