//! The types of keys, and what each can do.

use aws_lc_rs::kem::{Algorithm as KemAlgorithm, AlgorithmId, ML_KEM_512, ML_KEM_768, ML_KEM_1024};
use aws_lc_rs::signature::{
    ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING, PqdsaSigningAlgorithm,
    PqdsaVerificationAlgorithm,
};

/// A type of key. The numbers are part of the disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum KeyType {
    /// AES-256 in GCM, nonces of 96 bits.
    Aes256Gcm = 0,
    /// AES-128 in GCM, nonces of 96 bits.
    Aes128Gcm = 1,
    /// ChaCha20-Poly1305 (RFC 8439).
    Chacha20Poly1305 = 2,
    /// The same with nonces of 192 bits (draft-irtf-cfrg-xchacha).
    Xchacha20Poly1305 = 3,
    /// Ed25519 (RFC 8032).
    Ed25519 = 4,
    /// ECDSA on P-256 (FIPS 186-5).
    EcdsaP256 = 5,
    /// ECDSA on P-384.
    EcdsaP384 = 6,
    /// ECDSA on P-521.
    EcdsaP521 = 7,
    /// RSA of 2048 bits (RFC 8017).
    Rsa2048 = 8,
    /// RSA of 3072 bits.
    Rsa3072 = 9,
    /// RSA of 4096 bits.
    Rsa4096 = 10,
    /// HMAC alone.
    Hmac = 11,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44 = 12,
    /// ML-DSA-65.
    MlDsa65 = 13,
    /// ML-DSA-87.
    MlDsa87 = 14,
    /// ML-KEM-512 (FIPS 203).
    MlKem512 = 15,
    /// ML-KEM-768.
    MlKem768 = 16,
    /// ML-KEM-1024.
    MlKem1024 = 17,
}

/// Each type, the name that clients know it by, and its set of parameters where one name stands for several.
const NAMES: [(KeyType, &str, &str); 18] = [
    (KeyType::Aes256Gcm, "aes256-gcm96", ""),
    (KeyType::Aes128Gcm, "aes128-gcm96", ""),
    (KeyType::Chacha20Poly1305, "chacha20-poly1305", ""),
    (KeyType::Xchacha20Poly1305, "xchacha20-poly1305", ""),
    (KeyType::Ed25519, "ed25519", ""),
    (KeyType::EcdsaP256, "ecdsa-p256", ""),
    (KeyType::EcdsaP384, "ecdsa-p384", ""),
    (KeyType::EcdsaP521, "ecdsa-p521", ""),
    (KeyType::Rsa2048, "rsa-2048", ""),
    (KeyType::Rsa3072, "rsa-3072", ""),
    (KeyType::Rsa4096, "rsa-4096", ""),
    (KeyType::Hmac, "hmac", ""),
    (KeyType::MlDsa44, "ml-dsa", "44"),
    (KeyType::MlDsa65, "ml-dsa", "65"),
    (KeyType::MlDsa87, "ml-dsa", "87"),
    (KeyType::MlKem512, "ml-kem", "512"),
    (KeyType::MlKem768, "ml-kem", "768"),
    (KeyType::MlKem1024, "ml-kem", "1024"),
];

impl KeyType {
    /// The type of a name; of ML-DSA and ML-KEM the set of parameters tells which, 65 and 768 if none is
    /// named.
    pub(super) fn named(name: &str, parameter_set: &str) -> Option<Self> {
        let set = match (name, parameter_set) {
            ("ml-dsa", "") => "65",
            ("ml-kem", "") => "768",
            _ => parameter_set,
        };
        let has_name = |(_, known, known_set): &&(Self, &str, &str)| *known == name && *known_set == set;
        NAMES.iter().find(has_name).map(|(key_type, ..)| *key_type)
    }

    /// Whether a name is that of some type.
    pub(super) fn is_known(name: &str) -> bool {
        NAMES.iter().any(|(_, known, _)| *known == name)
    }

    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        NAMES.iter().find(|(key_type, ..)| *key_type == self).map_or("", |(_, name, _)| name)
    }

    /// Its set of parameters; empty where the name says all.
    pub(super) fn parameter_set(self) -> &'static str {
        NAMES.iter().find(|(key_type, ..)| *key_type == self).map_or("", |(.., set)| set)
    }

    /// Whether one key encrypts and decrypts.
    pub(super) fn is_symmetric(self) -> bool {
        matches!(self, Self::Aes256Gcm | Self::Aes128Gcm | Self::Chacha20Poly1305 | Self::Xchacha20Poly1305)
    }

    /// Whether it is RSA, whose private operations take long.
    pub(super) fn is_rsa(self) -> bool {
        self.rsa_bits().is_some()
    }

    /// Length of the modulus in bits, if it is RSA.
    pub(super) fn rsa_bits(self) -> Option<u32> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            _ => None,
        }
    }

    /// Whether it is ECDSA.
    pub(super) fn is_ecdsa(self) -> bool {
        matches!(self, Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521)
    }

    /// How it signs, if it is ML-DSA.
    pub(super) fn ml_dsa(self) -> Option<&'static PqdsaSigningAlgorithm> {
        match self {
            Self::MlDsa44 => Some(&ML_DSA_44_SIGNING),
            Self::MlDsa65 => Some(&ML_DSA_65_SIGNING),
            Self::MlDsa87 => Some(&ML_DSA_87_SIGNING),
            _ => None,
        }
    }

    /// How it verifies, if it is ML-DSA.
    pub(super) fn ml_dsa_public(self) -> Option<&'static PqdsaVerificationAlgorithm> {
        match self {
            Self::MlDsa44 => Some(&ML_DSA_44),
            Self::MlDsa65 => Some(&ML_DSA_65),
            Self::MlDsa87 => Some(&ML_DSA_87),
            _ => None,
        }
    }

    /// How a secret is sent with it, if it is ML-KEM.
    pub(super) fn ml_kem(self) -> Option<&'static KemAlgorithm<AlgorithmId>> {
        match self {
            Self::MlKem512 => Some(&ML_KEM_512),
            Self::MlKem768 => Some(&ML_KEM_768),
            Self::MlKem1024 => Some(&ML_KEM_1024),
            _ => None,
        }
    }

    /// Whether new pairs are made beside the requests, so that background work can make none.
    pub(super) fn is_made_beside(self) -> bool {
        self.is_rsa() || self.ml_kem().is_some()
    }

    /// Whether it encrypts and decrypts.
    pub(super) fn can_encrypt(self) -> bool {
        self.is_symmetric() || self.is_rsa() || self.ml_kem().is_some()
    }

    /// Whether it signs.
    pub(super) fn can_sign(self) -> bool {
        self.has_public_key() && self.ml_kem().is_none()
    }

    /// Whether a key of each context can be derived from it.
    pub(super) fn can_derive(self) -> bool {
        self.is_symmetric() || self == Self::Ed25519
    }

    /// Whether it has a public half.
    pub(super) fn has_public_key(self) -> bool {
        !self.is_symmetric() && self != Self::Hmac
    }

    /// Length in bytes of a symmetric key, or of the seed of an Ed25519 key; 0 for the others.
    pub(super) fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::Chacha20Poly1305 | Self::Xchacha20Poly1305 | Self::Ed25519 => 32,
            _ => 0,
        }
    }

    /// What clients are shown as the name of one version's algorithm.
    pub(super) fn version_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
            Self::MlKem512 => "ML-KEM-512",
            Self::MlKem768 => "ML-KEM-768",
            Self::MlKem1024 => "ML-KEM-1024",
            _ => self.as_str(),
        }
    }

    /// Length in bytes of each half of an ECDSA signature (the order of the curve); 0 for the others.
    pub(super) fn scalar_bytes(self) -> usize {
        match self {
            Self::EcdsaP256 => 32,
            Self::EcdsaP384 => 48,
            Self::EcdsaP521 => 66,
            _ => 0,
        }
    }
}
