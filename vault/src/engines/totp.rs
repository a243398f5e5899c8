//! TOTP: keys of one-time codes by the clock, which make codes or check those of others.
//!
//! What surprises: that a code was used is stored with its key, so it stays used on every node and through a failover. A key that makes
//! codes and checks them is the same one: which it is good for is up to policies.

mod code;
mod key;

#[cfg(test)]
mod tests;

use crate::engine::{Engine, Path};
use crate::engines::listing;
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "keys/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, key::list)],
        help: "List the keys.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}",
        fields: &[key::FIELDS],
        operations: &[(Operation::Read, key::read), (Operation::Update, key::write), (Operation::Delete, key::delete)],
        help: "Read, make, bring in and delete a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "code/{name}",
        fields: &[code::FIELDS],
        operations: &[(Operation::Read, code::make), (Operation::Update, code::check)],
        help: "Make a code, or check one and use it up.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of TOTP.
pub(crate) static ENGINE: Engine = Engine {
    kind: "totp",
    class: Class::Secret,
    help: "One-time codes by the clock.",
    paths: &[PATHS],
    ..Engine::DEFAULT
};
