//! Signed tokens of others: JSON Web Signatures in their compact form (RFC 7515), the keys that made them (RFC 7517, RFC 7518,
//! RFC 8037), and what they claim (RFC 7519).
//!
//! What surprises: nothing of a token is believed that names a key or a place of one (`jwk`, `jku`, `x5c`, `x5u`), and its `alg`
//! only chooses among what the key at hand can do. So `none` is no algorithm, and a public key is never the secret of an HMAC.

pub(crate) mod algorithm;
pub(crate) mod claims;
pub(crate) mod key;
pub(crate) mod token;
