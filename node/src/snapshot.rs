//! `sys/storage/raft/snapshot`: the table at one point in time as a file, encrypted as it is stored.
//!
//! ```text
//! meta.json            what it is, for people
//! state/000000 …       the chunks of `docs/internals/snapshot.md`, one file each
//! SHA256SUMS           the SHA-256 of each file above
//! SHA256SUMS.sealed    term (4) · MAC (32) over that list, by which the cluster knows its own
//! ```

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use conclave_raft::node_id;
use conclave_storage::table::Table;
use conclave_vault::{Core, Error, ErrorKind, Raw};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::archive::Archive;
use crate::config::limits::MAX_SNAPSHOT_BYTES;
use crate::replica::Replica;
use crate::view;

/// Media type of an archive.
const GZIP: &str = "application/gzip";

/// Takes snapshots, one after the other: each lies in memory until its client has it.
pub(crate) struct Snapshots(Semaphore);

impl Default for Snapshots {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Snapshots {
    /// The table as a file.
    pub(crate) async fn take(&self, replica: &Arc<Replica>, core: &Core) -> Result<Raw, Error> {
        let busy = || Error::new(ErrorKind::TooMany, "another snapshot is being taken on this node; try again");
        let _turn = self.0.try_acquire().map_err(|_| busy())?;
        let own = Arc::clone(replica);
        let read = tokio::task::spawn_blocking(move || read_out(&own)).await;
        let (mut archive, sums) = read.map_err(|error| Error::internal(error.to_string()))??;
        let (term, mac) = core.barrier().sign_snapshot(sums.as_bytes());
        archive.add("SHA256SUMS", sums.as_bytes());
        archive.add("SHA256SUMS.sealed", &[term.to_be_bytes().as_slice(), &mac].concat());
        let body = archive.finish();
        tracing::info!(bytes = body.len(), "a snapshot was taken");
        Ok(Raw { status_code: 200, content_type: GZIP.to_owned(), body })
    }
}

/// The files and their list, without what vouches for it.
fn read_out(replica: &Replica) -> Result<(Archive, String), Error> {
    let failed = |error: conclave_storage::table::TableError| Error::internal(error.to_string());
    let mut export = replica.table.export().map_err(failed)?;
    let applied = export.applied().clone();
    let last = applied.last.ok_or_else(|| Error::internal("an unsealed node has applied something"))?;
    let now = view::now();
    let mut archive = Archive::new(u64::try_from(now.secs()).unwrap_or(0));
    let mut sums = String::new();
    let mut add = |archive: &mut Archive, name: &str, content: &[u8]| {
        archive.add(name, content);
        sums.push_str(&format!("{}  {name}\n", hex::encode(digest(&SHA256, content))));
    };
    let meta = json!({
        "Version": 1,
        "ID": format!("conclave-{}-{}", last.term, last.index),
        "Index": last.index,
        "Term": last.term,
        "ClusterID": replica.cluster_id_text(),
        "Epoch": applied.epoch,
        "Digest": hex::encode(export.digest()),
        "Node": node_id(replica.identity.id()),
        "Time": now.to_string(),
    });
    add(&mut archive, "meta.json", format!("{meta}\n").as_bytes());
    let mut number = 0;
    while let Some(chunk) = export.next_chunk().map_err(failed)? {
        if archive.len() + chunk.len() > MAX_SNAPSHOT_BYTES {
            let text = format!("the snapshot is larger than {MAX_SNAPSHOT_BYTES} bytes, the most that is handed out");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        add(&mut archive, &format!("state/{number:06}"), &chunk);
        number += 1;
    }
    Ok((archive, sums))
}
