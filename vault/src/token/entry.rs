//! A token as its record says that it is, dead or alive; whether it counts is decided in [`crate::token`].

use std::net::IpAddr;

use crate::error::Error;
use crate::policy::name;
use crate::time::Time;
use crate::token::cidr::Cidr;
use crate::token::record::TokenRecord;

/// A token that was found. Has no `Debug`: its accessor and metadata are confidential.
pub struct Token {
    /// As stored.
    pub record: TokenRecord,
    /// Names of its policies, sorted, each once.
    pub policies: Vec<String>,
    pub(super) hash: String,
    pub(super) is_batch: bool,
    cidrs: Vec<Cidr>,
}

impl Token {
    pub(super) fn new(record: TokenRecord, hash: &str, is_batch: bool) -> Result<Self, Error> {
        let mut policies = record.policies.clone();
        policies.sort_unstable();
        policies.dedup();
        let parse =
            |text: &String| Cidr::parse(text).ok_or_else(|| Error::internal("a token's address range is damaged"));
        let cidrs = record.bound_cidrs.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { record, policies, hash: hash.to_owned(), is_batch, cidrs })
    }

    /// Hexadecimal HMAC of the id: the name of everything that belongs to the token, such as its cubbyhole.
    pub fn hash_hex(&self) -> String {
        self.hash.clone()
    }

    /// The accessor; empty for batch tokens.
    pub fn accessor(&self) -> &str {
        &self.record.accessor
    }

    /// Whether it is a batch token, which has no record.
    pub fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.policies == [name::ROOT]
    }

    /// Whether it holds a wrapped reply and is good for nothing else.
    pub fn is_wrapping(&self) -> bool {
        self.policies == [name::RESPONSE_WRAPPING]
    }

    /// When it expires; `None` is never.
    pub fn expires(&self) -> Option<Time> {
        (self.record.expires_nanos != 0).then(|| Time::from_nanos(self.record.expires_nanos))
    }

    pub(super) fn is_expired(&self, now: Time) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }

    /// Whether it may be used from an address. A bound token without a known address may not. Root without an end is
    /// bound nowhere, so that no mistake in a range locks everybody out.
    pub(super) fn permits(&self, remote: Option<IpAddr>) -> bool {
        let is_endless_root = self.is_root() && self.expires().is_none();
        if self.cidrs.is_empty() || is_endless_root {
            return true;
        }
        remote.is_some_and(|remote| self.cidrs.iter().any(|cidr| cidr.contains(remote)))
    }
}
