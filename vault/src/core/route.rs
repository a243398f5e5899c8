//! Where a request goes: the mount and the path that answer it, who may ask there, and how its names are spelled.

use std::sync::Arc;

use serde_json::Value;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::context::OpenCeremonies;
use crate::engine::{Access, CeremonyKind, Matched, spelled};
use crate::error::Error;
use crate::field::scalar_text;
use crate::mount::table::{MountTable, RouteEntry};
use crate::path::CanonicalPath;
use crate::request::Request;
use crate::store::Store;

/// Where a request goes.
pub(super) struct Route<'p> {
    pub(super) entry: Option<Arc<RouteEntry>>,
    /// Path below the mount.
    pub(super) rest: &'p str,
    pub(super) matched: Option<Matched<'p>>,
}

/// Finds the mount and the path that answer.
pub(super) fn route<'p>(store: &mut Store<'_>, request: &'p Request) -> Result<Route<'p>, Error> {
    let path = request.path.as_str();
    let entry = MountTable::load(store)?.route(path).cloned();
    let rest = entry.as_ref().and_then(|entry| path.strip_prefix(entry.record.path.as_str())).unwrap_or("");
    let matched = entry.as_ref().and_then(|entry| entry.engine.find(rest));
    Ok(Route { entry, rest, matched })
}

/// Who may ask, with [`Access::Presented`] and [`Access::Sharers`] decided. A path that nobody answers tells strangers nothing.
pub(super) fn access(request: &Request, matched: Option<&Matched<'_>>, open: OpenCeremonies) -> Access {
    match matched.map_or(Access::Token, |(path, _)| path.access) {
        Access::Presented if carries_what_it_names(request) => Access::Open,
        Access::Presented => Access::Token,
        Access::Sharers(CeremonyKind::Rekey) if open.rekey => Access::Open,
        Access::Sharers(CeremonyKind::GenerateRoot) if open.generate_root => Access::Open,
        Access::Sharers(_) => Access::Sudo,
        access => access,
    }
}

/// Whether the token that a request is about is the one that it carries.
fn carries_what_it_names(request: &Request) -> bool {
    let own = request.token.as_ref().map_or("", |token| token.as_str());
    match request.data.get("token") {
        None | Some(Value::Null) => true,
        // In the spelling in which the handler will see it.
        Some(value) => scalar_text(value)
            .map(Zeroizing::new)
            .is_some_and(|named| named.is_empty() || bool::from(named.as_bytes().ct_eq(own.as_bytes()))),
    }
}

/// The request's path with every name that it captured in its one spelling; `None` if it is so already. Names become what
/// the handler will use before any policy is asked about them, so that no second spelling passes a rule.
pub(super) fn spelled_anew(request: &Request, route: &Route<'_>) -> Result<Option<CanonicalPath>, Error> {
    let Route { rest, matched: Some(matched), .. } = route else { return Ok(None) };
    let Some(below) = spelled(matched, rest) else { return Ok(None) };
    let whole = request.path.as_str();
    let mount = &whole[..whole.len() - rest.len()];
    let path = CanonicalPath::new(format!("{mount}{below}"));
    path.map(Some).map_err(|error| Error::invalid(error.to_string()))
}
