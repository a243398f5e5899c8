//! Questions to directories outside (LDAP, RFC 4511): who somebody is there, whether a password is theirs, and which groups
//! they are in. What a handler asks, and the node finds out in one conversation.
//!
//! Filters and names are made here, of texts in which every part that somebody sent is escaped, so no name changes what a
//! search looks for. What surprises: a filter may refer to the user's distinguished name, which only the conversation tells,
//! so that part is put in by the node ([`with_user_dn`]).

use prost::Message;
use zeroize::Zeroize;

use crate::context::Context;
use crate::errand::OutsideCall;
use crate::error::Error;

/// The word of the way by which the node asks directories.
pub const DIRECTORY: &str = "ldap";
/// What stands in a filter for the user's distinguished name until it is known. No escaped text holds a brace.
const USER_DN: &str = "{{.UserDN}}";

/// How the servers of a directory are reached. Has no `Debug`: it may hold a key.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct DirectoryServers {
    /// `ldap://…` or `ldaps://…`; the first that can be reached is asked.
    #[prost(string, repeated, tag = "1")]
    pub urls: Vec<String>,
    /// The authorities that a server's certificate must come from, in PEM; empty is the system's.
    #[prost(string, tag = "2")]
    pub ca_pem: String,
    /// The certificate that the node shows, in PEM; empty is none.
    #[prost(string, tag = "3")]
    pub client_certificate_pem: String,
    /// The key of that, in PEM.
    #[prost(string, tag = "4")]
    pub client_key_pem: String,
    /// The oldest version of TLS that is spoken, times ten: 10 to 13.
    #[prost(uint32, tag = "5")]
    pub min_tls: u32,
    /// The newest, times ten.
    #[prost(uint32, tag = "6")]
    pub max_tls: u32,
    /// Whether a server's certificate is not looked at.
    #[prost(bool, tag = "7")]
    pub is_insecure: bool,
    /// Whether a connection by `ldap://` is encrypted before anything else is said (RFC 4511, section 4.14).
    #[prost(bool, tag = "8")]
    pub starts_tls: bool,
    /// Time to connect to one server, in seconds.
    #[prost(uint64, tag = "9")]
    pub connect_secs: u64,
    /// Time for one request to it, in seconds.
    #[prost(uint64, tag = "10")]
    pub request_secs: u64,
}

impl Drop for DirectoryServers {
    fn drop(&mut self) {
        self.client_key_pem.zeroize();
    }
}

/// A question. Has no `Debug`: it holds passwords.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct DirectoryQuestion {
    /// Whom to ask.
    #[prost(message, required, tag = "1")]
    pub servers: DirectoryServers,
    /// Who searches; empty is nobody, which is an anonymous bind.
    #[prost(string, tag = "2")]
    pub service_dn: String,
    /// The password of that.
    #[prost(string, tag = "3")]
    pub service_password: String,
    /// The name that the user binds by; empty if it is the distinguished name of the entry that the user's filter finds.
    #[prost(string, tag = "4")]
    pub bind_name: String,
    /// The password that must be the user's. Absent: nobody binds as the user, who is only looked up.
    #[prost(string, optional, tag = "5")]
    pub password: Option<String>,
    /// Below which entry users are searched.
    #[prost(string, tag = "6")]
    pub user_base: String,
    /// Finds the user's entry; empty if that is not wanted.
    #[prost(string, tag = "7")]
    pub user_filter: String,
    /// The attribute of that entry whose values are answered.
    #[prost(string, tag = "8")]
    pub user_attribute: String,
    /// Whether without that entry there is no answer to give.
    #[prost(bool, tag = "9")]
    pub needs_entry: bool,
    /// Below which entry groups are searched; empty if they are not wanted.
    #[prost(string, tag = "10")]
    pub group_base: String,
    /// Finds the user's groups ([`with_user_dn`]).
    #[prost(string, tag = "11")]
    pub group_filter: String,
    /// The attribute of a group's entry that names it.
    #[prost(string, tag = "12")]
    pub group_attribute: String,
    /// Whether groups are those of the attribute `tokenGroups` of the user's entry, as Active Directory has it.
    #[prost(bool, tag = "13")]
    pub uses_token_groups: bool,
    /// Whether groups are searched by nobody.
    #[prost(bool, tag = "14")]
    pub searches_groups_as_nobody: bool,
    /// How many entries a search asks for at a time (RFC 2696); 0 is all at once.
    #[prost(uint32, tag = "15")]
    pub page_entries: u32,
    /// When aliases are followed: 0 never, 1 in searching, 2 finding the base, 3 always (RFC 4511, section 4.5.1.3).
    #[prost(uint32, tag = "16")]
    pub dereference: u32,
}

impl Drop for DirectoryQuestion {
    fn drop(&mut self) {
        self.service_password.zeroize();
        self.password.zeroize();
    }
}

/// What a conversation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum DirectoryVerdict {
    /// The user is there, and the password is theirs if one was asked about.
    Known = 0,
    /// No entry is the user's, or more than one is.
    Unknown = 1,
    /// The directory does not take the password.
    Refused = 2,
    /// The password is right, but must be changed before it counts for anything.
    MustChange = 3,
    /// The directory does not do what the configuration supposes; why is in the answer.
    Misconfigured = 4,
}

/// An answer.
#[derive(Clone, PartialEq, Message)]
pub struct DirectoryAnswer {
    /// What the conversation came to.
    #[prost(enumeration = "DirectoryVerdict", tag = "1")]
    pub verdict: i32,
    /// Why the directory does not do what it should, for people. Holds no value of the question but what was configured.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Whether the user's entry was found.
    #[prost(bool, tag = "3")]
    pub is_found: bool,
    /// The distinguished name of the user's entry; what the user bound by, if none was found.
    #[prost(string, tag = "4")]
    pub user_dn: String,
    /// Values of the wanted attribute of that entry.
    #[prost(string, repeated, tag = "5")]
    pub user_values: Vec<String>,
    /// What names the user's groups: values of the wanted attribute, or the group's distinguished name if it has none.
    #[prost(string, repeated, tag = "6")]
    pub groups: Vec<String>,
}

impl DirectoryAnswer {
    /// One that ends the conversation.
    pub fn ended(verdict: DirectoryVerdict, reason: impl Into<String>) -> Self {
        Self { verdict: verdict.into(), reason: reason.into(), ..Self::default() }
    }
}

/// The parts that a filter's text may have in double braces.
pub(crate) const TEMPLATE_PARTS: &str = "{{.UserAttr}}, {{.Username}} and {{.UserDN}}";

/// A filter with its parts put in, each escaped; the user's distinguished name is left to [`with_user_dn`]. `None` if the text
/// has parts that are none of [`TEMPLATE_PARTS`].
pub(crate) fn fill_filter(text: &str, attribute: &str, name: &str) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("{{") {
        let (part, after) = tail.split_once("}}")?;
        filled.push_str(before);
        match part.trim() {
            ".UserAttr" => filled.push_str(attribute),
            ".Username" => filled.push_str(&escaped_in_filter(name)),
            ".UserDN" => filled.push_str(USER_DN),
            _ => return None,
        }
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// A filter with the user's distinguished name put in, escaped.
pub fn with_user_dn(filter: &str, user_dn: &str) -> String {
    filter.replace(USER_DN, &escaped_in_filter(user_dn))
}

/// A text as a value in a filter (RFC 4515, section 3). More is escaped than must be: what stands for itself is named here.
pub(crate) fn escaped_in_filter(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@=, ".contains(&byte);
    let escape = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("\\{byte:02x}") };
    text.bytes().map(escape).collect()
}

/// A text as a value in a distinguished name (RFC 4514, section 2.4).
pub(crate) fn escaped_in_dn(text: &str) -> String {
    let (last, mut escaped) = (text.chars().count().saturating_sub(1), String::with_capacity(text.len()));
    for (place, letter) in text.chars().enumerate() {
        let is_outer_space = letter == ' ' && (place == 0 || place == last);
        if letter == '\0' {
            escaped.push_str("\\00");
            continue;
        }
        if is_outer_space || (letter == '#' && place == 0) || "\"+,;<>=\\".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// The parts of a distinguished name in order: each attribute and its value, unescaped (RFC 4514, section 3). `None` if the
/// text is none.
pub(crate) fn dn_parts(text: &str) -> Option<Vec<(String, String)>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let (attribute, tail) = rest.split_once('=')?;
        let attribute = attribute.trim();
        let is_attribute = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if attribute.is_empty() || !attribute.bytes().all(is_attribute) {
            return None;
        }
        let (value, after) = dn_value(tail.trim_start())?;
        parts.push((attribute.to_owned(), value));
        match after {
            Some(after) => rest = after,
            None => return Some(parts),
        }
    }
}

/// A value at the beginning of a text, and what comes behind the comma or plus sign that ends it.
fn dn_value(text: &str) -> Option<(String, Option<&str>)> {
    let (mut value, mut kept) = (Vec::new(), 0);
    let mut bytes = text.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                let (_, first) = bytes.next()?;
                if first.is_ascii_hexdigit() {
                    let (_, second) = bytes.next()?;
                    let digits = [first, second];
                    value.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                } else {
                    value.push(first);
                }
                kept = value.len();
            }
            b',' | b';' | b'+' => {
                value.truncate(kept);
                return Some((String::from_utf8(value).ok()?, Some(&text[place + 1..])));
            }
            _ => {
                value.push(byte);
                // White space at the end is no part of a value, unless it is escaped.
                kept = if byte == b' ' { kept } else { value.len() };
            }
        }
    }
    value.truncate(kept);
    Some((String::from_utf8(value).ok()?, None))
}

impl Context<'_> {
    /// What a directory answers; ends the run as [`Context::ask_outside`] does.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unavailable`] if no server answered.
    pub(crate) fn ask_directory(
        &mut self,
        target: &str,
        question: &DirectoryQuestion,
    ) -> Result<DirectoryAnswer, Error> {
        let message = question.encode_to_vec();
        let answer = self.ask_outside(OutsideCall { way: DIRECTORY, target: target.to_owned(), message })?;
        DirectoryAnswer::decode(answer.as_slice()).map_err(|error| Error::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // check 167
    #[test]
    fn what_is_put_into_a_filter_stays_a_value() {
        let filled = |text: &str, name: &str| fill_filter(text, "uid", name);
        assert_eq!(filled("({{.UserAttr}}={{ .Username }})", "ann").unwrap(), "(uid=ann)");
        assert_eq!(filled("(uid={{.Username}})", "*)(uid=*").unwrap(), "(uid=\\2a\\29\\28uid=\\2a)");
        assert_eq!(filled("(uid={{.Username}})", "é\\\0").unwrap(), "(uid=\\c3\\a9\\5c\\00)");
        assert_eq!(filled("(a={{.Other}})", "ann"), None);
        assert_eq!(filled("(a={{.Username", "ann"), None);
        let group = filled("(|(memberUid={{.Username}})(member={{.UserDN}}))", "{{.UserDN}}").unwrap();
        let whole = with_user_dn(&group, "cn=A (b),dc=x");
        assert_eq!(whole, "(|(memberUid=\\7b\\7b.UserDN\\7d\\7d)(member=cn=A \\28b\\29,dc=x))");
    }

    #[test]
    fn what_is_put_into_a_name_stays_a_value() {
        for (text, expected) in [
            ("ann", "ann"),
            ("a,ou=x", "a\\,ou\\=x"),
            (" a ", "\\ a\\ "),
            ("#1", "\\#1"),
            ("a\0\"+;<>\\", "a\\00\\\"\\+\\;\\<\\>\\\\"),
            (" ", "\\ "),
        ] {
            let escaped = escaped_in_dn(text);
            assert_eq!(escaped, expected);
            let parts = dn_parts(&format!("uid={escaped},dc=x")).unwrap();
            assert_eq!(parts, [("uid".to_owned(), text.to_owned()), ("dc".to_owned(), "x".to_owned())]);
        }
    }

    #[test]
    fn a_distinguished_name_is_taken_apart() {
        let parts = dn_parts("CN=Dev \\2b Ops + uid = 7, ou=groups ;dc=x").unwrap();
        let expected = [("CN", "Dev + Ops"), ("uid", "7"), ("ou", "groups"), ("dc", "x")];
        assert_eq!(parts, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for text in ["dev", "", "=x", "cn=\\", "cn=\\c3", "a b=c", "cn=a,b"] {
            assert_eq!(dn_parts(text), None, "{text}");
        }
    }
}
