//! Login MFA over the API: methods of one-time codes, the keys of entities, and which logins need them. What they do to logins is in
//! [`crate::mfa`].

mod enforcement;
mod method;
mod secret;

use crate::engine::Path;
use crate::engines::listing;
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "mfa/method/totp/generate",
        fields: &[secret::OWN_FIELDS],
        operations: &[(Operation::Update, secret::generate_own)],
        help: "Make the caller's key for a method.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/totp/admin-generate",
        fields: &[secret::FIELDS],
        operations: &[(Operation::Update, secret::generate)],
        help: "Make an entity's key for a method.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/totp/admin-destroy",
        fields: &[secret::FIELDS],
        operations: &[(Operation::Update, secret::destroy)],
        help: "Remove an entity's key for a method.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/totp/?",
        fields: &[method::FIELDS, listing::FIELDS],
        operations: &[(Operation::Update, method::write), (Operation::List, method::list)],
        help: "Make a method of one-time codes, or list them.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/totp/{method_id}",
        fields: &[method::FIELDS],
        operations: &[
            (Operation::Read, method::read),
            (Operation::Update, method::write),
            (Operation::Delete, method::delete),
        ],
        help: "Read, change and delete a method of one-time codes.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, method::list)],
        help: "List the methods of all kinds.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/method/{method_id}",
        fields: &[method::FIELDS],
        operations: &[(Operation::Read, method::read)],
        help: "Read a method of any kind.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/login-enforcement/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, enforcement::list)],
        help: "List which logins need methods.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mfa/login-enforcement/{name}",
        fields: &[enforcement::FIELDS],
        operations: &[
            (Operation::Read, enforcement::read),
            (Operation::Update, enforcement::write),
            (Operation::Delete, enforcement::delete),
        ],
        help: "Read, write and delete which logins need methods.",
        ..Path::DEFAULT
    },
];
