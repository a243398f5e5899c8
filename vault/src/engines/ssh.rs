//! SSH: certificates for users and hosts, and one-time passwords.
//!
//! A host that trusts an authority of a mount lets in whom its certificates name, and a user who trusts it knows hosts by theirs. A
//! host that has Vault's helper asks here about a one-time password.
//!
//! What surprises: a certificate is not kept, and nothing revokes it; it is short instead. And a request without principals gets those of
//! the role, never none, unless the role says that it may.

mod certificate;
mod issuer;
mod key;
mod option;
mod otp;
mod principal;
mod public;
mod role;
mod sign;
mod template;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Effect, Engine, Life, Path};
use crate::engines::ssh::role::SshRoleRecord;
use crate::engines::{listing, named};
use crate::request::Operation;

const AUTHORITY: &[Path] = &[
    Path {
        pattern: "config/ca",
        fields: &[issuer::KEY_FIELDS],
        operations: &[
            (Operation::Read, issuer::read),
            (Operation::Update, issuer::set_authority),
            (Operation::Delete, issuer::delete_all),
        ],
        help: "Make or bring in an authority that becomes the default, read the default, or delete all.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/issuers",
        fields: &[&[issuer::CHOSEN]],
        operations: &[(Operation::Read, issuer::read_default), (Operation::Update, issuer::set_default)],
        help: "Read or set which authority is the default.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "public_key",
        operations: &[(Operation::Read, issuer::read_public)],
        access: Access::Open,
        read_type: "text/plain",
        help: "Read the public key of the default authority, as text.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, issuer::list)],
        help: "List the authorities.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/import",
        fields: &[issuer::IMPORT_FIELDS, issuer::KEY_FIELDS],
        operations: &[(Operation::Update, issuer::import)],
        help: "Make or bring in an authority.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/import/{issuer_name}",
        fields: &[issuer::IMPORT_FIELDS, issuer::KEY_FIELDS],
        operations: &[(Operation::Update, issuer::import)],
        help: "Make or bring in an authority of this name.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}",
        fields: &[&[issuer::REFERENCE, issuer::NAME]],
        operations: &[
            (Operation::Read, issuer::read),
            (Operation::Update, issuer::rename),
            (Operation::Delete, issuer::delete),
        ],
        help: "Read, rename and delete an authority.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}/public_key",
        fields: &[&[issuer::REFERENCE]],
        operations: &[(Operation::Read, issuer::read_public)],
        access: Access::Open,
        read_type: "text/plain",
        help: "Read the public key of an authority, as text.",
        ..Path::DEFAULT
    },
];

const ROLES: &[Path] = &[
    Path {
        pattern: "roles/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, role::list)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "roles/{role}",
        fields: role::FIELDS,
        operations: &[
            (Operation::Read, named::read::<SshRoleRecord>),
            (Operation::Update, role::write),
            (Operation::Delete, otp::delete_role),
        ],
        exists: Some(named::exists::<SshRoleRecord>),
        help: "Read, write and delete a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "sign/{role}",
        fields: sign::SIGN_FIELDS,
        operations: &[(Operation::Update, sign::sign)],
        effect: Effect::Reads,
        help: "Sign a public key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issue/{role}",
        fields: sign::ISSUE_FIELDS,
        operations: &[(Operation::Update, sign::issue)],
        effect: Effect::Reads,
        help: "Make a pair of keys, and sign its public half.",
        ..Path::DEFAULT
    },
];

const ONE_TIME: &[Path] = &[
    Path {
        pattern: "creds/{role}",
        fields: &[otp::CREDS_FIELDS],
        operations: &[(Operation::Update, otp::create)],
        help: "Make a one-time password for a host.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "verify",
        fields: &[otp::VERIFY_FIELDS],
        operations: &[(Operation::Update, otp::verify)],
        access: Access::Open,
        help: "Check a one-time password and use it up.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup",
        fields: &[otp::LOOKUP_FIELDS],
        operations: &[(Operation::Update, otp::lookup)],
        effect: Effect::Reads,
        help: "List the roles that make one-time passwords for a host.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/zeroaddress",
        fields: &[otp::ZERO_FIELDS],
        operations: &[
            (Operation::Read, otp::read_zero),
            (Operation::Update, otp::write_zero),
            (Operation::Delete, otp::delete_zero),
        ],
        help: "Read, set or clear the roles that make one-time passwords for every host.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of SSH, by convention at `ssh/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "ssh",
    help: "Certificates and one-time passwords for SSH.",
    paths: &[AUTHORITY, ROLES, ONE_TIME],
    life: Life { lease: Some(otp::LEASING), ..Life::NONE },
    ..Engine::DEFAULT
};
