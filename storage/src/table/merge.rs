//! Leading the rows on the disk to the newest confirmed index, away from apply.
//!
//! A thread of the table adds up each segment once it is closed, so that a checkpoint finds the digest that it asks about. When one
//! confirms an index, every row that differs there is written, once, in one write with where the rows stand then; that is synced; only
//! then is the new base announced, and the segments in it leave memory. A crash before leaves the old base or the new one, and the
//! log, which is kept behind the announced one, leads on from either.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::TableError;
use super::apply::State;
use super::revisioned::{Inner, Published, bookkeeping};
use super::rows::{Home, Rows};
use super::stack::{Base, Segment};

/// The table's thread. Dropping it waits until what is begun, or was asked for before, is done.
pub(crate) struct Worker {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start<H: Home>(inner: Arc<Inner<H>>) -> Result<Self, TableError> {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("table-merge".into()).spawn(move || run(&inner, &woken))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// There is a segment to add up, or an index to lead the rows to.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // If it was woken already, it looks once more after what it is at.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the table's thread panicked");
        }
    }
}

fn run<H: Home>(inner: &Inner<H>, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let published = inner.published();
        for segment in published.state.stack.closed() {
            Segment::delta(segment);
        }
        drop(published);
        if let Err(error) = inner.merge() {
            tracing::error!(%error, "the table could not be written; the log holds what it lacks");
            return;
        }
    }
}

impl<H: Home> Inner<H> {
    /// Leads the rows on the disk to the newest confirmed index, if they are not there; synced on return. Afterwards, a failure ends
    /// the table: what the disk holds is unknown.
    pub(crate) fn merge(&self) -> Result<(), TableError> {
        let _alone = self.merging.lock();
        self.merge_alone()
    }

    /// As [`Inner::merge`], for who holds the lock.
    pub(crate) fn merge_alone(&self) -> Result<(), TableError> {
        let rows = {
            let writer = self.writer.lock();
            writer.check()?;
            Arc::clone(&writer.rows)
        };
        let State { applied, stack, confirmed, .. } = &self.published().state;
        if !self.is_merging || *confirmed <= stack.base().at.index() {
            return Ok(());
        }
        let Some((mut changes, at, hash)) = stack.difference(*confirmed) else {
            return Err(TableError::Misuse(format!("index {confirmed} is confirmed and not remembered")));
        };
        changes.extend(bookkeeping(&at, applied.checkpoint, &hash));
        let written = rows.write(changes).and_then(|()| rows.sync());
        let mut writer = self.writer.lock();
        written.inspect_err(|_| writer.has_failed = true)?;
        let base = Arc::new(Base { view: rows.view(), at, hash });
        // What was applied meanwhile stays where it is.
        let now = self.published();
        let state = State { stack: now.state.stack.rebased(base), ..now.state.clone() };
        self.publish(Published { state, touched: Arc::clone(&now.touched) });
        Ok(())
    }
}
