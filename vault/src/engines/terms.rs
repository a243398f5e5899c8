//! What a role says about the tokens that it gives: the `token_` fields, which the roles of auth methods have in common.
//!
//! A record that such roles embed, its fields, and how they are taken and shown. Not the tokens themselves: those are
//! made by [`crate::engines::login`]. The roles of the token method have a record of their own, because a role there
//! changes a wish and here it decides alone; the rules for single fields are the same functions.
//!
//! What surprises: some fields have an old name too. What came by the old name is shown under both.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::policy::name::{self, PolicyName};
use crate::token::cidr::Cidr;

/// Most entries of one list of a role.
pub(crate) const MAX_ENTRIES: usize = 256;

/// `token_policies`
pub(crate) const POLICIES: Field = field("token_policies", Kind::CommaNames, "Policies of its tokens.");
/// `policies`
pub(crate) const OLD_POLICIES: Field =
    field("policies", Kind::CommaNames, "Old name of token_policies.").renamed_to("token_policies");
/// `token_ttl`
pub(crate) const TTL: Field = field("token_ttl", Kind::Duration, "Time to live of its tokens; 0 is the mount's.");
/// `token_max_ttl`
pub(crate) const MAX_TTL: Field =
    field("token_max_ttl", Kind::Duration, "Longest life of its tokens; 0 is the mount's.");
/// `token_period`
pub(crate) const PERIOD: Field = field("token_period", Kind::Duration, "Makes its tokens periodic.");
/// `period`
pub(crate) const OLD_PERIOD: Field =
    field("period", Kind::Duration, "Old name of token_period.").renamed_to("token_period");
/// `token_explicit_max_ttl`
pub(crate) const EXPLICIT_MAX_TTL: Field =
    field("token_explicit_max_ttl", Kind::Duration, "Longest life of its tokens, which bounds periodic ones too.");
/// `token_bound_cidrs`
pub(crate) const BOUND_CIDRS: Field =
    field("token_bound_cidrs", Kind::CommaList, "Addresses from which its tokens may be used.");
/// `token_strictly_bind_ip`
pub(crate) const STRICTLY_BIND_IP: Field =
    field("token_strictly_bind_ip", Kind::Bool, "Whether its tokens may be used only from where they were made.");
/// `token_num_uses`
pub(crate) const NUM_USES: Field = field("token_num_uses", Kind::Int, "Most uses of its tokens; 0 is without limit.");
/// `token_no_default_policy`
pub(crate) const NO_DEFAULT_POLICY: Field =
    field("token_no_default_policy", Kind::Bool, "Whether its tokens lack the default policy.");
/// `token_type`
pub(crate) const TOKEN_TYPE: Field =
    field("token_type", Kind::Text, "service, batch, or default, which is the mount's.");

/// All of them.
pub(crate) const FIELDS: &[Field] = &[
    POLICIES,
    TTL,
    MAX_TTL,
    PERIOD,
    EXPLICIT_MAX_TTL,
    BOUND_CIDRS,
    STRICTLY_BIND_IP,
    NUM_USES,
    NO_DEFAULT_POLICY,
    TOKEN_TYPE,
    OLD_POLICIES,
    OLD_PERIOD,
];

/// The terms as they are stored. Times in seconds; 0 says nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TermsRecord {
    /// Names of policies, normalised, sorted, each once; never `root`.
    #[prost(string, repeated, tag = "1")]
    pub policies: Vec<String>,
    /// Time to live.
    #[prost(uint64, tag = "2")]
    pub ttl_secs: u64,
    /// Longest life.
    #[prost(uint64, tag = "3")]
    pub max_ttl_secs: u64,
    /// Period.
    #[prost(uint64, tag = "4")]
    pub period_secs: u64,
    /// Longest life, of periodic tokens too.
    #[prost(uint64, tag = "5")]
    pub explicit_max_secs: u64,
    /// Address ranges.
    #[prost(string, repeated, tag = "6")]
    pub bound_cidrs: Vec<String>,
    /// Whether tokens are bound to the address that logged in.
    #[prost(bool, tag = "7")]
    pub strictly_bind_ip: bool,
    /// Uses; 0 is without limit.
    #[prost(uint64, tag = "8")]
    pub num_uses: u64,
    /// Whether the default policy is left out.
    #[prost(bool, tag = "9")]
    pub no_default_policy: bool,
    /// `default`, `default-service`, `default-batch`, `service` or `batch`; empty is `default`.
    #[prost(string, tag = "10")]
    pub token_type: String,
    /// Given by its old name, which then is shown too.
    #[prost(string, repeated, tag = "11")]
    pub old_policies: Vec<String>,
    /// Given by its old name, which then is shown too.
    #[prost(uint64, tag = "12")]
    pub old_period_secs: u64,
}

impl TermsRecord {
    /// Takes what was sent; the rest stays. Adds what the client should know to `warnings`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Invalid`] for values that are none, or that contradict each other.
    pub(crate) fn take(&mut self, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        self.take_policies(fields, warnings)?;
        take_duration(fields, TTL.name, &mut self.ttl_secs);
        take_duration(fields, MAX_TTL.name, &mut self.max_ttl_secs);
        take_duration(fields, EXPLICIT_MAX_TTL.name, &mut self.explicit_max_secs);
        let names = Names { new: PERIOD.name, old: OLD_PERIOD.name };
        take_renamed_duration(fields, &names, &mut self.period_secs, &mut self.old_period_secs, warnings);
        take_addresses(fields, BOUND_CIDRS.name, &mut self.bound_cidrs)?;
        take_count(fields, NUM_USES.name, &mut self.num_uses)?;
        self.strictly_bind_ip = fields.bool(STRICTLY_BIND_IP.name).unwrap_or(self.strictly_bind_ip);
        self.no_default_policy = fields.bool(NO_DEFAULT_POLICY.name).unwrap_or(self.no_default_policy);
        if let Some(word) = fields.text(TOKEN_TYPE.name) {
            self.token_type = token_type(word)?.to_owned();
        }
        self.check()
    }

    fn take_policies(&mut self, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        let (new, old) = (fields.list(POLICIES.name), fields.list(OLD_POLICIES.name));
        let Some(sent) = new.or(old) else { return Ok(()) };
        self.policies = assignable(POLICIES.name, sent)?;
        self.old_policies = if new.is_none() { self.policies.clone() } else { Vec::new() };
        Names { new: POLICIES.name, old: OLD_POLICIES.name }.warn_if(new.is_some() && old.is_some(), warnings);
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.max_ttl_secs > 0 && self.ttl_secs > self.max_ttl_secs {
            return Err(Error::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        let refused = [(self.period_secs > 0, "periodic tokens"), (self.num_uses > 0, "tokens with limited use count")];
        match refused.iter().find(|(is_so, _)| *is_so && self.token_type.ends_with("batch")) {
            Some((_, what)) => Err(Error::invalid(format!(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"
            ))),
            None => Ok(()),
        }
    }

    /// As the API shows them.
    pub(crate) fn show(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let mut put = |field: &Field, value: Value| data.insert(field.name.to_owned(), value);
        put(&POLICIES, json!(self.policies));
        put(&TTL, self.ttl_secs.into());
        put(&MAX_TTL, self.max_ttl_secs.into());
        put(&PERIOD, self.period_secs.into());
        put(&EXPLICIT_MAX_TTL, self.explicit_max_secs.into());
        put(&BOUND_CIDRS, json!(self.bound_cidrs));
        put(&STRICTLY_BIND_IP, self.strictly_bind_ip.into());
        put(&NUM_USES, self.num_uses.into());
        put(&NO_DEFAULT_POLICY, self.no_default_policy.into());
        put(&TOKEN_TYPE, if self.token_type.is_empty() { "default" } else { &self.token_type }.into());
        if !self.old_policies.is_empty() {
            put(&OLD_POLICIES, json!(self.old_policies));
        }
        if self.old_period_secs > 0 {
            put(&OLD_PERIOD, self.old_period_secs.into());
        }
        data
    }
}

fn token_type(word: &str) -> Result<&str, Error> {
    match word {
        "" => Ok("default"),
        "default" | "default-service" | "default-batch" | "service" | "batch" => Ok(word),
        _ => Err(Error::invalid("invalid 'token_type' value: it must be default, service or batch")),
    }
}

/// A field's present name and its old one.
pub(crate) struct Names {
    /// The present name, which wins.
    pub new: &'static str,
    /// The old name.
    pub old: &'static str,
}

impl Names {
    fn warn_if(&self, is_both: bool, warnings: &mut Vec<String>) {
        if is_both {
            let Self { new, old } = self;
            warnings.push(format!("Both '{new}' and deprecated '{old}' value supplied, ignoring the deprecated value"));
        }
    }
}

/// A duration in whole seconds, rounded up, so that a short one does not become 0, which means something else.
pub(crate) fn whole_secs(fields: &Fields, name: &str) -> Option<u64> {
    let duration = fields.duration(name)?;
    Some(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

/// Takes a duration, if it was sent.
pub(crate) fn take_duration(fields: &Fields, name: &str, secs: &mut u64) {
    *secs = whole_secs(fields, name).unwrap_or(*secs);
}

/// Takes a duration that has two names. `old_secs` is what came by the old one.
pub(crate) fn take_renamed_duration(
    fields: &Fields,
    names: &Names,
    secs: &mut u64,
    old_secs: &mut u64,
    warnings: &mut Vec<String>,
) {
    match (whole_secs(fields, names.new), whole_secs(fields, names.old)) {
        (Some(sent), old) => {
            (*secs, *old_secs) = (sent, 0);
            names.warn_if(old.is_some(), warnings);
        }
        (None, Some(sent)) => (*secs, *old_secs) = (sent, sent),
        (None, None) => {}
    }
}

/// Takes a number that counts something, if it was sent.
pub(crate) fn take_count(fields: &Fields, name: &str, count: &mut u64) -> Result<(), Error> {
    if let Some(sent) = fields.int(name) {
        *count = u64::try_from(sent).map_err(|_| Error::invalid(format!("{name} cannot be negative")))?;
    }
    Ok(())
}

/// Takes a list of address ranges, if it was sent.
pub(crate) fn take_addresses(fields: &Fields, name: &str, list: &mut Vec<String>) -> Result<(), Error> {
    let Some(sent) = fields.list(name) else { return Ok(()) };
    check_length(name, sent)?;
    check_addresses(name, sent)?;
    *list = sent.to_vec();
    Ok(())
}

/// Takes a list of address ranges that has two names. `old_list` is what came by the old one.
pub(crate) fn take_renamed_addresses(
    fields: &Fields,
    names: &Names,
    list: &mut Vec<String>,
    old_list: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    take_addresses(fields, names.old, list)?;
    take_addresses(fields, names.new, list)?;
    match (fields.has(names.new), fields.has(names.old)) {
        (true, is_both) => {
            old_list.clear();
            names.warn_if(is_both, warnings);
        }
        (false, true) => old_list.clone_from(list),
        (false, false) => {}
    }
    Ok(())
}

/// Refuses what is no address or range.
pub(crate) fn check_addresses(field: &str, list: &[String]) -> Result<(), Error> {
    match list.iter().all(|range| Cidr::parse(range).is_some()) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{field} must hold addresses or ranges such as 10.0.0.0/8"))),
    }
}

/// Refuses a list that is too long.
pub(crate) fn check_length(field: &str, list: &[String]) -> Result<(), Error> {
    match list.len() <= MAX_ENTRIES {
        true => Ok(()),
        false => Err(Error::invalid(format!("{field} holds {} entries, at most {MAX_ENTRIES} are kept", list.len()))),
    }
}

/// Names of policies that anybody may be given: normalised, sorted, each once.
pub(crate) fn assignable(field: &str, sent: &[String]) -> Result<Vec<String>, Error> {
    check_length(field, sent)?;
    let names = sent.iter().map(|name| Ok(PolicyName::assignable(name)?.as_str().to_owned()));
    let names = names.collect::<Result<Vec<_>, name::NameError>>();
    Ok(sorted(names.map_err(|error| Error::invalid(error.to_string()))?))
}

/// A list as the API shows some of them: an empty one is `null`.
pub(crate) fn or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

/// Sorted, each once.
pub(crate) fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort_unstable();
    list.dedup();
    list
}
