//! A text as a square that cameras read: a QR code (ISO/IEC 18004) in a PNG (RFC 2083), of two shades of grey and not compressed.

use qrcodegen::{QrCode, QrCodeEcc};

/// White modules around the code, which readers need (ISO/IEC 18004, section 9.1).
const QUIET: i32 = 4;
/// With this every PNG begins.
const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
/// Most bytes of one block that is stored without compression (RFC 1951, section 3.2.4).
const BLOCK_BYTES: usize = 65_535;

/// The image of a text, about so many pixels wide; `None` if no code holds it.
pub(crate) fn png(text: &str, pixels: u32) -> Option<Vec<u8>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let modules = code.size() + 2 * QUIET;
    let scale = i32::try_from(pixels).ok()?.checked_div(modules)?.max(1);
    let width = modules * scale;
    let mut rows = Vec::new();
    for y in 0..width {
        // Each row begins with the filter that it went through: none.
        rows.push(0);
        let bits: Vec<bool> = (0..width).map(|x| !code.get_module(x / scale - QUIET, y / scale - QUIET)).collect();
        rows.extend(bits.chunks(8).map(|part| {
            part.iter().enumerate().fold(0_u8, |byte, (place, is_white)| byte | (u8::from(*is_white) << (7 - place)))
        }));
    }
    let mut image = SIGNATURE.to_vec();
    let size = u32::try_from(width).ok()?.to_be_bytes();
    // One bit a pixel, grey, and the only ways to compress, to filter and to order that are always there.
    chunk(&mut image, b"IHDR", &[size.as_slice(), &size, &[1, 0, 0, 0, 0]].concat());
    chunk(&mut image, b"IDAT", &stored(&rows));
    chunk(&mut image, b"IEND", &[]);
    Some(image)
}

/// RFC 2083, section 3.2.
fn chunk(image: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let checked = [kind.as_slice(), content].concat();
    image.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    image.extend_from_slice(&checked);
    image.extend_from_slice(&crc(&checked).to_be_bytes());
}

/// Bytes in a zlib stream (RFC 1950) of stored blocks.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = bytes.chunks(BLOCK_BYTES);
    let last = blocks.len().saturating_sub(1);
    for (place, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(place == last));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    stream.extend_from_slice(&((high << 16) | low).to_be_bytes());
    stream
}

/// RFC 2083, section 15.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_parts_with_their_sums() {
        let image = png("otpauth://totp/a:b?secret=JBSWY3DPEHPK3PXP", 200).unwrap();
        assert_eq!((&image[..8], &image[12..16]), (&SIGNATURE[..], &b"IHDR"[..]));
        let width = u32::from_be_bytes(image[16..20].try_into().unwrap());
        assert!((100..=200).contains(&width), "{width}");
        // The end of every PNG, with the sum that the standard gives.
        assert_eq!(image[image.len() - 12..], [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]);
        assert_eq!(stored(b"abc")[..10], [0x78, 0x01, 1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c']);
        assert_eq!(stored(b"Wikipedia")[16..], 0x11e6_0398_u32.to_be_bytes());
    }

    #[test]
    fn what_no_code_holds_has_no_image() {
        assert!(png(&"x".repeat(5_000), 200).is_none());
    }
}
