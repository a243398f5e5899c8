//! Roles: what may be signed for whom, or for whom one-time passwords are made. A write replaces a role.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::engines::listing;
use crate::engines::named::{self, Named};
use crate::engines::ssh::issuer;
use crate::engines::ssh::option;
use crate::engines::ssh::public::{self, KeyLengthsRecord};
use crate::engines::ssh::template;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::reply::Reply;
use crate::token::cidr::Cidr;

/// Longest text of one field of a role, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// Longest time to live of a certificate that a role may set, in seconds.
const MAX_TTL_SECS: u64 = 100 * 366 * 24 * 3600;
/// How far back a certificate begins if a role does not say it, in seconds.
const NOT_BEFORE_SECS: u64 = 30;
/// The port of SSH.
const PORT: u32 = 22;

pub(super) const ROLE: Field = field("role", Kind::Text, "Name of the role.");
const KEY_TYPE: Field = field("key_type", Kind::Text, "What it is for: ca signs keys, otp makes one-time passwords.")
    .required()
    .one_of(&["ca", "otp"]);
const DEFAULT_USER: Field = field("default_user", Kind::Text, "The user where a request names none. Required for otp.");
const DEFAULT_USER_TEMPLATE: Field =
    field("default_user_template", Kind::Bool, "Whether default_user holds templates of identity.").or("false");
const CIDR_LIST: Field = field("cidr_list", Kind::Text, "Of otp: address ranges of hosts, by commas.");
const EXCLUDE_CIDR_LIST: Field = field("exclude_cidr_list", Kind::Text, "Of otp: address ranges that are excluded.");
const PORT_FIELD: Field = field("port", Kind::Int, "Of otp: the port that clients are told.").or("22");
const ALLOWED_USERS: Field =
    field("allowed_users", Kind::Text, "Users besides default_user, by commas; * is every user, none is none.");
const ALLOWED_USERS_TEMPLATE: Field =
    field("allowed_users_template", Kind::Bool, "Whether allowed_users holds templates of identity.").or("false");
const ALLOWED_DOMAINS: Field =
    field("allowed_domains", Kind::Text, "Domains of hosts, by commas; * is every host, none is none.");
const ALLOWED_DOMAINS_TEMPLATE: Field =
    field("allowed_domains_template", Kind::Bool, "Whether allowed_domains holds templates of identity.").or("false");
const BARE_DOMAINS: Field =
    field("allow_bare_domains", Kind::Bool, "Whether a domain of allowed_domains is itself a host.").or("false");
const SUBDOMAINS: Field =
    field("allow_subdomains", Kind::Bool, "Whether names below a domain of allowed_domains are hosts.").or("false");
const USER_CERTIFICATES: Field =
    field("allow_user_certificates", Kind::Bool, "Whether it signs keys of users.").or("false");
const HOST_CERTIFICATES: Field =
    field("allow_host_certificates", Kind::Bool, "Whether it signs keys of hosts.").or("false");
const EMPTY_PRINCIPALS: Field = field(
    "allow_empty_principals",
    Kind::Bool,
    "Whether a certificate may name nobody. Some servers take one for everybody.",
)
.or("false");
const TTL: Field =
    field("ttl", Kind::Duration, "How long a certificate lasts if not said; 0 is as the mount says.").or("0");
const MAX_TTL: Field = field("max_ttl", Kind::Duration, "How long it lasts at most; 0 is as the mount says.").or("0");
const NOT_BEFORE: Field =
    field("not_before_duration", Kind::Duration, "How far back it begins, for clocks that are behind.").or("30");
const KEY_IDS: Field = field("allow_user_key_ids", Kind::Bool, "Whether a request may say the key id.").or("false");
const KEY_ID_FORMAT: Field = field(
    "key_id_format",
    Kind::Text,
    "The key id, in which {{token_display_name}}, {{role_name}} and {{public_key_hash}} are filled in.",
);
const ALLOWED_OPTIONS: Field =
    field("allowed_critical_options", Kind::Text, "Critical options that may be asked for, by commas; none is all.");
const DEFAULT_OPTIONS: Field =
    field("default_critical_options", Kind::KeyValues, "Critical options where a request has none.");
const ALLOWED_EXTENSIONS: Field =
    field("allowed_extensions", Kind::Text, "Extensions that may be asked for, by commas; * is all, none is none.");
const DEFAULT_EXTENSIONS: Field = field("default_extensions", Kind::KeyValues, "Extensions where a request has none.");
const DEFAULT_EXTENSIONS_TEMPLATE: Field = field(
    "default_extensions_template",
    Kind::Bool,
    "Whether the values of default_extensions hold templates of identity.",
)
.or("false");
const COMMAS: Field = field(
    "allow_commas_in_identity_templates",
    Kind::Bool,
    "Refused, unless false: a name with a comma would be several users.",
);
const LENGTHS: Field = field(
    "allowed_user_key_lengths",
    Kind::Map,
    "Kinds of keys that it signs, each with a length or a list of them; none is all.",
);
const ALGORITHM_SIGNER: Field = field("algorithm_signer", Kind::Text, "How an authority of RSA signs.")
    .one_of(&["default", "rsa-sha2-256", "rsa-sha2-512"])
    .or("default");
const ISSUER_REF: Field =
    field("issuer_ref", Kind::Text, "Id or name of the authority that signs.").or(issuer::DEFAULT);

/// The fields that only roles for one-time passwords have, and those that only roles of an authority have.
const OF_OTP: [Field; 3] = [CIDR_LIST, EXCLUDE_CIDR_LIST, PORT_FIELD];
const OF_CA: [Field; 23] = [
    DEFAULT_USER_TEMPLATE,
    ALLOWED_USERS_TEMPLATE,
    ALLOWED_DOMAINS,
    ALLOWED_DOMAINS_TEMPLATE,
    BARE_DOMAINS,
    SUBDOMAINS,
    USER_CERTIFICATES,
    HOST_CERTIFICATES,
    EMPTY_PRINCIPALS,
    TTL,
    MAX_TTL,
    NOT_BEFORE,
    KEY_IDS,
    KEY_ID_FORMAT,
    ALLOWED_OPTIONS,
    DEFAULT_OPTIONS,
    ALLOWED_EXTENSIONS,
    DEFAULT_EXTENSIONS,
    DEFAULT_EXTENSIONS_TEMPLATE,
    COMMAS,
    LENGTHS,
    ALGORITHM_SIGNER,
    ISSUER_REF,
];

/// What old clients still send with every role.
const OF_DYNAMIC: [Field; 5] = [
    field("key", Kind::Any, DYNAMIC),
    field("admin_user", Kind::Any, DYNAMIC),
    field("key_bits", Kind::Any, DYNAMIC),
    field("install_script", Kind::Any, DYNAMIC),
    field("key_option_specs", Kind::Any, DYNAMIC),
];
const DYNAMIC: &str = "Without effect: for keys that were installed on hosts, which no role makes.";

pub(super) const FIELDS: &[&[Field]] = &[&[ROLE, KEY_TYPE, DEFAULT_USER, ALLOWED_USERS], &OF_OTP, &OF_CA, &OF_DYNAMIC];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SshRoleRecord {
    /// Whether it makes one-time passwords, and signs nothing.
    #[prost(bool, tag = "1")]
    pub(super) is_otp: bool,
    #[prost(string, tag = "2")]
    pub(super) default_user: String,
    #[prost(bool, tag = "3")]
    pub(super) default_user_template: bool,
    #[prost(string, tag = "4")]
    pub(super) cidr_list: String,
    #[prost(string, tag = "5")]
    pub(super) exclude_cidr_list: String,
    #[prost(uint32, tag = "6")]
    pub(super) port: u32,
    #[prost(string, tag = "7")]
    pub(super) allowed_users: String,
    #[prost(bool, tag = "8")]
    pub(super) allowed_users_template: bool,
    #[prost(string, tag = "9")]
    pub(super) allowed_domains: String,
    #[prost(bool, tag = "10")]
    pub(super) allowed_domains_template: bool,
    #[prost(bool, tag = "11")]
    pub(super) allow_bare_domains: bool,
    #[prost(bool, tag = "12")]
    pub(super) allow_subdomains: bool,
    #[prost(bool, tag = "13")]
    pub(super) allow_user_certificates: bool,
    #[prost(bool, tag = "14")]
    pub(super) allow_host_certificates: bool,
    #[prost(bool, tag = "15")]
    pub(super) allow_empty_principals: bool,
    #[prost(uint64, tag = "16")]
    pub(super) ttl_secs: u64,
    #[prost(uint64, tag = "17")]
    pub(super) max_ttl_secs: u64,
    #[prost(uint64, tag = "18")]
    pub(super) not_before_secs: u64,
    #[prost(bool, tag = "19")]
    pub(super) allow_user_key_ids: bool,
    #[prost(string, tag = "20")]
    pub(super) key_id_format: String,
    #[prost(string, tag = "21")]
    pub(super) allowed_critical_options: String,
    #[prost(btree_map = "string, string", tag = "22")]
    pub(super) default_critical_options: BTreeMap<String, String>,
    #[prost(string, tag = "23")]
    pub(super) allowed_extensions: String,
    #[prost(btree_map = "string, string", tag = "24")]
    pub(super) default_extensions: BTreeMap<String, String>,
    #[prost(bool, tag = "25")]
    pub(super) default_extensions_template: bool,
    #[prost(message, repeated, tag = "26")]
    pub(super) key_lengths: Vec<KeyLengthsRecord>,
    /// As it was sent; empty is the default.
    #[prost(string, tag = "27")]
    pub(super) algorithm_signer: String,
    #[prost(string, tag = "28")]
    pub(super) issuer_ref: String,
}

impl Named for SshRoleRecord {
    const FOLDER: &'static str = "role";
    const NAME: Field = ROLE;

    fn show(&self) -> Map<String, Value> {
        let shown = if self.is_otp { self.show_otp() } else { self.show_ca() };
        shown.as_object().cloned().unwrap_or_default()
    }
}

impl SshRoleRecord {
    /// The role that a write makes.
    fn sent(fields: &Fields) -> Result<Self, Error> {
        let mut role = match fields.text_or_empty(KEY_TYPE.name) {
            "ca" => Self::sent_ca(fields)?,
            "otp" => Self::sent_otp(fields)?,
            "" => return Err(Error::invalid("missing key type")),
            _ => return Err(Error::invalid("invalid key type")),
        };
        role.default_user = text(fields, &DEFAULT_USER)?;
        role.allowed_users = text(fields, &ALLOWED_USERS)?;
        role.check()?;
        Ok(role)
    }

    fn sent_otp(fields: &Fields) -> Result<Self, Error> {
        let port = match fields.int(PORT_FIELD.name).unwrap_or(0) {
            0 => PORT,
            port => u16::try_from(port).map(u32::from).map_err(|_| Error::invalid("port must be from 1 to 65535"))?,
        };
        let (cidr_list, exclude_cidr_list) = (text(fields, &CIDR_LIST)?, text(fields, &EXCLUDE_CIDR_LIST)?);
        for (of, list) in [(&CIDR_LIST, &cidr_list), (&EXCLUDE_CIDR_LIST, &exclude_cidr_list)] {
            if ranges(list).is_none() {
                return Err(Error::invalid(format!("{} must hold ranges such as 10.0.0.0/8, by commas", of.name)));
            }
        }
        Ok(Self { is_otp: true, cidr_list, exclude_cidr_list, port, ..Self::default() })
    }

    fn sent_ca(fields: &Fields) -> Result<Self, Error> {
        let is_on = |of: &Field| fields.bool(of.name).unwrap_or(false);
        if is_on(&COMMAS) {
            return Err(Error::invalid(
                "allow_commas_in_identity_templates cannot be turned on: a name with a comma would be several users",
            ));
        }
        let issuer_ref = text(fields, &ISSUER_REF)?;
        Ok(Self {
            default_user_template: is_on(&DEFAULT_USER_TEMPLATE),
            allowed_users_template: is_on(&ALLOWED_USERS_TEMPLATE),
            allowed_domains: text(fields, &ALLOWED_DOMAINS)?,
            allowed_domains_template: is_on(&ALLOWED_DOMAINS_TEMPLATE),
            allow_bare_domains: is_on(&BARE_DOMAINS),
            allow_subdomains: is_on(&SUBDOMAINS),
            allow_user_certificates: is_on(&USER_CERTIFICATES),
            allow_host_certificates: is_on(&HOST_CERTIFICATES),
            allow_empty_principals: is_on(&EMPTY_PRINCIPALS),
            ttl_secs: secs(fields, &TTL, 0)?,
            max_ttl_secs: secs(fields, &MAX_TTL, 0)?,
            not_before_secs: secs(fields, &NOT_BEFORE, NOT_BEFORE_SECS)?,
            allow_user_key_ids: is_on(&KEY_IDS),
            key_id_format: text(fields, &KEY_ID_FORMAT)?,
            allowed_critical_options: text(fields, &ALLOWED_OPTIONS)?,
            default_critical_options: option::map(fields, &DEFAULT_OPTIONS)?,
            allowed_extensions: text(fields, &ALLOWED_EXTENSIONS)?,
            default_extensions: option::map(fields, &DEFAULT_EXTENSIONS)?,
            default_extensions_template: is_on(&DEFAULT_EXTENSIONS_TEMPLATE),
            key_lengths: fields.map(LENGTHS.name).map(public::lengths).transpose()?.unwrap_or_default(),
            algorithm_signer: text(fields, &ALGORITHM_SIGNER)?,
            issuer_ref: if issuer_ref.is_empty() { issuer::DEFAULT.to_owned() } else { issuer_ref },
            ..Self::default()
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_otp {
            return match self.default_user.is_empty() {
                true => Err(Error::invalid("missing default user")),
                false => Ok(()),
            };
        }
        if !self.allow_user_certificates && !self.allow_host_certificates {
            return Err(Error::invalid(
                "Either 'allow_user_certificates' or 'allow_host_certificates' must be set to 'true'",
            ));
        }
        if self.max_ttl_secs != 0 && self.ttl_secs > self.max_ttl_secs {
            return Err(Error::invalid("\"ttl\" value must be less than \"max_ttl\" when both are specified"));
        }
        if !matches!(self.algorithm_signer.as_str(), "" | "default" | "rsa-sha2-256" | "rsa-sha2-512") {
            return Err(Error::invalid(
                "algorithm_signer must be default, rsa-sha2-256 or rsa-sha2-512; signatures with SHA-1 are not made",
            ));
        }
        template::check_key_id(&self.key_id_format)?;
        option::check(&self.default_critical_options)?;
        option::check(&self.default_extensions)?;
        let templates = [
            (self.default_user_template, &self.default_user),
            (self.allowed_users_template, &self.allowed_users),
            (self.allowed_domains_template, &self.allowed_domains),
        ];
        let texts = templates.into_iter().filter(|(is_on, _)| *is_on).map(|(_, text)| text);
        let values = self.default_extensions.values().filter(|_| self.default_extensions_template);
        texts.chain(values).try_for_each(|text| template::check(text))
    }

    fn show_otp(&self) -> Value {
        json!({
            "key_type": "otp",
            "default_user": self.default_user,
            "cidr_list": self.cidr_list,
            "exclude_cidr_list": self.exclude_cidr_list,
            "port": self.port,
            "allowed_users": self.allowed_users,
        })
    }

    fn show_ca(&self) -> Value {
        let algorithm = if self.algorithm_signer.is_empty() { "default" } else { &self.algorithm_signer };
        json!({
            "algorithm_signer": algorithm,
            "allow_bare_domains": self.allow_bare_domains,
            "allow_commas_in_identity_templates": false,
            "allow_empty_principals": self.allow_empty_principals,
            "allow_host_certificates": self.allow_host_certificates,
            "allow_subdomains": self.allow_subdomains,
            "allow_user_certificates": self.allow_user_certificates,
            "allow_user_key_ids": self.allow_user_key_ids,
            "allowed_critical_options": self.allowed_critical_options,
            "allowed_domains": self.allowed_domains,
            "allowed_domains_template": self.allowed_domains_template,
            "allowed_extensions": self.allowed_extensions,
            "allowed_user_key_lengths": public::shown(&self.key_lengths),
            "allowed_users": self.allowed_users,
            "allowed_users_template": self.allowed_users_template,
            "default_critical_options": self.default_critical_options,
            "default_extensions": self.default_extensions,
            "default_extensions_template": self.default_extensions_template,
            "default_user": self.default_user,
            "default_user_template": self.default_user_template,
            "issuer_ref": self.issuer_ref,
            "key_id_format": self.key_id_format,
            "key_type": "ca",
            "max_ttl": self.max_ttl_secs,
            "not_before_duration": self.not_before_secs,
            "ttl": self.ttl_secs,
        })
    }

    /// Whether a host may be given one-time passwords of the role.
    pub(super) fn has_host(&self, host: std::net::IpAddr) -> bool {
        let lies_in = |list: &str| ranges(list).unwrap_or_default().iter().any(|range| range.contains(host));
        self.is_otp && lies_in(&self.cidr_list) && !lies_in(&self.exclude_cidr_list)
    }
}

/// What stands between commas, without white space around it.
pub(super) fn by_commas(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn ranges(list: &str) -> Option<Vec<Cidr>> {
    by_commas(list).map(Cidr::parse).collect()
}

fn text(fields: &Fields, of: &Field) -> Result<String, Error> {
    let sent = fields.text_or_empty(of.name);
    match sent.len() <= MAX_TEXT_BYTES && !sent.contains(char::is_control) {
        true => Ok(sent.to_owned()),
        false => {
            Err(Error::invalid(format!("{} has at most {MAX_TEXT_BYTES} bytes and no control characters", of.name)))
        }
    }
}

fn secs(fields: &Fields, of: &Field, default: u64) -> Result<u64, Error> {
    let sent = fields.duration(of.name).map_or(default, |duration| duration.as_secs());
    match sent <= MAX_TTL_SECS {
        true => Ok(sent),
        false => Err(Error::invalid(format!("{} is at most {MAX_TTL_SECS} s", of.name))),
    }
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<SshRoleRecord>(call));
    let role = SshRoleRecord::sent(&call.fields)?;
    named::save(call.store, &mount, &name, &role)?;
    let unused: Vec<&str> = if role.is_otp { names(&OF_CA, &call.fields) } else { names(&OF_OTP, &call.fields) };
    match unused.is_empty() {
        true => Ok(Reply::empty()),
        false => Ok(Reply::empty().warn(format!("A role of this key_type makes no use of: {}", unused.join(", ")))),
    }
}

/// The names of those fields that were sent and say something.
fn names(of: &[Field], fields: &Fields) -> Vec<&'static str> {
    let says = |name: &&str| {
        fields.text(name).is_some_and(|text| !text.is_empty())
            || fields.bool(name).unwrap_or(false)
            || fields.int(name).is_some_and(|number| number != 0)
            || fields.duration(name).is_some_and(|duration| !duration.is_zero())
            || fields.map(name).is_some_and(|map| !map.is_empty())
    };
    of.iter().map(|field| field.name).filter(says).collect()
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let names = call.store.list(&mount.area, &[SshRoleRecord::FOLDER])?;
    listing::with_details(listing::page_of(&names, &call.fields)?, |name| {
        let role: Option<SshRoleRecord> = named::find(call.store, &mount, name)?;
        Ok(role.map(|role| match role.is_otp {
            true => json!({ "key_type": "otp" }),
            false => json!({ "key_type": "ca", "issuer_ref": role.issuer_ref }),
        }))
    })
}
