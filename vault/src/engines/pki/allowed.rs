//! Which names a role allows. The same rules hold for what comes in fields and in requests.
//!
//! What surprises: names are compared as they are written, so one in upper case is refused by a role with domains in lower case.

use super::extension::AlternativeNames;
use super::names;
use super::oid;
use super::role::PkiRoleRecord;
use crate::error::Error;
use crate::glob;
use crate::token::cidr::Cidr;

/// Who may have which names.
pub(super) struct NameRules<'r> {
    pub(super) role: &'r PkiRoleRecord,
    /// Display name of the token that asks.
    pub(super) display_name: &'r str,
}

fn is_one_of(rules: &[String], text: &str) -> bool {
    rules.iter().any(|rule| glob::matches(rule, text))
}

impl NameRules<'_> {
    /// Refuses a common name that the role does not allow.
    pub(super) fn check_common_name(&self, name: &str) -> Result<(), Error> {
        let validations = &self.role.cn_validations;
        let may_be = |word: &str| validations.iter().any(|known| known == word);
        if name.is_empty() || may_be("disabled") {
            return Ok(());
        }
        let is_kind = if name.contains('@') { may_be("email") } else { may_be("hostname") };
        match is_kind && self.allows(name) {
            true => Ok(()),
            false => Err(Error::invalid(format!("common name {} not allowed by this role", shown(name)))),
        }
    }

    /// Refuses alternative names that the role does not allow.
    pub(super) fn check(&self, asked: &AlternativeNames) -> Result<(), Error> {
        for name in asked.dns.iter().chain(&asked.emails) {
            if !self.allows(name) {
                return Err(Error::invalid(format!("subject alternate name {} not allowed by this role", shown(name))));
            }
        }
        self.check_addresses(asked)?;
        for uri in &asked.uris {
            if self.role.allowed_uris.is_empty() {
                return Err(Error::invalid(
                    "URI Subject Alternative Names are not allowed in this role, but were provided",
                ));
            }
            if names::parse_uri(uri).is_err() || !is_one_of(&self.role.allowed_uris, uri) {
                return Err(Error::invalid(
                    "URI Subject Alternative Names were provided which are not valid for this role",
                ));
            }
        }
        for (arcs, text) in &asked.others {
            if !self.allows_other(arcs, text) {
                return Err(Error::invalid("other_sans holds a name that is not allowed by this role"));
            }
        }
        Ok(())
    }

    fn check_addresses(&self, asked: &AlternativeNames) -> Result<(), Error> {
        if !asked.addresses.is_empty() && !self.role.allow_addresses {
            return Err(Error::invalid("IP Subject Alternative Names are not allowed in this role, but were provided"));
        }
        let blocks: Vec<Cidr> = self.role.address_blocks.iter().filter_map(|block| Cidr::parse(block)).collect();
        let is_inside = |address| blocks.is_empty() || blocks.iter().any(|block| block.contains(address));
        match asked.addresses.iter().all(|address| is_inside(*address)) {
            true => Ok(()),
            false => Err(Error::invalid("an IP address is outside of the blocks that this role allows")),
        }
    }

    fn allows_other(&self, arcs: &[u64], text: &str) -> bool {
        self.role.allowed_others.iter().any(|rule| {
            let parsed =
                rule.split_once(';').and_then(|(arcs, value)| oid::parse(arcs.trim()).zip(value.split_once(':')));
            rule == "*" || parsed.is_some_and(|(known, (_, pattern))| known == arcs && glob::matches(pattern, text))
        })
    }

    /// Refuses a serial number of a subject that the role does not allow.
    pub(super) fn check_serial_number(&self, number: &str) -> Result<(), Error> {
        match number.is_empty() || is_one_of(&self.role.allowed_serial_numbers, number) {
            true => Ok(()),
            false => Err(Error::invalid("the serial_number is not allowed by this role")),
        }
    }

    /// Refuses ids of users that the role does not allow.
    pub(super) fn check_user_ids(&self, ids: &[String]) -> Result<(), Error> {
        match ids.iter().all(|id| is_one_of(&self.role.allowed_user_ids, id)) {
            true => Ok(()),
            false => Err(Error::invalid("user_ids holds an id that is not allowed by this role")),
        }
    }

    /// Whether a DNS name or an address of mail is allowed.
    fn allows(&self, name: &str) -> bool {
        if name.contains('@') {
            return names::mail_domain(name).is_some_and(|domain| self.allows_domain(name, domain));
        }
        let is_host = if self.role.enforce_hostnames { names::is_host(name) } else { names::is_lenient_host(name) };
        match name.strip_prefix("*.") {
            _ if !is_host => false,
            Some(base) => self.role.allow_wildcards && self.allows_wildcard(name, base),
            None => self.allows_domain(name, name),
        }
    }

    /// Whether a wildcard is allowed whose rest is a domain: every name that it stands for must be.
    fn allows_wildcard(&self, name: &str, base: &str) -> bool {
        let role = self.role;
        role.allow_any_name
            || role.allowed_domains.iter().any(|domain| {
                (role.allow_subdomains && (base == domain || is_below(base, domain)))
                    || (role.allow_glob_domains && domain.contains('*') && glob::matches(domain, name))
            })
    }

    /// Whether a name, of which a domain is the part that counts, is allowed.
    fn allows_domain(&self, name: &str, domain: &str) -> bool {
        let role = self.role;
        if role.allow_any_name {
            return true;
        }
        if role.allow_localhost
            && (matches!(domain, "localhost" | "localdomain")
                || (role.allow_subdomains && is_below(domain, "localdomain")))
        {
            return true;
        }
        if role.allow_display_name && !self.display_name.is_empty() {
            let own = self.display_name;
            if name == own || domain == own || (role.allow_subdomains && is_below(domain, own)) {
                return true;
            }
        }
        role.allowed_domains.iter().any(|allowed| {
            (role.allow_bare_domains && (domain == allowed || name == allowed))
                || (role.allow_subdomains && is_below(domain, allowed))
                || (role.allow_glob_domains && allowed.contains('*') && glob::matches(allowed, name))
        })
    }
}

/// Whether a domain is below another.
fn is_below(domain: &str, above: &str) -> bool {
    !above.is_empty() && domain.strip_suffix(above).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// A name as a message may show it: nothing that is no name.
fn shown(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(change: fn(&mut PkiRoleRecord)) -> PkiRoleRecord {
        let mut role = PkiRoleRecord::default();
        role.allowed_domains = vec!["example.com".into()];
        role.cn_validations = vec!["email".into(), "hostname".into()];
        (role.enforce_hostnames, role.allow_wildcards) = (true, true);
        change(&mut role);
        role
    }

    fn allowed(role: &PkiRoleRecord, name: &str) -> bool {
        NameRules { role, display_name: "web-1" }.check_common_name(name).is_ok()
    }

    // check 116
    #[test]
    fn each_switch_of_a_role_allows_what_it_says_and_no_more() {
        let (none, bare) = (role(|_| {}), role(|role| role.allow_bare_domains = true));
        let below = role(|role| role.allow_subdomains = true);
        let globs = role(|role| {
            role.allow_glob_domains = true;
            role.allowed_domains = vec!["*.glob.test".into(), "ftp*.glob.test".into()];
        });
        let plain = role(|role| (role.allow_subdomains, role.allow_wildcards) = (true, false));
        let own = role(|role| role.allow_display_name = true);
        for (what, role, name, expected) in [
            ("nothing", &none, "example.com", false),
            ("nothing", &none, "a.example.com", false),
            ("nothing", &none, "localhost", false),
            ("bare", &bare, "example.com", true),
            ("bare", &bare, "me@example.com", true),
            ("bare", &bare, "a.example.com", false),
            ("bare", &bare, "*.example.com", false),
            ("below", &below, "a.b.example.com", true),
            ("below", &below, "*.example.com", true),
            ("below", &below, "*.a.example.com", true),
            ("below", &below, "example.com", false),
            ("below", &below, "badexample.com", false),
            ("below", &below, ".example.com", false),
            ("below", &below, "A.EXAMPLE.COM", false),
            ("below", &below, "a.example.com.", false),
            ("below", &below, "a_b.example.com", false),
            ("below", &below, "a*.example.com", false),
            ("below", &below, "*.*.example.com", false),
            ("below", &below, "a..example.com", false),
            ("below", &below, "a.example.com\0.evil.test", false),
            ("below", &below, "b\u{fc}cher.example.com", false),
            ("below", &below, "10.0.0.1", false),
            ("no wildcards", &plain, "*.example.com", false),
            ("no wildcards", &plain, "a.example.com", true),
            ("globs", &globs, "x.glob.test", true),
            ("globs", &globs, "ftp1.glob.test", true),
            ("globs", &globs, "glob.test", false),
            ("the token's", &own, "web-1", true),
            ("the token's", &own, "web-2", false),
        ] {
            assert_eq!(allowed(role, name), expected, "{what}: {name:?}");
        }
    }
}
