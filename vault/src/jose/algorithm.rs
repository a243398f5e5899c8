//! How tokens are signed (RFC 7518, section 3.1; RFC 8037, section 3.1).

use aws_lc_rs::signature::{self, ED25519, EcdsaVerificationAlgorithm, RsaParameters, VerificationAlgorithm};

/// A way to sign tokens with a key pair. Those with a shared secret are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwsAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// All of them.
const ALL: [JwsAlgorithm; 10] = [
    JwsAlgorithm::Rs256,
    JwsAlgorithm::Rs384,
    JwsAlgorithm::Rs512,
    JwsAlgorithm::Ps256,
    JwsAlgorithm::Ps384,
    JwsAlgorithm::Ps512,
    JwsAlgorithm::Es256,
    JwsAlgorithm::Es384,
    JwsAlgorithm::Es512,
    JwsAlgorithm::EdDsa,
];

impl JwsAlgorithm {
    /// By its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Its name in the header of a token.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// How a signature by an RSA key is checked; keys have 2,048 to 8,192 bits.
    pub(crate) fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// How a signature by a key on its curve is checked: the two numbers side by side, not ASN.1.
    pub(crate) fn ec(self) -> Option<&'static EcdsaVerificationAlgorithm> {
        Some(match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            _ => return None,
        })
    }

    /// How a signature by any key of its kind is checked.
    pub(crate) fn verification(self) -> &'static dyn VerificationAlgorithm {
        let rsa = self.rsa().map(|rsa| rsa as &dyn VerificationAlgorithm);
        rsa.or_else(|| self.ec().map(|ec| ec as &dyn VerificationAlgorithm)).unwrap_or(&ED25519)
    }
}
