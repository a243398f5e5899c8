//! `otpauth://` URLs, by which applications learn keys (Key URI Format of Google Authenticator).

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::otp::Codes;
use crate::web::escaped;

/// With this they begin.
const SCHEME: &str = "otpauth://totp/";

/// What such a URL says; what it does not say is empty or `None`.
#[derive(Default)]
pub(crate) struct OtpUrl {
    pub(crate) secret: Zeroizing<String>,
    pub(crate) issuer: String,
    pub(crate) account: String,
    pub(crate) algorithm: Option<String>,
    pub(crate) digits: Option<u32>,
    pub(crate) period_secs: Option<u64>,
}

/// A text with its percent escapes undone; `None` if one is broken.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                hex::decode(digits).ok()?[0]
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl OtpUrl {
    /// Reads one; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (label, query) = text.strip_prefix(SCHEME)?.split_once('?')?;
        let label = unescaped(label)?;
        let (issuer, account) = label.split_once(':').unwrap_or(("", &label));
        let mut url = Self { issuer: issuer.to_owned(), account: account.trim().to_owned(), ..Self::default() };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescaped(value)?;
            match name {
                "secret" => url.secret = Zeroizing::new(value),
                "issuer" => url.issuer = value,
                "algorithm" => url.algorithm = Some(value),
                "digits" => url.digits = Some(value.parse().ok()?),
                "period" => url.period_secs = Some(value.parse().ok()?),
                _ => {}
            }
        }
        Some(url)
    }

    /// Writes one.
    pub(crate) fn write(codes: &Codes<'_>, issuer: &str, account: &str) -> Zeroizing<String> {
        let secret = Zeroizing::new(BASE32_NOPAD.encode(codes.secret));
        let (issuer, account, algorithm) = (escaped(issuer), escaped(account), codes.algorithm.as_str());
        Zeroizing::new(format!(
            "{SCHEME}{issuer}:{account}?algorithm={algorithm}&digits={}&issuer={issuer}&period={}&secret={}",
            codes.digits, codes.period_secs, *secret
        ))
    }
}

/// A key out of its text in base 32 (RFC 4648, section 6), in any case, with or without padding; `None` if it is none.
pub(crate) fn secret_of(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = Zeroizing::new(text.trim_end_matches('=').to_ascii_uppercase());
    BASE32_NOPAD.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otp::OtpAlgorithm;

    #[test]
    fn what_is_written_is_read() {
        let codes =
            Codes { secret: b"12345678901234567890", algorithm: OtpAlgorithm::Sha256, digits: 8, period_secs: 60 };
        let text = OtpUrl::write(&codes, "Acme & Co", "ann@a.example");
        let url = OtpUrl::parse(&text).unwrap();
        assert_eq!((url.issuer.as_str(), url.account.as_str()), ("Acme & Co", "ann@a.example"));
        assert_eq!((url.algorithm.as_deref(), url.digits, url.period_secs), (Some("SHA256"), Some(8), Some(60)));
        assert_eq!(secret_of(&url.secret).unwrap().as_slice(), codes.secret);
        assert_eq!(secret_of("gezdgnbvgy3tqojqgezdgnbvgy3tqojq====").unwrap().as_slice(), codes.secret);
    }

    #[test]
    fn what_is_no_url_of_a_key_is_none() {
        for text in [
            "",
            "nope",
            "otpauth://hotp/a?secret=AA",
            "otpauth://totp/a",
            "otpauth://totp/a%2?secret=A",
            "otpauth://totp/a?digits=x",
        ] {
            assert!(OtpUrl::parse(text).is_none(), "{text}");
        }
        assert!(secret_of("0189").is_none());
    }
}
