//! `config`: which directory is asked, as whom, and how users and groups are found in it.
//!
//! What surprises: a write changes what it names and leaves the rest. What only a conversation with the directory can show to
//! be wrong, such as a filter, is taken as it is and refused at logins.

use prost::Message;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use crate::directory::{TEMPLATE_PARTS, fill_filter};
use crate::engine::Call;
use crate::engines::terms::{self, TermsRecord};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::spelling;
use crate::store::Store;

/// Name of the record in the mount's area.
const RECORD: &str = "config";
/// Longest text of a setting, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Longest text of certificates or of a key, in bytes.
const MAX_PEM_BYTES: usize = 64 << 10;
/// Most servers of a directory.
pub(super) const MAX_URLS: usize = 16;
/// Longest time for a connection or a request, in seconds.
const MAX_TIME_SECS: u64 = 24 * 3600;
/// Most entries of one page.
const MAX_PAGE_ENTRIES: i64 = 100_000;

/// Versions of TLS by their words, times ten.
const TLS_VERSIONS: &[(&str, u32)] = &[("tls10", 10), ("tls11", 11), ("tls12", 12), ("tls13", 13)];
const TLS_WORDS: &[&str] = &["tls10", "tls11", "tls12", "tls13"];
/// When aliases are followed (RFC 4511, section 4.5.1.3), in the order of their numbers.
const DEREFERENCE_WORDS: &[&str] = &["never", "searching", "finding", "always"];
const USUAL_GROUP_FILTER: &str = "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))";
const USUAL_USER_FILTER: &str = "({{.UserAttr}}={{.Username}})";
const USUAL_URL: &str = "ldap://127.0.0.1";

const URL: Field = field(
    "url",
    Kind::Text,
    "Servers, ldap:// or ldaps://, with commas between them; the first that can be reached is asked.",
)
.or(USUAL_URL);
const BIND_DN: Field = field("binddn", Kind::Text, "Who searches for users and groups: the service account.");
const BIND_PASSWORD: Field = field("bindpass", Kind::Text, "The password of that. Never shown.");
const DISCOVERS: Field =
    field("discoverdn", Kind::Bool, "Whether a user's entry is searched by nobody, if there is no service account.")
        .or("false");
const USER_DN: Field = field("userdn", Kind::Text, "Below which entry users are.");
const USER_ATTRIBUTE: Field =
    field("userattr", Kind::LowerText, "The attribute that holds a user's name, and by which identity knows them.")
        .or("cn");
const USER_FILTER: Field = field("userfilter", Kind::Text, "Finds a user's entry.").or(USUAL_USER_FILTER);
const UPN_DOMAIN: Field =
    field("upndomain", Kind::Text, "Users bind as name@domain, as Active Directory takes it, with this domain.");
const GROUP_DN: Field = field("groupdn", Kind::Text, "Below which entry groups are; none looks at no groups.");
const GROUP_FILTER: Field = field("groupfilter", Kind::Text, "Finds a user's groups.").or(USUAL_GROUP_FILTER);
const GROUP_ATTRIBUTE: Field =
    field("groupattr", Kind::Text, "The attribute that names a group; of a distinguished name its cn counts.").or("cn");
const ANONYMOUS: Field =
    field("anonymous_group_search", Kind::Bool, "Whether groups are searched by nobody.").or("false");
const TOKEN_GROUPS: Field = field(
    "use_token_groups",
    Kind::Bool,
    "Whether groups are the tokenGroups of the user's entry, as in Active Directory.",
)
.or("false");
const OLD_CN: Field =
    field("use_pre111_group_cn_behavior", Kind::Bool, "Whether of a distinguished name only a CN in capitals counts.")
        .or("false");
const CASE_SENSITIVE: Field = field(
    "case_sensitive_names",
    Kind::Bool,
    "Whether names of groups and users differ by case. Set it before the first of them is written.",
)
.or("false");
const USERNAME_AS_ALIAS: Field =
    field("username_as_alias", Kind::Bool, "Whether identity knows a user by the name that they log in with.")
        .or("false");
const DENY_NULL_BIND: Field =
    field("deny_null_bind", Kind::Bool, "Whether an empty password is refused before the directory is asked.")
        .or("true");
const STARTTLS: Field = field("starttls", Kind::Bool, "Whether ldap:// is encrypted by StartTLS.").or("false");
const INSECURE: Field = field(
    "insecure_tls",
    Kind::Bool,
    "Whether a server's certificate is not looked at. Whoever is between then learns passwords.",
)
.or("false");
const CERTIFICATE: Field =
    field("certificate", Kind::Text, "Authorities of the servers, in PEM; none is those of the system.");
const CLIENT_CERTIFICATE: Field = field("client_tls_cert", Kind::Text, "The certificate that a node shows, in PEM.");
const CLIENT_KEY: Field = field("client_tls_key", Kind::Text, "The key of that, in PEM. Never shown.");
const MIN_TLS: Field =
    field("tls_min_version", Kind::Text, "The oldest TLS that is spoken. Below tls12 nothing is, whatever this says.")
        .one_of(TLS_WORDS)
        .or("tls12");
const MAX_TLS: Field =
    field("tls_max_version", Kind::Text, "The newest TLS that is spoken.").one_of(TLS_WORDS).or("tls12");
const CONNECT_TIME: Field =
    field("connection_timeout", Kind::Duration, "Time to connect to one server, before the next is tried.").or("30");
const REQUEST_TIME: Field = field("request_timeout", Kind::Duration, "Time for one request to a server.").or("90");
const PAGE_ENTRIES: Field =
    field("max_page_size", Kind::Int, "How many groups are asked for at a time; 0 is all at once.").or("0");
const DEREFERENCE: Field = field("dereference_aliases", Kind::Text, "When aliases of the directory are followed.")
    .one_of(DEREFERENCE_WORDS)
    .or("never");

pub(super) const FIELDS: &[Field] = &[
    URL,
    BIND_DN,
    BIND_PASSWORD,
    DISCOVERS,
    USER_DN,
    USER_ATTRIBUTE,
    USER_FILTER,
    UPN_DOMAIN,
    GROUP_DN,
    GROUP_FILTER,
    GROUP_ATTRIBUTE,
    ANONYMOUS,
    TOKEN_GROUPS,
    OLD_CN,
    CASE_SENSITIVE,
    USERNAME_AS_ALIAS,
    DENY_NULL_BIND,
    STARTTLS,
    INSECURE,
    CERTIFICATE,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    MIN_TLS,
    MAX_TLS,
    CONNECT_TIME,
    REQUEST_TIME,
    PAGE_ENTRIES,
    DEREFERENCE,
];
/// What it says about tokens; the method never had the old names.
pub(super) const TOKEN_FIELDS: &[Field] = &[
    terms::POLICIES,
    terms::TTL,
    terms::MAX_TTL,
    terms::PERIOD,
    terms::EXPLICIT_MAX_TTL,
    terms::BOUND_CIDRS,
    terms::STRICTLY_BIND_IP,
    terms::NUM_USES,
    terms::NO_DEFAULT_POLICY,
    terms::TOKEN_TYPE,
];

/// The configuration as it is stored. Has no `Debug`: it holds a password and a key. What is absent or 0 is the default.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct LdapConfigRecord {
    #[prost(string, optional, tag = "1")]
    set_url: Option<String>,
    #[prost(string, tag = "2")]
    pub(super) bind_dn: String,
    #[prost(string, tag = "3")]
    pub(super) bind_password: String,
    #[prost(bool, tag = "4")]
    pub(super) discovers: bool,
    #[prost(string, tag = "5")]
    pub(super) user_dn: String,
    #[prost(string, optional, tag = "6")]
    set_user_attribute: Option<String>,
    #[prost(string, optional, tag = "7")]
    set_user_filter: Option<String>,
    #[prost(string, tag = "8")]
    pub(super) upn_domain: String,
    #[prost(string, tag = "9")]
    pub(super) group_dn: String,
    #[prost(string, optional, tag = "10")]
    set_group_filter: Option<String>,
    #[prost(string, optional, tag = "11")]
    set_group_attribute: Option<String>,
    #[prost(bool, tag = "12")]
    pub(super) searches_groups_as_nobody: bool,
    #[prost(bool, tag = "13")]
    pub(super) uses_token_groups: bool,
    #[prost(bool, tag = "14")]
    pub(super) takes_only_capital_cn: bool,
    #[prost(bool, tag = "15")]
    is_case_sensitive: bool,
    #[prost(bool, tag = "16")]
    pub(super) knows_by_username: bool,
    #[prost(bool, tag = "17")]
    pub(super) takes_empty_passwords: bool,
    #[prost(bool, tag = "18")]
    pub(super) starts_tls: bool,
    #[prost(bool, tag = "19")]
    pub(super) is_insecure: bool,
    #[prost(string, tag = "20")]
    pub(super) ca_pem: String,
    #[prost(string, tag = "21")]
    pub(super) client_certificate_pem: String,
    #[prost(string, tag = "22")]
    pub(super) client_key_pem: String,
    #[prost(uint32, optional, tag = "23")]
    set_min_tls: Option<u32>,
    #[prost(uint32, optional, tag = "24")]
    set_max_tls: Option<u32>,
    #[prost(uint64, optional, tag = "25")]
    set_connect_secs: Option<u64>,
    #[prost(uint64, optional, tag = "26")]
    set_request_secs: Option<u64>,
    #[prost(uint32, tag = "27")]
    pub(super) page_entries: u32,
    #[prost(uint32, tag = "28")]
    pub(super) dereference: u32,
    #[prost(message, required, tag = "29")]
    pub(super) terms: TermsRecord,
}

impl Drop for LdapConfigRecord {
    fn drop(&mut self) {
        self.bind_password.zeroize();
        self.client_key_pem.zeroize();
    }
}

/// What was set, or what counts if nothing was.
impl LdapConfigRecord {
    pub(super) fn url(&self) -> &str {
        self.set_url.as_deref().unwrap_or(USUAL_URL)
    }

    pub(super) fn user_attribute(&self) -> &str {
        self.set_user_attribute.as_deref().unwrap_or("cn")
    }

    pub(super) fn user_filter(&self) -> &str {
        self.set_user_filter.as_deref().unwrap_or(USUAL_USER_FILTER)
    }

    pub(super) fn group_filter(&self) -> &str {
        self.set_group_filter.as_deref().unwrap_or(USUAL_GROUP_FILTER)
    }

    pub(super) fn group_attribute(&self) -> &str {
        self.set_group_attribute.as_deref().unwrap_or("cn")
    }

    pub(super) fn min_tls(&self) -> u32 {
        self.set_min_tls.unwrap_or(12)
    }

    pub(super) fn max_tls(&self) -> u32 {
        self.set_max_tls.unwrap_or(12)
    }

    pub(super) fn connect_secs(&self) -> u64 {
        self.set_connect_secs.unwrap_or(30)
    }

    pub(super) fn request_secs(&self) -> u64 {
        self.set_request_secs.unwrap_or(90)
    }

    /// The name of a group or user as it is stored.
    pub(super) fn spelled(&self, name: &str) -> String {
        if self.is_case_sensitive { name.to_owned() } else { spelling::lower(name).into_owned() }
    }
}

impl LdapConfigRecord {
    fn take(&mut self, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        self.take_texts(fields)?;
        self.take_truths(fields);
        self.take_certificates(fields)?;
        self.take_numbers(fields)?;
        self.terms.take(fields, warnings)
    }

    fn take_texts(&mut self, fields: &Fields) -> Result<(), Error> {
        let text = |field: &Field, into: &mut String| -> Result<(), Error> {
            let Some(sent) = fields.text(field.name) else { return Ok(()) };
            if sent.len() > MAX_TEXT_BYTES || sent.contains('\0') {
                let name = field.name;
                return Err(Error::invalid(format!(
                    "{name} must be text without NUL, of at most {MAX_TEXT_BYTES} bytes"
                )));
            }
            into.zeroize();
            sent.clone_into(into);
            Ok(())
        };
        let optional = |field: &Field, into: &mut Option<String>| -> Result<(), Error> {
            let mut sent = into.take().unwrap_or_default();
            text(field, &mut sent)?;
            *into = Some(sent).filter(|sent| !sent.is_empty());
            Ok(())
        };
        text(&BIND_DN, &mut self.bind_dn)?;
        text(&BIND_PASSWORD, &mut self.bind_password)?;
        text(&USER_DN, &mut self.user_dn)?;
        text(&UPN_DOMAIN, &mut self.upn_domain)?;
        text(&GROUP_DN, &mut self.group_dn)?;
        optional(&URL, &mut self.set_url)?;
        optional(&USER_ATTRIBUTE, &mut self.set_user_attribute)?;
        optional(&USER_FILTER, &mut self.set_user_filter)?;
        optional(&GROUP_FILTER, &mut self.set_group_filter)?;
        optional(&GROUP_ATTRIBUTE, &mut self.set_group_attribute)?;
        self.check_texts()
    }

    fn check_texts(&self) -> Result<(), Error> {
        if self.url().split(',').count() > MAX_URLS {
            return Err(Error::invalid(format!("url holds at most {MAX_URLS} servers")));
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';');
        for (field, attribute) in [(&USER_ATTRIBUTE, self.user_attribute()), (&GROUP_ATTRIBUTE, self.group_attribute())]
        {
            if !attribute.bytes().all(is_part) {
                return Err(Error::invalid(format!("{} must be the name of an attribute, such as uid", field.name)));
            }
        }
        for (field, filter) in [(&USER_FILTER, self.user_filter()), (&GROUP_FILTER, self.group_filter())] {
            if fill_filter(filter, "", "").is_none() {
                let name = field.name;
                return Err(Error::invalid(format!(
                    "{name} has parts in double braces that are not known: it may have {TEMPLATE_PARTS}"
                )));
            }
        }
        // A filter that finds the same entry for every name would let its owner in under all of them.
        let tells_apart = fill_filter(self.user_filter(), "", "a") != fill_filter(self.user_filter(), "", "b");
        match tells_apart {
            true => Ok(()),
            false => Err(Error::invalid("userfilter must hold {{.Username}}")),
        }
    }

    fn take_truths(&mut self, fields: &Fields) {
        let take = |field: &Field, into: &mut bool| *into = fields.bool(field.name).unwrap_or(*into);
        take(&DISCOVERS, &mut self.discovers);
        take(&ANONYMOUS, &mut self.searches_groups_as_nobody);
        take(&TOKEN_GROUPS, &mut self.uses_token_groups);
        take(&OLD_CN, &mut self.takes_only_capital_cn);
        take(&CASE_SENSITIVE, &mut self.is_case_sensitive);
        take(&USERNAME_AS_ALIAS, &mut self.knows_by_username);
        take(&STARTTLS, &mut self.starts_tls);
        take(&INSECURE, &mut self.is_insecure);
        self.takes_empty_passwords = !fields.bool(DENY_NULL_BIND.name).unwrap_or(!self.takes_empty_passwords);
    }

    fn take_certificates(&mut self, fields: &Fields) -> Result<(), Error> {
        for (field, into) in [
            (&CERTIFICATE, &mut self.ca_pem),
            (&CLIENT_CERTIFICATE, &mut self.client_certificate_pem),
            (&CLIENT_KEY, &mut self.client_key_pem),
        ] {
            let Some(sent) = fields.text(field.name) else { continue };
            if sent.len() > MAX_PEM_BYTES {
                return Err(Error::invalid(format!("{} is longer than {MAX_PEM_BYTES} bytes", field.name)));
            }
            into.zeroize();
            sent.clone_into(into);
        }
        if !self.ca_pem.is_empty() && !has_certificates(&self.ca_pem) {
            return Err(Error::invalid(
                "failed to parse server tls cert: failed to decode PEM block in the certificate",
            ));
        }
        if self.client_certificate_pem.is_empty() != self.client_key_pem.is_empty() {
            return Err(Error::invalid("both client_tls_cert and client_tls_key must be set"));
        }
        if self.client_key_pem.is_empty() {
            return Ok(());
        }
        let has_key = PrivateKeyDer::from_pem_slice(self.client_key_pem.as_bytes()).is_ok();
        if !has_key || !has_certificates(&self.client_certificate_pem) {
            return Err(Error::invalid("client_tls_cert must be a certificate in PEM, and client_tls_key its key"));
        }
        Ok(())
    }

    fn take_numbers(&mut self, fields: &Fields) -> Result<(), Error> {
        for (field, into) in [(&MIN_TLS, &mut self.set_min_tls), (&MAX_TLS, &mut self.set_max_tls)] {
            if let Some(word) = fields.text(field.name) {
                let version = TLS_VERSIONS.iter().find(|(known, _)| *known == word);
                *into = Some(version.ok_or_else(|| Error::invalid(format!("invalid '{}'", field.name)))?.1);
            }
        }
        if self.max_tls() < self.min_tls() {
            return Err(Error::invalid("'tls_max_version' must be greater than or equal to 'tls_min_version'"));
        }
        for (field, into) in [(&CONNECT_TIME, &mut self.set_connect_secs), (&REQUEST_TIME, &mut self.set_request_secs)]
        {
            if let Some(secs) = terms::whole_secs(fields, field.name) {
                if secs > MAX_TIME_SECS {
                    return Err(Error::invalid(format!("{} is longer than {MAX_TIME_SECS} seconds", field.name)));
                }
                *into = Some(secs).filter(|secs| *secs > 0);
            }
        }
        if let Some(entries) = fields.int(PAGE_ENTRIES.name) {
            let entries = Some(entries).filter(|entries| (0..=MAX_PAGE_ENTRIES).contains(entries));
            let entries = entries.and_then(|entries| u32::try_from(entries).ok());
            self.page_entries =
                entries.ok_or_else(|| Error::invalid(format!("max_page_size must be 0 to {MAX_PAGE_ENTRIES}")))?;
        }
        if let Some(word) = fields.text(DEREFERENCE.name) {
            let word = if word.is_empty() { DEREFERENCE_WORDS[0] } else { word };
            let number = (0..).zip(DEREFERENCE_WORDS).find(|(_, known)| **known == word);
            self.dereference = number.ok_or_else(|| Error::invalid("invalid 'dereference_aliases'"))?.0;
        }
        Ok(())
    }

    fn show(&self) -> Map<String, Value> {
        let tls_word = |version: u32| TLS_VERSIONS.iter().find(|(_, known)| *known == version).map(|(word, _)| *word);
        let own = json!({
            "url": self.url(),
            "binddn": self.bind_dn,
            "discoverdn": self.discovers,
            "userdn": self.user_dn,
            "userattr": self.user_attribute(),
            "userfilter": self.user_filter(),
            "upndomain": self.upn_domain,
            "groupdn": self.group_dn,
            "groupfilter": self.group_filter(),
            "groupattr": self.group_attribute(),
            "anonymous_group_search": self.searches_groups_as_nobody,
            "use_token_groups": self.uses_token_groups,
            "use_pre111_group_cn_behavior": self.takes_only_capital_cn,
            "case_sensitive_names": self.is_case_sensitive,
            "username_as_alias": self.knows_by_username,
            "deny_null_bind": !self.takes_empty_passwords,
            "starttls": self.starts_tls,
            "insecure_tls": self.is_insecure,
            "certificate": self.ca_pem,
            "tls_min_version": tls_word(self.min_tls()),
            "tls_max_version": tls_word(self.max_tls()),
            "connection_timeout": self.connect_secs(),
            "request_timeout": self.request_secs(),
            "max_page_size": self.page_entries,
            "dereference_aliases": DEREFERENCE_WORDS.get(self.dereference as usize),
        });
        let mut data = self.terms.show();
        data.extend(own.as_object().cloned().unwrap_or_default());
        data
    }
}

/// Whether a text holds certificates in PEM, at least one.
fn has_certificates(text: &str) -> bool {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    found.is_ok_and(|found| !found.is_empty())
}

/// The configuration of a mount; `None` before it was written.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount) -> Result<Option<LdapConfigRecord>, Error> {
    store.get(&mount.area, &[RECORD])
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = find(call.store, &mount)?.unwrap_or_default();
    Ok(Reply { data: Some(config.show()), ..Reply::default() })
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut config = find(call.store, &mount)?.unwrap_or_default();
    let mut reply = Reply::empty();
    config.take(&call.fields, &mut reply.warnings)?;
    call.store.put(&mount.area, &[RECORD], &config)?;
    Ok(reply)
}
