//! A signed token in its compact form (RFC 7515, section 3.1), which gives its claims only to who has the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::jose::algorithm::JwsAlgorithm;
use crate::jose::claims::Claims;
use crate::jose::key::VerificationKey;
use crate::json;
use crate::limits::MAX_SIGNED_TOKEN_BYTES;

/// Why a text is no token that anybody can have signed. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("compact JWS format must have three parts")]
    Parts,
    #[error("the token is longer than {MAX_SIGNED_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("the token cannot be read")]
    Malformed,
    #[error("the token's header asks for what is not supported: crit, b64 or zip")]
    Unsupported,
    /// No key made it, or it says that it was signed in a way that is none.
    #[error("no known key successfully validated the token signature")]
    NotSigned,
}

/// A token whose signature was not looked at yet.
pub(crate) struct SignedToken<'t> {
    /// How it says it was signed.
    pub(crate) algorithm: JwsAlgorithm,
    /// Which key it says it was.
    pub(crate) key_id: Option<String>,
    message: &'t [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    json::parse_object(part).ok()?
}

impl<'t> SignedToken<'t> {
    /// Takes a text apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, TokenError> {
        if text.len() > MAX_SIGNED_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let parts: Vec<_> = text.split('.').collect();
        let [header, payload, signature] = parts[..] else { return Err(TokenError::Parts) };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let message = &text.as_bytes()[..header.len() + 1 + payload.len()];
        let header = object(&decoded(header)?).ok_or(TokenError::Malformed)?;
        if ["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name)) {
            return Err(TokenError::Unsupported);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(JwsAlgorithm::parse);
        let algorithm = algorithm.ok_or(TokenError::NotSigned)?;
        let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { algorithm, key_id, message, payload: decoded(payload)?, signature: decoded(signature)? })
    }

    /// What it claims, if one of these keys signed it.
    pub(crate) fn open<'k>(&self, keys: impl IntoIterator<Item = &'k VerificationKey>) -> Result<Claims, TokenError> {
        let is_signed = |key: &VerificationKey| key.verifies(self.algorithm, self.message, &self.signature);
        if !keys.into_iter().any(is_signed) {
            return Err(TokenError::NotSigned);
        }
        self.vouched_for()
    }

    /// What it claims, for who asked somebody else whether it counts and was told that it does.
    pub(crate) fn vouched_for(&self) -> Result<Claims, TokenError> {
        object(&self.payload).map(Claims::new).ok_or(TokenError::Malformed)
    }
}
