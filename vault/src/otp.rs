//! One-time codes by the clock (RFC 6238, over RFC 4226), and the URL by which an application learns a key.

pub(crate) mod image;
pub(crate) mod url;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use crate::time::Time;

/// What codes are made with (RFC 6238, section 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtpAlgorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl OtpAlgorithm {
    /// By its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    fn mac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// How the codes of a key are made.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'k> {
    pub(crate) secret: &'k [u8],
    pub(crate) algorithm: OtpAlgorithm,
    /// 6 or 8.
    pub(crate) digits: u32,
    /// How long a code counts, in seconds; not 0.
    pub(crate) period_secs: u64,
}

impl Codes<'_> {
    /// The number of the period in which a time lies.
    pub(crate) fn period_at(&self, now: Time) -> u64 {
        u64::try_from(now.secs()).unwrap_or(0) / self.period_secs.max(1)
    }

    /// The code of a period (RFC 4226, section 5.3).
    pub(crate) fn code(&self, period: u64) -> String {
        let tag = hmac::sign(&hmac::Key::new(self.algorithm.mac(), self.secret), &period.to_be_bytes());
        let tag = tag.as_ref();
        let place = usize::from(tag[tag.len() - 1] & 0x0f);
        let number = u32::from_be_bytes([tag[place] & 0x7f, tag[place + 1], tag[place + 2], tag[place + 3]]);
        let width = self.digits as usize;
        format!("{:0width$}", number % 10_u32.pow(self.digits))
    }

    /// The periods, up to `skew` before and after a time, whose code this is.
    pub(crate) fn periods_of(&self, code: &str, now: Time, skew: u64) -> Vec<u64> {
        let middle = self.period_at(now);
        let fits = |period: &u64| bool::from(self.code(*period).as_bytes().ct_eq(code.as_bytes()));
        (middle.saturating_sub(skew)..=middle.saturating_add(skew)).filter(fits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, with the corrected keys of erratum 2866.
    #[test]
    fn codes_are_those_of_the_standard() {
        let key = |bytes: usize| b"1234567890".iter().copied().cycle().take(bytes).collect::<Vec<_>>();
        for (algorithm, bytes, secs, expected) in [
            (OtpAlgorithm::Sha1, 20, 59, "94287082"),
            (OtpAlgorithm::Sha256, 32, 59, "46119246"),
            (OtpAlgorithm::Sha512, 64, 59, "90693936"),
            (OtpAlgorithm::Sha1, 20, 1_111_111_109, "07081804"),
            (OtpAlgorithm::Sha256, 32, 1_234_567_890, "91819424"),
            (OtpAlgorithm::Sha512, 64, 20_000_000_000, "47863826"),
        ] {
            let codes = Codes { secret: &key(bytes), algorithm, digits: 8, period_secs: 30 };
            assert_eq!(codes.code(secs / 30), expected, "{algorithm:?} {secs}");
        }
    }

    #[test]
    fn a_code_counts_in_its_period_and_as_far_beside_as_is_allowed() {
        let codes = Codes { secret: b"secret", algorithm: OtpAlgorithm::Sha1, digits: 6, period_secs: 30 };
        let code = codes.code(100);
        let at = |period: i64, skew| codes.periods_of(&code, Time::from_secs(period * 30), skew);
        assert_eq!((at(100, 0), at(101, 1), at(99, 1)), (vec![100], vec![100], vec![100]));
        assert!(at(101, 0).is_empty() && at(102, 1).is_empty() && at(98, 1).is_empty());
    }
}
