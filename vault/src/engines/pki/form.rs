//! In which form certificates and keys are answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::issuer;
use super::signing::KeyPair;
use crate::engines::pairs;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};

const FORMAT: Field = field(
    "format",
    Kind::Text,
    "pem; der, which is answered in base 64; or pem_bundle: key, certificate and chain in one text.",
)
.or("pem")
.one_of(&["pem", "der", "pem_bundle"]);
const PRIVATE_KEY_FORMAT: Field = field(
    "private_key_format",
    Kind::Text,
    "der for the form of the key's own algorithm, or pkcs8. Both come in the form that format says.",
)
.or("der")
.one_of(&["der", "pem", "pkcs8"]);

pub(super) const FIELDS: &[Field] = &[FORMAT, PRIVATE_KEY_FORMAT];

/// The form of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyForm {
    is_der: bool,
    is_bundle: bool,
    is_pkcs8: bool,
}

impl ReplyForm {
    /// What fields ask for.
    pub(super) fn asked(fields: &Fields) -> Result<Self, Error> {
        let (is_der, is_bundle) = match fields.text_or_empty(FORMAT.name) {
            "" | "pem" => (false, false),
            "der" => (true, false),
            "pem_bundle" => (false, true),
            _ => return Err(Error::invalid("the \"format\" parameter must be \"pem\", \"der\", or \"pem_bundle\"")),
        };
        let is_pkcs8 = match fields.text_or_empty(PRIVATE_KEY_FORMAT.name) {
            "" | "der" | "pem" => false,
            "pkcs8" => true,
            _ => return Err(Error::invalid("private_key_format must be der or pkcs8")),
        };
        Ok(Self { is_der, is_bundle, is_pkcs8 })
    }

    /// A certificate.
    pub(super) fn certificate(&self, der: &[u8]) -> String {
        if self.is_der { STANDARD.encode(der) } else { issuer::pem(der) }
    }

    /// A request for a certificate.
    pub(super) fn request(&self, der: &[u8]) -> String {
        if self.is_der { STANDARD.encode(der) } else { pairs::pem("CERTIFICATE REQUEST", der).trim_end().to_owned() }
    }

    /// Several certificates.
    pub(super) fn chain<'d>(&self, chain: impl Iterator<Item = &'d [u8]>) -> Vec<String> {
        chain.map(|der| self.certificate(der)).collect()
    }

    /// Adds a private key to a reply that has a certificate; in a bundle it is also in front of that.
    pub(super) fn add_key(&self, data: &mut Map<String, Value>, pair: &KeyPair) -> Result<(), Error> {
        let key = match self.is_der {
            true => STANDARD.encode(&*pair.private_der(self.is_pkcs8)?.1),
            false => pair.private_pem(self.is_pkcs8)?.as_str().to_owned(),
        };
        if self.is_bundle {
            let certificate = data.get("certificate").and_then(Value::as_str).unwrap_or_default();
            let bundle = format!("{key}\n{certificate}");
            data.insert("certificate".into(), bundle.into());
        }
        data.insert("private_key".into(), key.into());
        data.insert("private_key_type".into(), pair.shape.kind.as_str().into());
        Ok(())
    }

    /// In a bundle, adds certificates behind the one of the reply.
    pub(super) fn add_chain(&self, data: &mut Map<String, Value>, chain: &[String]) {
        if self.is_bundle {
            let certificate = data.get("certificate").and_then(Value::as_str).unwrap_or_default();
            let bundle =
                std::iter::once(certificate).chain(chain.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
            data.insert("certificate".into(), bundle.into());
        }
    }
}
