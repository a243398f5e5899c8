//! Principals: the users or hosts that a certificate speaks for.

use crate::engines::ssh::role::{SshRoleRecord, by_commas};
use crate::engines::ssh::template;
use crate::error::Error;
use crate::policy::template::TemplateValues;

/// Most principals of a certificate.
const MAX_PRINCIPALS: usize = 256;
/// Longest principal, in bytes.
const MAX_PRINCIPAL_BYTES: usize = 256;

/// The principals of a user's certificate: those that were sent, or the role's default user.
pub(super) fn of_user(role: &SshRoleRecord, sent: &str, values: &TemplateValues) -> Result<Vec<String>, Error> {
    let default = match role.default_user_template {
        true => template::fill(&role.default_user, values),
        false => Some(role.default_user.clone()),
    };
    let mut wanted = distinct(sent);
    if wanted.is_empty() {
        let default = default.as_deref().ok_or_else(|| {
            Error::invalid("the template of default_user has no value for this token; name valid_principals")
        })?;
        wanted = distinct(default);
    }
    check(role, &wanted)?;
    if role.allowed_users.trim() == "*" {
        return Ok(wanted);
    }
    let allowed = listed(&role.allowed_users, role.allowed_users_template, values);
    let is_allowed =
        |name: &String| allowed.contains(name) || default.as_deref().is_some_and(|user| distinct(user).contains(name));
    refuse_others(wanted, is_allowed)
}

/// The principals of a host's certificate.
pub(super) fn of_host(role: &SshRoleRecord, sent: &str, values: &TemplateValues) -> Result<Vec<String>, Error> {
    let wanted = distinct(sent);
    check(role, &wanted)?;
    if role.allowed_domains.trim() == "*" {
        return Ok(wanted);
    }
    let domains = listed(&role.allowed_domains, role.allowed_domains_template, values);
    let is_below =
        |host: &str, domain: &str| host.strip_suffix(domain).is_some_and(|head| head.len() > 1 && head.ends_with('.'));
    let is_allowed = |host: &String| {
        let is_domain = role.allow_bare_domains && domains.contains(host);
        is_domain || role.allow_subdomains && domains.iter().any(|domain| is_below(host, domain))
    };
    refuse_others(wanted, is_allowed)
}

/// The names of a list of a role. One whose template has no value for who asks is not on it.
fn listed(list: &str, is_template: bool, values: &TemplateValues) -> Vec<String> {
    let fill = |part: &str| if is_template { template::fill(part, values) } else { Some(part.to_owned()) };
    by_commas(list).filter_map(fill).collect()
}

fn distinct(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in by_commas(text) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn check(role: &SshRoleRecord, wanted: &[String]) -> Result<(), Error> {
    if wanted.is_empty() && !role.allow_empty_principals {
        return Err(Error::invalid(
            "a certificate without principals is not allowed by role; send valid_principals, or let the role have a default_user",
        ));
    }
    if wanted.len() > MAX_PRINCIPALS {
        return Err(Error::invalid(format!("a certificate has at most {MAX_PRINCIPALS} principals")));
    }
    let is_odd = |name: &String| {
        name.len() > MAX_PRINCIPAL_BYTES || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*')
    };
    match wanted.iter().any(is_odd) {
        true => Err(Error::invalid(format!(
            "a principal has at most {MAX_PRINCIPAL_BYTES} bytes, and no white space and no star"
        ))),
        false => Ok(()),
    }
}

fn refuse_others(wanted: Vec<String>, is_allowed: impl Fn(&String) -> bool) -> Result<Vec<String>, Error> {
    match wanted.iter().find(|name| !is_allowed(name)) {
        Some(name) => Err(Error::invalid(format!("{name} is not a valid value for valid_principals"))),
        None => Ok(wanted),
    }
}
