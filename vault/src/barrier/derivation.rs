//! Keys from keys: HKDF-SHA256 (RFC 5869).

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use super::Key32;

/// The length of every derived key, in the form that the library asks for.
struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

/// Derives a key of 32 bytes, straight into locked memory. The parts of `info` are joined without separators.
pub(crate) fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Key32 {
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    Key32::filled(|key| {
        let output = extracted.expand(info, KeyLength).expect("32 bytes are below the limit of 255 blocks");
        output.fill(key).expect("the buffer has the length that was asked for");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_is_hkdf_sha256_as_in_rfc_5869_case_1() {
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let salt: Vec<u8> = (0..=0x0c).collect();
        let key = derive(&salt, &[0x0b; 22], &[&info]);
        assert_eq!(hex::encode(key.expose()), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }
}
