//! This node's part in the cluster: what peers ask of it, and what it does when it leads.

pub(crate) mod acceptance;
pub(crate) mod address;
pub(crate) mod autopilot;
pub(crate) mod contact;
pub(crate) mod endings;
pub(crate) mod failure;
pub(crate) mod handover;
pub(crate) mod health;
pub(crate) mod hooks;
pub(crate) mod join;
pub(crate) mod membership;
pub(crate) mod nodes;
pub(crate) mod observer;
pub(crate) mod upkeep;

#[cfg(test)]
mod tests;
