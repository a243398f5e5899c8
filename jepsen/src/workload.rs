//! What clients do to a cluster while it is being hurt.

pub mod key;
pub mod register;
