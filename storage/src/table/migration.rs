//! What version 1 kept on the disk, read for the last time.
//!
//! There the rows stood at the last applied entry, and *undo rows* led back to the confirmed index: the old row of each first change
//! in a segment between two remembered indexes (*points*). So a folder of that version is put back there once, when it is opened,
//! and has neither from then on; the log leads it forward again. Each step may be repeated after a crash.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::TableError;
use super::digest::LtHash;
use super::format::{
    HASH_KEY, POINT_PREFIX, STANDING_KEY, Standing, malformed, point_key, put_standing, read_point, read_point_key,
    read_standing, read_undo, read_undo_key,
};
use super::rows::{Change, Partition, RowView, Rows};

/// Puts rows of version 1 back to the index that was confirmed, and removes what only that version knew. Synced on return.
pub(crate) fn from_version_1(rows: &impl Rows) -> Result<(), TableError> {
    let view = rows.view();
    let Some(standing) = view.get(Partition::Meta, STANDING_KEY)? else { return Ok(()) };
    let standing = read_standing(&standing)?;
    let rewind = standing.rewind;
    rows.write(back_to(&view, standing)?)?;
    drop(view);
    let hash = LtHash::over(&rows.view())?;
    rows.write(vec![meta(HASH_KEY, Some(hash.to_bytes().into())), meta(&point_key(rewind), None)])?;
    rows.sync()
}

fn meta(key: &[u8], row: Option<Bytes>) -> Change {
    Change { partition: Partition::Meta, key: Bytes::copy_from_slice(key), row }
}

/// Changes that lead back to the confirmed index, and leave the table without a state of the digest.
fn back_to(view: &impl RowView, standing: Standing) -> Result<Vec<Change>, TableError> {
    let rewind = standing.rewind;
    let (mut changes, mut old_rows) = (Vec::new(), BTreeMap::new());
    view.scan(Partition::Undo, &[], None, &mut |key, row| {
        let (segment, partition, of) = read_undo_key(key)?;
        if segment >= rewind {
            // Segments ascend, so the first old row met is the one from before all of them.
            let old = read_undo(row)?;
            old_rows.entry((partition, Bytes::copy_from_slice(of))).or_insert(old);
        }
        changes.push(Change { partition: Partition::Undo, key: Bytes::copy_from_slice(key), row: None });
        Ok(ControlFlow::Continue(()))
    })?;
    changes.extend(old_rows.into_iter().map(|((partition, key), row)| Change { partition, key, row }));
    view.scan(Partition::Meta, POINT_PREFIX, None, &mut |key, _| {
        if read_point_key(key)? != rewind {
            changes.push(meta(key, None));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut row = Vec::with_capacity(256);
    put_standing(&mut row, &standing_at_rewind(view, standing)?);
    changes.extend([meta(STANDING_KEY, Some(row.into())), meta(HASH_KEY, None)]);
    Ok(changes)
}

/// Where the table stood at the confirmed index.
fn standing_at_rewind(view: &impl RowView, standing: Standing) -> Result<Standing, TableError> {
    if standing.last.map_or(0, |last| last.index) == standing.rewind {
        return Ok(standing);
    }
    match view.get(Partition::Meta, &point_key(standing.rewind))? {
        Some(row) => {
            let point = read_point(&row)?;
            Ok(Standing { last: point.last, membership: point.membership, ..standing })
        }
        None if standing.rewind == 0 => Ok(Standing { last: None, membership: None, ..standing }),
        None => Err(malformed("point")),
    }
}
