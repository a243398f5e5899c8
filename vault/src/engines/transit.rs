//! Transit: encryption, signatures and HMACs with keys that never leave, unless they were made to be exported.
//!
//! An operation reads a key and one chunk of its versions, and writes nothing. What surprises: what needs the private key of an
//! RSA key, and making one, is computed beside the requests ([`crate::errand`]); everything else takes microseconds and is done
//! at once. Signatures of ECDSA and ML-DSA take their randomness from AWS-LC, so they are the one thing that two runs of a request may say
//! differently, with the ciphertexts of ML-KEM; nothing that is stored depends on it.

mod backup;
mod batch;
mod certificate;
mod cipher;
mod export;
mod import;
mod kem;
mod key;
mod mac;
mod manage;
mod material;
mod record;
mod rsa;
mod sign;
mod signature;
mod symmetric;
mod versioned;

#[cfg(test)]
mod tests;

use crate::engine::{Effect, Engine, Life, Path};
use crate::engines::{algorithm, hash, listing, native, tools};
use crate::field::{Field, Kind, field};
use crate::request::Operation;

const NAME: Field = field("name", Kind::Text, "Name of the key.");
const CONTEXT: Field = field("context", Kind::Text, "Base64; the context of a derived key, which needs one.");
const NONCE: Field = field("nonce", Kind::Text, "Refused where it encrypts: no key here takes a nonce.");
const ASSOCIATED: Field = field("associated_data", Kind::Text, "Base64; must be the same to decrypt.");
const KEY_VERSION: Field = field("key_version", Kind::Int, "Which version; 0 is the newest.").or("0");
const CIPHERTEXT: Field = field("ciphertext", Kind::Text, "What encrypting answered.");
const INPUT: Field = field("input", Kind::Text, "Base64.");
const TYPE: Field = field(
    "type",
    Kind::Text,
    "aes128-gcm96, aes256-gcm96, chacha20-poly1305, xchacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, \
     rsa-2048, rsa-3072, rsa-4096, hmac, ml-dsa, or ml-kem.",
)
.or("aes256-gcm96");
const CONVERGENT: Field =
    field("convergent_encryption", Kind::Bool, "Whether one plaintext under one context has one ciphertext.")
        .or("false");

const NEW_KEY: &[Field] = &[
    NAME,
    TYPE,
    CONVERGENT,
    CONTEXT,
    field("derived", Kind::Bool, "Whether each context has a key of its own, derived from this one.").or("false"),
    field("exportable", Kind::Bool, "Whether the key may be exported; never taken back.").or("false"),
    field("allow_plaintext_backup", Kind::Bool, "Whether the key may be backed up in clear; never taken back.")
        .or("false"),
    field("auto_rotate_period", Kind::Duration, "How often it rotates by itself: 0 for never, or at least an hour.")
        .or("0"),
    field("key_size", Kind::Int, "Bytes of an HMAC key, 32 to 512."),
    field(
        "parameter_set",
        Kind::Text,
        "Of ML-DSA: 44, 65 or 87; 65 if not said. Of ML-KEM: 512, 768 or 1024; 768 if not said.",
    ),
];
const IMPORT: &[Field] = &[
    field("ciphertext", Kind::Text, "Base64: an AES-256 key under wrapping_key, and the key under that AES key."),
    field(
        "public_key",
        Kind::Text,
        "PEM, of ML-DSA and ML-KEM base64, in place of a ciphertext: the public half alone.",
    ),
    field("hash_function", Kind::Text, "SHA1, SHA256, SHA384 or SHA512; of the RSA-OAEP.").or("SHA256"),
    field("allow_rotation", Kind::Bool, "Whether the imported key may rotate here.").or("false"),
    field("version", Kind::Int, "The version whose private half this is."),
];
const HASH: &[Field] = &[
    field("urlalgorithm", Kind::Text, "In the path: the hash function."),
    field(
        "hash_algorithm",
        Kind::Text,
        "sha2-224, sha2-256, sha2-384, sha2-512, sha3 of the same sizes, sha1, or none.",
    )
    .or("sha2-256"),
    field("algorithm", Kind::Text, "The hash function, by an old name.").renamed_to("hash_algorithm"),
];
const SIGNING: &[Field] = &[
    NAME,
    INPUT,
    CONTEXT,
    batch::BATCH,
    field("prehashed", Kind::Bool, "Whether the input is hashed already.").or("false"),
    field("signature_algorithm", Kind::Text, "Of RSA: pss or pkcs1v15.").or("pss"),
    field("marshaling_algorithm", Kind::Text, "asn1, or jws as JSON web signatures have it.").or("asn1"),
    field(
        "salt_length",
        Kind::Text,
        "Of PSS: auto or 0 (the longest), hash or -1 (as long as the hash), or a number of bytes.",
    )
    .or("auto"),
];
const VERIFYING: &[Field] = &[
    field("signature", Kind::Text, "What signing answered."),
    field("hmac", Kind::Text, "What computing an HMAC answered; in place of a signature."),
];
const MAC: &[Field] = &[
    NAME,
    INPUT,
    KEY_VERSION,
    batch::BATCH,
    field("urlalgorithm", Kind::Text, "In the path: the hash function."),
    field("algorithm", Kind::Text, "The hash function.").or("sha2-256"),
];
const EXPORT: &[Field] = &[
    NAME,
    field("part", Kind::Text, "encryption-key, signing-key, hmac-key, public-key or certificate-chain."),
    field("version", Kind::Text, "A version, or \"latest\"; all if not said."),
];
const WRAPPED_EXPORT: &[Field] = &[
    field(
        "destination",
        Kind::Text,
        "The RSA key whose public half wraps: the wrapping key of another vault, imported here.",
    ),
    field("source", Kind::Text, "The key to export."),
    field("version", Kind::Text, "A version, or \"latest\"; all if not said."),
    field("hash", Kind::Text, "SHA1, SHA256, SHA384 or SHA512; of the RSA-OAEP.").or("SHA256"),
];
const RESTORE: &[Field] = &[
    field("backup", Kind::Text, "What a backup answered.").required(),
    field("name", Kind::Text, "Name of the key; as in the backup if not said."),
    field("force", Kind::Bool, "Whether a key of that name is replaced.").or("false"),
];

const KEYS: &[Path] = &[
    Path {
        pattern: "keys/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, manage::list)],
        help: "List the keys.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}",
        fields: &[NEW_KEY],
        operations: &[
            (Operation::Read, manage::read),
            (Operation::Update, manage::create),
            (Operation::Delete, manage::delete),
        ],
        exists: Some(key::exists),
        help: "Make, read and delete a key. Making one that is there changes nothing.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/rotate",
        fields: &[&[NAME]],
        operations: &[(Operation::Update, manage::rotate)],
        help: "Add a version to a key, which is used from then on.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/config",
        fields: &[&[
            NAME,
            field("min_decryption_version", Kind::Int, "The oldest version that decrypts and verifies."),
            field("min_encryption_version", Kind::Int, "The oldest version that encrypts and signs; 0 is the newest."),
            field("deletion_allowed", Kind::Bool, "Whether the key may be deleted."),
            field("exportable", Kind::Bool, "Whether the key may be exported; never taken back."),
            field("allow_plaintext_backup", Kind::Bool, "Whether it may be backed up in clear; never taken back."),
            field("auto_rotate_period", Kind::Duration, "How often it rotates by itself: 0, or at least an hour."),
        ]],
        operations: &[(Operation::Update, manage::configure)],
        help: "Configure a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/trim",
        fields: &[&[NAME, field("min_available_version", Kind::Int, "The oldest version that stays.").required()]],
        operations: &[(Operation::Update, manage::trim)],
        help: "Remove old versions for good.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/soft-delete",
        fields: &[&[NAME]],
        operations: &[(Operation::Delete, manage::soft_delete), (Operation::Update, manage::soft_delete)],
        help: "Delete a key so that it can be brought back.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/soft-delete-restore",
        fields: &[&[NAME]],
        operations: &[(Operation::Update, manage::soft_restore)],
        help: "Bring a key back.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/import",
        fields: &[NEW_KEY, IMPORT],
        operations: &[(Operation::Update, import::import)],
        help: "Make a key out of one that was made elsewhere.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/import_version",
        fields: &[&[NAME], IMPORT],
        operations: &[(Operation::Update, import::import_version)],
        help: "Add a version to an imported key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/csr",
        fields: &[&[
            NAME,
            field("version", Kind::Int, "Which version; the newest if not said."),
            field("csr", Kind::Text, "PEM: a request whose subject and attributes are taken over."),
        ]],
        operations: &[(Operation::Update, certificate::csr)],
        effect: Effect::Reads,
        help: "Make a certificate signing request for a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/{name}/set-certificate",
        fields: &[&[
            NAME,
            field("version", Kind::Int, "Which version; the newest if not said."),
            field("certificate_chain", Kind::Text, "PEM: certificates, the one of the key first.").required(),
        ]],
        operations: &[(Operation::Update, certificate::set_certificate)],
        help: "Keep a certificate chain with a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "wrapping_key",
        operations: &[(Operation::Read, import::read_wrapping_key)],
        effect: Effect::Writes,
        help: "Read the public key that imports are wrapped with.",
        ..Path::DEFAULT
    },
];

const USE: &[Path] = &[
    Path {
        pattern: "encrypt/{name}",
        fields: &[&[
            NAME,
            field("plaintext", Kind::Text, "Base64."),
            CONTEXT,
            NONCE,
            ASSOCIATED,
            KEY_VERSION,
            TYPE,
            CONVERGENT,
            batch::BATCH,
            batch::PARTIAL,
        ]],
        operations: &[(Operation::Update, cipher::encrypt)],
        exists: Some(key::exists),
        effect: Effect::Reads,
        help: "Encrypt. A key that is not there is made, if the policy allows to create it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "decrypt/{name}",
        fields: &[&[NAME, CIPHERTEXT, CONTEXT, NONCE, ASSOCIATED, batch::BATCH, batch::PARTIAL]],
        operations: &[(Operation::Update, cipher::decrypt)],
        effect: Effect::Reads,
        help: "Decrypt.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rewrap/{name}",
        fields: &[&[NAME, CIPHERTEXT, CONTEXT, NONCE, ASSOCIATED, KEY_VERSION, batch::BATCH]],
        operations: &[(Operation::Update, cipher::rewrap)],
        effect: Effect::Reads,
        help: "Decrypt and encrypt anew, without showing the plaintext.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "datakey/{kind}/{name}",
        fields: &[&[
            NAME,
            field("kind", Kind::Text, "plaintext, or wrapped to be shown the encrypted key alone."),
            field("bits", Kind::Int, "128, 256 or 512.").or("256"),
            CONTEXT,
            NONCE,
            ASSOCIATED,
            KEY_VERSION,
        ]],
        operations: &[(Operation::Update, cipher::data_key)],
        effect: Effect::Reads,
        help: "Make a random key and encrypt it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "sign/{name}",
        fields: &[SIGNING, HASH, &[KEY_VERSION]],
        operations: &[(Operation::Update, sign::sign)],
        effect: Effect::Reads,
        help: "Sign.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "sign/{name}/{urlalgorithm}",
        fields: &[SIGNING, HASH, &[KEY_VERSION]],
        operations: &[(Operation::Update, sign::sign)],
        effect: Effect::Reads,
        help: "Sign, with the hash function that the path says.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "verify/{name}",
        fields: &[SIGNING, HASH, VERIFYING],
        operations: &[(Operation::Update, sign::verify)],
        effect: Effect::Reads,
        help: "Verify a signature or an HMAC.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "verify/{name}/{urlalgorithm}",
        fields: &[SIGNING, HASH, VERIFYING],
        operations: &[(Operation::Update, sign::verify)],
        effect: Effect::Reads,
        help: "Verify, with the hash function that the path says.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "hmac/{name}",
        fields: &[MAC],
        operations: &[(Operation::Update, mac::hmac)],
        effect: Effect::Reads,
        help: "Compute an HMAC.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "hmac/{name}/{urlalgorithm}",
        fields: &[MAC],
        operations: &[(Operation::Update, mac::hmac)],
        effect: Effect::Reads,
        help: "Compute an HMAC, with the hash function that the path says.",
        ..Path::DEFAULT
    },
];

const MOVE: &[Path] = &[
    Path {
        pattern: "export/{part}/{name}",
        fields: &[EXPORT],
        operations: &[(Operation::Read, export::export)],
        help: "Export a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "export/{part}/{name}/{version}",
        fields: &[EXPORT],
        operations: &[(Operation::Read, export::export)],
        help: "Export a version of a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "byok-export/{destination}/{source}",
        fields: &[WRAPPED_EXPORT],
        operations: &[(Operation::Read, export::export_wrapped)],
        help: "Export a key wrapped for another vault.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "byok-export/{destination}/{source}/{version}",
        fields: &[WRAPPED_EXPORT],
        operations: &[(Operation::Read, export::export_wrapped)],
        help: "Export a version of a key wrapped for another vault.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "backup/{name}",
        fields: &[&[NAME]],
        operations: &[(Operation::Read, backup::backup)],
        effect: Effect::Writes,
        help: "Back a key up, in clear.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "restore",
        fields: &[RESTORE],
        operations: &[(Operation::Update, backup::restore)],
        help: "Restore a key from a backup.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "restore/{name}",
        fields: &[RESTORE],
        operations: &[(Operation::Update, backup::restore)],
        help: "Restore a key from a backup, by another name.",
        ..Path::DEFAULT
    },
];

const REST: &[Path] = &[
    Path {
        pattern: "random",
        fields: &[tools::RANDOM_FIELDS],
        operations: &[(Operation::Update, tools::random)],
        effect: Effect::Reads,
        help: "Make random bytes.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "random/{source_or_bytes}",
        fields: &[tools::RANDOM_FIELDS],
        operations: &[(Operation::Update, tools::random)],
        effect: Effect::Reads,
        help: "Make random bytes, as many as the path says.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "random/{source}/{url_bytes}",
        fields: &[tools::RANDOM_FIELDS],
        operations: &[(Operation::Update, tools::random)],
        effect: Effect::Reads,
        help: "Make random bytes from a source (\"platform\", \"seal\" or \"all\").",
        ..Path::DEFAULT
    },
    Path {
        pattern: "hash",
        fields: &[tools::HASH_FIELDS],
        operations: &[(Operation::Update, tools::hash)],
        effect: Effect::Reads,
        help: "Hash data.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "hash/{url_algorithm}",
        fields: &[tools::HASH_FIELDS],
        operations: &[(Operation::Update, tools::hash)],
        effect: Effect::Reads,
        help: "Hash data with the algorithm that the path says.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "cache-config",
        fields: &[&[field(
            "size",
            Kind::Int,
            "Kept for clients: 0, or at least 10. Keys share one bounded cache here.",
        )
        .or("0")]],
        operations: &[(Operation::Read, manage::read_cache), (Operation::Update, manage::write_cache)],
        help: "The size of the cache.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/keys",
        fields: &[&[field("disable_upsert", Kind::Bool, "Whether encrypting with a name that is no key is refused.")]],
        operations: &[(Operation::Read, manage::read_config), (Operation::Update, manage::write_config)],
        help: "Settings for all keys of the mount.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of transit.
pub(crate) static ENGINE: Engine = Engine {
    kind: "transit",
    help: "Encryption, signatures and HMACs with keys that do not leave.",
    paths: &[KEYS, USE, MOVE, REST],
    life: Life { due: Some(manage::due), chore: Some(manage::delete_trimmed), ..Life::NONE },
    ..Engine::DEFAULT
};
