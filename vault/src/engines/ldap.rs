//! LDAP: people log in with the name and password that they have in a directory.
//!
//! The directory is asked at every login ([`crate::directory`]); here lie only how it is asked, and which policies its groups
//! and users have. No password of a user is kept, so a renewal asks the directory as the service account (`binddn`).
//!
//! What surprises: names of groups and users are one in upper and lower case, as they are in directories, unless
//! `case_sensitive_names` says otherwise.

mod config;
mod login;
mod mapping;
mod question;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Engine, Life, Path};
use crate::engines::listing;
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login/{username..}",
        fields: &[login::FIELDS],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config",
        fields: &[config::FIELDS, config::TOKEN_FIELDS],
        operations: &[(Operation::Read, config::read), (Operation::Update, config::write)],
        help: "Read or set which directory is asked, and how.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "groups/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, mapping::list_groups)],
        help: "List the groups that have policies.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "groups/{name..}",
        fields: &[mapping::GROUP_FIELDS],
        operations: &[
            (Operation::Read, mapping::read_group),
            (Operation::Update, mapping::write_group),
            (Operation::Delete, mapping::delete_group),
        ],
        exists: Some(mapping::group_exists),
        help: "Read, write and delete the policies of a group.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, mapping::list_users)],
        help: "List the users that have policies or groups here.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/{name..}",
        fields: &[mapping::USER_FIELDS],
        operations: &[
            (Operation::Read, mapping::read_user),
            (Operation::Update, mapping::write_user),
            (Operation::Delete, mapping::delete_user),
        ],
        exists: Some(mapping::user_exists),
        help: "Read, write and delete the policies of a user, and the groups that they have here.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of LDAP, by convention at `auth/ldap/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "ldap",
    class: Class::Auth,
    help: "Logins of people, by the name and password that they have in a directory.",
    paths: &[PATHS],
    life: Life { renewal: Some(login::renewal), ..Life::NONE },
    locks_out: true,
    ..Engine::DEFAULT
};
