//! The one-time pad under which a new root token leaves the server (Vault's "OTP"): whoever began the ceremony has the
//! pad, the holder of the last share gets the hidden token, and neither has the other's part.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::issue::ROOT_TOKEN_BYTES;
use crate::context::Context;
use crate::error::Error;

/// Letters and digits, as long as a token. Has no `Debug`.
pub struct Pad(Zeroizing<String>);

impl Pad {
    /// Characters of a pad.
    pub const LENGTH: usize = ROOT_TOKEN_BYTES;

    /// A fresh one.
    pub fn random(context: &mut Context<'_>) -> Self {
        Self(Zeroizing::new(context.base62(Self::LENGTH)))
    }

    /// One that the caller made.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Invalid`] for another length than [`Pad::LENGTH`].
    pub fn given(text: &str) -> Result<Self, Error> {
        if text.len() != Self::LENGTH {
            return Err(Error::invalid(format!(
                "OTP string has incorrect length: {} characters are expected",
                Self::LENGTH
            )));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The pad, for whoever began.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The token under the pad, in base64 without padding.
    ///
    /// # Errors
    /// For a token of another length, which the server does not make.
    pub fn hide(&self, token: &str) -> Result<String, Error> {
        let hidden = xor(token.as_bytes(), self.0.as_bytes());
        hidden
            .map(|hidden| STANDARD_NO_PAD.encode(&*hidden))
            .ok_or_else(|| Error::internal("a token of another length"))
    }
}

/// The token that was hidden under a pad.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] for what is not base64, of another length than the pad, or no text.
pub(crate) fn reveal(encoded: &str, pad: &str) -> Result<Zeroizing<String>, Error> {
    let hidden = STANDARD_NO_PAD.decode(encoded.trim_end_matches('='));
    let hidden = hidden.map(Zeroizing::new).map_err(|_| Error::invalid("error decoding base64'd token"))?;
    let token = xor(&hidden, pad.as_bytes()).ok_or_else(|| {
        let (hidden, pad) = (hidden.len(), pad.len());
        Error::invalid(format!("error xoring token: length of byte slices is not equivalent: {hidden} != {pad}"))
    })?;
    let text =
        std::str::from_utf8(&token).map_err(|_| Error::invalid("the token is not text: the otp is another's"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn xor(one: &[u8], other: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_same_length = one.len() == other.len();
    is_same_length.then(|| Zeroizing::new(one.iter().zip(other).map(|(one, other)| one ^ other).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, Seeded, context};

    #[test]
    fn a_hidden_token_is_revealed_by_its_own_pad_only() {
        let harness = Harness::new();
        let mut random = Seeded::new(1);
        let mut context = context(&mut random, harness.now);
        let (own, other) = (Pad::random(&mut context), Pad::random(&mut context));
        let token = "hvs.0123456789ABCDEFGHIJKLMN";
        let hidden = own.hide(token).unwrap();
        assert_eq!(reveal(&hidden, own.expose()).unwrap().as_str(), token);
        assert!(reveal(&hidden, other.expose()).map_or(true, |revealed| revealed.as_str() != token));
        assert!(reveal(&hidden, "x").is_err() && reveal("!", own.expose()).is_err());
        assert!(own.hide("hvs.short").is_err());
    }

    #[test]
    fn a_pad_of_another_length_than_a_token_is_refused() {
        assert!(Pad::given(&"a".repeat(Pad::LENGTH)).is_ok());
        assert!(Pad::given(&"a".repeat(Pad::LENGTH - 1)).is_err() && Pad::given("").is_err());
    }
}
