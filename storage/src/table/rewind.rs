//! Rewind: back to the newest index that somebody with keys vouched for, so that the log can be applied again from
//! there with every tag checked.
//!
//! Trusts nothing on this disk: the digest is computed from every row after they were put back. Whoever altered a
//! row, an undo row, or where the table says it stands, gets a digest or an index that no signed checkpoint names.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::apply::State;
use super::format::{
    HASH_KEY, POINT_PREFIX, Point, STANDING_KEY, Standing, malformed, point_key, point_row, put_standing, read_point,
    read_point_key, read_undo, read_undo_key,
};
use super::revisioned::{Inner, bookkeeping};
use super::rows::{Change, Home, Partition, RowView, Rows};
use super::{Applied, TableError};

impl<H: Home> Inner<H> {
    /// Puts the rows back in one write, then reads them all and writes the digest they have. A crash between the
    /// two leaves no hash state, and opening the table finishes the second.
    pub(crate) fn rewind(&self) -> Result<Applied, TableError> {
        let mut writer = self.writer.lock();
        writer.check()?;
        let rows = writer.rows.clone();
        let State { rewind, applied, .. } = &writer.state;
        let changes = changes(&rows.view(), *rewind, applied.checkpoint)?;
        writer.write(changes)?;
        self.replace(&mut writer, rows)
    }
}

/// Changes that lead back to `rewind`, and leave the table without a hash state.
fn changes(view: &impl RowView, rewind: u64, checkpoint: Option<(u64, u64)>) -> Result<Vec<Change>, TableError> {
    let mut changes = Vec::new();
    let mut old_rows = BTreeMap::new();
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
            changes.push(Change { partition: Partition::Meta, key: Bytes::copy_from_slice(key), row: None });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    changes.extend(standing_at(view, rewind, checkpoint)?);
    Ok(changes)
}

/// Where the table stood at the rewind point, and no hash state.
fn standing_at(view: &impl RowView, rewind: u64, checkpoint: Option<(u64, u64)>) -> Result<[Change; 2], TableError> {
    let point = view.get(Partition::Meta, &point_key(rewind))?.map(|row| read_point(&row)).transpose()?;
    let (last, membership) = match point {
        Some(Point { last, membership, .. }) => (last, membership),
        None if rewind == 0 => (None, None),
        None => return Err(malformed("point")),
    };
    let mut row = Vec::with_capacity(256);
    put_standing(&mut row, &Standing { last, membership, checkpoint, rewind });
    Ok([
        Change { partition: Partition::Meta, key: Bytes::from_static(STANDING_KEY), row: Some(row.into()) },
        Change { partition: Partition::Meta, key: Bytes::from_static(HASH_KEY), row: None },
    ])
}

/// Bookkeeping of a table that stands at its rewind point with a digest computed from its rows: also the point.
pub(crate) fn settled(state: &State) -> [Change; 3] {
    let [standing, hash] = bookkeeping(state);
    let State { applied, rewind, .. } = state;
    let point = Point { last: applied.last, membership: applied.membership.clone(), digest: applied.digest };
    let point = Change { partition: Partition::Meta, key: point_key(*rewind), row: Some(point_row(&point)) };
    [standing, hash, point]
}
