//! The system engine: mounts, policies, leases, keys, tools, and what only the node can do.
//!
//! Each file below answers one family of paths and lists them. What a sealed or uninitialised node answers (`health`,
//! `seal-status`, `init`, `unseal`, `leader`, `storage/raft/join`) is only listed: the node answers it before the core is
//! asked. A path about the process or the cluster only decides whether the caller may, and hands an
//! [`crate::action::Action`] to the node.

use crate::engine::{Engine, Path};
use crate::mount::Class;
use crate::wrapping;

mod auth;
mod mounts;
mod remount;

mod password_policies;
mod policies;

mod capabilities;
mod interface;
mod specs;

mod audit;
mod before_unseal;
mod ceremonies;
mod keys;
mod leases;
mod lockout;
mod mfa;
mod tools;

mod autopilot;
mod cluster;
mod process;

mod catalog;
mod cors;
mod description;
mod group_policies;
mod loggers;
mod quotas;
mod settings;
mod snapshot;
mod ui_headers;
mod unconfigured;

/// The families of paths.
const FAMILIES: &[&[Path]] = &[
    mounts::PATHS,
    auth::PATHS,
    remount::PATHS,
    policies::PATHS,
    password_policies::PATHS,
    capabilities::PATHS,
    interface::PATHS,
    specs::PATHS,
    wrapping::PATHS,
    ceremonies::PATHS,
    keys::PATHS,
    leases::PATHS,
    lockout::PATHS,
    mfa::PATHS,
    tools::PATHS,
    audit::PATHS,
    before_unseal::PATHS,
    cluster::PATHS,
    autopilot::PATHS,
    snapshot::PATHS,
    process::PATHS,
    catalog::PATHS,
    cors::PATHS,
    ui_headers::PATHS,
    group_policies::PATHS,
    quotas::PATHS,
    loggers::PATHS,
    unconfigured::PATHS,
];

/// The engine.
pub(crate) static ENGINE: Engine = Engine {
    kind: "system",
    aliases: &["sys"],
    class: Class::Secret,
    help: "System endpoints used for control, policy and debugging",
    paths: FAMILIES,
    is_single: true,
    ..Engine::DEFAULT
};

/// What a node answers itself.
pub(super) const fn before_unseal() -> &'static [Path] {
    before_unseal::PATHS
}

#[cfg(test)]
mod tests;
