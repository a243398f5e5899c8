//! The first batch: what a cluster holds from its initialisation on.
//!
//! It guards that none of the open records was there, so two nodes that are initialised at once cannot both win.

use conclave_batch::View;
use serde_json::json;

use crate::batch::Proposal;
use crate::context::Context;
use crate::core::Core;
use crate::error::{Error, ErrorKind};
use crate::members::{self, MemberRecord};
use crate::mount::creation;
use crate::mount::table::MountTable;
use crate::policy::records;
use crate::token;

/// What a new cluster begins with.
pub struct NewCluster<'a> {
    /// The records outside the barrier, by name.
    pub open_records: Vec<(&'static str, Vec<u8>)>,
    /// The node that begins.
    pub member: MemberRecord,
    /// The root token's id where the operator chose it; else a fresh one is made.
    pub root_token: Option<&'a str>,
    /// Whether KV version 2 is mounted at `secret/`, as a dev server has it.
    pub dev_kv: bool,
}

/// Makes the first batch and the root token.
///
/// # Errors
/// [`ErrorKind::Invalid`] if the view already holds one of the open records.
pub fn first_batch<'a>(
    core: &'a Core,
    context: &mut Context<'a>,
    view: &'a dyn View,
    first: NewCluster<'_>,
) -> Result<(Proposal, String), Error> {
    let mut store = core.store(view);
    for (name, bytes) in first.open_records {
        if store.get_open(name)?.is_some() {
            return Err(Error::new(ErrorKind::Invalid, "Vault is already initialized"));
        }
        store.put_open(name, bytes);
    }
    let mut mounts = creation::initial(context);
    if first.dev_kv {
        let mut kv = creation::new_record(context, "secret/", "kv", "key/value secret storage");
        kv.options_json = json!({ "version": "2" }).to_string();
        mounts.push(kv);
    }
    MountTable::save(&mut store, mounts)?;
    records::put_initial(&mut store, context.now)?;
    members::add(&mut store, first.member)?;
    let token = token::create_root(&mut store, context, first.root_token)?;
    let batch = store.finish(context)?.ok_or_else(|| Error::internal("the first batch is empty"))?;
    Ok((batch, token))
}

#[cfg(test)]
mod tests {
    use conclave_batch::Outcome;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Harness, Seeded, TestTable, context};

    #[test]
    fn a_new_cluster_has_its_mounts_and_a_root_token() {
        let mut harness = Harness::new();
        let (status, body) = harness.request("GET", "sys/mounts", Value::Null);
        assert_eq!(status, 200);
        let paths: Vec<_> = body["data"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["cubbyhole/", "identity/", "secret/", "sys/"]);
    }

    #[test]
    fn neither_names_nor_values_lie_in_the_table_in_the_clear() {
        let mut harness = Harness::new();
        let data = json!({ "data": { "canary-key": "canary-value" } });
        assert_eq!(harness.request("POST", "secret/data/canary-name", data).0, 200);
        for (key, value) in harness.table.rows() {
            for words in [&b"canary"[..], b"secret", b"auth", b"policies"] {
                let is_in = |bytes: &[u8]| bytes.windows(words.len()).any(|window| window == words);
                assert!(!is_in(&key) && !is_in(&value), "{:?} is readable", String::from_utf8_lossy(words));
            }
        }
    }

    #[test]
    fn a_cluster_is_initialised_once() {
        let mut harness = Harness::new();
        let mut random = Seeded::new(2);
        let mut context = context(&mut random, harness.now);
        let first = || NewCluster {
            open_records: vec![("cluster", vec![1])],
            member: MemberRecord::default(),
            root_token: None,
            dev_kv: false,
        };
        let empty = TestTable::new();
        let (one, _) = first_batch(&harness.core, &mut context, &empty, first()).unwrap();
        let (two, _) = first_batch(&harness.core, &mut context, &empty, first()).unwrap();
        let mut table = TestTable::new();
        assert!(matches!(table.apply(&one), Outcome::Applied { .. }));
        assert!(matches!(table.apply(&two), Outcome::Conflict { .. }));
        assert!(first_batch(&harness.core, &mut context, &table, first()).is_err());
        let (status, _) = harness.request("POST", "secret/data/a", json!({ "data": { "a": 1 } }));
        assert_eq!(status, 200);
    }
}
