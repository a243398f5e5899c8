//! Roles: what a token must claim, and what its holder gets.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::engine::Call;
use crate::engines::named::{self, Named};
use crate::engines::terms::{self, TermsRecord, or_null};
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Fields, Kind, duration, field, int};
use crate::jose::claims::Leeways;
use crate::reply::Reply;

/// Most bound claims, and most mappings, of a role.
const MAX_CLAIMS: usize = 64;
/// Longest JSON of a role's bound claims, in bytes.
const MAX_CLAIMS_BYTES: usize = 64 << 10;

/// What a login's metadata always has.
pub(super) const ROLE: &str = "role";

pub(super) const NAME: Field = field("name", Kind::LowerText, "Name of the role; upper and lower case are one.");
const ROLE_TYPE: Field = field("role_type", Kind::Text, "How one logs in: with a token, or in a browser.")
    .one_of(&["jwt", "oidc"])
    .or("oidc");
const AUDIENCES: Field = field(
    "bound_audiences",
    Kind::CommaList,
    "Audiences (aud), one of which a token must have. A role without takes none that has any.",
);
const SUBJECT: Field = field("bound_subject", Kind::Text, "The subject (sub) that a token must have.");
const CLAIMS: Field = field(
    "bound_claims",
    Kind::Map,
    "Claims that a token must have: a name or JSON pointer, and a value or a list of them.",
);
const CLAIMS_TYPE: Field = field("bound_claims_type", Kind::Text, "How texts in bound_claims are meant.")
    .one_of(&["string", "glob"])
    .or("string");
const MAPPINGS: Field =
    field("claim_mappings", Kind::KeyValues, "Claims that become metadata: a name or JSON pointer, and the key.");
const USER_CLAIM: Field = field("user_claim", Kind::Text, "The claim by which a login is known.").required();
const USER_CLAIM_POINTER: Field =
    field("user_claim_json_pointer", Kind::Bool, "Whether user_claim is a JSON pointer.").or("false");
const GROUPS_CLAIM: Field =
    field("groups_claim", Kind::Text, "The claim, or JSON pointer, that holds names of external groups.");
const SCOPES: Field = field("oidc_scopes", Kind::CommaList, "Scopes that are asked for besides openid.");
const REDIRECTS: Field = field(
    "allowed_redirect_uris",
    Kind::CommaList,
    "Where a browser may be sent back to. The port of a loopback address is free.",
);
const EXPIRATION: Field = field(
    "expiration_leeway",
    Kind::Any,
    "How long a token without an end counts: a duration; 0 is 150 s, negative is none.",
);
const NOT_BEFORE: Field =
    field("not_before_leeway", Kind::Any, "How long before its end a token without a beginning counts, as above.");
const SKEW: Field =
    field("clock_skew_leeway", Kind::Any, "How far clocks may be apart: a duration; 0 is 60 s, negative is none.");
const MAX_AGE: Field = field(
    "max_age",
    Kind::Duration,
    "How long ago the user may have been asked who they are (auth_time); 0 does not look.",
);
const CALLBACK_MODE: Field =
    field("callback_mode", Kind::Text, "Who gets the provider's answer.").one_of(&["client"]).or("client");
const VERBOSE: Field = field("verbose_oidc_logging", Kind::Bool, "Refused, unless false: tokens are not logged.");
const TEMPLATES: Field =
    field("token_policies_template_claims", Kind::Bool, "Refused, unless false: policies have no templates of claims.");
const METADATA: Field =
    field("oauth2_metadata", Kind::CommaList, "Refused, unless empty: tokens of the provider are not handed on.");
const NO_CONFIRMATION: Field =
    field("oidc_disable_confirmation", Kind::Bool, "Refused, unless false: it belongs to another callback_mode.");
const POLL_INTERVAL: Field =
    field("poll_interval", Kind::Int, "Refused, unless 0: it belongs to another callback_mode.");

pub(super) const FIELDS: &[Field] = &[
    NAME,
    ROLE_TYPE,
    AUDIENCES,
    SUBJECT,
    CLAIMS,
    CLAIMS_TYPE,
    MAPPINGS,
    USER_CLAIM,
    USER_CLAIM_POINTER,
    GROUPS_CLAIM,
    SCOPES,
    REDIRECTS,
    EXPIRATION,
    NOT_BEFORE,
    SKEW,
    MAX_AGE,
    CALLBACK_MODE,
    VERBOSE,
    TEMPLATES,
    METADATA,
    NO_CONFIRMATION,
    POLL_INTERVAL,
];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct JwtRoleRecord {
    /// 32 hexadecimal digits, drawn at creation, so that a token is not renewed by a later role of the same name.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Whether one logs in with a token, not in a browser.
    #[prost(bool, tag = "2")]
    pub(super) is_for_tokens: bool,
    #[prost(string, repeated, tag = "3")]
    pub(super) audiences: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) subject: String,
    /// A JSON object; empty is none.
    #[prost(string, tag = "5")]
    pub(super) claims_json: String,
    #[prost(bool, tag = "6")]
    pub(super) has_globs: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(super) claim_mappings: BTreeMap<String, String>,
    #[prost(string, tag = "8")]
    pub(super) user_claim: String,
    #[prost(bool, tag = "9")]
    pub(super) is_user_claim_pointer: bool,
    #[prost(string, tag = "10")]
    pub(super) groups_claim: String,
    #[prost(string, repeated, tag = "11")]
    pub(super) scopes: Vec<String>,
    #[prost(string, repeated, tag = "12")]
    pub(super) redirects: Vec<String>,
    #[prost(int64, tag = "13")]
    pub(super) expiration_leeway_secs: i64,
    #[prost(int64, tag = "14")]
    pub(super) not_before_leeway_secs: i64,
    #[prost(int64, tag = "15")]
    pub(super) skew_leeway_secs: i64,
    #[prost(uint64, tag = "16")]
    pub(super) max_age_secs: u64,
    #[prost(message, required, tag = "17")]
    pub(super) terms: TermsRecord,
}

impl JwtRoleRecord {
    fn new(context: &mut Context<'_>) -> Self {
        Self { id: hex::encode(context.bytes::<16>()), ..Self::default() }
    }

    /// What a token must claim.
    pub(super) fn bound_claims(&self) -> Map<String, Value> {
        serde_json::from_str(&self.claims_json).unwrap_or_default()
    }

    /// How exactly times are meant.
    pub(super) fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway_secs,
            not_before: self.not_before_leeway_secs,
            skew: self.skew_leeway_secs,
        }
    }

    fn take(&mut self, fields: &Fields, is_new: bool, warnings: &mut Vec<String>) -> Result<(), Error> {
        self.take_type(fields, is_new)?;
        take_list(fields, &AUDIENCES, &mut self.audiences)?;
        take_list(fields, &SCOPES, &mut self.scopes)?;
        take_list(fields, &REDIRECTS, &mut self.redirects)?;
        take_text(fields, &SUBJECT, &mut self.subject);
        take_text(fields, &USER_CLAIM, &mut self.user_claim);
        take_text(fields, &GROUPS_CLAIM, &mut self.groups_claim);
        self.is_user_claim_pointer = fields.bool(USER_CLAIM_POINTER.name).unwrap_or(self.is_user_claim_pointer);
        take_leeway(fields, &EXPIRATION, &mut self.expiration_leeway_secs)?;
        take_leeway(fields, &NOT_BEFORE, &mut self.not_before_leeway_secs)?;
        take_leeway(fields, &SKEW, &mut self.skew_leeway_secs)?;
        terms::take_duration(fields, MAX_AGE.name, &mut self.max_age_secs);
        self.take_claims(fields)?;
        self.take_mappings(fields)?;
        self.terms.take(fields, warnings)
    }

    fn take_type(&mut self, fields: &Fields, is_new: bool) -> Result<(), Error> {
        match fields.text(ROLE_TYPE.name) {
            Some("jwt") => self.is_for_tokens = true,
            Some("oidc" | "") => self.is_for_tokens = false,
            None if is_new => self.is_for_tokens = false,
            None => {}
            Some(_) => return Err(Error::invalid("invalid 'role_type': it must be jwt or oidc")),
        }
        match fields.text(CLAIMS_TYPE.name) {
            None => {}
            Some("" | "string") => self.has_globs = false,
            Some("glob") => self.has_globs = true,
            Some(_) => return Err(Error::invalid("invalid 'bound_claims_type': it must be string or glob")),
        }
        Ok(())
    }

    fn take_claims(&mut self, fields: &Fields) -> Result<(), Error> {
        if let Some(sent) = fields.map(CLAIMS.name) {
            let text = Value::Object(sent.clone()).to_string();
            if sent.len() > MAX_CLAIMS || text.len() > MAX_CLAIMS_BYTES {
                return Err(Error::invalid(format!(
                    "bound_claims holds at most {MAX_CLAIMS} claims of {MAX_CLAIMS_BYTES} bytes together"
                )));
            }
            self.claims_json = if sent.is_empty() { String::new() } else { text };
        }
        for (name, wanted) in &self.bound_claims() {
            let values = wanted.as_array().map_or(std::slice::from_ref(wanted), Vec::as_slice);
            let is_usable = |value: &Value| match value {
                Value::String(_) => true,
                Value::Number(_) | Value::Bool(_) => !self.has_globs,
                _ => false,
            };
            if values.is_empty() || !values.iter().all(is_usable) {
                let kinds = if self.has_globs { "texts" } else { "texts, numbers or truth values" };
                return Err(Error::invalid(format!("bound_claims: {name:?} must be one or a list of {kinds}")));
            }
        }
        Ok(())
    }

    fn take_mappings(&mut self, fields: &Fields) -> Result<(), Error> {
        let Some(sent) = fields.map(MAPPINGS.name) else { return Ok(()) };
        if sent.len() > MAX_CLAIMS {
            return Err(Error::invalid(format!("claim_mappings holds at most {MAX_CLAIMS} claims")));
        }
        let pairs = sent.iter().map(|(claim, key)| (claim.clone(), key.as_str().unwrap_or_default().to_owned()));
        self.claim_mappings = pairs.collect();
        let mut keys: Vec<_> = self.claim_mappings.values().collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid("multiple keys are mapped to one metadata key"));
        }
        if keys.iter().any(|key| *key == ROLE) {
            return Err(Error::invalid("metadata key \"role\" is reserved and may not be a mapping destination"));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.user_claim.is_empty() {
            return Err(Error::invalid("a user claim must be defined on the role"));
        }
        if self.is_user_claim_pointer && !self.user_claim.starts_with('/') {
            return Err(Error::invalid("user_claim is no JSON pointer: it does not begin with a slash"));
        }
        if !self.is_for_tokens {
            return match self.redirects.is_empty() {
                false => Ok(()),
                true => {
                    Err(Error::invalid("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified."))
                }
            };
        }
        let is_bound = !self.audiences.is_empty()
            || !self.subject.is_empty()
            || !self.claims_json.is_empty()
            || !self.terms.bound_cidrs.is_empty();
        match is_bound {
            true => Ok(()),
            false => Err(Error::invalid("must have at least one bound constraint when creating/updating a role")),
        }
    }
}

impl Named for JwtRoleRecord {
    const FOLDER: &'static str = "role";
    const NAME: Field = NAME;

    fn show(&self) -> Map<String, Value> {
        let mut data = self.terms.show();
        let claims = self.bound_claims();
        let mappings = if self.claim_mappings.is_empty() { Value::Null } else { json!(self.claim_mappings) };
        let own = json!({
            "role_type": if self.is_for_tokens { "jwt" } else { "oidc" },
            "bound_audiences": or_null(&self.audiences),
            "bound_subject": self.subject,
            "bound_claims": if claims.is_empty() { Value::Null } else { Value::Object(claims) },
            "bound_claims_type": if self.has_globs { "glob" } else { "string" },
            "claim_mappings": mappings,
            "user_claim": self.user_claim,
            "user_claim_json_pointer": self.is_user_claim_pointer,
            "groups_claim": self.groups_claim,
            "oidc_scopes": or_null(&self.scopes),
            "allowed_redirect_uris": or_null(&self.redirects),
            "expiration_leeway": self.expiration_leeway_secs,
            "not_before_leeway": self.not_before_leeway_secs,
            "clock_skew_leeway": self.skew_leeway_secs,
            "max_age": self.max_age_secs,
            "callback_mode": "client",
            "verbose_oidc_logging": false,
            "token_policies_template_claims": false,
            "oauth2_metadata": null,
            "oidc_disable_confirmation": false,
        });
        data.extend(own.as_object().cloned().unwrap_or_default());
        data
    }
}

fn take_text(fields: &Fields, of: &Field, text: &mut String) {
    if let Some(sent) = fields.text(of.name) {
        sent.clone_into(text);
    }
}

fn take_list(fields: &Fields, of: &Field, list: &mut Vec<String>) -> Result<(), Error> {
    let Some(sent) = fields.list(of.name) else { return Ok(()) };
    terms::check_length(of.name, sent)?;
    *list = sent.to_vec();
    Ok(())
}

/// Takes seconds that may be negative, which then only says that there is no leeway.
fn take_leeway(fields: &Fields, of: &Field, secs: &mut i64) -> Result<(), Error> {
    let Some(sent) = fields.any(of.name) else { return Ok(()) };
    let is_negative =
        int(sent).is_some_and(|secs| secs < 0) || sent.as_str().is_some_and(|text| text.trim().starts_with('-'));
    *secs = match is_negative {
        true => -1,
        false if sent.is_null() => 0,
        false => duration(sent)
            .and_then(|time| i64::try_from(time.as_secs()).ok())
            .ok_or_else(|| Error::invalid(format!("{} must be a duration such as 30, \"90s\" or -1", of.name)))?,
    };
    Ok(())
}

/// Refuses what is asked for and not there.
fn refuse_unsupported(fields: &Fields) -> Result<(), Error> {
    let is_on = |of: &Field| fields.bool(of.name).unwrap_or(false);
    let refusal = if !matches!(fields.text_or_empty(CALLBACK_MODE.name), "" | "client") {
        "callback_mode: only client is supported"
    } else if is_on(&VERBOSE) {
        "verbose_oidc_logging cannot be turned on: tokens are not logged"
    } else if is_on(&TEMPLATES) {
        "token_policies_template_claims cannot be turned on: policies have no templates of claims"
    } else if is_on(&NO_CONFIRMATION) || fields.int(POLL_INTERVAL.name).unwrap_or(0) != 0 {
        "oidc_disable_confirmation and poll_interval belong to a callback_mode that is not supported"
    } else if fields.list(METADATA.name).is_some_and(|list| !list.is_empty()) {
        "oauth2_metadata must be empty: tokens of the provider are not handed on"
    } else {
        return Ok(());
    };
    Err(Error::invalid(refusal))
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<JwtRoleRecord>(call));
    let found = named::find::<JwtRoleRecord>(call.store, &mount, &name)?;
    let is_new = found.is_none();
    let mut role = found.unwrap_or_else(|| JwtRoleRecord::new(call.context));
    let mut reply = Reply::empty();
    refuse_unsupported(&call.fields)?;
    role.take(&call.fields, is_new, &mut reply.warnings)?;
    role.check()?;
    named::save(call.store, &mount, &name, &role)?;
    Ok(reply)
}

/// The role of a login, by the name that was sent or the default.
///
/// # Errors
/// [`ErrorKind::Invalid`] if none was named; `Ok(None)` beside the name if there is none of it.
pub(super) fn of_login(
    call: &mut Call<'_, '_>,
    sent: &str,
    default: &str,
) -> Result<(String, Option<JwtRoleRecord>), Error> {
    let name = if sent.is_empty() { default } else { sent }.to_owned();
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "missing role"));
    }
    let mount = call.mount.clone();
    let role = named::find::<JwtRoleRecord>(call.store, &mount, &name)?;
    Ok((name, role))
}
