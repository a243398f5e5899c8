//! `sys/capabilities`: what a token may do at a path.
//!
//! Answered by the same list that decides requests, so it cannot differ from what happens.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, json};

use crate::engine::{Call, Effect, Path, spelled};
use crate::error::{Error, multi};
use crate::field::{Kind, field};
use crate::identity::rights;
use crate::mount::table::MountTable;
use crate::policy::acl::Acl;
use crate::reply::Reply;
use crate::request::Operation;
use crate::token::{self, Token};

/// Most paths that are asked about at once.
const MAX_PATHS: usize = 1_000;

const PATH: crate::field::Field = field("path", Kind::CommaList, "The path; \"paths\" if there are several");
const PATHS_FIELD: crate::field::Field = field("paths", Kind::CommaList, "The paths to ask about");

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "capabilities",
        fields: &[&[field("token", Kind::Text, "The token to ask about"), PATH, PATHS_FIELD]],
        operations: &[(Operation::Update, of_token)],
        effect: Effect::Reads,
        help: "Read what a token may do at paths",
        ..Path::DEFAULT
    },
    Path {
        pattern: "capabilities-self",
        // Clients send the token here too; it is the caller's.
        fields: &[&[field("token", Kind::Text, "Accepted, without effect"), PATH, PATHS_FIELD]],
        operations: &[(Operation::Update, of_caller)],
        effect: Effect::Reads,
        help: "Read what the caller's token may do at paths",
        ..Path::DEFAULT
    },
    Path {
        pattern: "capabilities-accessor",
        fields: &[&[field("accessor", Kind::Text, "Accessor of the token to ask about").required(), PATH, PATHS_FIELD]],
        operations: &[(Operation::Update, of_accessor)],
        effect: Effect::Reads,
        help: "Read what the token of an accessor may do at paths",
        ..Path::DEFAULT
    },
];

fn of_caller(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let acl = call.acl.clone().ok_or_else(Error::bad_token)?;
    answer(call, &acl)
}

fn of_token(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let raw = call.fields.text("token").unwrap_or_default();
    if raw.is_empty() {
        return Err(Error::invalid(multi("no token found")));
    }
    let token = token::find(call.store, call.context, raw)?;
    of(call, token, "invalid token")
}

fn of_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let accessor = call.fields.text("accessor").unwrap_or_default();
    if accessor.is_empty() {
        return Err(Error::invalid("missing accessor"));
    }
    let token = token::by_accessor(call.store, call.context, accessor)?;
    of(call, token, "invalid accessor")
}

fn of(call: &mut Call<'_, '_>, token: Option<Arc<Token>>, if_absent: &str) -> Result<Reply, Error> {
    let token = token.ok_or_else(|| Error::invalid(multi(if_absent)))?;
    let acl = rights::of(call.store, &token, call.context.now)?;
    answer(call, &acl)
}

fn answer(call: &mut Call<'_, '_>, acl: &Acl) -> Result<Reply, Error> {
    let list = |name| call.fields.list(name).unwrap_or_default().to_vec();
    let paths = if list("paths").is_empty() { list("path") } else { list("paths") };
    if paths.is_empty() {
        return Err(Error::invalid("paths must be supplied"));
    }
    if paths.len() > MAX_PATHS {
        return Err(Error::invalid(format!(
            "{} paths are too many, at most {MAX_PATHS} are answered at once",
            paths.len()
        )));
    }
    let table = MountTable::load(call.store)?;
    let mut data = Map::new();
    for path in &paths {
        data.insert(path.clone(), json!(acl.capabilities(&as_asked(&table, path))));
    }
    if let [path] = &paths[..] {
        data.insert("capabilities".into(), data[path].clone());
    }
    Ok(Reply::data(data.into()).injected())
}

/// A path as policies are asked about it: with the names in it in the spelling that its handler will use.
fn as_asked<'p>(table: &MountTable, path: &'p str) -> Cow<'p, str> {
    let respelled = table.route(path).and_then(|entry| {
        let mount = entry.record.path.as_str();
        let rest = path.strip_prefix(mount)?;
        let matched = entry.engine.find(rest)?;
        spelled(&matched, rest).map(|below| format!("{mount}{below}"))
    });
    respelled.map_or(Cow::Borrowed(path), Cow::Owned)
}
