//! PKI: authorities, and the certificates that they issue, revoke and vouch for (RFC 5280, RFC 6960).
//!
//! Issuing reads a role, an issuer with its key, and its chain, and writes one record: two requests never wait for each other. What
//! surprises: revoking does, because it makes a new list unless the mount says otherwise; and what anybody may know, such as
//! certificates and lists, is read without a token.

mod allowed;
mod authority;
mod config;
mod crl;
mod csr;
mod der;
mod extension;
mod fetch;
mod form;
mod import;
mod intermediate;
mod issue;
mod issuer;
mod issuers;
mod key;
mod names;
mod ocsp;
mod oid;
mod paths;
mod record;
mod revoke;
mod role;
mod signing;
mod tidy;
mod validity;

#[cfg(test)]
mod tests;

use crate::engine::{Engine, Leasing, Life, Work};
use crate::error::Error;
use crate::mount::Class;

/// Makes a mount of PKI.
pub(crate) static ENGINE: Engine = Engine {
    kind: "pki",
    class: Class::Secret,
    help: "Authorities, and the certificates that they issue.",
    paths: paths::ALL,
    life: Life {
        due: Some(due),
        chore: Some(chore),
        lease: Some(Leasing { renew: None, revoke: revoke::lease_revoked, ended: Some(revoke::lease_ended) }),
        ..Life::NONE
    },
    ..Engine::DEFAULT
};

fn due(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    if name == tidy::WORD { tidy::due(work) } else { crl::due(work, name) }
}

fn chore(work: &mut Work<'_, '_>, _: &str, limit: usize) -> Result<usize, Error> {
    tidy::chore(work, limit)
}
