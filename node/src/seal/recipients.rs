//! The age recipients that shares and root tokens are encrypted to, so that nobody but their holders reads them
//! (<https://age-encryption.org/v1>).
//!
//! A recipient is read and tried before anything is made for it: what was made and cannot be encrypted would be lost. The library
//! panics on some keys that it reads without an error, so another one tries them first.

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave_vault::Error;
use conclave_vault::seal::Share;

use crate::config::limits::MAX_RECIPIENT_BYTES;

/// Whom something is encrypted to.
pub(crate) struct Recipient {
    text: String,
    key: age::x25519::Recipient,
}

impl Recipient {
    /// Reads a recipient as `age-keygen` writes it. `name` says in errors which one it is: its text may be a private key that
    /// somebody took for a public one.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() > MAX_RECIPIENT_BYTES {
            return Err(Error::invalid(format!("{name} is longer than {MAX_RECIPIENT_BYTES} bytes")));
        }
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(Error::invalid(format!(
                "{name} is a private key: give the public key, which begins with age1, and make a new pair"
            )));
        }
        let key: age::x25519::Recipient = text.parse().map_err(|_| {
            Error::invalid(format!("{name} is no age recipient of the kind X25519, which begins with age1"))
        })?;
        if !can_agree(text) {
            return Err(Error::invalid(format!("{name} is a key that protects nothing")));
        }
        Ok(Self { text: text.to_owned(), key })
    }

    /// The recipient, as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Encrypts a text. The result is an age file, not armored.
    pub(crate) fn encrypt(&self, secret: &str) -> Result<Vec<u8>, Error> {
        age::encrypt(&self.key, secret.as_bytes())
            .map_err(|error| Error::internal(format!("encrypting to an age recipient: {error}")))
    }

    /// The same in base64.
    pub(crate) fn encrypt_to_base64(&self, secret: &str) -> Result<String, Error> {
        self.encrypt(secret).map(|file| STANDARD.encode(file))
    }
}

/// Whether an exchange with this key comes to a secret (RFC 7748, section 6.1).
fn can_agree(text: &str) -> bool {
    let Ok((_, key)) = bech32::decode(text) else { return false };
    let Ok(own) = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()) else { return false };
    agree_ephemeral(own, UnparsedPublicKey::new(&X25519, key), (), |_| Ok(())).is_ok()
}

/// Whom the shares of a seal are encrypted to, one after the other; nobody if they leave as they are.
#[derive(Default)]
pub(crate) struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Reads the recipients of so many shares.
    pub(crate) fn parse(texts: &[String], shares: u64) -> Result<Self, Error> {
        if !texts.is_empty() && u64::try_from(texts.len()).ok() != Some(shares) {
            return Err(Error::invalid(
                "count mismatch between number of provided age_recipients and number of shares: give one for each share",
            ));
        }
        let named = texts.iter().enumerate();
        let parsed =
            named.map(|(place, text)| Recipient::parse(text, &format!("number {} of age_recipients", place + 1)));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Their texts, if there are any.
    pub(crate) fn texts(&self) -> Option<Vec<&str>> {
        (!self.0.is_empty()).then(|| self.0.iter().map(Recipient::text).collect())
    }

    /// The shares as an answer has them: in hexadecimal digits, then in base64. Encrypted is a share's text in hexadecimal
    /// digits, without an end of line.
    pub(crate) fn present(&self, shares: &[Share]) -> Result<[Vec<String>; 2], Error> {
        if self.0.is_empty() {
            let hex = shares.iter().map(|share| share.to_hex().to_string()).collect();
            return Ok([hex, shares.iter().map(|share| share.to_base64().to_string()).collect()]);
        }
        if self.0.len() != shares.len() {
            return Err(Error::internal("there is not one recipient for each share"));
        }
        let pairs = self.0.iter().zip(shares);
        let files = pairs.map(|(recipient, share)| recipient.encrypt(&share.to_hex()));
        let files: Vec<Vec<u8>> = files.collect::<Result<_, _>>()?;
        Ok([files.iter().map(hex::encode).collect(), files.iter().map(|file| STANDARD.encode(file)).collect()])
    }
}

#[cfg(test)]
mod tests {
    use age::x25519::Identity;
    use bech32::{Bech32, Hrp};
    use conclave_vault::Time;
    use conclave_vault::seal::{Parameters, initialize};

    use super::*;
    use crate::view::SystemRandomness;

    fn texts(identities: &[Identity]) -> Vec<String> {
        identities.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    #[test]
    fn each_share_is_for_its_own_recipient_alone() {
        let identities = [Identity::generate(), Identity::generate(), Identity::generate()];
        let recipients = Recipients::parse(&texts(&identities), 3).unwrap();
        let parameters = Parameters { shares: 3, threshold: 2 };
        let made = initialize(parameters, &mut SystemRandomness::default(), Time::from_secs(1), [7; 16]).unwrap();
        let [hex, base64] = recipients.present(&made.shares).unwrap();
        for place in 0..3 {
            let file = hex::decode(&hex[place]).unwrap();
            assert_eq!(file, STANDARD.decode(&base64[place]).unwrap());
            for (other, identity) in identities.iter().enumerate() {
                let opened = age::decrypt(identity, &file).ok();
                let expected = (other == place).then(|| made.shares[place].to_hex().as_bytes().to_vec());
                assert_eq!(opened, expected, "file {place}, key {other}");
            }
        }
    }

    #[test]
    fn without_recipients_shares_are_answered_as_they_are() {
        let parameters = Parameters { shares: 1, threshold: 1 };
        let made = initialize(parameters, &mut SystemRandomness::default(), Time::from_secs(1), [7; 16]).unwrap();
        let recipients = Recipients::parse(&[], 1).unwrap();
        assert_eq!(recipients.texts(), None);
        let [hex, base64] = recipients.present(&made.shares).unwrap();
        assert_eq!((&*hex[0], &*base64[0]), (&**made.shares[0].to_hex(), &**made.shares[0].to_base64()));
    }

    #[test]
    fn what_is_no_recipient_is_refused_without_its_text() {
        use age::secrecy::ExposeSecret as _;
        let private = Identity::generate().to_string().expose_secret().to_owned();
        for text in [
            "",
            "age1",
            "canary",
            "ssh-ed25519 AAAA",
            &private,
            &private.to_lowercase(),
            &"a".repeat(MAX_RECIPIENT_BYTES + 1),
        ] {
            let refused = Recipient::parse(text, "age_recipient").err().expect("it is no recipient");
            assert_eq!(refused.kind, conclave_vault::ErrorKind::Invalid);
            assert!(text.is_empty() || text == "age1" || !refused.to_string().contains(text), "{refused}");
        }
        let identities = [Identity::generate(), Identity::generate()];
        assert!(Recipients::parse(&texts(&identities), 3).is_err(), "two for three shares");
    }

    #[test]
    fn only_a_key_that_an_exchange_works_with_is_a_recipient() {
        assert!(can_agree(&Identity::generate().to_public().to_string()));
        let short = bech32::encode::<Bech32>(Hrp::parse("age").unwrap(), &[9; 31]).unwrap();
        assert!(!can_agree(&short));
        assert!(Recipient::parse(&short, "age_recipient").is_err());
    }
}
