//! Kubernetes: workloads log in with the token of their service account.
//!
//! Whether a token counts is for the cluster that gave it to say: its API server is asked for a review of each
//! (`authentication.k8s.io/v1`), so one whose pod or account is gone opens nothing. Keys that are told (`pem_keys`) are looked at
//! before, and take no part of that away.

mod config;
mod login;
mod review;
mod role;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Engine, Life, Path};
use crate::engines::kubernetes::role::KubernetesRoleRecord;
use crate::engines::{listing, named, terms};
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login",
        fields: &[login::FIELDS],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in with the token of a service account.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config",
        fields: &[config::FIELDS],
        operations: &[(Operation::Read, config::read), (Operation::Update, config::write)],
        help: "Read or set which cluster's tokens count, and how it is asked.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, named::list::<KubernetesRoleRecord>)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{name}",
        fields: &[role::FIELDS, terms::FIELDS],
        operations: &[
            (Operation::Read, named::read::<KubernetesRoleRecord>),
            (Operation::Update, role::write),
            (Operation::Delete, named::delete::<KubernetesRoleRecord>),
        ],
        exists: Some(named::exists::<KubernetesRoleRecord>),
        help: "Read, write and delete a role.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of Kubernetes, by convention at `auth/kubernetes/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "kubernetes",
    class: Class::Auth,
    help: "Logins of workloads, by the tokens of their service accounts.",
    paths: &[PATHS],
    life: Life { renewal: Some(login::renewal), ..Life::NONE },
    ..Engine::DEFAULT
};
