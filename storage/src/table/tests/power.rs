//! Power that is lost while the rows on the disk are led on, and readers meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

use super::super::memory::{MemoryHome, MemoryRows, MemoryView};
use super::super::revisioned::RevisionedTable;
use super::super::rows::{Change, Home, Rows};
use super::rewind::{checkpoint, rows};
use super::*;

/// What a merge does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Write,
    Sync,
}

type Hook = Box<dyn Fn(Moment) -> Result<(), TableError> + Send>;

/// Rows on a disk that forgets with the power what was not synced.
#[derive(Default)]
struct Disk {
    now: MemoryRows,
    synced: Mutex<MemoryView>,
    hook: Mutex<Option<Hook>>,
}

impl Disk {
    fn reach(&self, moment: Moment) -> Result<(), TableError> {
        self.hook.lock().as_ref().map_or(Ok(()), |hook| hook(moment))
    }

    /// What there is after the power came back: all that was written, or what was synced.
    fn after_power_loss(&self) -> [Arc<MemoryRows>; 2] {
        [self.now.view(), self.synced.lock().clone()].map(|view| Arc::new(MemoryRows::from(view)))
    }
}

impl Rows for Disk {
    type View = MemoryView;

    fn view(&self) -> MemoryView {
        self.now.view()
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), TableError> {
        self.reach(Moment::Write)?;
        self.now.write(changes)
    }

    fn sync(&self) -> Result<(), TableError> {
        self.reach(Moment::Sync)?;
        *self.synced.lock() = self.now.view();
        Ok(())
    }
}

struct DiskHome;

impl Home for DiskHome {
    type Rows = Disk;
    type Staging = Disk;

    fn stage(&self) -> Result<Disk, TableError> {
        Ok(Disk::default())
    }

    fn staged<'a>(&self, staging: &'a Disk) -> &'a Disk {
        staging
    }

    fn adopt(&self, staging: Disk) -> Result<Arc<Disk>, TableError> {
        Ok(Arc::new(staging))
    }

    fn retire(&self, _: &Disk) {}

    fn path(&self) -> Option<&Path> {
        None
    }
}

/// A table that stops where it is told to, and the log that it was led by.
struct Scene {
    table: RevisionedTable<DiskHome>,
    disk: Arc<Disk>,
    reached: Receiver<Moment>,
    go_on: Sender<()>,
    mark: u64,
}

impl Scene {
    /// A table with a base, and an index that is about to be confirmed.
    fn new() -> Self {
        let disk = Arc::new(Disk::default());
        let table = RevisionedTable::start(DiskHome, disk.clone()).unwrap();
        run(&table, vec![put("a", "1"), put("d/x", "1"), put("d/y", "1")]);
        let first = checkpoint(&table, 0, vec![]);
        checkpoint(&table, first, vec![]);
        table.sync().unwrap();
        assert_eq!(table.rewind_index(), first);
        run(&table, vec![put("a", "2"), delete("d/x"), put("d/z", "2")]);
        let mark = checkpoint(&table, first, vec![]);
        table.sync().unwrap();
        let ((reaches, reached), (go_on, goes_on)) = (channel(), channel());
        let goes_on = Mutex::new(goes_on);
        *disk.hook.lock() = Some(Box::new(move |moment| {
            reaches.send(moment).unwrap();
            goes_on.lock().recv().map_err(|_| TableError::Engine("the disk is gone".into()))
        }));
        Self { table, disk, reached, go_on, mark }
    }

    fn confirm(&self) {
        checkpoint(&self.table, self.mark, vec![put("confirmed", "1")]);
    }

    /// What readers see of what the scene wrote.
    fn shown(&self) -> (Option<(u64, String)>, Vec<String>, [u8; 32]) {
        (value(&self.table, "a"), listing(&self.table, "d"), self.table.digest().unwrap())
    }
}

#[test]
fn power_lost_in_the_middle_of_a_merge_leaves_a_base_from_which_the_log_leads_on() {
    let scene = Scene::new();
    let before = scene.table.rewind_index();
    scene.confirm();
    let mut left = Vec::new();
    for moment in [Moment::Write, Moment::Sync] {
        assert_eq!(scene.reached.recv().unwrap(), moment);
        run(&scene.table, vec![put(&format!("meanwhile {moment:?}"), "1")]);
        // Entries up to the announced index may be purged from the log at any time.
        left.push((scene.disk.after_power_loss(), scene.table.rewind_index()));
        assert_eq!(scene.table.rewind_index(), before, "announced before it was synced");
        scene.go_on.send(()).unwrap();
    }
    scene.table.sync().unwrap();
    left.push((scene.disk.after_power_loss(), scene.table.rewind_index()));
    assert_eq!(scene.table.rewind_index(), scene.mark);
    let expected = rows(&scene.table);
    let mut bases = Vec::new();
    for (disks, purged) in left {
        for disk in disks {
            let table = RevisionedTable::start(MemoryHome, disk).unwrap();
            let base = table.applied().last.unwrap().index;
            table.verify().unwrap();
            assert!(base >= purged, "the log lacks what lies between {base} and {purged}");
            bases.push(base);
            lead(&table, &scene);
            assert_eq!(rows(&table), expected);
        }
    }
    let mark = scene.mark;
    assert_eq!(bases, [before, before, mark, before, mark, mark]);
}

/// Applies what the scene's log holds behind where a table stands.
fn lead(table: &MemoryTable, scene: &Scene) {
    let first = table.applied().last.unwrap().index + 1;
    for index in first..=scene.table.applied().last.unwrap().index {
        let named = |of: u64, ops| {
            let digest =
                scene.table.digest_at(of).unwrap().or_else(|| table.digest_at(of).unwrap()).unwrap_or_default();
            Batch {
                checkpoint: Some(Checkpoint { index: of, digest: Bytes::copy_from_slice(&digest) }),
                ..batch(index, ops)
            }
        };
        let batch = match index {
            3 => named(2, vec![]),
            4 => batch(4, vec![put("a", "2"), delete("d/x"), put("d/z", "2")]),
            5 => named(2, vec![]),
            6 => named(5, vec![put("confirmed", "1")]),
            7 => batch(7, vec![put("meanwhile Write", "1")]),
            8 => batch(8, vec![put("meanwhile Sync", "1")]),
            other => panic!("the scene has no entry {other}"),
        };
        assert_eq!(apply_from(table, index, &[batch]), [Outcome::Applied { index }]);
    }
}

#[test]
fn views_say_the_same_before_during_and_after_a_merge() {
    let scene = Scene::new();
    let early = scene.table.view().unwrap();
    scene.confirm();
    let expected = scene.shown();
    let mut views = vec![early];
    for _ in 0..2 {
        scene.reached.recv().unwrap();
        assert_eq!(scene.shown(), expected);
        views.push(scene.table.view().unwrap());
        scene.go_on.send(()).unwrap();
    }
    scene.table.sync().unwrap();
    assert_eq!(scene.shown(), expected);
    scene.table.verify().unwrap();
    *scene.disk.hook.lock() = None;
    // What lay in the base and in memory then is replaced in both by now.
    run(&scene.table, vec![delete("a"), put("d/x", "3"), delete("d/z"), delete("d/y")]);
    let next = scene.table.applied().checkpoint.unwrap().0;
    checkpoint(&scene.table, next, vec![]);
    let last = scene.table.applied().last.unwrap().index;
    checkpoint(&scene.table, last, vec![]);
    scene.table.sync().unwrap();
    assert_eq!(listing(&scene.table, "d"), ["x"]);
    for view in views {
        let record = view.get(&key("a")).unwrap().unwrap();
        assert_eq!((record.revision, record.value), (4, Bytes::from("2")));
        let names = view.names(&key("d"), None, 9).unwrap();
        assert_eq!(names.iter().map(display).collect::<Vec<_>>(), ["y", "z"]);
    }
}

#[test]
fn a_merge_that_fails_ends_the_table_and_announces_nothing() {
    for moment in [Moment::Write, Moment::Sync] {
        let scene = Scene::new();
        let before = scene.table.rewind_index();
        *scene.disk.hook.lock() = Some(Box::new(move |now| match now == moment {
            true => Err(TableError::Engine("the disk is gone".into())),
            false => Ok(()),
        }));
        scene.confirm();
        assert!(scene.table.sync().is_err());
        assert_eq!(scene.table.rewind_index(), before);
        let next = scene.table.applied().last.unwrap().index + 1;
        assert!(matches!(scene.table.apply(&[entry_of(next, Payload::Blank)]), Err(TableError::Engine(_))));
        assert!(scene.table.rewind().is_err() && scene.table.trial().is_err());
    }
}

#[test]
fn a_snapshot_that_comes_during_a_merge_waits_for_it_and_stays() {
    let scene = Scene::new();
    let mut export = MemoryTable::new().export().unwrap();
    let mut import = scene.table.import().unwrap();
    while let Some(chunk) = export.next_chunk().unwrap() {
        import.push(&chunk).unwrap();
    }
    scene.confirm();
    assert_eq!(scene.reached.recv().unwrap(), Moment::Write);
    let installing = std::thread::spawn(move || import.install().unwrap());
    scene.go_on.send(()).unwrap();
    assert_eq!(scene.reached.recv().unwrap(), Moment::Sync);
    scene.go_on.send(()).unwrap();
    assert_eq!(installing.join().unwrap(), Applied::default());
    scene.table.sync().unwrap();
    assert_eq!((scene.table.applied(), listing(&scene.table, "")), (Applied::default(), Vec::new()));
}
