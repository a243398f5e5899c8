//! The policies that every namespace has without anybody writing them.

use crate::policy::{Policy, name, parse};

/// The text that `default` has until an operator changes it: what a token may do with itself.
pub(crate) const DEFAULT_TEXT: &str = r#"# What any token may do with itself.
# Tokens have this policy unless they are created without it.

# Look at, renew and revoke the token itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# See what the token may do, one path at a time or as a whole.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# Read the entity behind the token.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Look up and renew a lease. Knowing its id, which goes into the body, is what entitles to it.
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}

# Keep private secrets beside the token.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrap data, and look up and open what was wrapped.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hash data.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# Log in to applications through the OpenID Connect provider.
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
"#;

/// The text of `response-wrapping`: what the token of a wrapped response may do. It is in no list.
pub(crate) const RESPONSE_WRAPPING_TEXT: &str = r#"path "cubbyhole/response" {
  capabilities = ["read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/rewrap" {
  capabilities = ["update"]
}
"#;

/// The root policy. It has no text: alone, it allows everything.
pub(crate) fn root() -> Policy {
    Policy { is_root: true, ..Policy::new(Vec::new()).named(name::ROOT) }
}

/// The policy of wrapping tokens.
pub(crate) fn response_wrapping() -> Policy {
    parsed(RESPONSE_WRAPPING_TEXT, name::RESPONSE_WRAPPING)
}

fn parsed(text: &str, name: &str) -> Policy {
    parse::parse(text).expect("the built-in texts are tested to parse").named(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::acl::Acl;
    use crate::policy::template::TemplateValues;
    use crate::time::Time;

    /// The first text of the policy that operators may change.
    fn default_policy() -> Policy {
        parsed(DEFAULT_TEXT, name::DEFAULT)
    }

    #[test]
    fn the_default_policy_grants_what_clients_expect_and_no_more() {
        let acl = Acl::new([&default_policy()].into_iter(), &TemplateValues::default(), Time::default());
        let export = acl.export();
        let exact: Vec<_> =
            export.exact_paths.iter().map(|(path, words)| format!("{path} {}", words.join(","))).collect();
        assert_eq!(
            exact,
            [
                "auth/token/lookup-self read",
                "auth/token/renew-self update",
                "auth/token/revoke-self update",
                "sys/capabilities-self update",
                "sys/internal/ui/resultant-acl read",
                "sys/leases/lookup update",
                "sys/leases/renew update",
                "sys/tools/hash update",
                "sys/wrapping/lookup update",
                "sys/wrapping/unwrap update",
                "sys/wrapping/wrap update",
            ]
        );
        let globs: Vec<_> = export.glob_paths.keys().copied().collect();
        assert_eq!(globs, ["cubbyhole/", "sys/tools/hash/"]);
        assert_eq!(acl.capabilities("identity/oidc/provider/default/authorize"), ["read", "update"]);
    }

    #[test]
    fn only_the_root_policy_alone_is_root() {
        // check 54
        let acl = |policies: &[Policy]| Acl::new(policies.iter(), &TemplateValues::default(), Time::default());
        let named = Policy::new(Vec::new()).named("root");
        assert!(acl(&[root()]).is_root() && acl(&[root(), root()]).is_root());
        assert!(!acl(&[]).is_root() && !acl(&[named]).is_root() && !acl(&[root(), default_policy()]).is_root());
    }

    #[test]
    fn a_wrapping_token_reaches_only_what_it_wraps() {
        let acl = Acl::new([&response_wrapping()].into_iter(), &TemplateValues::default(), Time::default());
        assert_eq!(acl.capabilities("cubbyhole/response"), ["read"]);
        assert_eq!(acl.capabilities("cubbyhole/other"), ["deny"]);
        assert_eq!(acl.capabilities("auth/token/lookup-self"), ["deny"]);
    }
}
