//! Roles: what may be issued, and how it looks.

use prost::Message;
use serde_json::{Map, Value, json};

use super::authority::check_values;
use super::extension;
use super::issuer;
use super::names;
use super::oid;
use super::signing::KeyShape;
use super::validity::{MAX_NOT_BEFORE_SECS, NOT_BEFORE_SECS, Terms, check_not_before, parse_not_after};
use crate::engine::Call;
use crate::engines::named::{self, Named};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::identity::rights::Standing;
use crate::mount::Mount;
use crate::policy::template::{Subject, Template};
use crate::reply::Reply;
use crate::request::Operation;
use crate::store::Store;
use crate::token::cidr::Cidr;

/// The kind of keys of a role that signs requests with any.
pub(super) const ANY_KEY: &str = "any";

pub(super) const NAME: Field = field("name", Kind::Text, "In the path: name of the role.");
const ISSUER_REF: Field = field("issuer_ref", Kind::Text, "Id or name of the issuer, or default.").or(issuer::DEFAULT);

const fn flag(name: &'static str, default: &'static str, help: &'static str) -> Field {
    field(name, Kind::Bool, help).or(default)
}

const fn list_field(name: &'static str, help: &'static str) -> Field {
    field(name, Kind::CommaList, help)
}

pub(super) const FIELDS: &[Field] = &[
    NAME,
    ISSUER_REF,
    field("ttl", Kind::Duration, "How long certificates are valid if nobody says; 0 is the mount's default.").or("0"),
    field("max_ttl", Kind::Duration, "The longest that they may be; 0 is the mount's.").or("0"),
    field("not_after", Kind::Text, "Until when they are valid if nobody says, in RFC 3339, in place of ttl."),
    field("not_before_duration", Kind::Duration, "How long before it is issued a certificate becomes valid.").or("30"),
    field("key_type", Kind::Text, "Kind of keys: rsa, ec, ed25519, or any, with which requests can be signed only.")
        .or("rsa"),
    field("key_bits", Kind::Int, "Bits of keys, of requests the fewest; 0 is 2048 for rsa and 256 for ec.").or("0"),
    field("signature_bits", Kind::Int, "Bits of the hash that is signed: 256, 384 or 512; 0 is what fits the key.")
        .or("0"),
    flag("use_pss", "false", "Whether an issuer with an RSA key signs by PSS."),
    flag("allow_any_name", "false", "Whether any name is allowed."),
    list_field("allowed_domains", "Domains; which names of them are allowed is for the next four to say."),
    flag("allow_bare_domains", "false", "Whether the domains themselves are allowed."),
    flag("allow_subdomains", "false", "Whether names below the domains are allowed."),
    flag("allow_glob_domains", "false", "Whether * in a domain stands for any text."),
    flag("allow_wildcard_certificates", "true", "Whether names may begin with *."),
    flag("allow_localhost", "true", "Whether localhost and localdomain are allowed."),
    flag("allow_token_displayname", "false", "Whether the display name of the token is allowed."),
    flag(
        "enforce_hostnames",
        "true",
        "Whether names must be host names: without it, underscores and a last dot are allowed.",
    ),
    flag(
        "allowed_domains_template",
        "false",
        "Whether domains hold templates of who asks, such as {{identity.entity.metadata.team}}.",
    ),
    list_field("cn_validations", "What a common name may be: email, hostname; or disabled alone, for anything.")
        .or("email,hostname"),
    flag("allow_ip_sans", "true", "Whether IP addresses are allowed."),
    list_field("allowed_ip_sans_cidr", "The only blocks of IP addresses that are; none is any."),
    list_field("allowed_uri_sans", "Which URIs are allowed; * is any text."),
    flag("allowed_uri_sans_template", "false", "Whether these URIs hold templates, as above."),
    list_field(
        "allowed_other_sans",
        "Which other names are allowed: identifier;UTF8:text, where * is any text, or * for all.",
    ),
    list_field("allowed_serial_numbers", "Which serial numbers of subjects are allowed; * is any text."),
    list_field("allowed_user_ids", "Which ids of users are allowed in subjects; * is any text."),
    flag("server_flag", "true", "Whether certificates are for servers."),
    flag("client_flag", "true", "Whether certificates are for clients."),
    flag("code_signing_flag", "false", "Whether certificates are for signing code."),
    flag("email_protection_flag", "false", "Whether certificates are for mail."),
    list_field("key_usage", "Uses of the key (RFC 5280, section 4.2.1.3).")
        .or("DigitalSignature,KeyAgreement,KeyEncipherment"),
    list_field("ext_key_usage", "More purposes (RFC 5280, section 4.2.1.12)."),
    list_field("ext_key_usage_oids", "More purposes, by their identifiers."),
    flag("use_csr_common_name", "true", "Whether the common name of a request counts, not the field."),
    flag("use_csr_sans", "true", "Whether the alternative names of a request count, not the fields."),
    flag("require_cn", "true", "Whether a common name is needed."),
    list_field("ou", "Organisational units of subjects."),
    list_field("organization", "Organisations of subjects."),
    list_field("country", "Countries of subjects."),
    list_field("locality", "Localities of subjects."),
    list_field("province", "Provinces of subjects."),
    list_field("street_address", "Street addresses of subjects."),
    list_field("postal_code", "Postal codes of subjects."),
    list_field("policy_identifiers", "Policies under which certificates are issued, by their identifiers."),
    flag("basic_constraints_valid_for_non_ca", "false", "Whether certificates say that they are no authority's."),
    flag(
        "generate_lease",
        "false",
        "Whether each certificate is a lease: it is revoked with the token that asked for it.",
    ),
    flag("no_store", "false", "Whether certificates are not kept; then they are revoked only by showing them."),
];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PkiRoleRecord {
    #[prost(string, tag = "1")]
    pub(super) issuer_ref: String,
    #[prost(uint64, tag = "2")]
    ttl_secs: u64,
    #[prost(uint64, tag = "3")]
    max_secs: u64,
    #[prost(string, tag = "4")]
    not_after: String,
    #[prost(uint64, tag = "5")]
    not_before_secs: u64,
    #[prost(string, tag = "6")]
    pub(super) key_type: String,
    #[prost(uint32, tag = "7")]
    pub(super) key_bits: u32,
    #[prost(uint32, tag = "8")]
    pub(super) signature_bits: u32,
    #[prost(bool, tag = "9")]
    pub(super) use_pss: bool,
    #[prost(bool, tag = "10")]
    pub(super) allow_any_name: bool,
    #[prost(string, repeated, tag = "11")]
    pub(super) allowed_domains: Vec<String>,
    #[prost(bool, tag = "12")]
    pub(super) allow_bare_domains: bool,
    #[prost(bool, tag = "13")]
    pub(super) allow_subdomains: bool,
    #[prost(bool, tag = "14")]
    pub(super) allow_glob_domains: bool,
    #[prost(bool, tag = "15")]
    pub(super) allow_wildcards: bool,
    #[prost(bool, tag = "16")]
    pub(super) allow_localhost: bool,
    #[prost(bool, tag = "17")]
    pub(super) allow_display_name: bool,
    #[prost(bool, tag = "18")]
    pub(super) enforce_hostnames: bool,
    #[prost(string, repeated, tag = "19")]
    pub(super) cn_validations: Vec<String>,
    #[prost(bool, tag = "20")]
    pub(super) allow_addresses: bool,
    #[prost(string, repeated, tag = "21")]
    pub(super) address_blocks: Vec<String>,
    #[prost(string, repeated, tag = "22")]
    pub(super) allowed_uris: Vec<String>,
    #[prost(string, repeated, tag = "23")]
    pub(super) allowed_others: Vec<String>,
    #[prost(string, repeated, tag = "24")]
    pub(super) allowed_serial_numbers: Vec<String>,
    #[prost(string, repeated, tag = "25")]
    pub(super) allowed_user_ids: Vec<String>,
    #[prost(bool, tag = "26")]
    for_servers: bool,
    #[prost(bool, tag = "27")]
    for_clients: bool,
    #[prost(bool, tag = "28")]
    for_code: bool,
    #[prost(bool, tag = "29")]
    for_mail: bool,
    #[prost(string, repeated, tag = "30")]
    pub(super) key_usage: Vec<String>,
    #[prost(string, repeated, tag = "31")]
    pub(super) purposes: Vec<String>,
    #[prost(string, repeated, tag = "32")]
    pub(super) purpose_ids: Vec<String>,
    #[prost(bool, tag = "33")]
    pub(super) use_csr_common_name: bool,
    #[prost(bool, tag = "34")]
    pub(super) use_csr_sans: bool,
    #[prost(bool, tag = "35")]
    pub(super) require_cn: bool,
    #[prost(string, repeated, tag = "36")]
    pub(super) unit: Vec<String>,
    #[prost(string, repeated, tag = "37")]
    pub(super) organization: Vec<String>,
    #[prost(string, repeated, tag = "38")]
    pub(super) country: Vec<String>,
    #[prost(string, repeated, tag = "39")]
    pub(super) locality: Vec<String>,
    #[prost(string, repeated, tag = "40")]
    pub(super) province: Vec<String>,
    #[prost(string, repeated, tag = "41")]
    pub(super) street_address: Vec<String>,
    #[prost(string, repeated, tag = "42")]
    pub(super) postal_code: Vec<String>,
    #[prost(string, repeated, tag = "43")]
    pub(super) policies: Vec<String>,
    #[prost(bool, tag = "44")]
    pub(super) has_constraints: bool,
    #[prost(bool, tag = "45")]
    pub(super) generate_lease: bool,
    #[prost(bool, tag = "46")]
    pub(super) no_store: bool,
    /// Whether domains and URIs hold templates.
    #[prost(bool, tag = "47")]
    has_domain_templates: bool,
    #[prost(bool, tag = "48")]
    has_uri_templates: bool,
}

impl PkiRoleRecord {
    /// Each truth value with its field and its default.
    fn flags(&mut self) -> [(&'static str, &mut bool, bool); 22] {
        [
            ("use_pss", &mut self.use_pss, false),
            ("allow_any_name", &mut self.allow_any_name, false),
            ("allow_bare_domains", &mut self.allow_bare_domains, false),
            ("allow_subdomains", &mut self.allow_subdomains, false),
            ("allow_glob_domains", &mut self.allow_glob_domains, false),
            ("allow_wildcard_certificates", &mut self.allow_wildcards, true),
            ("allow_localhost", &mut self.allow_localhost, true),
            ("allow_token_displayname", &mut self.allow_display_name, false),
            ("enforce_hostnames", &mut self.enforce_hostnames, true),
            ("allow_ip_sans", &mut self.allow_addresses, true),
            ("server_flag", &mut self.for_servers, true),
            ("client_flag", &mut self.for_clients, true),
            ("code_signing_flag", &mut self.for_code, false),
            ("email_protection_flag", &mut self.for_mail, false),
            ("use_csr_common_name", &mut self.use_csr_common_name, true),
            ("use_csr_sans", &mut self.use_csr_sans, true),
            ("require_cn", &mut self.require_cn, true),
            ("basic_constraints_valid_for_non_ca", &mut self.has_constraints, false),
            ("generate_lease", &mut self.generate_lease, false),
            ("no_store", &mut self.no_store, false),
            ("allowed_domains_template", &mut self.has_domain_templates, false),
            ("allowed_uri_sans_template", &mut self.has_uri_templates, false),
        ]
    }

    /// Each list with its field and its default.
    fn lists(&mut self) -> [(&'static str, &mut Vec<String>, &'static [&'static str]); 18] {
        [
            ("allowed_domains", &mut self.allowed_domains, &[]),
            ("cn_validations", &mut self.cn_validations, &["email", "hostname"]),
            ("allowed_ip_sans_cidr", &mut self.address_blocks, &[]),
            ("allowed_uri_sans", &mut self.allowed_uris, &[]),
            ("allowed_other_sans", &mut self.allowed_others, &[]),
            ("allowed_serial_numbers", &mut self.allowed_serial_numbers, &[]),
            ("allowed_user_ids", &mut self.allowed_user_ids, &[]),
            ("key_usage", &mut self.key_usage, &["DigitalSignature", "KeyAgreement", "KeyEncipherment"]),
            ("ext_key_usage", &mut self.purposes, &[]),
            ("ext_key_usage_oids", &mut self.purpose_ids, &[]),
            ("ou", &mut self.unit, &[]),
            ("organization", &mut self.organization, &[]),
            ("country", &mut self.country, &[]),
            ("locality", &mut self.locality, &[]),
            ("province", &mut self.province, &[]),
            ("street_address", &mut self.street_address, &[]),
            ("postal_code", &mut self.postal_code, &[]),
            ("policy_identifiers", &mut self.policies, &[]),
        ]
    }

    /// A role that allows everything, for requests that are signed as they are.
    pub(super) fn verbatim() -> Self {
        let mut role = Self::default();
        for (_, value, default) in role.flags() {
            *value = default;
        }
        for (_, list, default) in role.lists() {
            *list = default.iter().map(|text| (*text).to_owned()).collect();
        }
        issuer::DEFAULT.clone_into(&mut role.issuer_ref);
        ANY_KEY.clone_into(&mut role.key_type);
        role.not_before_secs = NOT_BEFORE_SECS;
        (role.for_servers, role.for_clients) = (false, false);
        role
    }

    /// Takes what was sent. What was not is left as it is by a patch, and is the default otherwise.
    fn take(&mut self, fields: &Fields, is_patch: bool) -> Result<(), Error> {
        for (name, value, default) in self.flags() {
            let present = if is_patch { *value } else { default };
            *value = fields.bool_or(name, present, default);
        }
        for (name, list, default) in self.lists() {
            let sent = fields.list(name).filter(|_| !fields.is_null(name));
            match sent {
                Some(sent) => *list = sent.iter().filter(|text| !text.is_empty()).cloned().collect(),
                None if is_patch && !fields.is_null(name) => {}
                None => *list = default.iter().map(|text| (*text).to_owned()).collect(),
            }
            check_values(name, list)?;
        }
        let is_meant = |name: &str| !is_patch || fields.has(name);
        if is_meant("issuer_ref") {
            let reference = fields.text(ISSUER_REF.name).filter(|text| !text.is_empty()).unwrap_or(issuer::DEFAULT);
            reference.clone_into(&mut self.issuer_ref);
            check_values(ISSUER_REF.name, std::slice::from_ref(&self.issuer_ref))?;
        }
        for (name, secs, default) in [
            ("ttl", &mut self.ttl_secs, 0),
            ("max_ttl", &mut self.max_secs, 0),
            ("not_before_duration", &mut self.not_before_secs, NOT_BEFORE_SECS),
        ] {
            if is_meant(name) {
                *secs = fields.duration(name).filter(|_| !fields.is_null(name)).map_or(default, |time| time.as_secs());
            }
        }
        if is_meant("not_after") {
            fields.text_or_empty("not_after").clone_into(&mut self.not_after);
        }
        if is_meant("key_type") || is_meant("key_bits") {
            self.take_key(fields)?;
        }
        if is_meant("signature_bits") {
            self.take_signature_bits(fields.int("signature_bits").unwrap_or(0))?;
        }
        self.check()
    }

    fn take_key(&mut self, fields: &Fields) -> Result<(), Error> {
        let kind = fields.text("key_type").unwrap_or(&self.key_type);
        let kind = if kind.is_empty() { "rsa" } else { kind }.to_owned();
        let bits = fields.int("key_bits").unwrap_or(0);
        self.key_bits = match kind.as_str() {
            ANY_KEY if bits == 0 => 0,
            ANY_KEY => return Err(Error::invalid("key_bits must be 0 where key_type is any")),
            kind => KeyShape::asked(kind, bits)?.bits,
        };
        self.key_type = kind;
        Ok(())
    }

    fn take_signature_bits(&mut self, bits: i64) -> Result<(), Error> {
        self.signature_bits = match bits {
            0 if self.key_type == "rsa" => 256,
            bits @ (0 | 256 | 384 | 512) => bits.unsigned_abs() as u32,
            _ => return Err(Error::invalid("signature_bits must be 256, 384, 512, or 0 for what fits the key")),
        };
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        for text in self.templates() {
            Template::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
        }
        if self.max_secs > 0 && self.ttl_secs > self.max_secs {
            return Err(Error::invalid("\"ttl\" value must be less than \"max_ttl\" value"));
        }
        check_not_before(self.not_before_secs.min(MAX_NOT_BEFORE_SECS + 1))?;
        if !self.not_after.is_empty() {
            parse_not_after(&self.not_after)?;
        }
        extension::key_usage_bits(&self.key_usage)?;
        self.purposes()?;
        self.policies()?;
        for block in &self.address_blocks {
            if Cidr::parse(block).is_none() {
                return Err(Error::invalid("allowed_ip_sans_cidr holds what is no block such as 10.0.0.0/8"));
            }
        }
        let is_disabled = self.cn_validations.iter().any(|word| word == "disabled");
        let is_known = |word: &String| matches!(word.as_str(), "email" | "hostname" | "disabled");
        if !self.cn_validations.iter().all(is_known) || (is_disabled && self.cn_validations.len() > 1) {
            return Err(Error::invalid("cn_validations holds email and hostname, or disabled alone"));
        }
        self.allowed_others.iter().filter(|rule| *rule != "*").try_for_each(|rule| names::parse_other(rule).map(drop))
    }

    /// The texts that hold templates.
    fn templates(&self) -> impl Iterator<Item = &String> {
        let (has_domains, has_uris) = (self.has_domain_templates, self.has_uri_templates);
        let domains = self.allowed_domains.iter().filter(move |_| has_domains);
        domains.chain(self.allowed_uris.iter().filter(move |_| has_uris))
    }

    /// With its templates filled in for who asks. One that cannot be, or not by what is harmless, allows nothing.
    fn filled(mut self, store: &mut Store<'_>, entity_id: &str) -> Result<Self, Error> {
        if self.templates().next().is_none() {
            return Ok(self);
        }
        let values = Standing::of(store, entity_id)?.values();
        let fill = |text: &String| match Template::parse(text) {
            Ok(Some(template)) => template.fill(&values).ok(),
            Ok(None) => Some(text.clone()),
            Err(_) => None,
        };
        if self.has_domain_templates {
            self.allowed_domains = self.allowed_domains.iter().filter_map(fill).collect();
        }
        if self.has_uri_templates {
            self.allowed_uris = self.allowed_uris.iter().filter_map(fill).collect();
        }
        Ok(self)
    }

    /// Takes what another role says of times, signatures and keeping, and its issuer.
    pub(super) fn take_terms(&mut self, other: &Self) {
        (self.ttl_secs, self.max_secs, self.not_before_secs) = (other.ttl_secs, other.max_secs, other.not_before_secs);
        self.not_after.clone_from(&other.not_after);
        self.issuer_ref.clone_from(&other.issuer_ref);
        (self.signature_bits, self.use_pss) = (other.signature_bits, other.use_pss);
        (self.no_store, self.generate_lease) = (other.no_store, other.generate_lease);
        self.key_usage.clone_from(&other.key_usage);
        self.purposes.clone_from(&other.purposes);
        self.purpose_ids.clone_from(&other.purpose_ids);
        self.policies.clone_from(&other.policies);
    }

    /// For what certificates may be used.
    pub(super) fn purposes(&self) -> Result<Vec<Vec<u64>>, Error> {
        let flags = [
            (self.for_servers, "serverauth"),
            (self.for_clients, "clientauth"),
            (self.for_code, "codesigning"),
            (self.for_mail, "emailprotection"),
        ];
        let mut purposes = Vec::new();
        for name in flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name) {
            purposes.push(extension::purpose(name)?);
        }
        for name in &self.purposes {
            purposes.push(extension::purpose(name)?);
        }
        for text in &self.purpose_ids {
            let arcs = oid::parse(text);
            purposes.push(arcs.ok_or_else(|| {
                Error::invalid("ext_key_usage_oids holds what is no identifier such as 1.3.6.1.5.5.7.3.1")
            })?);
        }
        let mut seen: Vec<Vec<u64>> = Vec::new();
        purposes.into_iter().for_each(|arcs| {
            if !seen.contains(&arcs) {
                seen.push(arcs)
            }
        });
        Ok(seen)
    }

    /// Under which policies certificates are issued.
    pub(super) fn policies(&self) -> Result<Vec<Vec<u64>>, Error> {
        let parse = |text: &String| {
            oid::parse(text)
                .ok_or_else(|| Error::invalid("policy_identifiers holds what is no identifier such as 2.23.140.1.2.1"))
        };
        self.policies.iter().map(parse).collect()
    }

    /// What it says of times.
    pub(super) fn terms(&self) -> Terms {
        Terms {
            ttl_secs: self.ttl_secs,
            max_secs: self.max_secs,
            not_after: self.not_after.clone(),
            not_before_secs: self.not_before_secs,
        }
    }
}

impl Named for PkiRoleRecord {
    const FOLDER: &'static str = "role";
    const NAME: Field = NAME;

    fn show(&self) -> Map<String, Value> {
        let mut copy = self.clone();
        let mut data = Map::new();
        for (name, value, _) in copy.flags() {
            data.insert(name.into(), (*value).into());
        }
        for (name, list, _) in copy.lists() {
            data.insert(name.into(), json!(list));
        }
        let more = json!({
            "issuer_ref": self.issuer_ref,
            "ttl": self.ttl_secs,
            "max_ttl": self.max_secs,
            "not_after": self.not_after,
            "not_before_duration": self.not_before_secs,
            "key_type": self.key_type,
            "key_bits": self.key_bits,
            "signature_bits": self.signature_bits,
        });
        data.extend(more.as_object().cloned().unwrap_or_default());
        data
    }
}

/// A role of a mount as it is for an entity, for who cannot go on without.
pub(super) fn get(store: &mut Store<'_>, mount: &Mount, name: &str, entity_id: &str) -> Result<PkiRoleRecord, Error> {
    let role: Option<PkiRoleRecord> = named::find(store, mount, name)?;
    role.ok_or_else(|| Error::invalid(format!("unknown role: {name}")))?.filled(store, entity_id)
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<PkiRoleRecord>(call));
    let is_patch = call.request.operation == Operation::Patch;
    let mut role = match is_patch {
        true => named::find(call.store, &mount, &name)?.ok_or_else(Error::not_found)?,
        false => PkiRoleRecord::default(),
    };
    role.take(&call.fields, is_patch)?;
    let mut reply = Reply { data: Some(role.show()), ..Reply::default() };
    if issuer::find(call.store, &mount, &role.issuer_ref)?.is_none() {
        reply = reply.warn("The role's issuer is not there yet, so the role can issue nothing.");
    }
    named::save(call.store, &mount, &name, &role)?;
    Ok(reply)
}
