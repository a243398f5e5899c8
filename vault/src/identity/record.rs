//! What is stored of entities, aliases, groups and memberships, and where it lies in the area of the identity mount.

use std::collections::BTreeMap;

use prost::Message;

/// An entity as it is stored, aliases included: there is at most one for each mount.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct EntityRecord {
    /// A UUID; empty stands for no entity.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// As it was written; no two differ by case alone.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// Normalised, sorted, each once; never `root`.
    #[prost(string, repeated, tag = "4")]
    pub(crate) policies: Vec<String>,
    /// Its tokens are refused while this is set.
    #[prost(bool, tag = "5")]
    pub(crate) is_disabled: bool,
    /// In the order in which they came.
    #[prost(message, repeated, tag = "6")]
    pub(crate) aliases: Vec<AliasRecord>,
    /// Ids of the entities that were merged into it; tokens of those are its tokens.
    #[prost(string, repeated, tag = "7")]
    pub(crate) merged_ids: Vec<String>,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "8")]
    pub(crate) created_nanos: i64,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "9")]
    pub(crate) updated_nanos: i64,
}

/// What one mount knows an entity, or an external group, by.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct AliasRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// As the method gives it; case counts.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) mount_accessor: String,
    /// What the method knows; written anew by a login that brings another.
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// What operators noted.
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) custom_metadata: BTreeMap<String, String>,
    /// Ids of the entities that it came from by merging.
    #[prost(string, repeated, tag = "6")]
    pub(crate) merged_from_ids: Vec<String>,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "7")]
    pub(crate) created_nanos: i64,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "8")]
    pub(crate) updated_nanos: i64,
}

/// A group as it is stored, without its members.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct GroupRecord {
    /// A UUID; empty stands for no group.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// As it was written; no two differ by case alone.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Whether a method says who is in it, by the group's alias.
    #[prost(bool, tag = "3")]
    pub(crate) is_external: bool,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// Normalised, sorted, each once; never `root`.
    #[prost(string, repeated, tag = "5")]
    pub(crate) policies: Vec<String>,
    /// Groups whose members are in it too.
    #[prost(string, repeated, tag = "6")]
    pub(crate) member_group_ids: Vec<String>,
    /// The reverse: groups that its members are in too.
    #[prost(string, repeated, tag = "7")]
    pub(crate) parent_group_ids: Vec<String>,
    /// Of an external group.
    #[prost(message, optional, tag = "8")]
    pub(crate) alias: Option<AliasRecord>,
    /// Counts changes, for clients.
    #[prost(uint64, tag = "9")]
    pub(crate) modify_index: u64,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "10")]
    pub(crate) created_nanos: i64,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "11")]
    pub(crate) updated_nanos: i64,
}

/// The groups that an entity is in without another group between.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipRecord {
    /// Sorted, each once. One whose group is gone counts for nothing.
    #[prost(string, repeated, tag = "1")]
    pub(crate) group_ids: Vec<String>,
}

/// An entity's place in the list of a group's members; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct MemberOfGroupRecord {}

/// What a name, an alias or an id that was merged away stands for.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct PlaceRecord {
    /// Id of the entity or group; empty stands for none.
    #[prost(string, tag = "1")]
    pub(crate) owner_id: String,
    /// Of an alias by its name: the alias's id. Of a name: its spelling.
    #[prost(string, tag = "2")]
    pub(crate) detail: String,
}

/// Entities by id, groups by id, and so on: a directory each in the area of the mount.
pub(crate) const ENTITIES: &str = "entity";
/// Entities by name, lowered.
pub(crate) const ENTITY_NAMES: &str = "entity-name";
/// Entities by the id of an alias.
pub(crate) const ALIASES: &str = "alias";
/// Entities by the mount's accessor and what that knows them by.
pub(crate) const ALIAS_NAMES: &str = "alias-name";
/// Entities by an id that was merged into theirs.
pub(crate) const MERGED: &str = "merged";
/// Groups by id.
pub(crate) const GROUPS: &str = "group";
/// Groups by name, lowered.
pub(crate) const GROUP_NAMES: &str = "group-name";
/// Groups by the id of their alias.
pub(crate) const GROUP_ALIASES: &str = "group-alias";
/// Groups by the mount's accessor and what that knows them by.
pub(crate) const GROUP_ALIAS_NAMES: &str = "group-alias-name";
/// What groups an entity is in, by its id.
pub(crate) const MEMBERSHIPS: &str = "membership";
/// The members of a group, by the ids of group and entity.
pub(crate) const MEMBERS: &str = "member";
