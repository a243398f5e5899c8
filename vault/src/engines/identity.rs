//! Identity: entities, their aliases and groups, written and read over the API; and tokens that say to others who somebody is.
//!
//! What they do to logins and requests is in [`crate::identity`]; here are the paths. What surprises: a list by id also says
//! what each of them is, so it reads each; page through long ones.

mod alias;
mod entity;
mod group;
mod group_alias;
mod lookup;
mod merge;
mod metadata;
mod mfa;
mod oidc;

#[cfg(test)]
mod tests;

use crate::engine::{Effect, Engine, Life, Path, Work};
use crate::engines::listing;
use crate::error::Error;
use crate::identity::membership;
use crate::mount::Class;
use crate::request::Operation;

/// Longest lists of ids that one request takes.
const MAX_IDS: usize = 1_000;

const ENTITIES: &[Path] = &[
    Path {
        pattern: "entity",
        fields: &[entity::FIELDS],
        operations: &[(Operation::Update, entity::write)],
        help: "Write an entity; one of the name that is there is changed.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/merge",
        fields: &[merge::FIELDS],
        operations: &[(Operation::Update, merge::merge)],
        help: "Make several entities one.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/batch-delete",
        fields: &[entity::BATCH_FIELDS],
        operations: &[(Operation::Update, entity::delete_batch)],
        help: "Delete entities by their ids.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/id/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, entity::list)],
        help: "List the entities by id, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/id/{id}",
        fields: &[entity::FIELDS],
        operations: &[
            (Operation::Read, entity::read),
            (Operation::Update, entity::write),
            (Operation::Delete, entity::delete),
        ],
        help: "Read, change and delete an entity by its id.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/name/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, entity::list_names)],
        help: "List the names of the entities.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity/name/{name..}",
        fields: &[entity::FIELDS],
        operations: &[
            (Operation::Read, entity::read_by_name),
            (Operation::Update, entity::write_by_name),
            (Operation::Delete, entity::delete_by_name),
        ],
        help: "Read, write and delete an entity by its name.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup/entity",
        fields: &[lookup::FIELDS],
        operations: &[(Operation::Update, lookup::entity)],
        effect: Effect::Reads,
        help: "Find an entity by its id, its name or one of its aliases.",
        ..Path::DEFAULT
    },
];

const ALIASES: &[Path] = &[
    Path {
        pattern: "entity-alias",
        fields: &[alias::FIELDS],
        operations: &[(Operation::Update, alias::write)],
        help: "Write an alias of an entity.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity-alias/id/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, alias::list)],
        help: "List the aliases of entities by id, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "entity-alias/id/{id}",
        fields: &[alias::FIELDS],
        operations: &[
            (Operation::Read, alias::read),
            (Operation::Update, alias::write),
            (Operation::Delete, alias::delete),
        ],
        help: "Read, change and delete an alias of an entity.",
        ..Path::DEFAULT
    },
];

const GROUPS: &[Path] = &[
    Path {
        pattern: "group",
        fields: &[group::FIELDS],
        operations: &[(Operation::Update, group::write)],
        help: "Write a group; one of the name that is there is changed.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group/id/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, group::list)],
        help: "List the groups by id, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group/id/{id}",
        fields: &[group::FIELDS],
        operations: &[
            (Operation::Read, group::read),
            (Operation::Update, group::write),
            (Operation::Delete, group::delete),
        ],
        help: "Read, change and delete a group by its id.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group/name/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, group::list_names)],
        help: "List the names of the groups.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group/name/{name..}",
        fields: &[group::FIELDS],
        operations: &[
            (Operation::Read, group::read_by_name),
            (Operation::Update, group::write_by_name),
            (Operation::Delete, group::delete_by_name),
        ],
        help: "Read, write and delete a group by its name.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup/group",
        fields: &[lookup::FIELDS],
        operations: &[(Operation::Update, lookup::group)],
        effect: Effect::Reads,
        help: "Find a group by its id, its name or its alias.",
        ..Path::DEFAULT
    },
];

const GROUP_ALIASES: &[Path] = &[
    Path {
        pattern: "group-alias",
        fields: &[group_alias::FIELDS],
        operations: &[(Operation::Update, group_alias::write)],
        help: "Write the alias of an external group.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group-alias/id/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, group_alias::list)],
        help: "List the aliases of groups by id, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "group-alias/id/{id}",
        fields: &[group_alias::FIELDS],
        operations: &[
            (Operation::Read, group_alias::read),
            (Operation::Update, group_alias::write),
            (Operation::Delete, group_alias::delete),
        ],
        help: "Read, change and delete the alias of a group.",
        ..Path::DEFAULT
    },
];

/// The engine.
pub(crate) static ENGINE: Engine = Engine {
    kind: "identity",
    class: Class::Secret,
    help: "Identity store",
    paths: &[ENTITIES, ALIASES, GROUPS, GROUP_ALIASES, oidc::TOKENS, oidc::SETTINGS, oidc::PROVIDERS, mfa::PATHS],
    is_single: true,
    life: Life { chore: Some(dissolve), due: Some(oidc::forget), ..Life::NONE },
    ..Engine::DEFAULT
};

/// Takes members out of a group that is gone.
fn dissolve(work: &mut Work<'_, '_>, group_id: &str, limit: usize) -> Result<usize, Error> {
    let area = work.mount.area.clone();
    membership::dissolve(work.store, &area, group_id, limit)
}
