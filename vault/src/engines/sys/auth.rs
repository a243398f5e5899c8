//! `sys/auth`: which auth method answers below which path of `auth/`.
//!
//! The same table and functions as [`super::mounts`], under paths of its own because policies and clients expect them.

use super::mounts::{ENABLE_FIELDS, TUNE_FIELDS, disable, enable, list, read, read_tuning, tune};
use super::settings;
use crate::engine::{Access, Handler, Path};
use crate::mount::Class;
use crate::request::Operation;

const READ_ALL: Handler = |call| list(call, Class::Auth);
const TUNE_READ: Handler = |call| read_tuning(call, "auth/");
const TUNE_WRITE: Handler = |call| tune(call, "auth/");
const READ: Handler = |call| read(call, Class::Auth);
const ENABLE: Handler = |call| enable(call, Class::Auth);
const DISABLE: Handler = |call| disable(call, Class::Auth);

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "auth",
        operations: &[(Operation::Read, READ_ALL)],
        help: "List the enabled auth methods",
        ..Path::DEFAULT
    },
    Path {
        pattern: "auth/{path..}/tune",
        fields: &[TUNE_FIELDS, settings::FIELDS],
        operations: &[(Operation::Read, TUNE_READ), (Operation::Update, TUNE_WRITE)],
        access: Access::Sudo,
        help: "Read or change the settings of an auth method",
        ..Path::DEFAULT
    },
    Path {
        pattern: "auth/{path..}",
        fields: &[ENABLE_FIELDS],
        operations: &[(Operation::Read, READ), (Operation::Update, ENABLE), (Operation::Delete, DISABLE)],
        access: Access::Sudo,
        help: "Enable, read or disable an auth method",
        ..Path::DEFAULT
    },
];
