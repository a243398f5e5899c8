//! The forms in which a secret may be printed: as it is, and encoded as programs commonly do.
//!
//! What surprises: in base64 a secret looks different by how many bytes stand before it, so that each of the three
//! alignments is a form. The characters at its two ends that share bits with its neighbours are not in these.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::mask::SHORTEST_BYTES;

/// Lines of a secret of several are looked for by themselves from this length on: shorter ones, such as a brace, are no
/// secret.
const SHORTEST_LINE_BYTES: usize = 12;

/// All forms of one secret. None for what is too short to be looked for.
pub(crate) fn forms(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    if secret.trim().len() < SHORTEST_BYTES {
        return Vec::new();
    }
    let mut found = Vec::new();
    encoded(secret, &mut found);
    // Most programs end their output in a line break whether or not the secret has one.
    if secret.trim() != secret {
        encoded(secret.trim(), &mut found);
    }
    for line in secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE_BYTES && *line != secret) {
        encoded(line, &mut found);
    }
    found
}

fn encoded(text: &str, found: &mut Vec<Zeroizing<Vec<u8>>>) {
    let mut add = |form: String| found.push(Zeroizing::new(form.into_bytes()));
    add(text.to_owned());
    base64(text.as_bytes(), &mut add);
    add(hex::encode(text));
    add(hex::encode_upper(text));
    for is_kept in [is_unreserved, is_kept_by_scripts, is_kept_between_slashes, is_kept_in_paths] {
        let form = percent(text, is_kept);
        add(lower_escapes(&form));
        add(form.replace("%20", "+"));
        add(form);
    }
    for form in [json(text, false), json(text, true)] {
        add(form.replace('/', "\\/"));
        add(marked(&form));
        add(upper_escapes(&form));
        add(form);
    }
}

/// As it stands alone, and within other data behind none, one and two bytes of a group of three.
fn base64(bytes: &[u8], add: &mut impl FnMut(String)) {
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        add(engine.encode(bytes));
        for before in 0..3 {
            let mut shifted = Zeroizing::new(vec![0; before]);
            shifted.extend_from_slice(bytes);
            let whole = Zeroizing::new(engine.encode(&*shifted));
            // Six bits a character: those that hold bits of neither neighbour.
            let (first, end) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            add(whole.get(first..end).unwrap_or_default().to_owned());
        }
    }
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What `encodeURIComponent` leaves (ECMA-262, section 19.2.6).
fn is_kept_by_scripts(byte: u8) -> bool {
    is_unreserved(byte) || b"!'()*".contains(&byte)
}

/// What encoders leave that are told of whole paths and escape all else.
fn is_kept_between_slashes(byte: u8) -> bool {
    is_unreserved(byte) || byte == b'/'
}

/// What may stand in a path, which some encoders leave everywhere.
fn is_kept_in_paths(byte: u8) -> bool {
    is_unreserved(byte) || b"/:@!$&'()*+,;=".contains(&byte)
}

fn percent(text: &str, is_kept: fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut made, byte| {
        if is_kept(byte) {
            made.push(char::from(byte))
        } else {
            made.push_str(&format!("%{byte:02X}"))
        }
        made
    })
}

/// The inside of a JSON string, with or without characters beyond ASCII.
fn json(text: &str, is_ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inside = &quoted[1..quoted.len() - 1];
    let mut made = String::new();
    for character in inside.chars() {
        if character.is_ascii() || !is_ascii {
            made.push(character);
        } else {
            made.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    made
}

/// JSON that may stand in HTML.
fn marked(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// With the hexadecimal digits of `%` escapes small; every `%` begins one.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        made.push('%');
        made.push_str(&digits.to_ascii_lowercase());
        made.push_str(rest);
    }
    made
}

/// With the hexadecimal digits of `\u` escapes capital.
fn upper_escapes(json: &str) -> String {
    let mut parts = json.split("\\u");
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(4).unwrap_or((part, ""));
        made.push_str("\\u");
        made.push_str(&digits.to_ascii_uppercase());
        made.push_str(rest);
    }
    made
}
