//! What the directory is asked about a user, and what its answer says of their groups.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::directory::{
    DirectoryAnswer, DirectoryQuestion, DirectoryServers, dn_parts, escaped_in_dn, escaped_in_filter, fill_filter,
};
use crate::engines::ldap::config::LdapConfigRecord;
use crate::error::Error;
use crate::limits::MAX_TARGET_BYTES;

/// How a user binds.
enum Binding {
    /// As the entry that a search finds.
    Found,
    /// By this name.
    Named(String),
}

/// Asks about a user, and whether a password is theirs; without one they are only looked up.
///
/// # Errors
/// [`crate::error::ErrorKind::Unavailable`] if no server answered.
pub(super) fn ask(
    context: &mut Context<'_>,
    config: &LdapConfigRecord,
    username: &str,
    password: Option<&str>,
) -> Result<DirectoryAnswer, Error> {
    let target: String = config.url().chars().filter(|letter| !letter.is_control()).collect();
    let mut end = target.len().min(MAX_TARGET_BYTES);
    while !target.is_char_boundary(end) {
        end -= 1;
    }
    context.ask_directory(&target[..end], &question(config, username, password))
}

/// Whether the directory tells of a user without their password.
pub(super) fn can_look_up(config: &LdapConfigRecord) -> bool {
    config.discovers || has_service(config)
}

fn has_service(config: &LdapConfigRecord) -> bool {
    !config.bind_dn.is_empty() && !config.bind_password.is_empty()
}

fn question(config: &LdapConfigRecord, username: &str, password: Option<&str>) -> DirectoryQuestion {
    let bind_name = match binding(config, username) {
        Binding::Named(name) if password.is_some() => name,
        _ => String::new(),
    };
    let (service_dn, service_password) = match has_service(config) {
        true => (config.bind_dn.clone(), config.bind_password.clone()),
        false => (String::new(), String::new()),
    };
    DirectoryQuestion {
        servers: servers(config),
        service_dn,
        service_password,
        // An entry that is found by a search is the one that identity needs, so it is not searched for a second time.
        needs_entry: bind_name.is_empty() || !config.upn_domain.is_empty() || !config.knows_by_username,
        bind_name,
        password: password.map(str::to_owned),
        user_base: config.user_dn.clone(),
        user_filter: user_filter(config, username),
        user_attribute: config.user_attribute().to_owned(),
        group_base: config.group_dn.clone(),
        group_filter: fill_filter(config.group_filter(), config.user_attribute(), username).unwrap_or_default(),
        group_attribute: config.group_attribute().to_owned(),
        uses_token_groups: config.uses_token_groups,
        searches_groups_as_nobody: config.searches_groups_as_nobody,
        page_entries: config.page_entries,
        dereference: config.dereference,
    }
}

fn servers(config: &LdapConfigRecord) -> DirectoryServers {
    DirectoryServers {
        urls: config.url().split(',').map(|url| url.trim().to_owned()).collect(),
        ca_pem: config.ca_pem.clone(),
        client_certificate_pem: config.client_certificate_pem.clone(),
        client_key_pem: config.client_key_pem.clone(),
        min_tls: config.min_tls(),
        max_tls: config.max_tls(),
        is_insecure: config.is_insecure,
        starts_tls: config.starts_tls,
        connect_secs: config.connect_secs(),
        request_secs: config.request_secs(),
    }
}

fn binding(config: &LdapConfigRecord, username: &str) -> Binding {
    if can_look_up(config) {
        return Binding::Found;
    }
    let name = escaped_in_dn(username);
    Binding::Named(match config.upn_domain.as_str() {
        "" => format!("{}={name},{}", config.user_attribute(), config.user_dn),
        domain => format!("{name}@{domain}"),
    })
}

/// Finds the user's entry. Who binds by `name@domain` is found by that; a service account goes by the configured filter.
fn user_filter(config: &LdapConfigRecord, username: &str) -> String {
    let name = match config.upn_domain.as_str() {
        "" => username.to_owned(),
        domain => format!("{username}@{domain}"),
    };
    if !config.upn_domain.is_empty() && !can_look_up(config) {
        return format!("(userPrincipalName={})", escaped_in_filter(&name));
    }
    fill_filter(config.user_filter(), config.user_attribute(), &name).unwrap_or_default()
}

/// Names of the groups that an answer holds, as the directory spells them: of a distinguished name its `cn`, or all of it if it
/// has none.
pub(super) fn group_names(config: &LdapConfigRecord, answer: &DirectoryAnswer) -> BTreeSet<String> {
    let is_name = |attribute: &str| {
        if config.takes_only_capital_cn { attribute == "CN" } else { attribute.eq_ignore_ascii_case("cn") }
    };
    let name = |text: &String| {
        let parts = dn_parts(text).unwrap_or_default();
        let found = parts.into_iter().find(|(attribute, _)| is_name(attribute));
        found.map_or_else(|| text.clone(), |(_, value)| value)
    };
    answer.groups.iter().map(name).filter(|name| !name.is_empty()).collect()
}
