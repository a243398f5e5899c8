//! Certificates: machines log in with the client certificate of their TLS connection.
//!
//! That whoever asks has the certificate's key was shown in the handshake; the node hands over no other certificates. Here it is judged
//! who issued it, whether it is revoked, and what it says.
//!
//! What surprises: an entry that trusts a certificate which is no authority's means that one certificate, byte for byte. And a chain counts for
//! the entry whose authority it ends at, whatever else it could end at.

mod config;
mod entry;
mod leaf;
mod login;
mod revocation;
mod trust;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Engine, Life, Path};
use crate::engines::cert::entry::CertEntryRecord;
use crate::engines::{listing, named, terms};
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login",
        fields: &[login::FIELDS],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in with the certificate of the connection.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config",
        fields: &[config::FIELDS],
        operations: &[(Operation::Read, config::read), (Operation::Update, config::write)],
        help: "Read or set what counts for the whole mount.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "certs/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, named::list::<CertEntryRecord>)],
        help: "List the entries.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "certs/{name}",
        fields: &[entry::FIELDS, terms::FIELDS],
        operations: &[
            (Operation::Read, named::read::<CertEntryRecord>),
            (Operation::Update, entry::write),
            (Operation::Delete, named::delete::<CertEntryRecord>),
        ],
        exists: Some(named::exists::<CertEntryRecord>),
        help: "Read, write and delete an entry: whom it trusts, and what they get.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "crls/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, revocation::list)],
        help: "List the lists of revoked certificates.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "crls/{name}",
        fields: &[revocation::FIELDS],
        operations: &[
            (Operation::Read, revocation::read),
            (Operation::Update, revocation::write),
            (Operation::Delete, revocation::delete),
        ],
        help: "Read, write and delete a list of revoked certificates.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of certificates, by convention at `auth/cert/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "cert",
    class: Class::Auth,
    help: "Logins of machines, by the client certificates of their connections.",
    paths: &[PATHS],
    life: Life { renewal: Some(login::renewal), ..Life::NONE },
    ..Engine::DEFAULT
};
