//! Typed calls, one file for each family of endpoints. All else is reached by [`Client::raw`](crate::Client::raw).

pub(crate) mod cluster;
pub(crate) mod kv1;
pub(crate) mod kv2;
pub(crate) mod mounts;
pub(crate) mod policies;
pub(crate) mod seal;
pub(crate) mod token;
pub(crate) mod wrapping;
