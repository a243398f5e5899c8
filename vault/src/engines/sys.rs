//! The system engine: mounts, policies, leases, keys, tools, and what only the node can do.
//!
//! Each file below answers one family of paths and lists them; this one joins the lists. What a sealed or uninitialised
//! node answers (`health`, `seal-status`, `init`, `unseal`, `leader`, `storage/raft/join`) is not here: the node answers
//! it before the core is asked. A path about the process or the cluster only decides whether the caller may, and hands an
//! [`crate::action::Action`] to the node.

use crate::engine::{Class, Engine, Path};
use crate::wrapping;

mod auth;
mod mounts;
mod remount;

mod policies;

mod capabilities;
mod interface;

mod keys;
mod leases;
mod tools;

mod cluster;
mod process;

mod description;
mod settings;
mod unconfigured;

/// The families of paths.
const FAMILIES: &[&[Path]] = &[
    mounts::PATHS,
    auth::PATHS,
    remount::PATHS,
    policies::PATHS,
    capabilities::PATHS,
    interface::PATHS,
    wrapping::PATHS,
    keys::PATHS,
    leases::PATHS,
    tools::PATHS,
    cluster::PATHS,
    process::PATHS,
    unconfigured::PATHS,
];

/// All paths in one table.
static PATHS: [Path; count()] = joined();

/// The engine.
pub static ENGINE: Engine = Engine {
    kind: "system",
    aliases: &["sys"],
    class: Class::Secret,
    help: "System endpoints used for control, policy and debugging",
    paths: &PATHS,
    fallback: None,
};

const fn count() -> usize {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
}

const fn joined() -> [Path; count()] {
    let mut paths = [Path::DEFAULT; count()];
    let (mut next, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut index = 0;
        while index < FAMILIES[family].len() {
            paths[next] = FAMILIES[family][index];
            next += 1;
            index += 1;
        }
        family += 1;
    }
    paths
}

#[cfg(test)]
mod tests;
