//! `sys/tools`: random bytes and hashes.

use crate::engine::{Effect, Path};
use crate::engines::tools::{HASH_FIELDS, RANDOM_FIELDS, hash, random};
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "tools/random",
        fields: &[RANDOM_FIELDS],
        operations: &[(Operation::Update, random)],
        effect: Effect::Reads,
        help: "Make random bytes",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tools/random/{source_or_bytes}",
        fields: &[RANDOM_FIELDS],
        operations: &[(Operation::Update, random)],
        effect: Effect::Reads,
        help: "Make random bytes, as many as the path says",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tools/random/{source}/{url_bytes}",
        fields: &[RANDOM_FIELDS],
        operations: &[(Operation::Update, random)],
        effect: Effect::Reads,
        help: "Make random bytes from a source (\"platform\", \"seal\" or \"all\")",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tools/hash",
        fields: &[HASH_FIELDS],
        operations: &[(Operation::Update, hash)],
        effect: Effect::Reads,
        help: "Hash data",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tools/hash/{url_algorithm}",
        fields: &[HASH_FIELDS],
        operations: &[(Operation::Update, hash)],
        effect: Effect::Reads,
        help: "Hash data with the algorithm that the path says",
        ..Path::DEFAULT
    },
];
