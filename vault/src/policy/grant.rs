//! What one block allows, and the merging of blocks that have the same pattern.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::policy::acl::{AclRequest, Refusal};
use crate::policy::capability::Capabilities;
use crate::policy::filter::KeyFilter;
use crate::policy::parameters::ParameterRules;
use crate::request::Operation;

/// The content of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grant {
    /// What may be done.
    pub capabilities: Capabilities,
    /// The only fields that may be sent; empty is no limit.
    pub allowed: ParameterRules,
    /// Fields that must not be sent.
    pub denied: ParameterRules,
    /// Fields that must be sent, in lower case.
    pub required: BTreeSet<String>,
    /// The shortest wrapping; if it is set, the response must be wrapped.
    pub min_wrapping_ttl: Option<Duration>,
    /// The longest wrapping; if it is set, the response must be wrapped.
    pub max_wrapping_ttl: Option<Duration>,
    /// The most entries of a page in a list.
    pub pagination_limit: Option<u64>,
    /// Which names a list shows.
    pub key_filter: Option<Arc<KeyFilter>>,
}

impl Grant {
    /// Adds a block with the same pattern. A deny on either side leaves nothing but the deny.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.capabilities = self.capabilities | other.capabilities;
        if self.capabilities.is_deny() {
            *self = Self { capabilities: Capabilities::DENY, ..Self::default() };
            return;
        }
        self.allowed.merge(&other.allowed);
        self.denied.merge(&other.denied);
        self.required.extend(other.required.iter().cloned());
        self.min_wrapping_ttl = lower(self.min_wrapping_ttl, other.min_wrapping_ttl);
        self.max_wrapping_ttl = lower(self.max_wrapping_ttl, other.max_wrapping_ttl);
        self.pagination_limit = lower(self.pagination_limit, other.pagination_limit);
        if self.key_filter.is_none() {
            self.key_filter.clone_from(&other.key_filter);
        }
    }

    /// Whether a request may run by this block, which matches its path.
    pub(crate) fn permit(&self, request: &AclRequest<'_>) -> Result<(), Refusal> {
        if self.capabilities.is_deny() {
            return Err(Refusal::Denied);
        }
        if Capabilities::needed_for(request.operation).is_some_and(|needed| !self.capabilities.contains(needed)) {
            return Err(Refusal::MissingCapability);
        }
        if request.is_sudo_path && !self.capabilities.contains(Capabilities::SUDO) {
            return Err(Refusal::SudoRequired);
        }
        if !self.permits_wrapping(request.wrap_ttl) {
            return Err(Refusal::Wrapping);
        }
        if !self.permits_data(request) || !self.permits_page(request) {
            return Err(Refusal::Parameters);
        }
        Ok(())
    }

    /// A wrapping of zero is none. Merging can leave a minimum above the maximum; then nothing fits.
    fn permits_wrapping(&self, wrap_ttl: Option<Duration>) -> bool {
        if self.min_wrapping_ttl.is_none() && self.max_wrapping_ttl.is_none() {
            return true;
        }
        let Some(ttl) = wrap_ttl.filter(|ttl| !ttl.is_zero()) else { return false };
        self.min_wrapping_ttl.is_none_or(|least| least <= ttl) && self.max_wrapping_ttl.is_none_or(|most| ttl <= most)
    }

    /// Whether the size of a page that a list asks for is within the limit. None asked for is within it, since the reply is
    /// cut all the same; what is no number is not.
    fn permits_page(&self, request: &AclRequest<'_>) -> bool {
        let Some(most) = self.pagination_limit.filter(|_| request.operation.is_list()) else { return true };
        let wanted = match request.data.and_then(|data| data.get("limit")) {
            None | Some(Value::Null) => return true,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        matches!(wanted.as_str(), "" | "max") || wanted.parse::<u64>().is_ok_and(|wanted| wanted <= most)
    }

    /// Fields are looked at only where they are read: a delete has none that count.
    fn permits_data(&self, request: &AclRequest<'_>) -> bool {
        if matches!(request.operation, Operation::Delete | Operation::Help) {
            return true;
        }
        let Some(data) = request.data else { return self.required.is_empty() };
        // What an engine reads as "not sent" was not sent.
        let is_sent = |name: &String| data.get(name).is_some_and(|value| !value.is_null());
        self.required.iter().all(is_sent)
            && !self.denied.deny(data, request.fields)
            && self.allowed.allow(data, request.fields)
    }
}

/// The lower of two limits; no limit is the highest.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_merge_to_the_lower_and_unset_counts_for_nothing() {
        let secs = |secs| Some(Duration::from_secs(secs));
        let mut merged = Grant { min_wrapping_ttl: secs(60), pagination_limit: None, ..Grant::default() };
        merged.merge(&Grant {
            min_wrapping_ttl: secs(30),
            max_wrapping_ttl: secs(90),
            pagination_limit: Some(5),
            ..Grant::default()
        });
        assert_eq!(
            (merged.min_wrapping_ttl, merged.max_wrapping_ttl, merged.pagination_limit),
            (secs(30), secs(90), Some(5))
        );
    }

    #[test]
    fn a_deny_leaves_nothing_of_what_it_meets() {
        let read = Grant { capabilities: Capabilities::READ, pagination_limit: Some(5), ..Grant::default() };
        let deny = Grant { capabilities: Capabilities::DENY, ..Grant::default() };
        let (mut one, mut other) = (read.clone(), deny.clone());
        one.merge(&deny);
        other.merge(&read);
        assert_eq!((&one, &other), (&deny, &deny));
    }

    #[test]
    fn crossed_wrapping_limits_permit_nothing() {
        let crossed = Grant {
            min_wrapping_ttl: Some(Duration::from_secs(90)),
            max_wrapping_ttl: Some(Duration::from_secs(60)),
            ..Grant::default()
        };
        assert!([0, 60, 75, 90].iter().all(|secs| !crossed.permits_wrapping(Some(Duration::from_secs(*secs)))));
    }
}
